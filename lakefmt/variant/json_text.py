"""Variants as JSON text.

Numbers stay numbers, decimals with all their digits; what JSON has no place for is text: dates and times in ISO 8601,
bytes in Base64, NaN and infinities by their names.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import struct
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.errors import InvalidInputError, UnsupportedFeatureError
from lakefmt.variant.encoding import (
    Basic,
    Primitive,
    corrupt,
    parse_container,
    parse_names,
    read_text,
    value_size,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["variant_to_json"]

_MOST_LEVELS = 200
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - a text alone; the zone is written behind it
_FLOAT_DIGITS = range(6, 10)  # nine tell every float of 32 bits apart


def variant_to_json(values: Any) -> Any:
    """Return variants as JSON texts.

    Args:
        values: a column of a variant's type as it is read, ``struct<metadata: binary, value: binary>``: an Arrow array
            or chunked array, or anything that exports one.

    Returns:
        An array (a chunked array of a chunked one) of strings, null where there is no variant. Members of an object
        are in the order of their names. Dates and times are texts, ``"2026-01-01 12:00:00.5+00:00"``; bytes are
        Base64; NaN and the infinities are ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``.

    Raises:
        InvalidInputError: the column is none of variants.
        CorruptTableError: bytes are no variant.
    """
    if isinstance(values, pa.ChunkedArray):
        return cast("Any", pa.chunked_array)([variant_to_json(chunk) for chunk in values.chunks], pa.string())
    if not isinstance(values, pa.Array):
        if hasattr(values, "__arrow_c_stream__"):
            return variant_to_json(cast("Any", pa.chunked_array)(values))
        values = cast("Any", pa.array)(values)
    kind = values.type
    if not pa.types.is_struct(kind) or {"metadata", "value"} - {member.name for member in kind}:
        raise InvalidInputError(
            f"a column of {kind} holds no variants", hint="Pass a column of type variant, such as rows['v']"
        )
    whole = zip(
        values.is_valid().to_pylist(),
        values.field("metadata").to_pylist(),
        values.field("value").to_pylist(),
        strict=True,
    )
    return pa.array(
        [_text_of(metadata, value) if there else None for there, metadata, value in whole], pa.string()
    )


def _text_of(metadata: Any, value: Any) -> str:
    if not isinstance(metadata, bytes) or not isinstance(value, bytes):
        raise corrupt("its metadata or value is null")
    return "".join(_Writer(parse_names(metadata), value).write(0, 0))


class _Writer:
    """Writes one variant; the work is bounded by its bytes, whatever its offsets say."""

    def __init__(self, names: tuple[str, ...], data: bytes) -> None:
        self._names = names
        self._data = data
        self._left = len(data)

    def write(self, at: int, level: int) -> list[str]:
        if level > _MOST_LEVELS:
            raise UnsupportedFeatureError(f"a variant is nested more than {_MOST_LEVELS} levels deep")
        size = value_size(self._data, at)
        self._spend(1)
        header = self._data[at] >> 2
        match self._data[at] & 3:
            case Basic.OBJECT:
                return self._write_object(at, level)
            case Basic.ARRAY:
                starts = parse_container(self._data, at).starts
                self._spend(len(starts))
                return _joined("[", [self.write(start, level + 1) for start in starts], "]")
            case Basic.SHORT_TEXT:
                self._spend(size - 1)
                return [_quoted(read_text(self._data[at + 1 : at + size]))]
            case _:
                self._spend(size - 1)
                return [_PRIMITIVES[Primitive(header)](self._data[at + 1 : at + size])]

    def _spend(self, count: int) -> None:
        # A member takes two bytes at least: one of offset, one of value.
        self._left -= count
        if self._left < 0:
            raise corrupt("its members overlap")

    def _write_object(self, at: int, level: int) -> list[str]:
        container = parse_container(self._data, at)
        ids = container.ids or ()
        self._spend(len(ids))
        if any(number >= len(self._names) for number in ids):
            raise corrupt("its metadata lacks a name")
        names = [self._names[number] for number in ids]
        if len(set(names)) < len(names):
            raise corrupt("an object has two members of one name")
        members = [
            [_quoted(name), ":", *self.write(start, level + 1)]
            for name, start in zip(names, container.starts, strict=True)
        ]
        return _joined("{", members, "}")


def _joined(start: str, parts: list[list[str]], end: str) -> list[str]:
    texts = [start]
    for number, part in enumerate(parts):
        if number:
            texts.append(",")
        texts += part
    return [*texts, end]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _integer(data: bytes) -> str:
    return str(int.from_bytes(data, "little", signed=True))


def _decimal(data: bytes) -> str:
    unscaled, scale = int.from_bytes(data[1:], "little", signed=True), data[0]
    digits = tuple(map(int, str(abs(unscaled))))
    return format(Decimal((int(unscaled < 0), digits, -scale)), "f")


def _double(data: bytes) -> str:
    (value,) = struct.unpack("<d", data)
    return _unusual(value) or repr(value)


def _float(data: bytes) -> str:
    (value,) = struct.unpack("<f", data)
    texts = (f"{value:.{digits}g}" for digits in _FLOAT_DIGITS)
    return _unusual(value) or next(
        text for text in texts if struct.pack("<d", _as_float(float(text))) == struct.pack("<d", value)
    )


def _as_float(value: float) -> float:
    try:
        return cast("float", struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:  # rounded up past the greatest of them
        return float("inf")


def _unusual(value: float) -> str | None:
    if value != value:  # noqa: PLR0124  (only NaN differs from itself)
        return '"NaN"'
    return ('"Infinity"' if value > 0 else '"-Infinity"') if value in (float("inf"), float("-inf")) else None


def _date(data: bytes) -> str:
    return _quoted(_at(int.from_bytes(data, "little", signed=True) * 86_400_000_000, 6).partition(" ")[0])


def _instant(digits: int, zone: str) -> Callable[[bytes], str]:
    return lambda data: _quoted(_at(int.from_bytes(data, "little", signed=True), digits) + zone)


def _time(data: bytes) -> str:
    return _quoted(_at(int.from_bytes(data, "little", signed=True), 6).partition(" ")[2])


def _at(count: int, digits: int) -> str:
    """Return ``2026-01-01 12:00:00.5`` for a number of 10^-digits seconds since 1970."""
    seconds, fraction = divmod(count, 10**digits)
    try:
        moment = _EPOCH + dt.timedelta(seconds=seconds)
    except OverflowError:
        raise UnsupportedFeatureError(
            "a variant holds a date outside the years 1 to 9999, which has no text here",
            hint="Read the variant's binary value",
        ) from None
    shown = f".{fraction:0{digits}}".rstrip("0") if fraction else ""
    return f"{moment.isoformat(' ')}{shown}"


_PRIMITIVES: dict[Primitive, Callable[[bytes], str]] = {
    Primitive.NULL: lambda _: "null",
    Primitive.TRUE: lambda _: "true",
    Primitive.FALSE: lambda _: "false",
    Primitive.INT8: _integer,
    Primitive.INT16: _integer,
    Primitive.INT32: _integer,
    Primitive.INT64: _integer,
    Primitive.DOUBLE: _double,
    Primitive.DECIMAL4: _decimal,
    Primitive.DECIMAL8: _decimal,
    Primitive.DECIMAL16: _decimal,
    Primitive.DATE: _date,
    Primitive.TIMESTAMP: _instant(6, "+00:00"),
    Primitive.TIMESTAMP_NTZ: _instant(6, ""),
    Primitive.FLOAT: _float,
    Primitive.BINARY: lambda data: _quoted(base64.b64encode(data[4:]).decode()),
    Primitive.TEXT: lambda data: _quoted(read_text(data[4:])),
    Primitive.TIME: _time,
    Primitive.TIMESTAMP_NS: _instant(9, "+00:00"),
    Primitive.TIMESTAMP_NTZ_NS: _instant(9, ""),
    Primitive.UUID: lambda data: _quoted(str(uuid.UUID(bytes=data))),
}
