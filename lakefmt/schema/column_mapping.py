"""What files, statistics and partition values call a table's columns (protocol section "Column Mapping").

A mapped table gives every column, at any depth, a physical name and an id, which stay when it is renamed. Where a
table is not mapped such annotations are without meaning, and may be left over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pyarrow as pa

from lakefmt.errors import CorruptTableError
from lakefmt.schema.arrow import arrow_type_of, map_type
from lakefmt.schema.types import (
    COLUMN_ID_KEY,
    PHYSICAL_NAME_KEY,
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
    from collections.abc import Iterator, Sequence

    from lakefmt.schema.table_schema import Schema

__all__ = ["VARIANT_MARK", "ColumnMapping", "check_column_mapping", "file_arrow_schema", "is_renamed"]

ColumnMapping: TypeAlias = Literal["none", "name", "id"]
"""How files name columns: as the schema does, by physical names, or (statistics: by physical names) by field ids."""

VARIANT_MARK = "lakefmt:variant"
"""In the metadata of fields of ``file_arrow_schema`` that are variants; their type alone does not tell."""

_LARGEST_ID = 2**31 - 1


def check_column_mapping(schema: Schema) -> None:
    """Check that every column of a mapped table can be found by its annotations, and by them alone.

    Raises:
        CorruptTableError: a column without physical name (in mode "id": without id), or two with the same one; it
            is named.
    """
    if schema.column_mapping == "none":
        return
    numbers: dict[int, FieldPath] = {}
    for parents, fields in _structs(schema.fields):
        names: dict[str, FieldPath] = {}
        for each in fields:
            path = (*parents, each.name)
            name = each.metadata.get(PHYSICAL_NAME_KEY)
            if not isinstance(name, str) or not name:
                raise _without(path, PHYSICAL_NAME_KEY)
            if (other := names.setdefault(name, path)) != path:
                raise _shared(path, other, PHYSICAL_NAME_KEY)
            if schema.column_mapping == "id":
                number = each.metadata.get(COLUMN_ID_KEY)
                if type(number) is not int or not 0 <= number <= _LARGEST_ID:
                    raise _without(path, COLUMN_ID_KEY)
                if (other := numbers.setdefault(number, path)) != path:
                    raise _shared(path, other, COLUMN_ID_KEY)


def is_renamed(schema: Schema) -> bool:
    """Whether a column's annotations give it another physical name than its own, be the table mapped or not."""
    return any(each.physical_name != each.name for _, fields in _structs(schema.fields) for each in fields)


def file_arrow_schema(schema: Schema) -> pa.Schema:
    """Return the schema's columns, all of them and in order, as data files name them.

    In mode "id" columns and members of structs have their ``PARQUET:field_id``; members of arrays and maps, which are
    what they are by their place, have none. Variants, which files keep in several forms, have ``VARIANT_MARK``.
    """
    return pa.schema([_file_field(each, schema.column_mapping) for each in schema.fields])


def _file_field(each: Field, mapping: ColumnMapping) -> pa.Field[Any]:
    name = each.name if mapping == "none" else each.physical_name
    number = each.metadata[COLUMN_ID_KEY] if mapping == "id" else None
    return _field(name, each.type, mapping, nullable=each.nullable, number=number)


def _field(
    name: str, type_: DataType, mapping: ColumnMapping, *, nullable: bool, number: int | None = None
) -> pa.Field[Any]:
    metadata = {} if number is None else {"PARQUET:field_id": str(number)}
    if type_ == PrimitiveType("variant"):
        metadata[VARIANT_MARK] = "true"
    return pa.field(name, _file_type(type_, mapping), nullable=nullable, metadata=metadata or None)


def _file_type(type_: DataType, mapping: ColumnMapping) -> pa.DataType:
    match type_:
        case StructType(fields):
            return pa.struct([_file_field(each, mapping) for each in fields])
        case ArrayType(element, contains_null):
            return pa.list_(_field("element", element, mapping, nullable=contains_null))
        case MapType(key, value, value_contains_null):
            return map_type(
                _field("key", key, mapping, nullable=False),
                _field("value", value, mapping, nullable=value_contains_null),
            )
        case _:
            return arrow_type_of(type_)


def _structs(fields: Sequence[Field], parents: FieldPath = ()) -> Iterator[tuple[FieldPath, Sequence[Field]]]:
    """Yield the columns of the table, and of every struct at any depth its members."""
    yield parents, fields
    for each in fields:
        yield from _structs_of(each.type, (*parents, each.name))


def _structs_of(type_: DataType, path: FieldPath) -> Iterator[tuple[FieldPath, Sequence[Field]]]:
    match type_:
        case StructType(fields):
            yield from _structs(fields, path)
        case ArrayType(element):
            yield from _structs_of(element, (*path, "element"))
        case MapType(key, value):
            yield from _structs_of(key, (*path, "key"))
            yield from _structs_of(value, (*path, "value"))


def _without(path: FieldPath, key: str) -> CorruptTableError:
    return CorruptTableError(
        f"the table's columns are mapped, but column {format_path(path)} has no usable {key}",
        hint="Open an earlier version, or repair the schema with the engine that wrote it",
    )


def _shared(path: FieldPath, other: FieldPath, key: str) -> CorruptTableError:
    return CorruptTableError(
        f"columns {format_path(other)} and {format_path(path)} have the same {key}",
        hint="Open an earlier version, or repair the schema with the engine that wrote it",
    )
