"""``add.stats``: written as bounds to every reader, read so that nobody's can prune wrongly."""

import datetime as dt
import json
from decimal import Decimal

import deltalake
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lakefmt.engine.statistics import StatisticsCollector
from lakefmt.errors import CorruptTableError
from lakefmt.manifest.statistics import (
    StatisticsReader,
    encode_statistics,
    nan_free_files,
    statistics_columns,
    statistics_tags,
)
from lakefmt.schema import Field, PrimitiveType, Schema, parse_schema

NAN, INF = float("nan"), float("inf")


def facts_of(table: pa.Table):
    schema = Schema.from_arrow(table.schema)
    collector = StatisticsCollector(table.schema, statistics_columns(schema, (), {}))
    collector.update(table)
    return collector.finish()


def stats_of(values, type_=None):
    table = pa.table({"c": values if isinstance(values, pa.Array) else pa.array(values, type_)})
    return json.loads(encode_statistics(facts_of(table)), parse_float=Decimal)


def bounds_of(values, type_=None):
    stats = stats_of(values, type_)
    return stats["minValues"].get("c"), stats["maxValues"].get("c")


def read(documents, type_, **options):
    schema = Schema.from_arrow({"c": type_})
    return StatisticsReader(pa.array(documents), schema, **options).bounds(("c",))


def document(least, greatest, **more):
    return json.dumps({"numRecords": 3, "minValues": {"c": least}, "maxValues": {"c": greatest}, **more})


def test_the_document_has_what_the_protocol_lists():
    table = pa.table({"a": [1, None], "s": [{"x": "p", "l": [1]}, {"x": None, "l": None}]})
    assert json.loads(encode_statistics(facts_of(table))) == {
        "numRecords": 2,
        "minValues": {"a": 1, "s": {"x": "p"}},
        "maxValues": {"a": 1, "s": {"x": "p"}},
        "nullCount": {"a": 1, "s": {"x": 1, "l": 1}},
        "tightBounds": True,
    }


@pytest.mark.parametrize(
    ("values", "type_", "expected"),
    [
        ([2**53 + 1, -(2**63)], pa.int64(), (-(2**63), 2**53 + 1)),
        ([1.5, -0.0], pa.float64(), (Decimal("-0.0"), Decimal("1.5"))),
        ([0.1], pa.float32(), (Decimal("0.10000000149011612"), Decimal("0.10000000149011612"))),
        ([1.0, NAN], pa.float64(), (Decimal("1.0"), None)),
        ([1.0, INF], pa.float64(), (Decimal("1.0"), None)),
        ([-INF, 1.0], pa.float64(), (None, Decimal("1.0"))),
        ([Decimal("123456789012345678.12")], pa.decimal128(38, 2), (Decimal("123456789012345678.12"),) * 2),
        ([dt.date(2020, 1, 1), dt.date(1, 1, 1)], pa.date32(), ("0001-01-01", "2020-01-01")),
        ([10**7], pa.date32(), (None, None)),
        ([1, 1999], pa.timestamp("us", "UTC"), ("1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00.002Z")),
        ([-1], pa.timestamp("us"), ("1969-12-31T23:59:59.999", "1970-01-01T00:00:00.000")),
        ([2**62], pa.timestamp("us"), (None, None)),
        ([True, False], pa.bool_(), (None, None)),
        ([b"a"], pa.binary(), (None, None)),
        ([None], pa.int64(), (None, None)),
    ],
)
def test_bounds_by_type(values, type_, expected):
    assert bounds_of(values, type_) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x" * 32, ("x" * 32, "x" * 32)),
        ("x" * 33, ("x" * 32, "x" * 31 + "y")),
        ("é" * 33, ("é" * 32, "é" * 31 + "ê")),
        ("a" * 31 + "\U0010ffff" + "b", ("a" * 31 + "\U0010ffff", "a" * 30 + "b")),
        ("a" + "\U0010ffff" * 40, ("a" + "\U0010ffff" * 31, "b")),
        ("\U0010ffff" * 40, ("\U0010ffff" * 32, None)),
        ("a" * 31 + "\ud7ff" + "b", ("a" * 31 + "\ud7ff", "a" * 31 + "\ue000")),
        ("a" * 31 + "\uffff" + "b", ("a" * 31 + "\uffff", "a" * 31 + "\U00010000")),
        ('"\\\n\0' * 8, ('"\\\n\0' * 8,) * 2),
    ],
)
def test_long_texts_are_cut_and_the_maximum_rounded_up(text, expected):
    assert bounds_of([text]) == expected


