"""Footers of Parquet files rewritten, to make files that no writer at hand makes.

The schema in a footer says how the pages' values and levels are to be read: where another schema has the same levels,
the pages are right for it too. So a list of three groups becomes one of two, and a string loses its annotation.
"""

from __future__ import annotations

import copy
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = [
    "CHILDREN",
    "CONVERTED_TYPE",
    "LOGICAL_TYPE",
    "NAME",
    "REPETITION",
    "drop",
    "mutate_footer",
    "rewrite_footer",
    "rewrite_schema",
]

# Fields of parquet.thrift's FileMetaData and SchemaElement.
_SCHEMA = 2
REPETITION, NAME, CHILDREN, CONVERTED_TYPE, LOGICAL_TYPE = 3, 4, 5, 6, 10

_TRUE, _FALSE, _BYTE, _I64, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 6, 7, 8, 9, 10, 12
_STRANGE_INTEGERS = (
    0,
    1,
    2,
    3,
    13,
    25,
    26,
    4000,
    2**31 - 2,
    2**31,
    2**32 - 1,
    2**32,
    2**63,
    2**64 - 2,
    2**64 - 1,
)


def rewrite_schema(path: Path, change: Callable[[list[dict[int, Any]]], list[dict[int, Any]]]) -> None:
    """Rewrite the schema of a file in place.

    Args:
        path: the file.
        change: from the schema's elements, depth first, to those wanted. An element has pairs of a thrift type and
            a value by field number.
    """

    def change_schema(metadata: dict[int, Any]) -> None:
        kind, (element_kind, elements) = metadata[_SCHEMA]
        metadata[_SCHEMA] = (kind, (element_kind, change(elements)))

    rewrite_footer(path, change_schema)


def rewrite_footer(path: Path, change: Callable[[dict[int, Any]], None]) -> None:
    """Rewrite the footer of a file in place.

    Args:
        path: the file.
        change: alters parquet.thrift's FileMetaData: pairs of a thrift type and a value by field number; a list is a pair
            of its members' type and its members; integers are as they are encoded (zigzag).
    """
    data = path.read_bytes()
    (length,) = struct.unpack("<I", data[-8:-4])
    metadata, _ = _read_struct(data, len(data) - 8 - length)
    change(metadata)
    footer = _write_struct(metadata)
    path.write_bytes(data[: -8 - length] + footer + struct.pack("<I", len(footer)) + b"PAR1")


def drop(element: dict[int, Any], *numbers: int) -> dict[int, Any]:
    """Return a schema element without some fields, such as its annotations."""
    return {number: value for number, value in element.items() if number not in numbers}


def mutate_footer(metadata: dict[int, Any], draw: random.Random) -> None:
    """Change a few fields of a footer, wherever in it; a seed repeats it.

    Values become strange ones or those of other fields, fields go or come, lists grow and shrink: the result is Thrift,
    and mostly no footer that any writer makes.
    """
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        places = list(_places(metadata))
        container, key = draw.choice(places)
        other, other_key = draw.choice(places)
        change = draw.random()
        if change < 0.15:
            del container[key]
        elif change < 0.3 and isinstance(container, list):
            container.insert(key, container[draw.randrange(len(container))])
        elif change < 0.45 and isinstance(container, dict):
            donor = other if isinstance(other, dict) else container
            number = draw.choice(list(donor))
            container[number] = copy.deepcopy(donor[number])
        elif change < 0.55 and type(container[key]) is type(
            other[other_key]
        ):  # members of a list are of one type
            container[key] = copy.deepcopy(other[other_key])
        elif isinstance(container, dict):
            kind, value = container[key]
            container[key] = (kind, _strange(kind, value, draw))
        elif isinstance(container[key], (int, bytes)):
            container[key] = _strange(
                _BINARY if isinstance(container[key], bytes) else _I64, container[key], draw
            )


def _places(fields: dict[int, Any]) -> Iterator[tuple[Any, int]]:
    """Yield where values are, as containers and keys: fields of structs and members of lists, at any depth."""
    for number, (kind, value) in fields.items():
        yield fields, number
        if kind == _STRUCT:
            yield from _places(value)
        elif kind in (_LIST, _SET):
            _, members = value
            for place, member in enumerate(members):
                yield members, place
                if isinstance(member, dict):
                    yield from _places(member)


def _strange(kind: int, value: Any, draw: random.Random) -> Any:
    """Return another value of a thrift type."""
    if kind == _BINARY:
        return draw.choice(
            (b"", value[:-1], value + b"\0", value[:1], b"\xff", b"a" * 5000, draw.randbytes(8))
        )
    if kind == _DOUBLE:
        return draw.randbytes(8)
    if kind == _BYTE:
        return draw.randrange(256)
    if kind in (_LIST, _SET):
        member, members = value
        kept = draw.choice((members[:0], members[:1], members[1:], members * 2, members[::-1]))
        return member, list(kept)
    if isinstance(value, int):
        return draw.choice((*_STRANGE_INTEGERS, value + 2, max(value - 2, 0), value ^ 1))
    return value


def _read_struct(data: bytes, at: int) -> tuple[dict[int, Any], int]:
    fields: dict[int, Any] = {}
    number = 0
    while (header := data[at]) != 0:
        at += 1
        if header >> 4:
            number += header >> 4
        else:
            raw, at = _read_varint(data, at)
            number = (raw >> 1) ^ -(raw & 1)
        kind = header & 15
        value, at = _read_value(data, at, kind) if kind not in (_TRUE, _FALSE) else (None, at)
        fields[number] = (kind, value)
    return fields, at + 1


def _read_value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind == _STRUCT:
        return _read_struct(data, at)
    if kind in (_LIST, _SET):
        size, member = data[at] >> 4, data[at] & 15
        at += 1
        if size == 15:
            size, at = _read_varint(data, at)
        values = []
        for _ in range(size):
            value, at = _read_value(data, at, member)
            values.append(value)
        return (member, values), at
    if kind == _BINARY:
        size, at = _read_varint(data, at)
        return data[at : at + size], at + size
    if kind == _DOUBLE:
        return data[at : at + 8], at + 8
    if kind in (_TRUE, _FALSE, _BYTE):
        return data[at], at + 1
    return _read_varint(data, at)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def _write_struct(fields: dict[int, Any]) -> bytes:
    out = b""
    last = 0
    for number, (kind, value) in sorted(fields.items()):
        delta = number - last
        last = number
        out += bytes([delta << 4 | kind]) if 0 < delta < 16 else bytes([kind]) + _write_varint(number << 1)
        out += b"" if kind in (_TRUE, _FALSE) else _write_value(kind, value)
    return out + b"\0"


def _write_value(kind: int, value: Any) -> bytes:
    if kind == _STRUCT:
        return _write_struct(value)
    if kind in (_LIST, _SET):
        member, values = value
        size = len(values)
        head = bytes([size << 4 | member]) if size < 15 else bytes([0xF0 | member]) + _write_varint(size)
        return head + b"".join(_write_value(member, each) for each in values)
    if kind == _BINARY:
        return _write_varint(len(value)) + bytes(value)
    if kind == _DOUBLE:
        return bytes(value)
    if kind in (_TRUE, _FALSE, _BYTE):
        return bytes([value])
    return _write_varint(value)


def _write_varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
