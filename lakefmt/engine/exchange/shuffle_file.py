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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lakefmt.engine.exchange.heavy_keys import HeavyKey

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


def shuffle_file_name(stage: str, number: int, attempt: int) -> str:
    """Return the name of the file of a task's attempt, in the job's folder."""
    stage = stage if _NAME.fullmatch(stage) else stage.encode().hex()[:80]
    return f"{stage}-{number}-{attempt}.arrow"


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
        rows: how many there are in them.
    """

    partitions: NDArray[np.uint32]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.partitions)


@dataclass(frozen=True, slots=True, eq=False)
class ShuffleFile:
    """The output of one attempt of a task, as the scheduler keeps it and readers are told of it.

    Attributes:
        stage: of the task.
        number: of the task.
        attempt: of the task.
        folder: where the file is, a local path or a URI; of the job.
        name: of the file; '' where the rows are here, in ``inline``.
        inline: the bytes of the file, where there are few.
        size_bytes: the file's length.
        token: that every message of it carries.
        partitions: how many there are.
        index: byte ranges.
        row_bytes: bytes of all rows before they were compressed.
        heavy_keys: keys with a hundredth of the task's rows or more, by a sample; of hash exchanges alone.
    """

    stage: str
    number: int
    attempt: int
    folder: str
    name: str
    inline: bytes
    size_bytes: int
    token: str
    partitions: int
    index: RangeIndex
    row_bytes: int
    heavy_keys: tuple[HeavyKey, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of all partitions."""
        return int(self.index.rows.sum())

    @property
    def partition_rows(self) -> NDArray[np.int64]:
        """Rows of each partition."""
        return np.bincount(self.index.partitions, self.index.rows, self.partitions).astype(np.int64)


def is_marked(message: Any, token: str) -> bool:
    """Return whether a message is of the file with that token."""
    metadata: bytes = message.metadata.to_pybytes()
    return METADATA_KEY in metadata and f"{token}/".encode() in metadata
