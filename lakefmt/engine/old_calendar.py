"""Days that Spark counted by the old calendar, and marked so in the footer.

Spark before version 3 counted days by the hybrid of Julian and Gregorian calendar, and later ones do so when told to.
The numbers in such a file mean other days where they lie before the switch of 1582-10-15, and other moments before
1900, depending on the writer's time zone. What lies after is the same in both. Spark tells such files by keys of their
footer, and so do we: old values in them are refused, never shown as days that nobody wrote. The numbers of files of
other writers, without those keys, are of the proleptic Gregorian calendar, as the Parquet format says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lakefmt.errors import UnsupportedFeatureError
from lakefmt.schema.arrow import is_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["OldCalendar", "check_no_old_values", "find_old_calendar"]

_VERSION: Final = b"org.apache.spark.version"
_OLD_DATES: Final = b"org.apache.spark.legacyDateTime"
_OLD_INT96: Final = b"org.apache.spark.legacyINT96"
_FIRST_SAME_DAY: Final = -141_427  # 1582-10-15, in days since 1970
_FIRST_SAME_SECOND: Final = -2_208_988_800  # 1900-01-01, since when writers' zones make no difference either
_PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True, slots=True)
class OldCalendar:
    """Which values of a file are counted by the old calendar.

    Attributes:
        dates: dates, and timestamps kept as 64-bit numbers.
        int96: timestamps kept as INT96.
    """

    dates: bool
    int96: bool


def find_old_calendar(footer: Mapping[bytes, bytes] | None) -> OldCalendar | None:
    """Return what the keys of a file's footer say of its calendar; None where all is as today."""
    found = re.match(rb"(\d+)\.(\d+)", (footer or {}).get(_VERSION, b""))
    if footer is None or found is None:
        return None  # of another writer, or of a Spark so old that Spark itself takes it for one
    version = int(found[1]), int(found[2])
    old = OldCalendar(
        dates=version < (3, 0) or _OLD_DATES in footer,
        int96=version < (3, 1) or _OLD_INT96 in footer,
    )
    return old if old.dates or old.int96 else None


def check_no_old_values(
    values: Any, calendar: OldCalendar, *, from_int96: bool, column: str, key: str
) -> None:
    """Refuse a column, as read from a file of the old calendar, that holds values of before the switch.

    Args:
        values: the column, an array or chunked array of any type.
        calendar: what the file's footer says.
        from_int96: the column's timestamps are kept as INT96.
        column: its name, for the error.
        key: the file's key, for the error.

    Raises:
        UnsupportedFeatureError: there are such values.
    """
    import pyarrow.compute as pc

    compute: Any = pc
    for leaf in _leaves(values):
        first: pa.Scalar[Any]
        if pa.types.is_date32(leaf.type):
            first, is_old = pa.scalar(_FIRST_SAME_DAY, pa.int32()).cast(leaf.type), calendar.dates
        elif pa.types.is_timestamp(leaf.type):
            first = pa.scalar(_FIRST_SAME_SECOND * _PER_SECOND[leaf.type.unit], leaf.type)
            is_old = calendar.int96 if from_int96 else calendar.dates
        else:
            continue
        if is_old and compute.any(compute.less(leaf, first)).as_py():
            raise UnsupportedFeatureError(
                f"column {column!r} of a data file holds days before the Gregorian calendar's that Spark counted by the "
                "Julian one",
                path=key,
                hint="Rewrite the file with Spark, spark.sql.parquet.datetimeRebaseModeInWrite = CORRECTED, or leave the "
                "column out",
            )


def _leaves(values: Any) -> Iterator[Any]:
    chunks: list[Any] = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    for chunk in chunks:
        kind = chunk.type
        if pa.types.is_struct(kind):
            for member in chunk.flatten():
                yield from _leaves(member)
        elif pa.types.is_map(kind):
            yield from _leaves(chunk.keys)
            yield from _leaves(chunk.items)
        elif is_list(kind):
            yield from _leaves(chunk.flatten())
        else:
            yield chunk
