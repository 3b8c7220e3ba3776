"""``schemaString``: the JSON that the log holds."""

import json

import pytest

from lakefmt.errors import CorruptTableError, UnsupportedFeatureError
from lakefmt.schema import (
    ArrayType,
    DecimalType,
    Field,
    MapType,
    PrimitiveType,
    StructType,
    format_schema,
    parse_schema,
)

EXAMPLE = """{"type":"struct","fields":[
 {"name":"a","type":"integer","nullable":false,"metadata":{}},
 {"name":"b","type":{"type":"struct","fields":[{"name":"d","type":"integer","nullable":false,"metadata":{}}]},
  "nullable":true,"metadata":{}},
 {"name":"c","type":{"type":"array","elementType":"integer","containsNull":false},"nullable":true,"metadata":{}},
 {"name":"e","type":{"type":"array","elementType":{"type":"struct","fields":[
   {"name":"d","type":"integer","nullable":false,"metadata":{}}]},"containsNull":true},"nullable":true,"metadata":{}},
 {"name":"f","type":{"type":"map","keyType":"string","valueType":"string","valueContainsNull":true},
  "nullable":true,"metadata":{}}]}"""


def one(type_json: str, **rest: object) -> str:
    field = {"name": "c", "type": json.loads(type_json), "nullable": True, "metadata": {}, **rest}
    return json.dumps({"type": "struct", "fields": [field]})


def test_the_protocols_example_comes_back_the_same():
    schema = parse_schema(EXAMPLE)
    assert json.loads(format_schema(schema)) == json.loads(EXAMPLE)
    integer = PrimitiveType("integer")
    struct = StructType((Field("d", integer, nullable=False),))
    assert schema.field("a") == Field("a", integer, nullable=False)
    assert schema.field("c").type == ArrayType(integer, contains_null=False)
    assert schema.field("e").type == ArrayType(struct)
    assert schema.field("f").type == MapType(PrimitiveType("string"), PrimitiveType("string"))


@pytest.mark.parametrize(
    "name",
    [
        "string",
        "long",
        "integer",
        "short",
        "byte",
        "float",
        "double",
        "boolean",
        "binary",
        "date",
        "timestamp",
        "timestamp_ntz",
        "variant",
        "void",
    ],
)
def test_every_plain_type_is_known(name):
    assert parse_schema(one(f'"{name}"')).field("c").type == PrimitiveType(name)


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("decimal(10,2)", DecimalType(10, 2)),
        ("decimal( 38 , 38 )", DecimalType(38, 38)),
        ("decimal", DecimalType(10, 0)),
    ],
)
def test_decimals_are_parsed(text, type_):
    assert parse_schema(one(f'"{text}"')).field("c").type == type_


def test_metadata_is_kept_verbatim():
    metadata = {
        "comment": "Größe",
        "delta.columnMapping.id": 3,
        "delta.typeChanges": [{"fromType": "short", "toType": "long"}],
        "somebody.elses": {"deep": [1, 2.5, None, True], "big": 2**70},
    }
    text = one('"long"', metadata=metadata)
    schema = parse_schema(text)
    assert schema.field("c").metadata == metadata
    assert json.loads(format_schema(schema)) == json.loads(text)


@pytest.mark.parametrize("name", ["interval year to month", "geometry", "null", "decimal(10)", "varchar(5)"])
def test_unknown_type_is_refused_by_column_and_name(name):
    with pytest.raises(UnsupportedFeatureError, match=r"column c\.element is of type ") as caught:
        parse_schema(one(json.dumps({"type": "array", "elementType": name, "containsNull": True})))
    assert repr(name) in str(caught.value)


def test_user_defined_type_is_refused():
    with pytest.raises(UnsupportedFeatureError, match="'udt'"):
        parse_schema(one('{"type": "udt", "class": "org.apache.spark.ml.linalg.VectorUDT"}'))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '"struct"',
        '{"type":"struct"}',
        '{"type":"struct","fields":[{"name":1,"type":"long"}]}',
        '{"type":"struct","fields":["a"]}',
        '{"type":"struct","fields":[{"name":"a","type":"long","nullable":"yes"}]}',
        '{"type":"struct","fields":[{"name":"a","type":"long","metadata":[]}]}',
        '{"type":"struct","fields":[{"name":"a","type":{"type":"array"}}]}',
        '{"type":"struct","fields":[{"name":"a","type":"decimal(39,2)"}]}',
        '{"type":"struct","fields":[{"name":"a","type":"long"},{"name":"a","type":"long"}]}',
    ],
)
def test_garbage_is_a_corrupt_table(text):
    with pytest.raises(CorruptTableError):
        parse_schema(text)


def test_names_that_differ_in_case_can_be_read():
    text = '{"type":"struct","fields":[{"name":"a","type":"long"},{"name":"A","type":"string"}]}'
    assert parse_schema(text).names == ["a", "A"]


@pytest.mark.parametrize("depth", [102, 300, 100_000])
def test_schema_nested_deeper_than_anyone_means_is_corrupt(depth):
    field = '{"name":"x","nullable":true,"metadata":{},"type":'
    text = f'{{"type":"struct","fields":[{field}' * depth + '"long"' + "}]}" * depth
    with pytest.raises(CorruptTableError):
        parse_schema(text)


def test_schema_nested_as_deep_as_may_be_is_read():
    field = '{"name":"x","nullable":true,"metadata":{},"type":'
    schema = parse_schema(f'{{"type":"struct","fields":[{field}' * 100 + '"long"' + "}]}" * 100)
    assert repr(schema)
    assert schema.to_arrow()
    assert parse_schema(format_schema(schema)) == schema
