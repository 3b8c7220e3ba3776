"""What tasks read of an exchange, as columns: a row for each file, and one for each byte range of it.

A stage of some thousand tasks and some hundred partitions has a million ranges. They are put in the order of the partitions
once, when all outputs are there; what a task is given of them is a slice.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Self

import numpy as np

from lakefmt.engine.exchange.shuffle_file import shuffle_file_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lakefmt.engine.exchange.exchange import Exchange
    from lakefmt.engine.exchange.shuffle_file import ShuffleFile

__all__ = ["ShuffleInput", "ShuffleOutputs", "ShuffleRanges", "ShuffleSources"]


@dataclass(frozen=True, slots=True, eq=False)
class ShuffleSources:
    """Outputs of tasks of one stage, in the order of its parts: columns of equal length, a row for each.

    Attributes:
        stage: of the tasks.
        folder: where their files are.
        numbers: of the tasks.
        attempts: of the tasks.
        tokens: that every message of the output carries.
        sizes: bytes of the output.
        unpacked: bytes of its rows for each of those, where they are compressed; else 1.
        is_file: whether there is a file; else the rows are in ``ShuffleInput.inline``.
    """

    stage: str
    folder: str
    numbers: NDArray[np.int64]
    attempts: NDArray[np.int64]
    tokens: NDArray[np.bytes_]
    sizes: NDArray[np.int64]
    unpacked: NDArray[np.float64]
    is_file: NDArray[np.bool_]

    @classmethod
    def of(cls, files: Sequence[ShuffleFile]) -> Self:
        """Return the columns of some outputs."""
        return cls(
            files[0].stage if files else "",
            next((file.folder for file in files if file.name), ""),
            np.array([file.number for file in files], np.int64),
            np.array([file.attempt for file in files], np.int64),
            np.array([file.token.encode() for file in files], "S16"),
            np.array([file.size_bytes for file in files], np.int64),
            np.array([max(file.row_bytes / max(file.size_bytes, 1), 1.0) for file in files], np.float64),
            np.array([bool(file.name) for file in files], bool),
        )

    def take(self, rows: NDArray[np.int32]) -> Self:
        """Return some of them."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _COLUMNS_OF_SOURCES})

    def name(self, row: int) -> str:
        """Return the name of a file."""
        return shuffle_file_name(self.stage, int(self.numbers[row]), int(self.attempts[row]))


_COLUMNS_OF_SOURCES = [field.name for field in fields(ShuffleSources)][2:]


