"""Numbers of Parquet fields: unique, never reused, down to every member."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakefmt.errors import CorruptTableError, InvalidInputError
from lakefmt.schema import (
    Field,
    FieldIds,
    PrimitiveType,
    Schema,
    assign_field_ids,
    parse_schema,
    physical_arrow_schema,
)

NESTED = {
    "id": "long",
    "tags": pa.list_(pa.struct([("k", pa.string()), ("v", pa.list_(pa.int64()))])),
    "m": pa.map_(pa.string(), pa.struct([("x", pa.float64())])),
}


def test_every_field_and_member_gets_a_number():
    ids = assign_field_ids(Schema.from_arrow(NESTED))
    assert ids.ids == {
        ("id",): 1,
        ("tags",): 2,
        ("tags", "element"): 3,
        ("tags", "element", "k"): 4,
        ("tags", "element", "v"): 5,
        ("tags", "element", "v", "element"): 6,
        ("m",): 7,
        ("m", "key"): 8,
        ("m", "value"): 9,
        ("m", "value", "x"): 10,
    }
    assert ids.high_mark == 10


def test_numbers_stay_when_columns_come_and_go_and_are_never_given_again():
    first = assign_field_ids(Schema.from_arrow({"a": "long", "b": "long"}))
    dropped = assign_field_ids(Schema.from_arrow({"a": "long"}), first)
    assert dropped == FieldIds({("a",): 1}, 2)
    again = assign_field_ids(Schema.from_arrow({"b": "string", "a": "long"}), dropped)
    assert again == FieldIds({("b",): 3, ("a",): 1}, 3)


def test_a_replaced_column_gets_new_numbers():
    before = assign_field_ids(Schema.from_arrow({"a": pa.list_(pa.int8()), "b": "long"}))
    after = assign_field_ids(
        Schema.from_arrow({"a": pa.list_(pa.string()), "b": "long"}), before.without(("a",))
    )
    assert after.ids == {("a",): 4, ("a", "element"): 5, ("b",): 3}


def test_names_with_dots_do_not_meet():
    schema = Schema.from_arrow({"a": pa.struct([("b", pa.int8())]), "a.b": "long"})
    ids = assign_field_ids(schema)
    assert sorted(ids.ids.values()) == [1, 2, 3]
    assert FieldIds.parse(ids.encode()) == ids


def test_numbers_of_column_mapping_are_taken_over():
    text = """{"type":"struct","fields":[
      {"name":"c","type":{"type":"array","elementType":{"type":"array","elementType":"integer","containsNull":true},
       "containsNull":true},"nullable":true,"metadata":{"delta.columnMapping.id":1,
       "delta.columnMapping.physicalName":"col-a",
       "delta.columnMapping.nested.ids":{"col-a.element":100,"col-a.element.element":101}}},
      {"name":"new","type":"long","nullable":true,"metadata":{}}]}"""
    ids = assign_field_ids(parse_schema(text), FieldIds({("c",): 5, ("new",): 1}, 7))
    assert ids.ids == {("c",): 1, ("c", "element"): 100, ("c", "element", "element"): 101, ("new",): 102}
    assert ids.high_mark == 102


def test_physical_names_are_used_when_mapping_is_on():
    mapped = Field("a", PrimitiveType("long"), metadata={"delta.columnMapping.physicalName": "col-1"})
    schema = Schema([mapped])
    ids = assign_field_ids(schema)
    assert physical_arrow_schema(Schema([mapped], column_mapping="name"), ids).names == ["col-1"]
    assert physical_arrow_schema(schema, ids).names == ["a"]


def test_parquet_files_carry_every_number(tmp_path):
    schema = Schema.from_arrow(NESTED)
    physical = physical_arrow_schema(schema, assign_field_ids(schema))
    assert physical == schema.to_arrow()
    pq.write_table(physical.empty_table(), tmp_path / "f.parquet")
    text = str(pq.ParquetFile(tmp_path / "f.parquet").schema)
    for number in range(1, 11):
        assert f"field_id={number} " in text


def test_void_columns_are_not_in_files():
    schema = Schema([Field("a", PrimitiveType("long")), Field("nothing", PrimitiveType("void"))])
    ids = assign_field_ids(schema)
    assert physical_arrow_schema(schema, ids).names == ["a"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"highMark":1,"ids":[[["a"],2]]}',
        '{"highMark":3,"ids":[[["a"],2],[["b"],2]]}',
        '{"highMark":1,"ids":[1]}',
    ],
)
def test_garbage_in_the_property_is_a_corrupt_table(text):
    with pytest.raises(CorruptTableError, match=r"lakefmt\.fieldIds"):
        FieldIds.parse(text)


def test_a_field_without_a_number_is_refused():
    with pytest.raises(CorruptTableError, match="column a has no field id"):
        physical_arrow_schema(Schema.from_arrow({"a": "long"}), FieldIds())


def test_used_up_numbers_are_refused():
    with pytest.raises(InvalidInputError, match="used up"):
        assign_field_ids(Schema.from_arrow({"a": "long"}), FieldIds({}, 2147483446))
