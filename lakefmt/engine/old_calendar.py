"""Days that Spark counted by the old calendar, and marked so in the footer.

Spark before version 3 counted days by the hybrid of Julian and Gregorian calendar, and later ones do so when told to.
The numbers in such a file mean other days where they lie before the switch of 1582-10-15, and other moments before
1900, depending on the writer's time zone. What lies after is the same in both. Spark tells such files by keys of their
footer, and so do we: a day is shown as the day of the same name in the proleptic Gregorian calendar, as Spark shows it,
and so is a moment that was written under UTC. What cannot be told so (moments of other zones, days before the year 1,
what is in maps) is refused, never shown as a day that nobody wrote. The numbers of files of other writers,
without those keys, are of the proleptic Gregorian calendar, as the Parquet format says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lakefmt.arrow_values import scalar_of
from lakefmt.errors import UnsupportedFeatureError
from lakefmt.schema.arrow import is_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["OldCalendar", "find_old_calendar", "rebase_old_values"]

_VERSION: Final = b"org.apache.spark.version"
_OLD_DATES: Final = b"org.apache.spark.legacyDateTime"
_OLD_INT96: Final = b"org.apache.spark.legacyINT96"
_ZONE: Final = b"org.apache.spark.timeZone"
_UTC_NAMES: Final = frozenset({b"UTC", b"Etc/UTC", b"GMT", b"Etc/GMT", b"Z"})
_FIRST_SAME_DAY: Final = -141_427  # 1582-10-15, in days since 1970
_FIRST_SAME_SECOND: Final = -2_208_988_800  # 1900-01-01, since when writers' zones make no difference either
_FIRST_DAY: Final = -719_164  # 0001-01-01 of the Julian calendar
# The first of March of the years with a leap day that the Gregorian calendar has not, in days since 1970: the day of
# the same name is one later there up to 1500-03-01, and two days earlier before the first of them.
_SKIPPED_LEAP_DAYS: Final = tuple(
    [365 * year + year // 4 - 719_470 for year in range(100, 1_600, 100) if year % 400]
)
_SECONDS_A_DAY: Final = 86_400
_PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True, slots=True)
class OldCalendar:
    """Which values of a file are counted by the old calendar.

    Attributes:
        dates: dates, and timestamps kept as 64-bit numbers.
        int96: timestamps kept as INT96.
        in_utc: their writer's time zone was UTC.
    """

    dates: bool
    int96: bool
    in_utc: bool


def find_old_calendar(footer: Mapping[bytes, bytes] | None) -> OldCalendar | None:
    """Return what the keys of a file's footer say of its calendar; None where all is as today."""
    found = re.match(rb"(\d+)\.(\d+)", (footer or {}).get(_VERSION, b""))
    if footer is None or found is None:
        return None  # of another writer, or of a Spark so old that Spark itself takes it for one
    version = int(found[1]), int(found[2])
    old = OldCalendar(
        dates=version < (3, 0) or _OLD_DATES in footer,
        int96=version < (3, 1) or _OLD_INT96 in footer,
        in_utc=footer.get(_ZONE) in _UTC_NAMES,
    )
    return old if old.dates or old.int96 else None


def rebase_old_values(values: Any, calendar: OldCalendar, *, from_int96: bool, column: str, key: str) -> Any:
    """Return a column, as read from a file of the old calendar, with its old values as days of today's.

    Args:
        values: the column, an array or chunked array of any type.
        calendar: what the file's footer says.
        from_int96: the column's timestamps are kept as INT96.
        column: its name, for the error.
        key: the file's key, for the error.

    Raises:
        UnsupportedFeatureError: there are old values of which the file does not tell what they mean.
    """
    old = _OldValues(calendar, from_int96, column, key)
    if isinstance(values, pa.ChunkedArray):
        chunks: Any = [old.rebase(chunk) for chunk in values.chunks]
        return pa.chunked_array(chunks, values.type)
    return old.rebase(values)


@dataclass(frozen=True, slots=True)
class _OldValues:
    calendar: OldCalendar
    from_int96: bool
    column: str
    key: str

    def rebase(self, values: Any) -> Any:
        """Return an array of any type with its old values as days of today's."""
        import pyarrow.compute as pc

        kind = values.type
        if not any(map(self._holds_old, _leaves(values))):
            return values
        if pa.types.is_struct(kind):
            members: Any = [self.rebase(member) for member in values.flatten()]
            return pa.StructArray.from_arrays(members, fields=list(kind), mask=pc.is_null(values))
        if pa.types.is_list(kind):
            whole: Any = pa.concat_arrays([values])  # a slice would bring offsets that no new array takes
            elements = self.rebase(whole.values)
            return pa.ListArray.from_arrays(whole.offsets, elements, type=kind, mask=pc.is_null(whole))
        numbers, per_day, _ = self._numbers(values)
        told = per_day and (self.calendar.in_utc or pa.types.is_date32(kind))
        if not told or _any_below(numbers, _FIRST_DAY * per_day):
            raise UnsupportedFeatureError(
                f"column {self.column!r} of a data file holds days before the Gregorian calendar's that Spark counted by "
                "the Julian one, in a way that does not tell which they are today",
                path=self.key,
                hint="Rewrite the file with Spark, spark.sql.parquet.datetimeRebaseModeInWrite = CORRECTED, or leave the "
                "column out",
            )
        moved = _rebased(numbers, per_day)
        return moved.cast(pa.int32()).cast(kind) if pa.types.is_date32(kind) else moved.cast(kind)

    def _holds_old(self, leaf: Any) -> bool:
        numbers, per_day, first = self._numbers(leaf)
        return per_day > 0 and _any_below(numbers, first)

    def _numbers(self, leaf: Any) -> tuple[Any, int, int]:
        """Return values as numbers, how many of these a day has (0: none are old), and the first that is not old."""
        if pa.types.is_date32(leaf.type) and self.calendar.dates:
            return leaf.cast(pa.int32()).cast(pa.int64()), 1, _FIRST_SAME_DAY
        if pa.types.is_timestamp(leaf.type) and (
            self.calendar.int96 if self.from_int96 else self.calendar.dates
        ):
            per_second = _PER_SECOND[leaf.type.unit]
            return leaf.cast(pa.int64()), _SECONDS_A_DAY * per_second, _FIRST_SAME_SECOND * per_second
        return leaf, 0, 0


def _rebased(numbers: Any, per_day: int) -> Any:
    """Return days, or parts of days, of the Julian calendar as those of the same name."""
    import pyarrow.compute as pc

    compute: Any = pc
    days = scalar_of(2, pa.int64())
    for first in _SKIPPED_LEAP_DAYS:
        since = compute.greater_equal(numbers, scalar_of(first * per_day, pa.int64()))
        days = compute.subtract(days, since.cast(pa.int64()))
    same = compute.greater_equal(numbers, scalar_of(_FIRST_SAME_DAY * per_day, pa.int64()))
    shift = compute.multiply(days, scalar_of(per_day, pa.int64()))
    return compute.if_else(same, numbers, compute.add(numbers, shift))


def _any_below(numbers: Any, limit: int) -> bool:
    import pyarrow.compute as pc

    return bool(pc.any(pc.less(numbers, scalar_of(limit, pa.int64()))).as_py())


def _leaves(values: Any) -> Iterator[Any]:
    kind = values.type
    if pa.types.is_struct(kind):
        for member in values.flatten():
            yield from _leaves(member)
    elif pa.types.is_map(kind):
        yield from _leaves(values.keys)
        yield from _leaves(values.items)
    elif is_list(kind):
        yield from _leaves(values.flatten())
    else:
        yield values
