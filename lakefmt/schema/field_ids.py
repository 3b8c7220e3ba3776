"""The number of every Parquet field, which an Iceberg reader resolves columns by.

Kept in the table property ``lakefmt.fieldIds`` until column mapping writes numbers into the schema itself
(``delta.columnMapping.id``, nested members in ``delta.columnMapping.nested.ids``), which then win. Never under
``delta.columnMapping.*`` before: Spark strips such keys, or later refuses to enable mapping.

Invariants:
1. A number names one field for ever: dropping a column never frees its number, ``high_mark`` only grows.
2. Numbers stay below 2147483447; Iceberg keeps the ones above for itself.
3. Members of arrays and maps are numbered too: one field with a number makes readers use numbers for all.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from lakefmt.errors import CorruptTableError, InvalidInputError
from lakefmt.schema.arrow import arrow_type_of, map_type
from lakefmt.schema.types import (
    COLUMN_ID_KEY,
    ArrayType,
    DataType,
    Field,
    FieldPath,
    MapType,
    PrimitiveType,
    StructType,
    format_path,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lakefmt.schema.table_schema import Schema

__all__ = ["FIELD_IDS_PROPERTY", "FieldIds", "assign_field_ids", "physical_arrow_schema"]

FIELD_IDS_PROPERTY = "lakefmt.fieldIds"
FIELD_ID_LIMIT = 2147483447

_MAPPED_NESTED_IDS = "delta.columnMapping.nested.ids"


@dataclass(frozen=True, slots=True)
class FieldIds:
    """The numbers given so far.

    Attributes:
        ids: number of each field of the schema, by its path.
        high_mark: the greatest number ever given, of dropped fields too.
    """

    ids: Mapping[FieldPath, int] = field(default_factory=dict)
    high_mark: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", dict(self.ids))

    def encode(self) -> str:
        """Return the property's text: ``{"highMark":2,"ids":[[["a"],1],[["a","element"],2]]}``."""
        ids = [[list(path), number] for path, number in self.ids.items()]
        return orjson.dumps({"highMark": self.high_mark, "ids": ids}).decode()

    @classmethod
    def parse(cls, text: str) -> FieldIds:
        """Parse the property's text.

        Raises:
            CorruptTableError: the text is something else, or gives one number or one path twice.
        """
        try:
            document = orjson.loads(text)
            pairs = [(tuple(map(str, path)), int(number)) for path, number in document["ids"]]
            high_mark = int(document["highMark"])
        except (ValueError, TypeError, KeyError) as error:
            raise CorruptTableError(
                f"the table property {FIELD_IDS_PROPERTY} cannot be read", hint="Restore an earlier version"
            ) from error
        found = cls(dict(pairs), high_mark)
        numbers = set(found.ids.values())
        if len(numbers) != len(pairs) or max(numbers, default=0) > high_mark or min(numbers, default=1) < 1:
            raise CorruptTableError(
                f"the table property {FIELD_IDS_PROPERTY} contradicts itself",
                hint="Restore an earlier version",
            )
        return found

    def without(self, path: FieldPath) -> FieldIds:
        """Forget the numbers of a field and its members, so that a later one of that name gets new ones."""
        kept = {each: number for each, number in self.ids.items() if each[: len(path)] != path}
        return FieldIds(kept, self.high_mark)


def assign_field_ids(schema: Schema, previous: FieldIds | None = None) -> FieldIds:
    """Number every field of ``schema``.

    A field keeps the number that the schema's own column mapping gives it, else the one its path had before,
    else it gets the next free one.

    Raises:
        InvalidInputError: the numbers are used up.
        CorruptTableError: the schema's column mapping gives one number to two fields.
    """
    before = previous or FieldIds()
    paths = list(_member_paths(schema.fields))
    mapped = {path: number for path, number in paths if number is not None}
    high_mark = max(before.high_mark, max(before.ids.values(), default=0), max(mapped.values(), default=0))
    taken = set(mapped.values())
    if len(taken) != len(mapped):
        raise CorruptTableError(f"two columns of the table's schema have one {COLUMN_ID_KEY}")
    ids: dict[FieldPath, int] = {}
    for path, number in paths:
        kept = number if number is not None else before.ids.get(path)
        if kept is None or (number is None and kept in taken):
            high_mark += 1
            kept = high_mark
        ids[path] = kept
    if high_mark >= FIELD_ID_LIMIT:
        raise InvalidInputError("the table has used up its field ids", hint="Copy it into a new table")
    return FieldIds(ids, high_mark)


