"""Types, fields and ``Schema``: what users build and print."""

import pickle

import pyarrow as pa
import pytest

from lakefmt.errors import InvalidInputError
from lakefmt.schema import (
    ArrayType,
    DecimalType,
    Field,
    MapType,
    PrimitiveType,
    Schema,
    StructType,
    closest_names,
    format_path,
    parse_type_name,
)

LONG, STRING = PrimitiveType("long"), PrimitiveType("string")


def test_types_print_as_sql_writes_them():
    nested = MapType(STRING, ArrayType(StructType((Field("x", DecimalType(10, 2)), Field("y", LONG)))))
    assert str(nested) == "map<string, array<struct<x: decimal(10,2), y: long>>>"


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("long", LONG),
        ("BIGINT", LONG),
        (" int ", PrimitiveType("integer")),
        ("decimal(38, 18)", DecimalType(38, 18)),
        ("decimal", DecimalType(10, 0)),
        ("timestamp_ntz", PrimitiveType("timestamp_ntz")),
    ],
)
def test_type_names_are_parsed(text, type_):
    assert parse_type_name(text) == type_


@pytest.mark.parametrize("text", ["varchar", "decimal(39,0)", "decimal(5,6)", "array<int>", ""])
def test_unknown_type_name_is_refused(text):
    with pytest.raises(InvalidInputError):
        parse_type_name(text)


def test_paths_with_dots_in_names_stay_apart():
    assert format_path(("a", "b")) == "a.b"
    assert format_path(("a.b",)) == "`a.b`"
    assert format_path(("a`b", "")) == "`a``b`.``"


def test_schema_finds_columns_by_exact_name_first_then_regardless_of_case():
    schema = Schema([Field("id", LONG), Field("ID", STRING), Field("City", STRING)])
    assert schema.field("ID").type == STRING
    assert schema.field("city").name == "City"
    assert schema.find("iD") is None  # two of them
    assert "City" in schema
    assert "city" not in schema


def test_unknown_column_names_the_closest():
    schema = Schema.from_arrow({"fare": "double", "city": "string"})
    with pytest.raises(InvalidInputError, match=r"no column 'fair'.*Did you mean 'fare'"):
        schema.field("fair")
    with pytest.raises(InvalidInputError, match=r"The columns are \['fare', 'city'\]"):
        schema.field("zzzzzzz")


def test_closest_names_ignore_case():
    assert closest_names("CITTY", ["City", "fare"]) == ["City"]


def test_schema_prints_its_columns():
    schema = Schema([Field("id", LONG, nullable=False), Field("tags", ArrayType(STRING))])
    assert repr(schema) == "Schema\n  id: long not null\n  tags: array<string>"


def test_schema_is_a_value():
    schema = Schema.from_arrow({"id": "long", "m": pa.map_(pa.string(), pa.int8())})
    assert pickle.loads(pickle.dumps(schema)) == schema
    schema.to_arrow()
    assert pickle.loads(pickle.dumps(schema)) == schema
    assert hash(schema) == hash(Schema(schema.fields))
    assert len({schema, Schema(schema.fields)}) == 1


def test_leaves_enter_structs_and_take_lists_and_maps_whole():
    point = StructType((Field("x", LONG), Field("y", LONG)))
    schema = Schema([Field("p", point), Field("ps", ArrayType(point)), Field("m", MapType(STRING, LONG))])
    assert [path for path, _ in schema.leaves()] == [("p", "x"), ("p", "y"), ("ps",), ("m",)]


def test_other_libraries_see_a_schema_as_arrow():
    schema = Schema.from_arrow({"id": "long"})
    assert pa.schema(schema) == pa.schema([("id", pa.int64())])
    assert Schema.from_arrow(schema) is schema