def test_bytes_called_a_string_have_no_bounds():
    broken = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"]).buffers())
    assert bounds_of(broken) == (None, None)


def test_files_tell_that_their_float_maxima_count_nan():
    assert statistics_tags(facts_of(pa.table({"x": [1.0]}))) == {"lakefmt.floatBounds": "nan-free"}
    assert statistics_tags(facts_of(pa.table({"x": [1.0, NAN]}))) == {}
    assert statistics_tags(facts_of(pa.table({"x": [1]}))) == {}
    tags = pa.array(
        [[("lakefmt.floatBounds", "nan-free")], [("other", "nan-free")], None],
        pa.map_(pa.string(), pa.string()),
    )
    assert nan_free_files(tags).to_pylist() == [True, False, False]


SCHEMA = Schema.from_arrow(
    {
        "a": "long",
        "s": pa.struct([("x", pa.int8()), ("y.z", pa.struct([("w", pa.int8())]))]),
        "l": pa.list_(pa.int8()),
        "p": "string",
        "b": "binary",
    }
)


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({}, [("a",), ("s", "x"), ("s", "y.z", "w"), ("l",), ("b",)]),
        ({"delta.dataSkippingNumIndexedCols": "2"}, [("a",), ("s", "x")]),
        ({"delta.dataSkippingNumIndexedCols": "0"}, []),
        ({"delta.dataSkippingNumIndexedCols": "-1"}, [("a",), ("s", "x"), ("s", "y.z", "w"), ("l",), ("b",)]),
        (
            {"delta.dataSkippingStatsColumns": "b, s.`y.z`,p", "delta.dataSkippingNumIndexedCols": "1"},
            [("s", "y.z", "w"), ("b",)],
        ),
        ({"delta.dataSkippingStatsColumns": "s"}, [("s", "x"), ("s", "y.z", "w")]),
        ({"delta.dataSkippingStatsColumns": ""}, []),
    ],
)
def test_properties_choose_the_columns(properties, expected):
    assert statistics_columns(SCHEMA, ("p",), properties) == tuple(expected)


def test_thirty_two_columns_by_default_and_none_that_files_do_not_have():
    many = Schema(
        [Field("v", PrimitiveType("void")), *(Field(f"c{i}", PrimitiveType("long")) for i in range(40))]
    )
    assert [path for (path,) in statistics_columns(many, (), {})] == [f"c{i}" for i in range(32)]


def test_physical_names_when_columns_are_mapped():
    mapped = Field("a", PrimitiveType("long"), metadata={"delta.columnMapping.physicalName": "col-1"})
    schema = Schema([mapped], column_mapping="name")
    assert statistics_columns(schema, (), {}) == (("col-1",),)
    stats = pa.array(
        ['{"numRecords":1,"minValues":{"col-1":5},"maxValues":{"col-1":6},"nullCount":{"col-1":0}}']
    )
    assert StatisticsReader(stats, schema).bounds(("a",)).minimum.to_pylist() == [5]
    assert StatisticsReader(stats, Schema([mapped])).bounds(("a",)).minimum.to_pylist() == [None]


@pytest.mark.parametrize(
    "properties",
    [
        {"delta.dataSkippingNumIndexedCols": "many"},
        {"delta.dataSkippingStatsColumns": "a..b"},
        {"delta.dataSkippingStatsColumns": "`a"},
    ],
)
def test_garbage_in_the_properties_is_a_corrupt_table(properties):
    with pytest.raises(CorruptTableError, match=r"delta\.dataSkipping"):
        statistics_columns(SCHEMA, (), properties)


