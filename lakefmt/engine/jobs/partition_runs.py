"""Which partitions of an exchange a task reads: sizes that were counted turned into tasks of even size; pure.

As in Spark's adaptive execution the number of partitions is chosen before anything is known and is rather too large; what
the map tasks counted says then which small ones are read together, and which one is too heavy for one task.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = [
    "FINEST_SLICES",
    "PARTITION_BYTES",
    "PartitionRun",
    "choose_partition_count",
    "choose_partition_runs",
    "split_heavy_run",
    "split_run",
    "split_sorted_run",
]

PARTITION_BYTES = 64 << 20
"""What a task is given to read of an exchange, about, where its memory allows."""

FINEST_SLICES = 256
"""So many slices a partition may be cut in."""

_HEAVY = 3  # times the target: from there on a partition is cut, where the job says it may be
_MOST_PARTITIONS = 4096


@dataclass(frozen=True, slots=True)
class PartitionRun:
    """What a task reads of an exchange.

    Attributes:
        start: the first partition.
        stop: the one after the last.
        roots: outputs of those parts of the stage before alone (``Source.root``), half-open; None for all.
        slices: of the rows only those whose keys fall in slice ``slices[0]`` of ``slices[1]``: by bits of the hash that
            did not choose the partition, or in a range exchange by their order; None for all rows.
    """

    start: int
    stop: int
    roots: tuple[int, int] | None = None
    slices: tuple[int, int] | None = None

    def __str__(self) -> str:
        """Return it as errors name it."""
        last = self.stop - 1
        text = f"partition {self.start}" if last == self.start else f"partitions {self.start} to {last}"
        if self.slices is not None:
            text += f", keys of slice {self.slices[0] + 1} of {self.slices[1]}"
        if self.roots is not None:
            text += f", of tasks {self.roots[0]} to {self.roots[1] - 1}"
        return text


def choose_partition_count(
    total_bytes: int | None, parallelism: int, partition_bytes: int = PARTITION_BYTES
) -> int:
    """Return how many partitions to cut rows into before they were counted; some per task that runs at once, at least."""
    least = 4 * parallelism
    if total_bytes is None:
        return max(least, 64)
    return max(least, min(-(-total_bytes // partition_bytes), _MOST_PARTITIONS))


def choose_partition_runs(
    partition_bytes: Sequence[int],
    parallelism: int,
    target_bytes: int = PARTITION_BYTES,
    *,
    apart: Collection[int] = (),
) -> list[PartitionRun]:
    """Cut the partitions into runs of at most ``target_bytes`` each, or of one partition; none of empty ones alone.

    Where there is less to do than that, runs are so small that every worker has one.

    Args:
        partition_bytes: of each partition.
        parallelism: tasks that run at once.
        target_bytes: what a task should read.
        apart: partitions that somebody else reads; in none of the runs.
    """
    total = sum(size for number, size in enumerate(partition_bytes) if number not in apart)
    target = max(1, min(target_bytes, -(-total // max(parallelism, 1))))
    runs: list[PartitionRun] = []
    start, size = 0, 0
    for number, each in enumerate(partition_bytes):
        if size and (size + each > target or number in apart):
            runs.append(PartitionRun(start, number))
            start, size = number, 0
        if number in apart:
            start = number + 1
        else:
            size += each
    if size:
        runs.append(PartitionRun(start, len(partition_bytes)))
    return runs


def split_heavy_run(
    run: PartitionRun, root_bytes: Sequence[int], target_bytes: int = PARTITION_BYTES
) -> list[PartitionRun]:
    """Cut a run by the tasks whose outputs it reads, if it is much larger than a task should read; else return it alone.

    Rows of one key then come to several tasks, whose results have to be put together after.

    Args:
        run: of one partition, or it is returned as it is.
        root_bytes: what each part of the stage before has put into it, by ``Source.root``.
        target_bytes: what a task should read.
    """
    total = sum(root_bytes)
    if run.stop - run.start > 1 or total < _HEAVY * target_bytes:
        return [run]
    pieces: list[PartitionRun] = []
    start, size = 0, 0
    for root, each in enumerate(root_bytes):
        if size and size + each > target_bytes:
            pieces.append(replace(run, roots=(start, root)))
            start, size = root, 0
        size += each
    pieces.append(replace(run, roots=(start, len(root_bytes))))
    return pieces


def split_run(run: PartitionRun) -> list[PartitionRun]:
    """Cut a run whose task ran out of memory in two: between partitions, else by further bits of the keys' hash.

    The latter gives up where a slice is so fine that what is left is one key, most likely: none then.
    """
    which, of = run.slices or (0, 1)
    return _halves(run, ((which, 2 * of), (which + of, 2 * of)))


def split_sorted_run(run: PartitionRun) -> list[PartitionRun]:
    """Cut a run of a range exchange in two: between partitions, else in the order of its keys; none as in ``split_run``."""
    which, of = run.slices or (0, 1)
    return _halves(run, ((2 * which, 2 * of), (2 * which + 1, 2 * of)))


def _halves(run: PartitionRun, slices: Sequence[tuple[int, int]]) -> list[PartitionRun]:
    middle = (run.start + run.stop) // 2
    if middle > run.start:
        return [replace(run, stop=middle), replace(run, start=middle)]
    return [replace(run, slices=each) for each in slices if each[1] <= FINEST_SLICES]
