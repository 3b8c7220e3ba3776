"""What a new table's columns must keep to."""

import pyarrow as pa
import pytest

from lakefmt.errors import InvalidInputError
from lakefmt.schema import Field, PrimitiveType, Schema, StructType, check_new_schema, features_of

LONG = PrimitiveType("long")


def test_ordinary_columns_pass():
    check_new_schema(Schema.from_arrow({"id": "long", "Größe.x": pa.list_(pa.struct([("a", pa.int8())]))}))


@pytest.mark.parametrize("name", ["a b", "a,b", "a;b", "a{", "a}", "a(", "a)", "a\n", "a\t", "a=b"])
def test_names_that_spark_cannot_read_are_refused_unless_mapped(name):
    nested = Schema.from_arrow({"m": pa.map_(pa.string(), pa.list_(pa.struct([(name, pa.int8())])))})
    for schema in (Schema.from_arrow({name: "long"}), nested):
        with pytest.raises(InvalidInputError, match="Spark cannot read"):
            check_new_schema(schema)
        check_new_schema(schema, column_mapping=True)


@pytest.mark.parametrize(
    "schema",
    [
        Schema(),
        Schema([Field("a", LONG), Field("A", LONG)]),
        Schema([Field("a", LONG), Field("a", LONG)]),
        Schema([Field("", LONG)]),
        Schema([Field("a", PrimitiveType("void"))]),
        Schema([Field("a", StructType(()))]),
        Schema([Field("s", StructType((Field("x", LONG), Field("X", LONG))))]),
    ],
)
def test_columns_that_make_no_table_are_refused(schema):
    with pytest.raises(InvalidInputError):
        check_new_schema(schema)


def test_types_ask_for_their_features():
    schema = Schema.from_arrow({"l": pa.list_(pa.timestamp("us")), "a": "long"})
    assert features_of(schema) == ["timestampNtz"]
    assert features_of(Schema([Field("v", PrimitiveType("variant"))])) == ["variantType"]
    assert features_of(Schema.from_arrow({"a": "long"})) == []


def test_required_columns_need_the_feature_that_spark_asks_for_them():
    required = Field("x", PrimitiveType("integer"), nullable=False)
    assert features_of(Schema([required])) == ["invariants"]
    assert features_of(Schema([Field("s", StructType((required,)))])) == ["invariants"]
