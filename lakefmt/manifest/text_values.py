"""Values and the texts that a log writes them as, in partition values and in the bounds of statistics.

Whole columns at a time by Arrow's own casts; only texts that those refuse (a year past 9999, a day without its
zero, another UTC offset) are looked at one by one, each distinct one once.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.schema.decimals import text_to_decimal

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["format_day", "format_instant", "parse_texts"]

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (a text alone; the zone is written behind it)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_MICROSECONDS_A_DAY = 86_400_000_000
_DATE_TIME = re.compile(
    r"\s*([+-]?\d{1,6})-(\d{1,2})-(\d{1,2})"
    r"(?:[T ](\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,9}))?)?)?"
    r"\s*(Z|UTC|[+-]\d{1,2}(?::?\d{2})?)?\s*"
)


def parse_texts(texts: Any, type_: pa.DataType) -> Any:
    """Return the values that ``texts`` are, null where a text is null or no value of the type.

    Timestamps without an offset are read as UTC.

    Args:
        texts: an array or chunked array of strings.
        type_: string, binary, boolean, integer, float, decimal, date32 or timestamp in microseconds.

    Returns:
        The same shape, of type ``type_``.
    """
    if pa.types.is_string(type_) or pa.types.is_binary(type_):
        return texts.cast(type_)
    try:
        if pa.types.is_timestamp(type_):
            return _parse_instants(texts, type_)
        return text_to_decimal(texts, type_) if pa.types.is_decimal(type_) else texts.cast(type_)
    except pa.ArrowInvalid:
        return _parse_each(texts, type_)


def format_day(days: int) -> str | None:
    """Return ``2026-01-01`` for days since 1970, None outside the years 1 to 9999, which not all readers know."""
    try:
        return date.fromordinal(days + _EPOCH_ORDINAL).isoformat()
    except (ValueError, OverflowError):
        return None


def format_instant(microseconds: int, *, separator: str, timespec: str) -> str | None:
    """Return ``2026-01-01T00:00:00.000`` for microseconds since 1970, None outside the years 1 to 9999.

    Not by Arrow, which prints other instants than it is given past the year 2262 in a time zone.
    """
    try:
        return (_EPOCH + timedelta(microseconds=microseconds)).isoformat(separator, timespec)
    except OverflowError:
        return None


def _parse_instants(texts: Any, type_: pa.DataType) -> Any:
    """Parse timestamps; with a zone all at once where every text names an offset, as most writers' do."""
    import pyarrow.compute as pc

    utc = cast("Any", type_).tz is not None
    if utc:
        try:
            return texts.cast(type_)
        except pa.ArrowInvalid:
            pass
    zulu = pc.ends_with(texts, pattern="Z")
    plain = pc.if_else(zulu, pc.utf8_slice_codeunits(texts, 0, -1), texts).cast(pa.timestamp("us"))
    return _as_utc(plain) if utc else plain


def _parse_each(texts: Any, type_: pa.DataType) -> Any:
    """Parse distinct texts one by one and put the values where the texts were."""
    if isinstance(texts, pa.ChunkedArray):
        return _chunked([_parse_each(chunk, type_) for chunk in texts.chunks], type_)
    encoded = texts.dictionary_encode()
    parse = _choose_parser(type_)
    values = [parse(text) for text in encoded.dictionary.to_pylist()]
    plain = pa.int64() if pa.types.is_timestamp(type_) else pa.int32() if pa.types.is_date32(type_) else None
    if plain is None:
        return _concatenated(values, type_).take(encoded.indices)
    return pa.array(values, plain).view(type_).take(encoded.indices)


def _concatenated(values: list[Any], type_: pa.DataType) -> Any:
    # Scalars of one type in an array: building it from Python values would round decimals and floats again.
    nulls: Any = pa.nulls
    return pa.concat_arrays(
        [nulls(1, type_) if value is None else value for value in values] or [nulls(0, type_)]
    )


def _choose_parser(type_: pa.DataType) -> Callable[[str | None], Any]:
    if pa.types.is_timestamp(type_):
        return lambda text: _parse_instant(text, 2**63 - 1)
    if pa.types.is_date32(type_):
        return _parse_day

    def parse(text: str | None) -> Any:
        try:
            stripped = pa.array([None if text is None else text.strip()], pa.string())
            return text_to_decimal(stripped, type_) if pa.types.is_decimal(type_) else stripped.cast(type_)
        except pa.ArrowInvalid:
            return None

    return parse


def _parse_day(text: str | None) -> int | None:
    instant = _parse_instant(text, 2**31 * _MICROSECONDS_A_DAY - 1)
    return None if instant is None else instant // _MICROSECONDS_A_DAY


def _parse_instant(text: str | None, limit: int) -> int | None:
    """Return microseconds since 1970 (UTC), rounded down; None if ``text`` is no date or time below ``limit``."""
    match = None if text is None else _DATE_TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day = int(match[1]), int(match[2]), int(match[3])
    hour, minute, second = int(match[4] or 0), int(match[5] or 0), int(match[6] or 0)
    if not (
        1 <= month <= 12
        and 1 <= day <= monthrange(2000 + year % 400, month)[1]
        and hour < 24
        and minute < 60
        and second < 60
    ):
        return None
    fraction = int((match[7] or "").ljust(6, "0")[:6])
    seconds = (_days_from_civil(year, month, day) * 24 + hour) * 3600 + minute * 60 + second
    instant = (seconds - _offset_seconds(match[8])) * 1_000_000 + fraction
    return instant if -limit <= instant <= limit else None


def _offset_seconds(text: str | None) -> int:
    if text is None or text in {"Z", "UTC"}:
        return 0
    digits = text[1:].replace(":", "")
    hours, minutes = (int(digits[:-2]), int(digits[-2:])) if len(digits) > 2 else (int(digits), 0)
    return (-1 if text[0] == "-" else 1) * (hours * 3600 + minutes * 60)


def _days_from_civil(year: int, month: int, day: int) -> int:
    """Return days since 1970-01-01 in the proleptic Gregorian calendar, for any year (Python's stop at 9999)."""
    year -= month <= 2  # so that a year ends with its leap day
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


def _as_utc(plain: Any) -> Any:
    utc = pa.timestamp("us", "UTC")
    if isinstance(plain, pa.ChunkedArray):
        return _chunked([chunk.view(pa.int64()).view(utc) for chunk in plain.chunks], utc)
    return plain.view(pa.int64()).view(utc)


def _chunked(chunks: list[Any], type_: pa.DataType) -> Any:
    return cast("Any", pa.chunked_array)(chunks, type_)
