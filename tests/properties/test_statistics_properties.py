"""Statistics bound the rows they are of, whoever reads them; partition values come back."""

import datetime as dt
import json
import math

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from lakefmt.engine.statistics import StatisticsCollector
from lakefmt.manifest.partition_values import format_partition_value, parse_partition_values
from lakefmt.manifest.statistics import StatisticsReader, encode_statistics
from lakefmt.manifest.statistics_json import extract_texts
from lakefmt.schema import Schema

quick = settings(deadline=None, max_examples=60)

TEXT = st.text(st.characters(codec="utf-8"), max_size=40) | st.text(
    "a\ud7ff\ue000\uffff\U0010ffff", min_size=30, max_size=40
)
DATES = st.dates()
INSTANTS = st.datetimes()
COLUMNS = st.sampled_from(
    [
        ("long", pa.int64(), st.integers(-(2**63), 2**63 - 1)),
        ("byte", pa.int8(), st.integers(-128, 127)),
        ("double", pa.float64(), st.floats()),
        ("float", pa.float32(), st.floats(width=32)),
        ("string", pa.string(), TEXT),
        ("date", pa.date32(), DATES),
        ("timestamp_ntz", pa.timestamp("us"), INSTANTS),
        ("timestamp", pa.timestamp("us", "UTC"), INSTANTS.map(lambda each: each.replace(tzinfo=dt.UTC))),
        ("decimal(20,3)", pa.decimal128(20, 3), st.decimals(-(10**16), 10**16, places=3)),
        ("decimal(10,2)", pa.decimal128(10, 2), st.decimals(-(10**7), 10**7, places=2)),
        ("boolean", pa.bool_(), st.booleans()),
    ]
)


@st.composite
def columns(draw):
    name, arrow, values = draw(COLUMNS)
    batches = draw(st.lists(st.lists(st.none() | values, max_size=4), min_size=1, max_size=3))
    return name, [pa.array(each, arrow) for each in batches]


def sort_key(value):
    return value.encode() if isinstance(value, str) else value


@quick
@given(columns())
def test_bounds_hold_every_value_through_json_and_back(column):
    name, arrays = column
    schema = Schema.from_arrow({"c": name})
    collector = StatisticsCollector(schema.to_arrow(), [("c",)])
    for array in arrays:
        collector.update(pa.record_batch({"c": array}))
    text = encode_statistics(collector.finish())
    document = json.loads(text, parse_constant=lambda constant: (_ for _ in ()).throw(ValueError(constant)))
    values = [value for array in arrays for value in array.to_pylist()]
    present = [value for value in values if value is not None]
    assert document["numRecords"] == len(values)
    assert document["nullCount"]["c"] == len(values) - len(present)
    bounds = StatisticsReader(pa.array([text]), schema, nan_free=pa.array([True])).bounds(("c",))
    [least], [greatest] = bounds.minimum.to_pylist(), bounds.maximum.to_pylist()
    has_nan = any(isinstance(value, float) and math.isnan(value) for value in present)
    assert not (has_nan and greatest is not None)
    numbers = [value for value in present if not (isinstance(value, float) and math.isnan(value))]
    if least is not None:
        assert all(sort_key(least) <= sort_key(value) for value in numbers)
    if greatest is not None:
        assert all(sort_key(greatest) >= sort_key(value) for value in numbers)
    if not numbers:
        assert (least, greatest) == (None, None)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["5", "true"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b/~'", "c"]), inner, max_size=3)
    ),
    max_leaves=8,
)
DOCUMENTS = st.lists(
    st.none()
    | st.text(max_size=5)
    | JSON.map(json.dumps)
    | JSON.map(lambda each: json.dumps({"a": each, "b/~'": each})),
    min_size=1,
    max_size=6,
)
WANTED = [
    ((key, *rest), kind)
    for key in ("a", "b/~'")
    for rest in ((), ("c",))
    for kind in ("number", "text", "flag")
]


@quick
@given(DOCUMENTS)
def test_python_and_duckdb_take_the_same_values_out_of_any_text(documents):
    texts = pa.chunked_array([pa.array(documents, pa.string())])
    by_python = extract_texts(texts, WANTED, few=10**6)
    by_duckdb = extract_texts(texts, WANTED, few=0)
    for (_, kind), one, other in zip(WANTED, by_python, by_duckdb, strict=True):
        if kind == "number":  # each writes a double in its own way
            assert [each and float(each) for each in one.to_pylist()] == [
                each and float(each) for each in other.to_pylist()
            ]
            whole = [each for each in one.to_pylist() if each and each.lstrip("-").isdigit()]
            assert whole == [each for each in other.to_pylist() if each and each.lstrip("-").isdigit()]
        else:
            assert one.equals(other)


@quick
@given(columns())
def test_partition_values_come_back(column):
    name, arrays = column
    type_ = Schema.from_arrow({"c": name}).field("c").type
    for array in arrays:
        texts = [format_partition_value(value) for value in array]
        back = parse_partition_values(pa.array(texts, pa.string()), type_).to_pylist()
        for before, after in zip(array.to_pylist(), back, strict=True):
            if before == "":
                assert after is None
            elif isinstance(before, float) and math.isnan(before):
                assert math.isnan(after)
            else:
                assert before == after
