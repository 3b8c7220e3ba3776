"""Which partition a row goes to: by the hash of its keys, by their place in the order, or all to one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lakefmt.engine.exchange.keys import evaluate_keys
from lakefmt.engine.exchange.sort_keys import sort_keys_of
from lakefmt.errors import InvalidInputError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lakefmt.engine.exchange.keys import HashKey, SortKey
    from lakefmt.engine.exchange.sort_bounds import SortBounds

__all__ = [
    "MOST_PARTITIONS",
    "Assignment",
    "Gather",
    "HashPartitioning",
    "Partitioning",
    "RangePartitioning",
    "hash_keys",
]

MOST_PARTITIONS = 65_536
"""More would need wider numbers, which sort twenty times slower, and pieces of a few rows."""

# 2^64 over the golden ratio. DuckDB's own joins and aggregates look at single bits of the very same hash: rows that were
# chosen by its low bits would crowd in one part of their tables (a join took 1.5 times as long). The upper half of the
# product depends on all bits, so that each of them stays free.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """Where the rows of a batch go.

    Attributes:
        numbers: of the partition, one a row, in the narrowest type that holds them.
        hashes: of the keys, one a row; None where rows do not go by their hash.
        words: of rows that go by their order: of two rows of a partition whose numbers differ the one with the lesser
            number is before the other. None for others.
    """

    numbers: NDArray[Any]
    hashes: NDArray[np.uint64] | None = None
    words: NDArray[np.uint64] | None = None


@dataclass(frozen=True, slots=True)
class Gather:
    """All rows to one partition."""

    @property
    def partitions(self) -> int:
        """One."""
        return 1

    def assign(self, rows: pa.RecordBatch) -> Assignment:
        """Return the partition of each row."""
        return Assignment(np.zeros(rows.num_rows, np.uint8))


@dataclass(frozen=True, slots=True)
class HashPartitioning:
    """Rows with equal keys to one partition, as DuckDB's GROUP BY has them equal.

    -0.0 is 0.0, all NaN are one, and NULL is equal to NULL: rows with a NULL key go together, too. A join that has no use
    for them leaves them out before.

    Attributes:
        keys: at least one.
        partitions: from 1 to ``MOST_PARTITIONS``.
    """

    keys: tuple[HashKey, ...]
    partitions: int

    def __post_init__(self) -> None:
        _check_count(self.partitions)
        if not self.keys:
            raise InvalidInputError(
                "There is no key to put rows together by", hint="Name at least one column"
            )

    def assign(self, rows: pa.RecordBatch) -> Assignment:
        """Return the partition of each row, and the hash of its keys; raises InvalidInputError for keys that fail."""
        hashes = hash_keys(rows, self.keys)
        scaled = ((hashes * _MULTIPLIER) >> _HALF) * np.uint64(self.partitions)
        return Assignment((scaled >> _HALF).astype(_narrowest(self.partitions)), hashes)


@dataclass(frozen=True, slots=True)
class RangePartitioning:
    """Rows in the order of their keys: those of a partition are all before those of the next.

    Rows with equal keys are in one partition.

    Attributes:
        keys: at least one.
        bounds: where partitions after the first begin.
    """

    keys: tuple[SortKey, ...]
    bounds: SortBounds

    def __post_init__(self) -> None:
        _check_count(self.partitions)

    @property
    def partitions(self) -> int:
        """One more than there are bounds."""
        return len(self.bounds) + 1

    def assign(self, rows: pa.RecordBatch) -> Assignment:
        """Return the partition of each row, and eight bytes of its key; raises InvalidInputError for keys that fail.

        They are the first in which rows of a partition can differ: its bounds have what is before them in common.
        """
        keys = sort_keys_of(rows, self.keys)
        found = self.bounds.place(keys)
        words = keys.words(self.bounds.shared_bytes()[found])
        return Assignment(found.astype(_narrowest(self.partitions)), words=words)


Partitioning = Gather | HashPartitioning | RangePartitioning


def hash_keys(rows: pa.RecordBatch, keys: tuple[HashKey, ...]) -> NDArray[np.uint64]:
    """Return DuckDB's hash of the keys of each row."""
    if not rows.num_rows:
        return np.zeros(0, np.uint64)
    arguments = ", ".join(key.sql for key in keys)
    found: NDArray[np.uint64] = evaluate_keys(rows, keys, f"hash({arguments})").to_numpy()
    return found


def _check_count(partitions: int) -> None:
    if not 1 <= partitions <= MOST_PARTITIONS:
        raise InvalidInputError(
            f"Rows can be cut into 1 to {MOST_PARTITIONS:,} partitions, not into {partitions:,}",
            hint="A partition of tens of megabytes is a good size",
        )


def _narrowest(partitions: int) -> type[np.uint8 | np.uint16]:
    # Eight and sixteen bits are sorted by counting.
    return np.uint8 if partitions <= 256 else np.uint16