@dataclass(frozen=True, slots=True, eq=False)
class ShuffleRanges:
    """Where rows are: columns of equal length, a row for each run of an output and partition that has rows in it.

    Attributes:
        partitions: the number of the partition.
        sources: the row in ``ShuffleSources``.
        starts: where the messages begin, in the file or in ``ShuffleInput.inline``.
        ends: where they end.
        rows: how many there are in them.
    """

    partitions: NDArray[np.uint32]
    sources: NDArray[np.int32]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.partitions)

    def take(self, rows: NDArray[np.int64] | slice) -> Self:
        """Return some of them."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class ShuffleInput:
    """What a task reads of an exchange.

    Attributes:
        exchange: what was sent.
        sources: the outputs that rows are from.
        ranges: where in them, in the order of the partitions, and in it of the outputs.
        inline: the bytes of outputs without a file.
        slices: of the rows only those whose keys fall in slice ``slices[0]`` of ``slices[1]``, a power of two: by bits of the
            hash that did not choose the partition, or in a range exchange by their order, which ``sort_partition`` sees to;
            None for all.
    """

    exchange: Exchange
    sources: ShuffleSources
    ranges: ShuffleRanges
    inline: bytes
    slices: tuple[int, int] | None = None

    @classmethod
    def of(
        cls,
        exchange: Exchange,
        files: Sequence[ShuffleFile],
        start: int,
        stop: int,
        slices: tuple[int, int] | None = None,
    ) -> ShuffleInput:
        """Return the input that is the partitions from ``start`` up to but without ``stop`` of some files."""
        return ShuffleOutputs(files).select(exchange, start, stop, slices=slices)

    @property
    def rows(self) -> int:
        """Rows there are, slices left out of account."""
        return int(self.ranges.rows.sum())

    @property
    def row_bytes(self) -> int:
        """Bytes of the rows where they are not compressed, about: as if each partition compressed as well as all together."""
        sizes = self.ranges.ends - self.ranges.starts
        return int((sizes * self.sources.unpacked[self.ranges.sources]).sum())

    @property
    def message_bytes(self) -> int:
        """Bytes that are read."""
        return int((self.ranges.ends - self.ranges.starts).sum())

    def single_partitions(self) -> Iterator[tuple[int, ShuffleInput]]:
        """Yield the partitions that have rows, in order: the number of each, and it alone."""
        numbers, begins = np.unique(self.ranges.partitions, return_index=True)
        edges = pairwise([*begins.tolist(), len(self.ranges)])
        for number, (begin, end) in zip(numbers.tolist(), edges, strict=True):
            yield number, replace(self, ranges=self.ranges.take(slice(begin, end)))


class ShuffleOutputs:
    """All outputs of a stage.

    Args:
        files: of its tasks, in the order of the parts.
        roots: of each of them, ascending: which of the parts, as planned, it comes from; None where nobody asks.
    """

    def __init__(self, files: Sequence[ShuffleFile], roots: Sequence[int] | None = None) -> None:
        self._sources = ShuffleSources.of(files)
        self._roots = np.arange(len(files)) if roots is None else np.array(roots, np.int64)
        counts = [len(file.index) for file in files]
        ranges = ShuffleRanges(
            np.concatenate([np.zeros(0, np.uint32), *(file.index.partitions for file in files)]),
            np.repeat(np.arange(len(files), dtype=np.int32), counts),
            np.concatenate([np.zeros(0, np.int64), *(file.index.starts for file in files)]),
            np.concatenate([np.zeros(0, np.int64), *(file.index.ends for file in files)]),
            np.concatenate([np.zeros(0, np.int64), *(file.index.rows for file in files)]),
        )
        # Stable: the outputs of a partition, and the runs of an output, keep their order.
        ranges = ranges.take(np.argsort(ranges.partitions, kind="stable"))
        self._ranges, self._inline = _move_inline(
            ranges, ~self._sources.is_file, [file.inline for file in files]
        )

    def partition_bytes(self, partitions: int) -> NDArray[np.int64]:
        """Return the bytes of each of so many partitions."""
        sizes = self._ranges.ends - self._ranges.starts
        return np.bincount(self._ranges.partitions, sizes, partitions).astype(np.int64)

    def root_bytes(self, partition: int) -> NDArray[np.int64]:
        """Return what each part, as planned, has put into a partition, in bytes."""
        ranges = self._ranges.take(self._between(partition, partition + 1))
        count = int(self._roots.max(initial=-1)) + 1
        roots = self._roots[ranges.sources]
        return np.bincount(roots, ranges.ends - ranges.starts, count).astype(np.int64)

    def select(
        self,
        exchange: Exchange,
        start: int,
        stop: int,
        *,
        roots: tuple[int, int] | None = None,
        slices: tuple[int, int] | None = None,
    ) -> ShuffleInput:
        """Return the input that is the partitions from ``start`` up to but without ``stop``, of some parts' outputs or all."""
        ranges = self._ranges.take(self._between(start, stop))
        if roots is not None:
            found = self._roots[ranges.sources]
            ranges = ranges.take(np.flatnonzero((found >= roots[0]) & (found < roots[1])))
        used, places = np.unique(ranges.sources, return_inverse=True)
        sources = self._sources.take(used)
        ranges = replace(ranges, sources=places.astype(np.int32))
        inline = b""
        if not sources.is_file.all():
            of_file = sources.is_file[places]
            first, last = ranges.starts[~of_file].min(), ranges.ends[~of_file].max()
            inline = self._inline[first:last]
            ranges = replace(
                ranges,
                starts=np.where(of_file, ranges.starts, ranges.starts - first),
                ends=np.where(of_file, ranges.ends, ranges.ends - first),
            )
        return ShuffleInput(exchange, sources, ranges, inline, slices)

    def _between(self, start: int, stop: int) -> slice:
        first, last = np.searchsorted(self._ranges.partitions, [start, stop])
        return slice(int(first), int(last))


def _move_inline(
    ranges: ShuffleRanges, is_inline: NDArray[np.bool_], inline: Sequence[bytes]
) -> tuple[ShuffleRanges, bytes]:
    """Return ranges with the bytes of those outputs that have no file put together in the ranges' order."""
    moved = np.flatnonzero(is_inline[ranges.sources])
    if not len(moved):
        return ranges, b""
    those = ranges.take(moved)
    places = zip(those.sources.tolist(), those.starts.tolist(), those.ends.tolist(), strict=True)
    whole = b"".join([inline[source][start:end] for source, start, end in places])
    ends = np.cumsum(those.ends - those.starts)
    new_starts, new_ends = ranges.starts.copy(), ranges.ends.copy()
    new_starts[moved] = ends - (those.ends - those.starts)
    new_ends[moved] = ends
    return replace(ranges, starts=new_starts, ends=new_ends), whole
