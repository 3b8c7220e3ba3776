"""Schemas survive every way they are written down; rows are fitted exactly or refused at the right row."""

import math
import struct
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakefmt.errors import SchemaMismatchError
from lakefmt.schema import (
    ArrayType,
    DecimalType,
    Field,
    FieldIds,
    MapType,
    PrimitiveType,
    Schema,
    StructType,
    assign_field_ids,
    conform_batches,
    format_path,
    format_schema,
    parse_schema,
    physical_arrow_schema,
)

quick = settings(deadline=None, max_examples=80)

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6)
PLAIN = st.sampled_from(
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
    ]
).map(PrimitiveType) | st.integers(1, 38).flatmap(
    lambda p: st.integers(0, p).map(lambda s: DecimalType(p, s))
)
METADATA = st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5), max_size=2)


def fields_of(types, metadata):
    named = st.builds(Field, NAMES, types, st.booleans(), metadata)
    return st.lists(named, min_size=1, max_size=4, unique_by=lambda each: each.name).map(tuple)


def types_of(metadata):
    return st.recursive(
        PLAIN,
        lambda inner: (
            st.builds(ArrayType, inner, st.booleans())
            | st.builds(MapType, inner, inner, st.booleans())
            | st.builds(StructType, fields_of(inner, metadata))
        ),
        max_leaves=6,
    )


def schemas(metadata=METADATA):
    return fields_of(types_of(metadata), metadata).map(Schema)


@quick
@given(schemas())
def test_schema_text_comes_back_equal(schema):
    assert parse_schema(format_schema(schema)) == schema


@quick
@given(schemas(st.just({})))
def test_arrow_schema_comes_back_equal(schema):
    assert Schema.from_arrow(schema.to_arrow()) == schema


@quick
@given(schemas(st.just({})), schemas(st.just({})))
def test_field_ids_are_unique_complete_and_never_given_again(first, second):
    before = assign_field_ids(first)
    after = assign_field_ids(second, before)
    for schema, ids in ((first, before), (second, after)):
        assert len(set(ids.ids.values())) == len(ids.ids)
        assert max(ids.ids.values()) <= ids.high_mark
        assert physical_arrow_schema(schema, ids) == schema.to_arrow()
        assert FieldIds.parse(ids.encode()) == ids
    for path, number in after.ids.items():
        assert number == before.ids.get(path, number)
        assert path in before.ids or number > before.high_mark


@quick
@given(
    st.lists(
        st.lists(st.text("a.`b", max_size=3), min_size=1, max_size=3).map(tuple), unique=True, max_size=8
    )
)
def test_no_two_paths_look_alike(paths):
    assert len({format_path(path) for path in paths}) == len(paths)


INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.sampled_from(
    [2**53, 2**53 + 1, 2**24 + 1, 2**62, 127, 128, -129]
)
FLOATS = st.floats() | st.floats(width=32) | INTEGERS.map(float)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=3)
SOURCES = st.one_of(
    st.tuples(st.just(pa.int64()), st.lists(st.none() | INTEGERS, min_size=1, max_size=8)),
    st.tuples(st.just(pa.float64()), st.lists(st.none() | FLOATS, min_size=1, max_size=8)),
    st.tuples(st.just(pa.decimal128(20, 3)), st.lists(st.none() | DECIMALS, min_size=1, max_size=8)),
)
TARGETS = st.sampled_from(
    [
        "byte",
        "short",
        "integer",
        "long",
        "float",
        "double",
        "decimal(5,1)",
        "decimal(38,10)",
        "decimal(38,36)",
    ]
)


def single(value: float) -> float:
    """Return the nearest float of 32 bits."""
    return struct.unpack("f", struct.pack("f", value))[0]


def is_same(before, after) -> bool:
    """Whether a number kept its value: exactly, or for a float beside a decimal by the float being the nearest."""
    if before is None or after is None:
        return before is after
    if isinstance(before, float) and math.isnan(before):
        return isinstance(after, float) and math.isnan(after)
    if isinstance(before, float) and math.isinf(before):
        return before == after
    if isinstance(before, float) != isinstance(after, float) and Decimal in {type(before), type(after)}:
        return float(before) == float(after) or single(float(before)) == after
    return Fraction(before) == Fraction(after)


@quick
@given(SOURCES, TARGETS, st.integers(1, 4))
@example((pa.float64(), [9.561934511434565e30]), "decimal(38,10)", 1)  # pyarrow's own cast wraps around
def test_numbers_keep_their_value_or_the_first_that_cannot_is_named(source, target, batch_rows):
    type_, values = source
    table = pa.table({"c": pa.array(values, type_)})
    schema = Schema.from_arrow({"c": target})
    fitted, refused = [], None
    try:
        for batch in conform_batches(iter(table.to_batches(batch_rows)), schema):
            batch.validate(full=True)
            fitted += batch["c"].to_pylist()
    except SchemaMismatchError as error:
        refused = int(str(error).split("row ")[1].split(",")[0])
    given_values = table["c"].to_pylist()
    assert all(is_same(before, after) for before, after in zip(given_values, fitted, strict=False))
    if refused is None:
        assert len(fitted) == len(values)
        return
    assert refused >= len(fitted)
    for before in given_values[len(fitted) : refused + 1]:
        one = pa.table({"c": pa.array([before], type_)})
        if before is given_values[refused]:
            with pytest.raises(SchemaMismatchError):
                list(conform_batches(one, schema))
        else:
            list(conform_batches(one, schema))
