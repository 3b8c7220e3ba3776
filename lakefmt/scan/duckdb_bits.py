"""Which rows of files deletion vectors leave, as bit strings that DuckDB looks a row up in by its place."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.arrow_values import array_of
from lakefmt.scan.row_selection import vector_selections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakefmt.scan.duckdb_files import FileGroup
    from lakefmt.store import Store

__all__ = ["PresentBits", "load_present_bits"]

_VECTORS_ALONE = 16  # more are one variable, twice as slow to look at, for one scan of all their files
_MOST_BITS = 2**31 - 1  # get_bit() counts in INTEGER
_MOST_KEPT_ROWS = 1 << 27  # 16 MB of bits
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True)
class PresentBits:
    """Which rows of some files are there.

    Attributes:
        files: a run of the group's.
        content: a bit for each row, set where the row is there, first bit highest; each file begins with a byte.
        starts: the first bit of each file, int64.
        first_deleted: the first place where a row was deleted; of a single file, else 0.
        last_deleted: the last one; of a single file, else the largest there is.
    """

    files: FileGroup
    content: bytes
    starts: pa.Array[Any]
    first_deleted: int
    last_deleted: int

    def condition(self, variable: str, start: str | None) -> str:
        """Return what is true of the rows that are there, in a scan of the files with their ``file_row_number``.

        Args:
            variable: that holds the bits.
            start: gives the first bit of a row's file; None for a single file.
        """
        if not any(self.content):
            return "false"
        place = "file_row_number" if start is None else f"({start} + file_row_number)"
        test = f"get_bit(getvariable('{variable}'), {place}::INTEGER) = 1"
        if not self._is_narrow:
            return test
        # No OR: DuckDB tries its sides in either order, and looks most rows up for nothing.
        span = f"file_row_number BETWEEN {self.first_deleted} AND {self.last_deleted}"
        return f"CASE WHEN {span} THEN {test} ELSE true END"

    @property
    def _is_narrow(self) -> bool:
        """Whether all that is deleted lies so close that asking for the place first saves time (10.8 to 4.7 ns a row)."""
        return self.last_deleted - self.first_deleted < 4 * len(self.content)


def load_present_bits(store: Store, group: FileGroup) -> list[PresentBits]:
    """Return which rows are there of files that all have vectors: few files one by one, many in runs.

    They are kept beside a list of files that is asked about again, a bit a row, up to 16 MB.

    Raises:
        CorruptTableError: a vector is not what the log says.
        StoreError: storage failed.
    """

    def load() -> list[PresentBits]:
        return [_load(store, run) for run in _runs(group)]

    counts: list[Any] = group.num_rows.to_pylist()
    return load() if sum(counts) > _MOST_KEPT_ROWS else group.files.kept.get(("bits", store.identity), load)


def _load(store: Store, files: FileGroup) -> PresentBits:
    keys, counts = cast("list[Any]", files.keys.to_pylist()), cast("list[Any]", files.num_rows.to_pylist())
    content: list[bytes] = []
    first, last = 0, _MOST_BITS
    for vector, key, rows in zip(vector_selections(files.files), keys, counts, strict=True):
        if vector is None:
            raise AssertionError("a file without a deletion vector")
        deleted = vector.load(store, key, rows)
        if len(keys) == 1:
            first, last = deleted.start, deleted.end - 1
        bits: Any = deleted.keep(0, rows).buffers()[1]
        content.append(bits.to_pybytes()[: _bytes_of(rows)].translate(_REVERSED))
    starts = list(accumulate((8 * _bytes_of(rows) for rows in counts), initial=0))[:-1]
    return PresentBits(files, b"".join(content), array_of(starts, pa.int64()), first, last)


def _runs(group: FileGroup) -> Iterator[FileGroup]:
    """Cut files into runs whose rows one bit string holds; few files one by one."""
    start, bits = 0, 0
    alone = len(group.keys) <= _VECTORS_ALONE
    counts: list[Any] = group.num_rows.to_pylist()
    for place, rows in enumerate(counts):
        own = 8 * _bytes_of(rows)
        if place > start and (alone or bits + own > _MOST_BITS):
            yield group.slice(start, place - start)
            start, bits = place, 0
        bits += own
    yield group.slice(start, len(group.keys) - start)


def _bytes_of(rows: int) -> int:
    return (rows + 7) // 8
