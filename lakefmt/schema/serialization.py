"""``schemaString``: a schema as the JSON text of a log's metaData action.

Protocol section "Schema Serialization Format". Field metadata is kept as found and written back the same; what
the text leaves out is read as Spark reads it (``nullable`` and ``containsNull`` true, no metadata).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lakefmt.errors import CorruptTableError, InvalidInputError, UnsupportedFeatureError
from lakefmt.schema.column_mapping import check_column_mapping
from lakefmt.schema.table_schema import Schema
from lakefmt.schema.type_widening import check_type_changes
from lakefmt.schema.types import (
    PRIMITIVE_NAMES,
    ArrayType,
    DataType,
    DecimalType,
    Field,
    FieldPath,
    MapType,
    PrimitiveType,
    StructType,
    format_path,
)

if TYPE_CHECKING:
    from lakefmt.schema.column_mapping import ColumnMapping

__all__ = ["format_schema", "parse_schema"]

# More than anyone means; all that goes down a schema stays within Python's own depth.
_MOST_LEVELS = 100
_DECIMAL = re.compile(r"decimal(?:\(\s*(\d+)\s*,\s*(-?\d+)\s*\))?")


def parse_schema(text: str, *, column_mapping: ColumnMapping = "none") -> Schema:
    """Parse the ``schemaString`` of a table, whose columns are mapped so.

    Two columns whose names differ in nothing but case are let through, though the protocol forbids them: others
    write such tables, and each of the columns can be read by its exact name.

    Raises:
        CorruptTableError: the text is no schema, holds one name twice, or lacks what column mapping asks for.
        UnsupportedFeatureError: a column is of a type that this release does not know, or its type was changed to
            one that is not wider; column and types are named.
    """
    document = _load_json(text)
    if not isinstance(document, dict) or document.get("type") != "struct":
        raise CorruptTableError(f"the table's schema is not a struct but {_shorten(document)}")
    schema = Schema(_parse_fields(document, ()), column_mapping=column_mapping)
    check_column_mapping(schema)
    return schema


def format_schema(schema: Schema) -> str:
    """Return the ``schemaString`` of a schema; ``parse_schema`` reads it back equal."""
    document = _struct_document(schema.fields)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _load_json(text: str) -> Any:
    # The standard library's parser: metadata may hold integers of any size, which orjson reads as floats.
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorruptTableError(f"the table's schema is not JSON: {error}") from error


def _parse_fields(document: dict[str, Any], parents: FieldPath) -> tuple[Field, ...]:
    members = document.get("fields")
    if not isinstance(members, list):
        raise CorruptTableError(f"the table's schema has no fields at {_place(parents)}")
    fields = tuple(_parse_field(each, parents) for each in members)
    seen: set[str] = set()
    for each in fields:
        if each.name in seen:
            path = format_path((*parents, each.name))
            raise CorruptTableError(f"the table's schema has two columns called {path}")
        seen.add(each.name)
    return fields


def _parse_field(document: Any, parents: FieldPath) -> Field:
    if not isinstance(document, dict) or not isinstance(document.get("name"), str) or "type" not in document:
        raise CorruptTableError(
            f"the table's schema has no column but {_shorten(document)} at {_place(parents)}"
        )
    path = (*parents, document["name"])
    metadata = document.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise CorruptTableError(f"the metadata of column {format_path(path)} is {_shorten(metadata)}")
    field = Field(
        document["name"],
        _parse_type(document["type"], path),
        _flag(document, "nullable", path),
        metadata or {},
    )
    check_type_changes(field, path)
    return field


def _parse_type(document: Any, path: FieldPath) -> DataType:
    if isinstance(document, str):
        return _parse_plain_type(document, path)
    if len(path) > _MOST_LEVELS:
        raise CorruptTableError(f"the table's schema is nested more than {_MOST_LEVELS} levels deep")
    kind = document.get("type") if isinstance(document, dict) else None
    match kind:
        case "struct":
            return StructType(_parse_fields(document, path))
        case "array":
            element = _parse_type(document.get("elementType"), (*path, "element"))
            return ArrayType(element, _flag(document, "containsNull", path))
        case "map":
            key = _parse_type(document.get("keyType"), (*path, "key"))
            value = _parse_type(document.get("valueType"), (*path, "value"))
            return MapType(key, value, _flag(document, "valueContainsNull", path))
        case str():
            raise _unknown_type(kind, path)
        case _:
            raise CorruptTableError(f"the type of column {format_path(path)} is {_shorten(document)}")


def _parse_plain_type(name: str, path: FieldPath) -> DataType:
    if name in PRIMITIVE_NAMES:
        return PrimitiveType(name)
    if (match := _DECIMAL.fullmatch(name)) is None:
        raise _unknown_type(name, path)
    try:
        return DecimalType(int(match[1] or 10), int(match[2] or 0))
    except InvalidInputError as error:
        raise CorruptTableError(f"column {format_path(path)}: {error.message}", hint=error.hint) from error


def _flag(document: dict[str, Any], key: str, path: FieldPath) -> bool:
    value = document.get(key, True)
    if not isinstance(value, bool):
        raise CorruptTableError(f"{key} of column {format_path(path)} is {_shorten(value)}")
    return value


def _struct_document(fields: tuple[Field, ...]) -> dict[str, Any]:
    return {
        "type": "struct",
        "fields": [
            {
                "name": each.name,
                "type": _type_document(each.type),
                "nullable": each.nullable,
                "metadata": dict(each.metadata),
            }
            for each in fields
        ],
    }


def _type_document(type_: DataType) -> Any:
    match type_:
        case PrimitiveType() | DecimalType():
            return str(type_)
        case ArrayType(element, contains_null):
            return {"type": "array", "elementType": _type_document(element), "containsNull": contains_null}
        case MapType(key, value, value_contains_null):
            return {
                "type": "map",
                "keyType": _type_document(key),
                "valueType": _type_document(value),
                "valueContainsNull": value_contains_null,
            }
        case StructType(fields):
            return _struct_document(fields)


def _unknown_type(name: str, path: FieldPath) -> UnsupportedFeatureError:
    return UnsupportedFeatureError(
        f"column {format_path(path)} is of type {name!r}, which this release of lakefmt does not know",
        hint="Read the table with the engine that wrote it, or with a newer lakefmt",
    )


def _place(parents: FieldPath) -> str:
    return format_path(parents) if parents else "its root"


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
