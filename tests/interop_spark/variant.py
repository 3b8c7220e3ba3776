"""Variants in a form in which they can be compared: an independent little decoder of the binary format.

Spark's side is JSON text; ours is whatever lakefmt reads, a struct of two binaries. Both become Python values.
"""

from __future__ import annotations

import base64
import datetime as dt
import itertools
import json
import struct
from decimal import Decimal
from typing import Any

import pyarrow as pa

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def comparable(expected: pa.Table) -> pa.Table:
    """Return Spark's rows with its JSON texts of variants in one canonical form."""
    for number, field in enumerate(expected.schema):
        if holds_variants(field):
            texts = [
                None if text is None else _canonical(json.loads(text))
                for text in expected[field.name].to_pylist()
            ]
            expected = expected.set_column(number, field.name, pa.array(texts, pa.string()))
    return expected


def json_of_variants(found: pa.Table, expected: pa.Schema) -> pa.Table:
    """Return the rows found with columns that hold variants as JSON in the same canonical form."""
    for number, name in enumerate(found.column_names):
        index = expected.get_field_index(name)
        if index >= 0 and holds_variants(expected.field(index)):
            texts = [
                None if value is None else _canonical(_plain(value)) for value in found[name].to_pylist()
            ]
            found = found.set_column(number, name, pa.array(texts, pa.string()))
    return found


def holds_variants(field: pa.Field) -> bool:
    """Whether a column of what Spark read is the JSON text of something with variants."""
    return (field.metadata or {}).get(b"variant") == b"json"


def _canonical(value: Any) -> str:
    return json.dumps(_normal(value), sort_keys=True)


def _normal(value: Any) -> Any:
    match value:
        case dict():
            return {name: _normal(member) for name, member in value.items()}
        case list():
            return [_normal(member) for member in value]
        case bool() | str() | None:
            return value
        case Decimal() | int() | float():
            return float(value) if abs(value) < 2**53 else repr(Decimal(value))
        case _:
            return value


def _plain(value: Any) -> Any:
    match value:
        case {"metadata": bytes(metadata), "value": bytes(data), **others} if not others:
            return decode(metadata, data)
        case dict():
            return {name: _plain(member) for name, member in value.items()}
        case list() if value and all(isinstance(each, tuple) for each in value):
            return {name: _plain(member) for name, member in value}
        case list():
            return [_plain(member) for member in value]
        case _:
            return value


def decode(metadata: bytes, data: bytes) -> Any:
    """Return the value of a variant, as Spark's ``to_json`` would show it."""
    width = (metadata[0] >> 6) + 1
    count = _unsigned(metadata, 1, width)
    offsets = [_unsigned(metadata, 1 + width * (i + 1), width) for i in range(count + 1)]
    texts = 1 + width * (count + 2)
    names = [metadata[texts + a : texts + b].decode() for a, b in itertools.pairwise(offsets)]
    return _value(names, data, 0)


def _unsigned(data: bytes, at: int, width: int) -> int:
    return int.from_bytes(data[at : at + width], "little")


def _value(names: list[str], data: bytes, at: int) -> Any:
    header = data[at]
    kind, more = header & 3, header >> 2
    match kind:
        case 0:
            return _primitive(data, at + 1, more)
        case 1:
            return data[at + 1 : at + 1 + more].decode()
        case 2:
            return _object(names, data, at, more)
        case _:
            return _array(names, data, at, more)


def _object(names: list[str], data: bytes, at: int, more: int) -> dict[str, Any]:
    offset_width, id_width, is_large = (more & 3) + 1, ((more >> 2) & 3) + 1, more >> 4 & 1
    count = _unsigned(data, at + 1, 4 if is_large else 1)
    ids = at + 1 + (4 if is_large else 1)
    offsets = ids + count * id_width
    start = offsets + (count + 1) * offset_width
    return {
        names[_unsigned(data, ids + i * id_width, id_width)]: _value(
            names, data, start + _unsigned(data, offsets + i * offset_width, offset_width)
        )
        for i in range(count)
    }


def _array(names: list[str], data: bytes, at: int, more: int) -> list[Any]:
    offset_width, is_large = (more & 3) + 1, more >> 2 & 1
    count = _unsigned(data, at + 1, 4 if is_large else 1)
    offsets = at + 1 + (4 if is_large else 1)
    start = offsets + (count + 1) * offset_width
    return [
        _value(names, data, start + _unsigned(data, offsets + i * offset_width, offset_width))
        for i in range(count)
    ]


def _primitive(data: bytes, at: int, kind: int) -> Any:
    integers = {3: 1, 4: 2, 5: 4, 6: 8, 11: 4, 12: 8, 13: 8}
    match kind:
        case 0:
            return None
        case 1 | 2:
            return kind == 1
        case 7:
            return struct.unpack_from("<d", data, at)[0]
        case 14:
            return struct.unpack_from("<f", data, at)[0]
        case 8 | 9 | 10:
            width = {8: 4, 9: 8, 10: 16}[kind]
            return Decimal(int.from_bytes(data[at + 1 : at + 1 + width], "little", signed=True)).scaleb(
                -data[at]
            )
        case 15:
            return base64.b64encode(data[at + 4 : at + 4 + _unsigned(data, at, 4)]).decode()
        case 16:
            return data[at + 4 : at + 4 + _unsigned(data, at, 4)].decode()
        case _ if kind in integers:
            return _moment(int.from_bytes(data[at : at + integers[kind]], "little", signed=True), kind)
        case _:
            raise ValueError(f"a variant of kind {kind}")


def _moment(number: int, kind: int) -> Any:
    match kind:
        case 11:
            return (dt.date(1970, 1, 1) + dt.timedelta(days=number)).isoformat()
        case 12 | 13:
            text = (_EPOCH + dt.timedelta(microseconds=number)).replace(tzinfo=None).isoformat(" ")
            text = text.rstrip("0").rstrip(".") if "." in text else text
            return text + ("+00:00" if kind == 12 else "")
        case _:
            return number
