"""Casts between plain Arrow types that change no value, or raise.

Arrow's own casts are not that: they round decimals and floats on the way, refuse integers past 2^53 that a double
holds exactly, and let 2^63 wrap around.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.schema.decimals import number_to_decimal

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["choose_cast", "floor_to_microseconds", "way_out"]

_HINTS = {
    ("timestamp", "timestamp_tz"): "Say which time zone the times are in (assume_timezone, tz_localize)",
    ("timestamp_tz", "timestamp"): "Convert to the local time that is meant and drop the time zone",
    ("date", "timestamp"): "Cast it, if midnight is meant",
    ("date", "timestamp_tz"): "Cast it, if midnight UTC is meant",
    ("binary", "string"): "Cast it, if the bytes are UTF-8 text",
}


def choose_cast(source: pa.DataType, target: pa.DataType, truncate_ns: bool) -> Callable[[Any], Any] | None:  # noqa: FBT001
    """Return a cast that raises ArrowException unless every value stays what it is, None if the types forbid one."""
    kind = _kind(source)
    if (
        truncate_ns
        and kind.startswith("timestamp")
        and kind == _kind(target)
        and cast("Any", source).unit == "ns"
    ):
        return lambda values: floor_to_microseconds(values).cast(target)
    match kind, _kind(target):
        case ("float", "float"):
            return lambda values: _cast_there_and_back(values, target)
        case ("float" | "int" | "decimal", "decimal"):
            return lambda values: number_to_decimal(values, target)
        case ("decimal", "float"):
            return lambda values: _decimal_to_float(values, target)
        case ("int", "float"):
            return lambda values: _int_to_float(values, target)
        case ("int" | "float" | "decimal", "int"):
            return lambda values: values.cast(target)
        case (("bool" | "string" | "binary" | "date" | "timestamp" | "timestamp_tz") as one, other) if (
            one == other
        ):
            return lambda values: values.cast(target)
        case _:
            return None


def way_out(source: pa.DataType, target: pa.DataType) -> str:
    """Return what a user can do where ``choose_cast`` knows no cast."""
    general = "Cast it before, so that what becomes of its values is said"
    return _HINTS.get((_kind(source), _kind(target)), general)


def _cast_there_and_back(values: Any, target: pa.DataType) -> Any:
    import pyarrow.compute as pc

    cast_values = values.cast(target)
    if pa.types.is_float16(values.type):
        return cast_values  # every float of 16 bits is one of 32
    back = cast_values.cast(values.type)
    if not _all_true(pc.or_(pc.equal(values, back), pc.is_nan(values))):
        raise pa.ArrowInvalid("a value would change")
    return cast_values


def _decimal_to_float(values: Any, target: pa.DataType) -> Any:
    import pyarrow.compute as pc

    cast_values = values.cast(pa.string()).cast(target)  # by its digits: Arrow's own cast rounds on the way
    if not _all_true(pc.equal(values, number_to_decimal(cast_values, values.type))):
        raise pa.ArrowInvalid("a value would change")
    return cast_values


def _int_to_float(values: Any, target: pa.DataType) -> Any:
    import pyarrow.compute as pc

    try:
        return values.cast(target)  # refuses what is outside the range in which all integers are exact
    except pa.ArrowInvalid:
        cast_values = values.cast(target, safe=False)
    wide = cast_values.cast(pa.float64())
    limit = 2.0**64 if pa.types.is_unsigned_integer(values.type) else 2.0**63
    inside = pc.less(wide, pa.scalar(limit))  # a greater one does not come back, it saturates or wraps
    back = pc.if_else(inside, wide, pa.scalar(0.0)).cast(values.type, safe=False)
    if not _all_true(pc.and_(inside, pc.equal(values, back))):
        raise pa.ArrowInvalid("a value would change")
    return cast_values


def floor_to_microseconds(values: Any) -> Any:
    """Return timestamps in nanoseconds as the microseconds they fall in, before 1970 too, zone or not."""
    import pyarrow.compute as pc

    zone = values.type.tz
    local = (
        values.cast(pa.timestamp("ns")) if zone is None else values.view(pa.int64()).view(pa.timestamp("ns"))
    )
    floored = pc.floor_temporal(local, unit="microsecond").cast(pa.timestamp("us"))
    return floored if zone is None else floored.view(pa.int64()).view(pa.timestamp("us", "UTC"))


def _kind(type_: pa.DataType) -> str:
    kinds = cast("Any", pa.types)
    if kinds.is_boolean(type_):
        return "bool"
    if kinds.is_integer(type_):
        return "int"
    if kinds.is_floating(type_):
        return "float"
    if kinds.is_decimal(type_):
        return "decimal"
    if kinds.is_string(type_) or kinds.is_large_string(type_) or kinds.is_string_view(type_):
        return "string"
    if (
        kinds.is_binary(type_)
        or kinds.is_large_binary(type_)
        or kinds.is_binary_view(type_)
        or kinds.is_fixed_size_binary(type_)
    ):
        return "binary"
    if kinds.is_date(type_):
        return "date"
    if kinds.is_timestamp(type_):
        return "timestamp" if cast("Any", type_).tz is None else "timestamp_tz"
    return str(type_)


def _all_true(mask: Any) -> bool:
    """Whether no entry is False (a null stands for a null value, which is what it was)."""
    import pyarrow.compute as pc

    return bool(pc.all(mask).as_py())
