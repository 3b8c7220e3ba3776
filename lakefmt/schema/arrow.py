"""Delta types as Arrow types, and back.

Every type of a table has one Arrow type. The way back takes every Arrow type whose values a table can hold
exactly, and refuses the others by the column's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.errors import InvalidInputError
from lakefmt.schema.types import (
    MAX_DECIMAL_PRECISION,
    ArrayType,
    DataType,
    DecimalType,
    Field,
    FieldPath,
    MapType,
    PrimitiveType,
    StructType,
    format_path,
    parse_type_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["arrow_schema_of", "arrow_type_of", "fields_from_arrow", "type_from_arrow"]

_VARIANT = pa.struct(
    [pa.field("metadata", pa.binary(), nullable=False), pa.field("value", pa.binary(), nullable=False)]
)
_ARROW_OF_PRIMITIVE: dict[str, pa.DataType] = {
    "binary": pa.binary(),
    "boolean": pa.bool_(),
    "byte": pa.int8(),
    "date": pa.date32(),
    "double": pa.float64(),
    "float": pa.float32(),
    "integer": pa.int32(),
    "long": pa.int64(),
    "short": pa.int16(),
    "string": pa.string(),
    "timestamp": pa.timestamp("us", "UTC"),
    "timestamp_ntz": pa.timestamp("us"),
    "variant": _VARIANT,
    "void": pa.null(),
}
_PRIMITIVE_OF_ARROW: dict[pa.DataType, DataType] = {
    **{
        arrow: PrimitiveType(name)
        for name, arrow in _ARROW_OF_PRIMITIVE.items()
        if name not in {"variant", "void"}
    },
    pa.date64(): PrimitiveType("date"),
    pa.float16(): PrimitiveType("float"),
    pa.large_binary(): PrimitiveType("binary"),
    pa.large_string(): PrimitiveType("string"),
    pa.string_view(): PrimitiveType("string"),
    pa.binary_view(): PrimitiveType("binary"),
    pa.uint8(): PrimitiveType("short"),
    pa.uint16(): PrimitiveType("integer"),
    pa.uint32(): PrimitiveType("long"),
    pa.uint64(): DecimalType(20, 0),  # no signed type has room for 2**64 - 1
}
_WAY_OUT = {
    "null": "Give it a type: a column of nothing but nulls does not tell one",
    "time": "Cast it to a string, or to an integer of its unit",
    "duration": "Cast it to an integer of its unit",
    "interval": "Cast it to an integer, or to a string",
    "union": "Make it a struct with one field for each kind of value",
}


def arrow_type_of(type_: DataType) -> pa.DataType:
    """Return the Arrow type of a column's values."""
    match type_:
        case PrimitiveType(name):
            return _ARROW_OF_PRIMITIVE[name]
        case DecimalType(precision, scale):
            return pa.decimal128(precision, scale)
        case ArrayType(element, contains_null):
            return pa.list_(pa.field("element", arrow_type_of(element), nullable=contains_null))
        case MapType(key, value, value_contains_null):
            return map_type(
                pa.field("key", arrow_type_of(key), nullable=False),
                pa.field("value", arrow_type_of(value), nullable=value_contains_null),
            )
        case StructType(fields):
            return pa.struct([_arrow_field(each) for each in fields])


def arrow_schema_of(fields: Iterable[Field]) -> pa.Schema:
    """Return the Arrow schema of rows with these columns, without metadata."""
    return pa.schema([_arrow_field(each) for each in fields])


def fields_from_arrow(source: Any, *, truncate_ns: bool) -> tuple[Field, ...]:
    """Return the columns of what has an Arrow schema or is a mapping of names to types.

    Raises:
        InvalidInputError: as ``Schema.from_arrow``.
    """
    if isinstance(source, Mapping):
        return tuple(_field_from_mapping(str(name), each, truncate_ns) for name, each in source.items())
    schema = _import_schema(source)
    return tuple(_field_from_arrow(each, (), truncate_ns) for each in schema)


