"""Variants as data files keep them, in typed columns or not, as their two binaries (Parquet's VariantShredding.md).

What is shredded is put together row by row: Parquet's schema bounds how deep that goes.
"""

from __future__ import annotations

import struct
from decimal import Context
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from lakefmt.variant.encoding import (
    NULL,
    Basic,
    Primitive,
    corrupt,
    encode_array,
    encode_object,
    encode_primitive,
    encode_text,
    parse_container,
    parse_names,
    value_size,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["unshred"]

_Values: TypeAlias = "list[bytes | None]"
_EXACT = Context(prec=76)


def unshred(values: Any, target: pa.DataType) -> Any:
    """Return a column of variants as the struct of two binaries.

    Args:
        values: an array of structs with ``metadata``, and one or both of ``value`` and ``typed_value``.
        target: ``struct<metadata: binary, value: binary>``.

    Raises:
        CorruptTableError: it has other members, or says two things of one value.
    """
    names = [member.name for member in values.type]
    if "metadata" not in names or not {"value", "typed_value"} & set(names) or len(set(names)) < len(names):
        raise corrupt(f"its column is {values.type}")
    if not _is_bytes(values.field("metadata").type):
        raise corrupt(f"its metadata is {values.field('metadata').type}")
    metadata = values.field("metadata").cast(pa.binary())
    there = values.is_valid()
    if "typed_value" not in names:
        whole = _bytes_of(values)
    else:
        keys = [
            key if present else None
            for key, present in zip(metadata.to_pylist(), there.to_pylist(), strict=True)
        ]
        whole = pa.array(_values_of(values, keys), pa.binary())
    if whole.null_count:
        whole = whole.fill_null(NULL)  # missing where a value is required; under a null nobody looks
    if _has_null_where(metadata, there):
        raise corrupt("its metadata is null")
    mask = values.is_null() if values.null_count else None
    fields = [target.field(place) for place in range(target.num_fields)]
    arrays = {"metadata": metadata.fill_null(b"") if metadata.null_count else metadata, "value": whole}
    return pa.StructArray.from_arrays([arrays[field.name] for field in fields], fields=fields, mask=mask)


def _has_null_where(values: Any, there: Any) -> bool:
    import pyarrow.compute as pc

    return bool(values.null_count and pc.any(pc.and_(values.is_null(), there)).as_py())


def _bytes_of(group: Any) -> Any:
    found = group.field("value")
    if not _is_bytes(found.type):
        raise corrupt(f"its value is {found.type}")
    return found.cast(pa.binary())


def _is_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


def _values_of(group: Any, keys: Sequence[bytes | None]) -> _Values:
    """Return the value of each row of a group with ``value`` and ``typed_value``; None where it is missing.

    Args:
        group: an array of structs.
        keys: the metadata of the variant that each row belongs to, None where there is none.
    """
    names = [member.name for member in group.type] if pa.types.is_struct(group.type) else []
    if not {"value", "typed_value"} & set(names) or set(names) - {"metadata", "value", "typed_value"}:
        raise corrupt(f"a shredded part of it is {group.type}")
    values: _Values = _bytes_of(group).to_pylist() if "value" in names else [None] * len(group)
    if "typed_value" not in names:
        return values
    typed = group.field("typed_value")
    if pa.types.is_struct(typed.type):
        return _objects_of(typed, values, keys)
    if pa.types.is_list(typed.type) or pa.types.is_large_list(typed.type):
        found = _arrays_of(typed, keys)
    else:
        found = _primitives_of(typed)
    return [_one_of(value, shredded) for value, shredded in zip(values, found, strict=True)]


def _one_of(value: bytes | None, shredded: bytes | None) -> bytes | None:
    if value is not None and shredded is not None:
        raise corrupt("a value that is no object is there shredded and whole")
    return shredded if value is None else value


def _objects_of(typed: Any, values: _Values, keys: Sequence[bytes | None]) -> _Values:
    members = {
        typed.type.field(place).name: _values_of(typed.field(place), keys)
        for place in range(typed.type.num_fields)
    }
    if len(members) < typed.type.num_fields:
        raise corrupt("a shredded object has two members of one name")
    found: _Values = []
    for row, (present, value, key) in enumerate(zip(typed.is_valid().to_pylist(), values, keys, strict=True)):
        if not present or key is None:
            found.append(value)
            continue
        parts = {name: part for name, each in members.items() if (part := each[row]) is not None}
        rest = {} if value is None else _members_of(value, parse_names(key))
        if members.keys() & rest.keys():
            raise corrupt("a member of an object is there shredded and whole")
        found.append(_object_of(rest | parts, key))
    return found


def _object_of(parts: dict[str, bytes], key: bytes) -> bytes:
    numbers = {name: number for number, name in enumerate(parse_names(key))}
    if parts.keys() - numbers.keys():
        raise corrupt("its metadata lacks the name of a shredded member")
    return encode_object([(numbers[name], parts[name]) for name in sorted(parts, key=str.encode)])


def _members_of(value: bytes, names: tuple[str, ...]) -> dict[str, bytes]:
    if not value or value[0] & 3 != Basic.OBJECT:
        raise corrupt("a value is there beside the members of an object, and is none")
    container = parse_container(value, 0)
    found: dict[str, bytes] = {}
    left = len(value)
    for number, start in zip(container.ids or (), container.starts, strict=True):
        if number >= len(names) or names[number] in found:
            raise corrupt("its metadata lacks a name, or an object has two members of one name")
        size = value_size(value, start)
        left -= size
        if left < 0:
            raise corrupt("its members overlap")
        found[names[number]] = value[start : start + size]
    return found


def _arrays_of(typed: Any, keys: Sequence[bytes | None]) -> _Values:
    offsets = typed.offsets.to_pylist()
    first, last = (offsets[0], offsets[-1]) if offsets else (0, 0)
    owners: list[bytes | None] = []
    for key, start, end in zip(keys, offsets, offsets[1:], strict=False):
        owners += [key] * (end - start)
    elements = _values_of(typed.values.slice(first, last - first), owners)
    present = typed.is_valid().to_pylist()
    return [
        encode_array(
            [NULL if element is None else element for element in elements[start - first : end - first]]
        )
        if there
        else None
        for there, start, end in zip(present, offsets, offsets[1:], strict=False)
    ]


def _primitives_of(typed: Any) -> _Values:
    plain, encode = _choose_encoder(typed)
    return [None if value is None else encode(value) for value in plain.to_pylist()]


def _choose_encoder(typed: Any) -> tuple[Any, Callable[[Any], bytes]]:
    """Return the values of a typed column as what is easily encoded, and how ("Shredded Value Types")."""
    kinds, kind = pa.types, typed.type
    if kinds.is_boolean(kind):
        return typed, lambda value: encode_primitive(Primitive.TRUE if value else Primitive.FALSE)
    if kinds.is_signed_integer(kind):
        width = kind.bit_width // 8
        number = {1: Primitive.INT8, 2: Primitive.INT16, 4: Primitive.INT32, 8: Primitive.INT64}[width]
        return typed, _integer_encoder(number, width)
    if kinds.is_float64(kind):
        return typed, lambda value: encode_primitive(Primitive.DOUBLE, struct.pack("<d", value))
    if kinds.is_float32(kind):
        return typed, lambda value: encode_primitive(Primitive.FLOAT, struct.pack("<f", value))
    if kinds.is_decimal(kind):
        return typed, _decimal_encoder(kind)
    if kinds.is_date32(kind):
        return typed.cast(pa.int32()), _integer_encoder(Primitive.DATE, 4)
    if kinds.is_timestamp(kind) and kind.unit in ("us", "ns"):
        return typed.cast(pa.int64()), _integer_encoder(_timestamp_of(kind), 8)
    if kinds.is_time64(kind) and kind.unit == "us":
        return typed.cast(pa.int64()), _integer_encoder(Primitive.TIME, 8)
    if kinds.is_string(kind) or kinds.is_large_string(kind):
        return typed.cast(pa.large_binary()), encode_text
    if _is_bytes(kind):
        return typed, lambda value: encode_primitive(Primitive.BINARY, value)
    if kinds.is_fixed_size_binary(kind) and kind.byte_width == 16:
        return typed, lambda value: encode_primitive(Primitive.UUID, value)
    raise corrupt(f"it is shredded as {kind}, which is none of the types for it")


def _integer_encoder(kind: Primitive, width: int) -> Callable[[int], bytes]:
    return lambda value: encode_primitive(kind, value.to_bytes(width, "little", signed=True))


def _timestamp_of(kind: Any) -> Primitive:
    if kind.unit == "us":
        return Primitive.TIMESTAMP if kind.tz else Primitive.TIMESTAMP_NTZ
    return Primitive.TIMESTAMP_NS if kind.tz else Primitive.TIMESTAMP_NTZ_NS


def _decimal_encoder(kind: Any) -> Callable[[Any], bytes]:
    scale = kind.scale
    if not 0 <= scale <= 38 or kind.precision > 38:
        raise corrupt(f"it is shredded as {kind}, which is none of the types for it")
    number, width = next(
        (number, width)
        for digits, number, width in (
            (9, Primitive.DECIMAL4, 4),
            (18, Primitive.DECIMAL8, 8),
            (38, Primitive.DECIMAL16, 16),
        )
        if kind.precision <= digits
    )

    def encode(value: Any) -> bytes:
        unscaled = int(value.scaleb(scale, _EXACT))
        return encode_primitive(number, bytes([scale]) + unscaled.to_bytes(width, "little", signed=True))

    return encode