@pytest.mark.parametrize(
    ("type_", "least", "greatest", "expected"),
    [
        ("long", 2**53 + 1, 2**63 - 1, (2**53 + 1, 2**63 - 1)),
        ("byte", -5, 5, (-5, 5)),
        ("string", 'a"\\\n\u00e9', "z\U0001f600", ('a"\\\n\u00e9', "z\U0001f600")),
        ("date", "0001-01-01", "2020-01-01", (dt.date(1, 1, 1), dt.date(2020, 1, 1))),
        ("boolean", False, True, (False, True)),
        ("decimal(15,2)", 1.1, 1234567890123.45, (Decimal("1.10"), Decimal("1234567890123.45"))),
        ("decimal(10,7)", 1e-7, 2, (Decimal("0.0000001"), Decimal(2))),
        (
            "timestamp",
            "2020-01-01T00:00:00.001Z",
            "2020-01-01T01:00:00.001+01:00",
            (
                dt.datetime(2020, 1, 1, 0, 0, 0, 1000, dt.UTC),
                dt.datetime(2020, 1, 1, 0, 0, 0, 1999, dt.UTC),
            ),
        ),
        (
            "timestamp_ntz",
            "2020-01-01 00:00:00.001",
            "2020-01-01T00:00:00.001",
            (dt.datetime(2020, 1, 1, 0, 0, 0, 1000), dt.datetime(2020, 1, 1, 0, 0, 0, 1999)),
        ),
    ],
)
def test_bounds_are_read_by_type(type_, least, greatest, expected):
    found = read([document(least, greatest)], type_)
    assert (found.minimum.to_pylist()[0], found.maximum.to_pylist()[0]) == expected
    assert found.num_records.to_pylist() == [3]


@pytest.mark.parametrize(
    ("type_", "least", "greatest"),
    [
        ("long", "1", "2"),
        ("long", 1.5, 2.5),
        ("long", 2**63, 2**64),
        ("byte", 300, 400),
        ("long", True, True),
        ("long", [1], {"x": 1}),
        ("long", 5, 4),
        ("string", 5, 6),
        ("date", 18262, 18263),
        ("date", "soon", "later"),
        ("timestamp", "2020-13-01T00:00:00Z", "9"),
        ("double", "NaN", "Infinity"),
        ("boolean", "true", 1),
        ("decimal(4,2)", 100.5, 100.6),
        ("binary", "YQ==", "Yg=="),
        (pa.list_(pa.int8()), [1], [2]),
    ],
)
def test_bounds_of_the_wrong_type_are_unknown(type_, least, greatest):
    found = read([document(least, greatest)], type_, nan_free=pa.array([True]))
    assert (found.minimum.to_pylist(), found.maximum.to_pylist()) == ([None], [None])


BROKEN = [
    None,
    "",
    "garbage",
    "[]",
    "3",
    '{"numRecords":-1}',
    '{"numRecords":"7"}',
    '{"minValues":3,"nullCount":[1]}',
    '{"a":NaN}',
    '{"minValues":{"c":"\\udbff"}}',
]


@pytest.mark.parametrize("few", [0, 10**6])
def test_broken_statistics_are_unknown_for_their_file_alone(few, monkeypatch):
    monkeypatch.setattr("lakefmt.manifest.statistics_json.extract_texts.__kwdefaults__", {"few": few})
    found = read([*BROKEN, document(1, 2, nullCount={"c": 0})], "long")
    nothing = [None] * len(BROKEN)
    assert found.minimum.to_pylist() == [*nothing, 1]
    assert found.maximum.to_pylist() == [*nothing, 2]
    assert found.null_count.to_pylist() == [*nothing, 0]
    assert found.num_records.to_pylist() == [*nothing, 3]


def test_a_float_maximum_is_known_only_where_the_file_counts_nan():
    documents = [document(1.5, 2.5)] * 3
    found = read(documents, "double", nan_free=pa.array([True, False, True]))
    assert found.minimum.to_pylist() == [1.5] * 3
    assert found.maximum.to_pylist() == [2.5, None, 2.5]
    assert read(documents, "double").maximum.to_pylist() == [None] * 3
    assert read(documents, "float", nan_free=pa.chunked_array([[True], [True, True]])).maximum.null_count == 0


def test_decimals_past_a_doubles_digits_are_widened():
    found = read(
        [
            '{"numRecords":1,"minValues":{"c":1.2345678901234566e+17},"maxValues":{"c":1.2345678901234566e+17}}'
        ],
        "decimal(20,2)",
    )
    truth = Decimal("123456789012345678.12")  # what delta-rs 1.6.6 wrote these bounds for
    [least], [greatest] = found.minimum.to_pylist(), found.maximum.to_pylist()
    assert truth - 100 < least <= truth <= greatest < truth + 100
    extreme = read([document(-(10**38 - 1), 10**38 - 1)], "decimal(38,0)")
    assert (extreme.minimum.to_pylist(), extreme.maximum.to_pylist()) == ([None], [None])


def test_the_greatest_timestamp_does_not_wrap_around():
    found = read([document("1970-01-01T00:00:00Z", "294247-01-10T04:00:54.775Z")], "timestamp")
    assert found.maximum.cast(pa.int64()).to_pylist() == [2**63 - 1]


