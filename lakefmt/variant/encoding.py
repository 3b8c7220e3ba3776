"""The bytes of a variant (Parquet's VariantEncoding.md): parts of one found, and put together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from lakefmt.errors import CorruptTableError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "NULL",
    "Basic",
    "Container",
    "Primitive",
    "corrupt",
    "encode_array",
    "encode_object",
    "encode_primitive",
    "encode_text",
    "parse_container",
    "parse_names",
    "read_text",
    "read_unsigned",
    "value_size",
]

NULL = b"\0"
"""The variant null."""

_VERSION = 1
_SHORT = 64  # texts of fewer bytes have their length in the header
_KEPT_DICTIONARIES = 256


class Basic(IntEnum):
    """What the lowest two bits of a value's first byte tell."""

    PRIMITIVE = 0
    SHORT_TEXT = 1
    OBJECT = 2
    ARRAY = 3


class Primitive(IntEnum):
    """Types of primitive values, by their numbers."""

    NULL = 0
    TRUE = 1
    FALSE = 2
    INT8 = 3
    INT16 = 4
    INT32 = 5
    INT64 = 6
    DOUBLE = 7
    DECIMAL4 = 8
    DECIMAL8 = 9
    DECIMAL16 = 10
    DATE = 11
    TIMESTAMP = 12
    TIMESTAMP_NTZ = 13
    FLOAT = 14
    BINARY = 15
    TEXT = 16
    TIME = 17
    TIMESTAMP_NS = 18
    TIMESTAMP_NTZ_NS = 19
    UUID = 20


_SIZES = {
    Primitive.NULL: 0,
    Primitive.TRUE: 0,
    Primitive.FALSE: 0,
    Primitive.INT8: 1,
    Primitive.INT16: 2,
    Primitive.INT32: 4,
    Primitive.INT64: 8,
    Primitive.DOUBLE: 8,
    Primitive.DECIMAL4: 5,
    Primitive.DECIMAL8: 9,
    Primitive.DECIMAL16: 17,
    Primitive.DATE: 4,
    Primitive.TIMESTAMP: 8,
    Primitive.TIMESTAMP_NTZ: 8,
    Primitive.FLOAT: 4,
    Primitive.TIME: 8,
    Primitive.TIMESTAMP_NS: 8,
    Primitive.TIMESTAMP_NTZ_NS: 8,
    Primitive.UUID: 16,
}


@dataclass(frozen=True, slots=True)
class Container:
    """An object or an array.

    Attributes:
        ids: for an object the number of each member's name; None for an array.
        starts: where each member's value begins.
        end: where the container ends.
    """

    ids: tuple[int, ...] | None
    starts: tuple[int, ...]
    end: int


@lru_cache(maxsize=_KEPT_DICTIONARIES)
def parse_names(metadata: bytes) -> tuple[str, ...]:
    """Return the names of members that a variant's metadata holds, by number. Raises CorruptTableError."""
    if not metadata or metadata[0] & 15 != _VERSION:
        raise corrupt("its metadata is not of version 1")
    width = (metadata[0] >> 6) + 1
    count = read_unsigned(metadata, 1, width)
    texts = 1 + width * (count + 2)
    _check_within(metadata, texts)
    offsets = [read_unsigned(metadata, 1 + width * (place + 1), width) for place in range(count + 1)]
    _check_within(metadata, texts + max(offsets))
    if any(end < start for start, end in pairwise(offsets)):
        raise corrupt("the names in its metadata overlap")
    try:
        return tuple([metadata[texts + start : texts + end].decode() for start, end in pairwise(offsets)])
    except UnicodeDecodeError:
        raise corrupt("a name in its metadata is not UTF-8") from None


