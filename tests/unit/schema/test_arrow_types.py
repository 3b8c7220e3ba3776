"""Arrow types to Delta types and back."""

import datetime as dt

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from lakefmt.errors import InvalidInputError
from lakefmt.schema import Field, PrimitiveType, Schema, parse_schema


def delta(type_, **options):
    return str(Schema.from_arrow({"c": type_}, **options).field("c").type)


@pytest.mark.parametrize(
    ("arrow", "name"),
    [
        (pa.uint8(), "short"),
        (pa.uint16(), "integer"),
        (pa.uint32(), "long"),
        (pa.uint64(), "decimal(20,0)"),
        (pa.float16(), "float"),
        (pa.large_string(), "string"),
        (pa.string_view(), "string"),
        (pa.binary(16), "binary"),
        (pa.large_binary(), "binary"),
        (pa.binary_view(), "binary"),
        (pa.date64(), "date"),
        (pa.timestamp("s"), "timestamp_ntz"),
        (pa.timestamp("ms", "Europe/Zurich"), "timestamp"),
        (pa.decimal32(5, 2), "decimal(5,2)"),
        (pa.decimal64(15, 2), "decimal(15,2)"),
        (pa.decimal256(38, 10), "decimal(38,10)"),
        (pa.decimal128(3, -2), "decimal(5,0)"),
        (pa.decimal128(2, 5), "decimal(5,5)"),
        (pa.dictionary(pa.int8(), pa.large_string()), "string"),
        (pa.run_end_encoded(pa.int32(), pa.int64()), "long"),
        (pa.list_(pa.uint8(), 3), "array<short>"),
        (pa.large_list(pa.int8()), "array<byte>"),
        (pa.list_view(pa.int8()), "array<byte>"),
        (pa.map_(pa.large_string(), pa.uint16()), "map<string, integer>"),
        (pa.struct([("x", pa.uint8())]), "struct<x: short>"),
        (pa.uuid(), "binary"),
        (pa.json_(), "string"),
    ],
)
def test_foreign_types_become_the_narrowest_that_holds_their_values(arrow, name):
    assert delta(arrow) == name


@pytest.mark.parametrize(
    ("arrow", "way_out"),
    [
        (pa.null(), "Give it a type"),
        (pa.time32("s"), "Cast it to a string"),
        (pa.time64("us"), "Cast it to a string"),
        (pa.duration("us"), "integer of its unit"),
        (pa.month_day_nano_interval(), "Cast it to an integer"),
        (pa.dense_union([pa.field("a", pa.int8())]), "Make it a struct"),
        (pa.decimal256(39, 0), "fewer digits"),
        (pa.timestamp("ns"), "truncate_ns=True"),
    ],
)
def test_types_without_a_place_are_refused_with_column_and_way_out(arrow, way_out):
    with pytest.raises(InvalidInputError, match=r"column c\.x ") as caught:
        Schema.from_arrow({"c": pa.struct([("x", arrow)])})
    assert way_out in str(caught.value)


def test_nanoseconds_become_microseconds_when_asked():
    assert delta(pa.timestamp("ns"), timestamp_ns="truncate") == "timestamp_ntz"


def test_every_type_comes_back_from_arrow():
    names = [
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
    ]
    schema = Schema.from_arrow({name: name for name in names} | {"d": "decimal(38,18)"})
    assert Schema.from_arrow(schema.to_arrow()) == schema


def test_nullability_of_members_comes_back_from_arrow():
    text = """{"type":"struct","fields":[
      {"name":"l","type":{"type":"array","elementType":"long","containsNull":false},"nullable":false,"metadata":{}},
      {"name":"m","type":{"type":"map","keyType":"string","valueType":"long","valueContainsNull":false},
       "nullable":true,"metadata":{}},
      {"name":"s","type":{"type":"struct","fields":[{"name":"x","type":"long","nullable":false,"metadata":{}}]},
       "nullable":true,"metadata":{}}]}"""
    schema = parse_schema(text)
    assert Schema.from_arrow(schema.to_arrow()) == schema


def test_variant_is_two_binaries():
    arrow = Schema([Field("v", PrimitiveType("variant"))]).to_arrow()
    assert [each.name for each in arrow.field("v").type] == ["metadata", "value"]


def test_metadata_of_other_libraries_is_left_out():
    frame = pa.Table.from_pandas(pd.DataFrame({"a": [1]}))
    assert frame.schema.metadata
    schema = Schema.from_arrow(frame)
    assert schema.to_arrow().metadata is None
    assert schema.field("a").metadata == {}


def test_schemas_of_other_libraries_are_taken():
    assert str(Schema.from_arrow(pl.DataFrame({"a": [1], "s": ["x"]}))) == "Schema\n  a: long\n  s: string"
    assert Schema.from_arrow(pa.table({"d": [dt.date(2020, 1, 1)]})).field("d").type == PrimitiveType("date")


@pytest.mark.parametrize("source", [None, 5, {"a": 5}, {"a": "nonsense"}, [1]])
def test_what_is_no_schema_is_refused(source):
    with pytest.raises(InvalidInputError):
        Schema.from_arrow(source)