def type_from_arrow(type_: pa.DataType, path: FieldPath, *, truncate_ns: bool) -> DataType:
    """Return the narrowest type of a table that holds every value of ``type_`` (``path``: for the message).

    Raises:
        InvalidInputError: there is none.
    """
    if (plain := _PRIMITIVE_OF_ARROW.get(type_)) is not None:
        return plain
    kinds = pa.types
    if isinstance(type_, pa.BaseExtensionType):
        if type_.extension_name.endswith("parquet.variant"):
            return PrimitiveType("variant")
        return type_from_arrow(type_.storage_type, path, truncate_ns=truncate_ns)
    if isinstance(type_, pa.DictionaryType | pa.RunEndEncodedType):
        return type_from_arrow(type_.value_type, path, truncate_ns=truncate_ns)
    if isinstance(type_, pa.TimestampType):
        if type_.unit == "ns" and not truncate_ns:
            raise InvalidInputError(
                f"column {format_path(path)} holds nanoseconds, a table's timestamps are microseconds",
                hint="Cast it to microseconds, or pass truncate_ns=True",
            )
        return PrimitiveType("timestamp_ntz" if type_.tz is None else "timestamp")
    if kinds.is_decimal(type_):
        return _decimal_from_arrow(type_, path)
    if isinstance(type_, pa.StructType):
        return StructType(tuple(_field_from_arrow(each, path, truncate_ns) for each in type_))
    if isinstance(type_, pa.MapType):
        return MapType(
            type_from_arrow(type_.key_type, (*path, "key"), truncate_ns=truncate_ns),
            type_from_arrow(type_.item_type, (*path, "value"), truncate_ns=truncate_ns),
            value_contains_null=type_.item_field.nullable,
        )
    if is_list(type_):
        member = cast("Any", type_).value_field
        element = type_from_arrow(member.type, (*path, "element"), truncate_ns=truncate_ns)
        return ArrayType(element, contains_null=member.nullable)
    if kinds.is_fixed_size_binary(type_):
        return PrimitiveType("binary")
    way_out = next((text for kind, text in _WAY_OUT.items() if kind in str(type_)), "Cast it to a plain type")
    raise InvalidInputError(
        f"column {format_path(path)} is of type {type_}, which no table can hold", hint=way_out
    )


def map_type(key: pa.Field[Any], value: pa.Field[Any]) -> pa.DataType:
    """Return the Arrow type of maps whose members are these fields (the published stubs know types only)."""
    return cast("pa.DataType", cast("Any", pa.map_)(key, value))


def is_list(type_: pa.DataType) -> bool:
    """Whether values are lists, in any of Arrow's layouts, maps not counted."""
    kinds = cast("Any", pa.types)
    return bool(
        kinds.is_list(type_)
        or kinds.is_large_list(type_)
        or kinds.is_fixed_size_list(type_)
        or kinds.is_list_view(type_)
        or kinds.is_large_list_view(type_)
    )


def _arrow_field(field: Field) -> pa.Field[Any]:
    return pa.field(field.name, arrow_type_of(field.type), nullable=field.nullable)


def _field_from_arrow(field: pa.Field[Any], parents: FieldPath, truncate_ns: bool) -> Field:  # noqa: FBT001
    path = (*parents, field.name)
    return Field(field.name, type_from_arrow(field.type, path, truncate_ns=truncate_ns), field.nullable)


def _field_from_mapping(name: str, type_: Any, truncate_ns: bool) -> Field:  # noqa: FBT001
    if isinstance(type_, str):
        return Field(name, parse_type_name(type_))
    if isinstance(type_, PrimitiveType | DecimalType | ArrayType | MapType | StructType):
        return Field(name, type_)
    if isinstance(type_, pa.Field):
        return _field_from_arrow(type_.with_name(name), (), truncate_ns)
    if isinstance(type_, pa.DataType):
        return Field(name, type_from_arrow(type_, (name,), truncate_ns=truncate_ns))
    raise InvalidInputError(
        f"the type of column {name} is given as {type(type_).__name__}",
        hint="Give an Arrow type, or a type's name such as 'long' or 'decimal(10,2)'",
    )


def _import_schema(source: Any) -> pa.Schema:
    if isinstance(source, pa.Schema):
        return source
    if isinstance(source, pa.Table | pa.RecordBatch | pa.RecordBatchReader):
        return source.schema
    if hasattr(source, "__arrow_c_schema__"):
        return cast("pa.Schema", cast("Any", pa.schema)(source))
    if hasattr(source, "__arrow_c_stream__"):
        return cast("pa.Schema", cast("Any", pa.RecordBatchReader).from_stream(source).schema)
    raise InvalidInputError(
        f"a {type(source).__name__} has no schema",
        hint="Pass an Arrow schema, anything that exports one, or a mapping of column names to types",
    )


def _decimal_from_arrow(type_: pa.DataType, path: FieldPath) -> DecimalType:
    decimal = cast("pa.Decimal128Type", type_)
    precision, scale = decimal.precision, decimal.scale
    if scale < 0:  # a multiple of a power of ten: the same values with the zeros written out
        precision, scale = precision - scale, 0
    precision = max(precision, scale)  # 0.00012 as decimal(2, 5)
    if precision > MAX_DECIMAL_PRECISION:
        raise InvalidInputError(
            f"column {format_path(path)} is of type {type_}, a table's decimals have at most "
            f"{MAX_DECIMAL_PRECISION} digits",
            hint="Cast it to fewer digits, or to a string",
        )
    return DecimalType(precision, scale)