def parse_container(data: bytes, at: int) -> Container:
    """Return the parts of the object or array at ``at``. Raises CorruptTableError."""
    header = data[at] >> 2
    is_object = data[at] & 3 == Basic.OBJECT
    offset_width = (header & 3) + 1
    id_width = (header >> 2 & 3) + 1 if is_object else 0
    count_width = 4 if header >> (4 if is_object else 2) & 1 else 1
    count = read_unsigned(data, at + 1, count_width)
    ids = at + 1 + count_width
    offsets = ids + count * id_width
    first = offsets + (count + 1) * offset_width
    _check_within(data, first)
    end = first + read_unsigned(data, offsets + count * offset_width, offset_width)
    _check_within(data, end)
    starts = [first + read_unsigned(data, offsets + i * offset_width, offset_width) for i in range(count)]
    if any(start >= end for start in starts):
        raise corrupt("a member begins behind its end")
    numbers = tuple([read_unsigned(data, ids + i * id_width, id_width) for i in range(count)])
    return Container(numbers if is_object else None, tuple(starts), end)


def value_size(data: bytes, at: int) -> int:
    """Return how many bytes the value at ``at`` takes. Raises CorruptTableError."""
    _check_within(data, at + 1)
    header = data[at] >> 2
    match data[at] & 3:
        case Basic.SHORT_TEXT:
            size = 1 + header
        case Basic.OBJECT | Basic.ARRAY:
            return parse_container(data, at).end - at
        case _ if header in (Primitive.BINARY, Primitive.TEXT):
            size = 5 + read_unsigned(data, at + 1, 4)
        case _ if header in _SIZES:
            size = 1 + _SIZES[Primitive(header)]
        case _:
            raise corrupt(f"it holds a value of type {header}, which there is not")
    _check_within(data, at + size)
    return size


def read_unsigned(data: bytes, at: int, width: int) -> int:
    """Return the unsigned integer at ``at``. Raises CorruptTableError."""
    _check_within(data, at + width)
    return int.from_bytes(data[at : at + width], "little")


def read_text(data: bytes) -> str:
    """Return UTF-8 as text. Raises CorruptTableError."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise corrupt("a text is not UTF-8") from None


def encode_primitive(kind: Primitive, data: bytes = b"") -> bytes:
    """Return a primitive value of these bytes."""
    size = len(data).to_bytes(4, "little") if kind in (Primitive.BINARY, Primitive.TEXT) else b""
    return bytes([kind << 2]) + size + data


def encode_text(data: bytes) -> bytes:
    """Return the value of a text, given as UTF-8."""
    if len(data) < _SHORT:
        return bytes([len(data) << 2 | Basic.SHORT_TEXT]) + data
    return encode_primitive(Primitive.TEXT, data)


def encode_array(values: Sequence[bytes]) -> bytes:
    """Return an array of values."""
    is_large = len(values) > 255
    offsets, width = _encode_offsets(values)
    header = int(is_large) << 2 | width - 1
    count = len(values).to_bytes(4 if is_large else 1, "little")
    return bytes([header << 2 | Basic.ARRAY]) + count + offsets + b"".join(values)


def encode_object(members: Sequence[tuple[int, bytes]]) -> bytes:
    """Return an object of values by the numbers of their names, which are in the order of the names' bytes."""
    is_large = len(members) > 255
    values = [value for _, value in members]
    offsets, width = _encode_offsets(values)
    id_width = _width_of(max((number for number, _ in members), default=0))
    header = int(is_large) << 4 | id_width - 1 << 2 | width - 1
    count = len(members).to_bytes(4 if is_large else 1, "little")
    ids = b"".join([number.to_bytes(id_width, "little") for number, _ in members])
    return bytes([header << 2 | Basic.OBJECT]) + count + ids + offsets + b"".join(values)


def corrupt(reason: str) -> CorruptTableError:
    """Return the error of bytes that are no variant."""
    return CorruptTableError(
        f"a variant cannot be read: {reason}",
        hint="The file is damaged, or its writer has an error: restore a version without it",
    )


def _check_within(data: bytes, end: int) -> None:
    if end > len(data):
        raise corrupt("it ends too early")


def _encode_offsets(values: Sequence[bytes]) -> tuple[bytes, int]:
    ends = [0]
    for value in values:
        ends.append(ends[-1] + len(value))
    width = _width_of(ends[-1])
    return b"".join([end.to_bytes(width, "little") for end in ends]), width


def _width_of(number: int) -> int:
    return max(1, (number.bit_length() + 7) // 8)