def test_null_counts_under_wide_bounds_are_known_at_the_extremes_only():
    documents = [document(1, 2, nullCount={"c": count}, tightBounds=False) for count in (0, 1, 3, 4)]
    found = read(documents, "long")
    assert found.null_count.to_pylist() == [0, None, 3, None]
    assert found.tight.to_pylist() == [False] * 4
    tight = read([document(1, 2, nullCount={"c": count}) for count in (0, 1, 3, 4)], "long")
    assert tight.null_count.to_pylist() == [0, 1, 3, None]


def test_unknown_column_is_a_key_error():
    reader = StatisticsReader(pa.array(["{}"]), SCHEMA)
    for path in ((), ("z",), ("s", "z"), ("a", "z")):
        with pytest.raises(KeyError):
            reader.bounds(path)


def test_no_files_no_bounds():
    reader = StatisticsReader(pa.chunked_array([], pa.string()), SCHEMA, [("a",)])
    assert len(reader.num_records()) == 0
    assert len(reader.bounds(("a",)).minimum) == 0


def test_keys_with_odd_characters_are_found_both_ways(monkeypatch):
    for name in ("a/b", "a~b", "it's", "a.b", "$[*]", "ü", 'q"'):
        stats = pa.array([json.dumps({"numRecords": 1, "minValues": {name: 5}, "maxValues": {name: 6}})])
        schema = parse_schema(json.dumps({"type": "struct", "fields": [{"name": name, "type": "long"}]}))
        for few in (0, 10):
            monkeypatch.setattr("lakefmt.manifest.statistics_json.extract_texts.__kwdefaults__", {"few": few})
            assert StatisticsReader(stats, schema).bounds((name,)).maximum.to_pylist() == [6], name


ROWS = pa.table(
    {
        "i": pa.array([1, 2**53 + 1, None]),
        "s": ["b", "ä", None],
        "t": pa.array([1, 1999, None], pa.timestamp("us", "UTC")),
        "d": pa.array([1, 2, None], pa.date32()),
        "dec": pa.array([Decimal("1.10"), Decimal("-5.00"), None]),
        "big": pa.array([Decimal("1.10"), Decimal("123456789012345678.12"), None]),
        "st": pa.array([{"x": 1}, None, {"x": None}]),
    }
)


def test_statistics_that_delta_rs_writes_bound_its_rows(tmp_path):
    deltalake.write_deltalake(tmp_path, ROWS)
    log = (tmp_path / "_delta_log" / "00000000000000000000.json").read_text().splitlines()
    [stats] = [json.loads(line)["add"]["stats"] for line in log if '"add"' in line]
    schema = Schema.from_arrow(ROWS.schema)
    reader = StatisticsReader(pa.array([stats]), schema)
    ours = StatisticsReader(pa.array([encode_statistics(facts_of(ROWS))]), schema)
    for path, _ in schema.leaves():
        column = ROWS[path[0]] if len(path) == 1 else pc.struct_field(ROWS[path[0]], [path[1]])
        values = [value for value in column.to_pylist() if value is not None]
        for found in (reader.bounds(path), ours.bounds(path)):
            assert found.minimum.to_pylist()[0] <= min(values), path
            assert found.maximum.to_pylist()[0] >= max(values), path
            assert found.null_count.to_pylist()[0] == 3 - len(values)


def test_delta_rs_reads_our_statistics_as_bounds(tmp_path):
    deltalake.write_deltalake(tmp_path, ROWS)
    path = tmp_path / "_delta_log" / "00000000000000000000.json"
    actions = [json.loads(line) for line in path.read_text().splitlines()]
    for action in actions:
        if "add" in action:
            action["add"]["stats"] = encode_statistics(facts_of(ROWS))
    path.write_text("\n".join(map(json.dumps, actions)))
    query = deltalake.QueryBuilder().register("t", deltalake.DeltaTable(tmp_path))
    for where in (
        f"i = {2**53 + 1}",
        "s = 'ä'",
        "t >= to_timestamp('1970-01-01T00:00:00.001999Z')",
        "d = '1970-01-03'",
        "dec = -5.00",
        "big = CAST('123456789012345678.12' AS DECIMAL(20, 2))",
    ):
        assert pa.table(query.execute(f"SELECT i FROM t WHERE {where}").read_all()).num_rows == 1, where
