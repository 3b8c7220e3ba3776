"""Bounds of column chunks as footers hold them, in PLAIN encoding, made values of Arrow types."""

from __future__ import annotations

import struct
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.arrow_values import array_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["decode_bounds"]

_FORMATS = {
    "INT32": struct.Struct("<i"),
    "INT64": struct.Struct("<q"),
    "FLOAT": struct.Struct("<f"),
    "DOUBLE": struct.Struct("<d"),
}

_EXACT = Context(prec=76)
_MOST_DECIMAL_BYTES = 32


def decode_bounds(encoded: Sequence[bytes | None], physical_type: str, kind: pa.DataType) -> Any:
    """Return bounds as an array; null where there is none, or none by the order in which predicates compare.

    That is so for unsigned numbers and bytes, and for NaN. A bound that is not as long as its type wants it, or has no
    place in it, is none.

    Args:
        encoded: the bounds, None where there is none.
        physical_type: of the Parquet column, as parquet.thrift names it.
        kind: how the file's column is read; the unit of its times is the file's.
    """
    nothing = cast("Any", pa.nulls)(len(encoded), kind)
    decode = _decoder(physical_type, kind)
    if decode is None:
        return nothing
    values = [None if each is None else decode(each) for each in encoded]
    try:
        if pa.types.is_date32(kind):
            return array_of(values, pa.int32()).cast(kind)
        if pa.types.is_timestamp(kind):
            return array_of(values, pa.int64()).cast(kind)
        return array_of(values, kind)
    except (pa.ArrowException, OverflowError, ValueError):
        return nothing


def _decoder(physical_type: str, kind: Any) -> Callable[[bytes], Any] | None:
    types = pa.types
    if types.is_decimal(kind):
        return _decimal_decoder(physical_type, kind.scale)
    if physical_type in ("INT32", "INT64"):
        whole = types.is_signed_integer(kind) or types.is_date32(kind) or types.is_timestamp(kind)
        return _number_decoder(physical_type) if whole else None
    if physical_type in ("FLOAT", "DOUBLE"):
        return _number_decoder(physical_type) if types.is_floating(kind) else None
    if physical_type == "BYTE_ARRAY" and (types.is_string(kind) or types.is_large_string(kind)):
        return _decode_text
    if physical_type == "BOOLEAN" and types.is_boolean(kind):
        return {b"\0": False, b"\1": True}.get
    return None


def _number_decoder(physical_type: str) -> Callable[[bytes], Any]:
    layout = _FORMATS[physical_type]

    def decode(encoded: bytes) -> Any:
        if len(encoded) != layout.size:
            return None
        (number,) = layout.unpack(encoded)
        return number if number == number else None  # noqa: PLR0124 (NaN bounds nothing)

    return decode


def _decimal_decoder(physical_type: str, scale: int) -> Callable[[bytes], Any] | None:
    if physical_type in ("INT32", "INT64"):
        decode_number = _number_decoder(physical_type)
    elif physical_type in ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"):

        def decode_number(encoded: bytes) -> int | None:
            return (
                int.from_bytes(encoded, "big", signed=True)
                if 0 < len(encoded) <= _MOST_DECIMAL_BYTES
                else None
            )
    else:
        return None

    def decode(encoded: bytes) -> Decimal | None:
        number = decode_number(encoded)
        return None if number is None else Decimal(number).scaleb(-scale, _EXACT)

    return decode


def _decode_text(encoded: bytes) -> str | None:
    try:
        return encoded.decode()
    except UnicodeDecodeError:
        return None  # cut by its writer in the middle of a character
