"""What a schema must keep to before a table may have it, and what it asks of the table's protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.errors import InvalidInputError
from lakefmt.schema.types import (
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
    from collections.abc import Iterable, Iterator

    from lakefmt.schema.table_schema import Schema

__all__ = ["check_new_schema", "features_of"]

# Without column mapping the column's name is the Parquet field's, and Spark reads no field with one of these.
_REFUSED_CHARACTERS = " ,;{}()\n\t="
_FEATURES = {"timestamp_ntz": "timestampNtz", "variant": "variantType"}


def check_new_schema(schema: Schema, *, column_mapping: bool = False) -> None:
    """Refuse columns that no new table may have.

    Args:
        schema: the columns.
        column_mapping: columns have physical names of their own, so that any character may stand in a name.

    Raises:
        InvalidInputError: no columns; a name that is empty, there twice but for case, or has a character that
            Spark refuses; a ``void`` column or an empty struct.
    """
    if not schema.fields:
        raise InvalidInputError("a table needs at least one column")
    _check_names(schema.fields, (), column_mapping=column_mapping)
    for path, type_ in _types(schema.fields):
        if type_ == PrimitiveType("void"):
            raise InvalidInputError(
                f"column {format_path(path)} has no type but null",
                hint="Give it the type that its values will have",
            )
        if isinstance(type_, StructType) and not type_.fields:
            raise InvalidInputError(
                f"column {format_path(path)} is a struct without fields", hint="Leave it out"
            )


def features_of(schema: Schema) -> list[str]:
    """Return the table features that the schema's columns need, such as ``timestampNtz``, sorted.

    A required column needs ``invariants``: to Spark "not null" is one, and it refuses a table of writer version 7 that
    has required columns and does not list the feature.
    """
    types = [type_ for _, type_ in _types(schema.fields)]
    needed = {
        _FEATURES[type_.name]
        for type_ in types
        if isinstance(type_, PrimitiveType) and type_.name in _FEATURES
    }
    members = [each for type_ in types if isinstance(type_, StructType) for each in type_.fields]
    if any(not each.nullable for each in (*schema.fields, *members)):
        needed.add("invariants")
    return sorted(needed)


def _check_names(fields: tuple[Field, ...], parents: FieldPath, *, column_mapping: bool) -> None:
    seen: dict[str, str] = {}
    for each in fields:
        path = format_path((*parents, each.name))
        if not each.name:
            raise InvalidInputError(f"a column without a name at {format_path(parents) or 'the top'}")
        lowered = each.name.lower()
        if (other := seen.get(lowered)) is not None:
            what = "is there twice" if other == each.name else f"differs from {other!r} in case only"
            raise InvalidInputError(
                f"column {path} {what}",
                hint="Engines tell columns apart without regard to case: give it another name",
            )
        seen[lowered] = each.name
        refused = sorted(set(_REFUSED_CHARACTERS) & set(each.name))
        if refused and not column_mapping:
            raise InvalidInputError(
                f"column {path!r} has {' and '.join(map(repr, refused))} in its name, which Spark cannot read",
                hint="Rename it, for example with underscores",
            )
        for below, struct in _structs(each.type, (*parents, each.name)):
            _check_names(struct.fields, below, column_mapping=column_mapping)


def _types(fields: Iterable[Field], parents: FieldPath = ()) -> Iterator[tuple[FieldPath, DataType]]:
    """Yield every type of the schema with its path, members included."""
    for each in fields:
        yield from _nested(each.type, (*parents, each.name))


def _nested(type_: DataType, path: FieldPath) -> Iterator[tuple[FieldPath, DataType]]:
    yield path, type_
    match type_:
        case StructType(fields):
            yield from _types(fields, path)
        case ArrayType(element):
            yield from _nested(element, (*path, "element"))
        case MapType(key, value):
            yield from _nested(key, (*path, "key"))
            yield from _nested(value, (*path, "value"))


def _structs(type_: DataType, path: FieldPath) -> Iterator[tuple[FieldPath, StructType]]:
    """Yield the structs that ``type_`` is or holds, those within another struct left to it."""
    match type_:
        case StructType():
            yield path, type_
        case ArrayType(element):
            yield from _structs(element, (*path, "element"))
        case MapType(key, value):
            yield from _structs(key, (*path, "key"))
            yield from _structs(value, (*path, "value"))