def physical_arrow_schema(schema: Schema, field_ids: FieldIds) -> pa.Schema:
    """Return the Arrow schema of a new data file: as ``schema.to_arrow()``, each field and member with its number.

    Columns of type ``void`` are left out, as they are of every file (protocol section "Void Type").

    Args:
        schema: the table's.
        field_ids: a number for every path in it.
    """
    mapped = schema.column_mapping != "none"
    fields = _without_void(schema.fields)
    return pa.schema([_numbered_field(each, (), field_ids, physical_names=mapped) for each in fields])


def _numbered_field(each: Field, parents: FieldPath, ids: FieldIds, *, physical_names: bool) -> pa.Field[Any]:
    path = (*parents, each.name)
    name = each.physical_name if physical_names else each.name
    type_ = _numbered_type(each.type, path, ids, physical_names=physical_names)
    return _field(name, type_, path, ids, nullable=each.nullable)


def _numbered_type(type_: DataType, path: FieldPath, ids: FieldIds, *, physical_names: bool) -> pa.DataType:
    def member(name: str, of: DataType, *, nullable: bool) -> pa.Field[Any]:
        below = (*path, name)
        return _field(
            name, _numbered_type(of, below, ids, physical_names=physical_names), below, ids, nullable=nullable
        )

    match type_:
        case ArrayType(element, contains_null):
            return pa.list_(member("element", element, nullable=contains_null))
        case MapType(key, value, value_contains_null):
            return map_type(
                member("key", key, nullable=False), member("value", value, nullable=value_contains_null)
            )
        case StructType(fields):
            return pa.struct(
                [_numbered_field(each, path, ids, physical_names=physical_names) for each in fields]
            )
        case _:
            return arrow_type_of(type_)


def _field(name: str, type_: pa.DataType, path: FieldPath, ids: FieldIds, *, nullable: bool) -> pa.Field[Any]:
    number = ids.ids.get(path)
    if number is None:
        raise CorruptTableError(f"column {format_path(path)} has no field id")
    return pa.field(name, type_, nullable=nullable, metadata={"PARQUET:field_id": str(number)})


def _member_paths(
    fields: tuple[Field, ...], parents: FieldPath = ()
) -> Iterator[tuple[FieldPath, int | None]]:
    """Yield the path of every field and member, parents first, with the number that column mapping gives it."""
    for each in fields:
        path = (*parents, each.name)
        number = each.metadata.get(COLUMN_ID_KEY)
        yield path, number if isinstance(number, int) else None
        nested = each.metadata.get(_MAPPED_NESTED_IDS)
        mapped = nested if isinstance(nested, dict) else {}
        yield from _nested_paths(each.type, path, each.physical_name, mapped)


def _nested_paths(
    type_: DataType, path: FieldPath, physical: str, mapped: Mapping[str, Any]
) -> Iterator[tuple[FieldPath, int | None]]:
    members: tuple[tuple[str, DataType], ...] = ()
    match type_:
        case StructType(fields):
            yield from _member_paths(fields, path)
        case ArrayType(element):
            members = (("element", element),)
        case MapType(key, value):
            members = (("key", key), ("value", value))
    for name, member in members:
        number = mapped.get(f"{physical}.{name}")
        yield (*path, name), number if isinstance(number, int) else None
        yield from _nested_paths(member, (*path, name), f"{physical}.{name}", mapped)


def _without_void(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    return tuple(
        replace(each, type=_type_without_void(each.type))
        for each in fields
        if each.type != PrimitiveType("void")
    )


def _type_without_void(type_: DataType) -> DataType:
    match type_:
        case StructType(fields):
            return StructType(_without_void(fields))
        case ArrayType(element, contains_null):
            return ArrayType(_type_without_void(element), contains_null)
        case MapType(key, value, value_contains_null):
            return MapType(_type_without_void(key), _type_without_void(value), value_contains_null)
        case _:
            return type_
