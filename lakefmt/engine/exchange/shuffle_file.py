"""What a task of one stage leaves for those of the next: one file, its partitions back to back, and where each is.

Layout. The file ``<stage>-<task>-<attempt>.arrow`` in the job's folder is an Arrow IPC file in the exchange's wire schema, so
that any Arrow reader can look at it. Its record batches are written in *runs*, as many as the task's memory made it write:
within a run the partitions follow one another in ascending order, each in batches of about 16 MiB. Every batch carries, in
its message's metadata, ``lakefmt.exchange`` = ``<token>/<partition>``, where the token is drawn for the file. Bodies are not
compressed on local disk, and LZ4 elsewhere. The file gets its name when it is whole.

The index is not in the file: the task returns it (``ShuffleFile``), and readers are handed the byte ranges that they are to
read. A range has whole messages; the file's length and the token in each message tell that it is the file that the index is
of, and all of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lakefmt.engine.exchange.heavy_keys import HeavyKey
    from lakefmt.engine.tasks import TaskContext

__all__ = [
    "BATCH_BYTES",
    "METADATA_KEY",
    "RangeIndex",
    "ShuffleFile",
    "batch_mark",
    "is_marked",
    "shuffle_file_name",
]

BATCH_BYTES = 16 << 20
"""A record batch of a shuffle file has about so many bytes at most (more where a single row has)."""

METADATA_KEY = b"lakefmt.exchange"

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,80}")


def shuffle_file_name(context: TaskContext) -> str:
    """Return the name of an attempt's file in the job's folder."""
    stage = context.stage if _NAME.fullmatch(context.stage) else context.stage.encode().hex()[:80]
    return f"{stage}-{context.number}-{context.attempt}.arrow"


def batch_mark(token: str, partition: int) -> bytes:
    """Return what the message of each batch of a partition carries."""
    return f"{token}/{partition}".encode()


@dataclass(frozen=True, slots=True, eq=False)
class RangeIndex:
    """Where partitions lie: columns of equal length, a row for each run and partition that has rows.

    Attributes:
        partitions: the number of the partition.
        starts: where its messages begin.
        ends: where they end.
    """

    partitions: NDArray[np.uint32]
    starts: NDArray[np.uint64]
    ends: NDArray[np.uint64]

    def select(self, start: int, stop: int) -> RangeIndex:
        """Return the ranges of the partitions from ``start`` up to but without ``stop``."""
        chosen = (self.partitions >= start) & (self.partitions < stop)
        return RangeIndex(self.partitions[chosen], self.starts[chosen], self.ends[chosen])

    def coalesced(self) -> list[tuple[int, int]]:
        """Return the byte ranges, in the file's order, those that touch as one."""
        found: list[tuple[int, int]] = []
        for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True):
            if found and found[-1][1] == start:
                found[-1] = (found[-1][0], end)
            else:
                found.append((start, end))
        return found


@dataclass(frozen=True, slots=True, eq=False)
class ShuffleFile:
    """The output of one attempt of a task, as the scheduler keeps it and readers are told of it.

    Attributes:
        stage: of the task.
        number: of the task.
        attempt: of the task.
        folder: where the file is, a local path or a URI; of the job.
        name: of the file; '' where the rows are here, in ``inline``.
        inline: the bytes from ``inline_start`` on, where there are few.
        inline_start: what place in the file they have.
        size_bytes: the file's length.
        token: that every message of it carries.
        index: byte ranges.
        partition_rows: rows of each partition.
        partition_bytes: bytes of each partition's messages.
        row_bytes: bytes of all rows before they were compressed.
        heavy_keys: keys with a hundredth of the task's rows or more, by a sample; of hash exchanges alone.
        first_partition: the number of the first partition that is counted.
    """

    stage: str
    number: int
    attempt: int
    folder: str
    name: str
    inline: bytes
    inline_start: int
    size_bytes: int
    token: str
    index: RangeIndex
    partition_rows: NDArray[np.int64]
    partition_bytes: NDArray[np.int64]
    row_bytes: int
    heavy_keys: tuple[HeavyKey, ...] = ()
    first_partition: int = 0

    @property
    def rows(self) -> int:
        """Rows of all partitions."""
        return int(self.partition_rows.sum())

    def select(self, start: int, stop: int) -> ShuffleFile:
        """Return what a reader of the partitions from ``start`` up to but without ``stop`` has to be told.

        Counts are of those partitions alone, and so are inline rows.
        """
        index = self.index.select(start, stop)
        inline, inline_start = self.inline, self.inline_start
        if inline and len(index.starts):
            first, last = int(index.starts.min()), int(index.ends.max())
            inline, inline_start = inline[first - inline_start : last - inline_start], first
        elif inline:
            inline = b""
        return replace(
            self,
            index=index,
            inline=inline,
            inline_start=inline_start,
            partition_rows=self.partition_rows[start - self.first_partition : stop - self.first_partition],
            partition_bytes=self.partition_bytes[start - self.first_partition : stop - self.first_partition],
            heavy_keys=(),
            first_partition=start,
        )


def is_marked(message: Any, token: str) -> bool:
    """Return whether a message is of the file with that token."""
    metadata: bytes = message.metadata.to_pybytes()
    return METADATA_KEY in metadata and f"{token}/".encode() in metadata
