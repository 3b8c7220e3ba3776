"""Rows fitted to a table's schema: exactly, or an error with column, row and value."""

import datetime as dt
import math
from decimal import Decimal

import pyarrow as pa
import pytest

from lakefmt.errors import ConstraintViolationError, SchemaMismatchError
from lakefmt.schema import ArrayType, Field, MapType, PrimitiveType, Schema, StructType, conform_batches

LONG, STRING = PrimitiveType("long"), PrimitiveType("string")
NAN = float("nan")


def conform(data, schema, **options):
    schema = Schema.from_arrow(schema)
    table = pa.Table.from_batches(list(conform_batches(data, schema, **options)), schema.to_arrow())
    table.validate(full=True)
    return table


def column(values, type_, **options):
    """Fit one column ``c`` and return its values."""
    return conform(pa.table({"c": values}), {"c": type_}, **options)["c"].to_pylist()


@pytest.mark.parametrize(
    ("values", "type_", "expected"),
    [
        (pa.array([1, -128, None]), "byte", [1, -128, None]),
        (pa.array([2**64 - 1], pa.uint64()), "decimal(20,0)", [Decimal(2**64 - 1)]),
        (pa.array([200], pa.uint8()), "short", [200]),
        (pa.array([2.0, -0.0, None]), "long", [2, 0, None]),
        (pa.array([2**53, 2**53 + 2, 2**62]), "double", [2.0**53, 2.0**53 + 2, 2.0**62]),
        (pa.array([2**63], pa.uint64()), "double", [2.0**63]),
        (pa.array([0.5, None, float("inf")]), "float", [0.5, None, float("inf")]),
        (pa.array([1.5], pa.float16()), "double", [1.5]),
        (pa.array([1, 99]), "decimal(4,2)", [Decimal("1.00"), Decimal("99.00")]),
        (pa.array([Decimal("1.50")]), "decimal(10,1)", [Decimal("1.5")]),
        (pa.array([Decimal("7.00")]), "integer", [7]),
        (pa.array([Decimal("0.25")]), "double", [0.25]),
        (pa.array([12.34]), "decimal(10,2)", [Decimal("12.34")]),
        (pa.array([Decimal(-1)], pa.decimal256(50, 3)), "decimal(10,2)", [Decimal("-1.00")]),
        (pa.array([Decimal("1.5")], pa.decimal32(5, 1)), "decimal(10,2)", [Decimal("1.50")]),
        (pa.array([Decimal("2.0")], pa.decimal32(5, 1)), "long", [2]),
        (pa.array([Decimal("0.005")]), "float", [0.004999999888241291]),
        (pa.array([dt.date(2020, 1, 1)], pa.date64()), "date", [dt.date(2020, 1, 1)]),
        (pa.array([1], pa.timestamp("s")), "timestamp_ntz", [dt.datetime(1970, 1, 1, 0, 0, 1)]),
        (pa.array([3000], pa.timestamp("ns")), "timestamp_ntz", [dt.datetime(1970, 1, 1, 0, 0, 0, 3)]),
        (pa.array(["a", None], pa.string_view()), "string", ["a", None]),
        (pa.array(["a", None], pa.large_string()), "string", ["a", None]),
        (pa.array([b"ab"], pa.binary(2)), "binary", [b"ab"]),
        (pa.array([None, None]), "long", [None, None]),
        (pa.array([None, None]), pa.map_(pa.string(), pa.int8()), [None, None]),
        (pa.array(["x", None, "x"]).dictionary_encode(), "string", ["x", None, "x"]),
        (pa.DictionaryArray.from_arrays([0, 1, None], pa.array([1, None])), "byte", [1, None, None]),
        (pa.RunEndEncodedArray.from_arrays([2, 3], pa.array([7, None])), "byte", [7, 7, None]),
        (pa.array([[1], None, []], pa.large_list(pa.int64())), pa.list_(pa.int8()), [[1], None, []]),
        (pa.array([[1, 2], None], pa.list_(pa.int64(), 2)), pa.list_(pa.int8()), [[1, 2], None]),
        (
            pa.array([[0], [1], None, [3]], pa.list_view(pa.int64())).slice(1),
            pa.list_(pa.int8()),
            [[1], None, [3]],
        ),
        (
            pa.array([[0], [1], None], pa.large_list_view(pa.int64())).slice(1),
            pa.list_(pa.int8()),
            [[1], None],
        ),
        (
            pa.array([[("k", 1)], None, []], pa.map_(pa.large_string(), pa.int64())),
            pa.map_(pa.string(), pa.int8()),
            [[("k", 1)], None, []],
        ),
        (
            pa.array([[{"key": "k", "value": 1}], None]),
            pa.map_(pa.string(), pa.int8()),
            [[("k", 1)], None],
        ),
        (
            pa.array([{"B": 1, "a": "x"}, None]),
            pa.struct([("a", pa.string()), ("b", pa.int8())]),
            [{"a": "x", "b": 1}, None],
        ),
        (
            pa.array([{"a": 1}, None]),
            pa.struct([("a", pa.int8()), ("z", pa.int8())]),
            [{"a": 1, "z": None}, None],
        ),
    ],
)
def test_values_that_stay_the_same_are_cast(values, type_, expected):
    assert column(values, type_) == expected


def test_nan_stays_nan():
    [value] = column(pa.array([NAN]), "float")
    assert math.isnan(value)


def test_time_zones_become_the_instant():
    zoned = (
        pa.array([dt.datetime(2020, 1, 1, 12)], pa.timestamp("us"))
        .cast(pa.int64())
        .cast(pa.timestamp("us", "Asia/Tokyo"))
    )
    assert column(zoned, "timestamp") == [dt.datetime(2020, 1, 1, 12, tzinfo=dt.UTC)]


@pytest.mark.parametrize(
    ("values", "type_", "row", "value"),
    [
        (pa.array([1, 2, 300]), "byte", 2, "300"),
        (pa.array([2**63], pa.uint64()), "long", 0, str(2**63)),
        (pa.array([1.0, 1.5]), "long", 1, "1.5"),
        (pa.array([NAN]), "long", 0, "nan"),
        (pa.array([2.0**63]), "long", 0, "9.2"),
        (pa.array([1, 2**53 + 1]), "double", 1, str(2**53 + 1)),
        (pa.array([2**63 - 1]), "double", 0, str(2**63 - 1)),
        (pa.array([2**64 - 1], pa.uint64()), "double", 0, str(2**64 - 1)),
        (pa.array([2**24 + 1]), "float", 0, str(2**24 + 1)),
        (pa.array([0.5, 0.1]), "float", 1, "0.1"),
        (pa.array([1e300]), "float", 0, "1e+300"),
        (pa.array([100]), "decimal(4,2)", 0, "100"),
        (pa.array([Decimal("1.55")]), "decimal(10,1)", 0, "1.55"),
        (pa.array([Decimal("1.5")]), "integer", 0, "1.5"),
        (pa.array([Decimal("0.1234567890123456789")]), "double", 0, "0.1234567890123456789"),
        (pa.array([0.1 + 0.2]), "decimal(10,2)", 0, "0.30000000000000004"),
        (pa.array([NAN]), "decimal(10,2)", 0, "nan"),
        (pa.array([1, 86_400_000], pa.date64()), "date", 0, ""),
        (pa.array([1000, 1001], pa.timestamp("ns")), "timestamp_ntz", 1, "truncate_ns=True"),
        (pa.array([10**14], pa.timestamp("s")), "timestamp_ntz", 0, ""),
        (pa.array([[1], [2, 300]]), pa.list_(pa.int8()), 1, "300"),
        (
            pa.array([[("a", 1)], [("b", 300)]], pa.map_(pa.string(), pa.int64())),
            pa.map_(pa.string(), pa.int8()),
            1,
            "300",
        ),
    ],
)
def test_a_value_that_would_change_is_named_with_its_row(values, type_, row, value):
    with pytest.raises(SchemaMismatchError, match=rf"column c[a-z.]*, row {row}, has ") as caught:
        column(values, type_)
    assert value in str(caught.value)


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        (["1"], "long"),
        ([1], "string"),
        ([True], "byte"),
        ([1], "boolean"),
        ([b"a"], "string"),
        (["a"], "binary"),
        ([dt.date(2020, 1, 1)], "timestamp"),
        ([dt.datetime(2020, 1, 1)], "timestamp"),
        ([dt.datetime(2020, 1, 1, tzinfo=dt.UTC)], "timestamp_ntz"),
        ([dt.datetime(2020, 1, 1)], "date"),
        (["2020-01-01"], "date"),
        (pa.array([1], pa.duration("us")), "long"),
        (pa.array([1], pa.time32("s")), "integer"),
        ([[1]], pa.map_(pa.string(), pa.int8())),
        ([{"a": 1}], pa.list_(pa.int8())),
        ([1], pa.list_(pa.int8())),
    ],
)
def test_types_that_do_not_turn_into_one_another_are_refused(values, type_):
    with pytest.raises(SchemaMismatchError, match=r"column c is .* in the data and .* in the table"):
        column(values, type_)


def test_a_naive_time_gets_a_hint():
    with pytest.raises(SchemaMismatchError, match="Say which time zone"):
        column([dt.datetime(2020, 1, 1)], "timestamp")


def test_nanoseconds_are_rounded_down_when_asked():
    values = pa.array([1999, -1], pa.timestamp("ns", "Asia/Tokyo"))
    fitted = conform({"c": values}, {"c": "timestamp"}, timestamp_ns="truncate")["c"]
    assert fitted.cast(pa.int64()).to_pylist() == [1, -1]
    naive = conform(
        {"c": pa.array([1999, -1, None], pa.timestamp("ns"))}, {"c": "timestamp_ntz"}, timestamp_ns="truncate"
    )
    assert naive["c"].cast(pa.int64()).to_pylist() == [1, -1, None]


def test_rows_are_counted_over_all_batches():
    batches = [pa.record_batch({"c": [1, 2]}), pa.record_batch({"c": [3]}), pa.record_batch({"c": [4, 300]})]
    with pytest.raises(SchemaMismatchError, match="column c, row 4, has 300, which does not fit int8"):
        list(conform_batches(iter(batches), Schema.from_arrow({"c": "byte"})))


def test_good_batches_before_the_bad_one_come_out():
    batches = [pa.record_batch({"c": [1]}), pa.record_batch({"c": [300]})]
    fitted = conform_batches(iter(batches), Schema.from_arrow({"c": "byte"}))
    assert next(fitted).num_rows == 1
    with pytest.raises(SchemaMismatchError):
        next(fitted)


def test_columns_are_matched_by_name_in_any_order():
    table = pa.table({"b": [1.0], "A": ["x"]})
    fitted = conform(table, {"a": "string", "b": "double", "more": "long"})
    assert fitted.to_pylist() == [{"a": "x", "b": 1.0, "more": None}]


def test_exact_spelling_wins_over_case():
    schema = Schema([Field("a", LONG), Field("A", LONG)])
    assert conform(pa.table({"A": [1], "a": [2]}), schema).to_pylist() == [{"a": 2, "A": 1}]


def test_two_columns_alike_are_refused():
    with pytest.raises(SchemaMismatchError, match="could be Ab or aB of the data"):
        conform(pa.table({"Ab": [1], "aB": [2]}), {"ab": "long"})


def test_extra_columns_are_named_with_the_closest():
    with pytest.raises(SchemaMismatchError, match=r"column fair is not in the table. Did you mean 'fare'"):
        conform(pa.table({"fair": [1.0]}), {"fare": "double"})
    with pytest.raises(SchemaMismatchError, match=r"columns x, y are not in the table"):
        conform(pa.table({"fare": [1.0], "x": [1], "y": [1]}), {"fare": "double"})
    with pytest.raises(
        SchemaMismatchError, match=r"column s\.element\.yy is not in the table. Did you mean 'y'"
    ):
        conform(pa.table({"s": [[{"yy": 1}]]}), {"s": pa.list_(pa.struct([("y", pa.int8())]))})


def test_a_name_twice_in_the_data_is_refused():
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(SchemaMismatchError, match="column a stands there twice"):
        conform(twice, {"a": "long"})


def test_missing_required_column_is_refused_before_the_first_batch():
    schema = Schema([Field("a", LONG, nullable=False), Field("b", LONG)])
    with pytest.raises(SchemaMismatchError, match="no column 'a', which must not be null"):
        conform_batches(pa.table({"b": [1]}), schema)


REQUIRED_X = StructType((Field("x", LONG, nullable=False), Field("y", LONG)))


@pytest.mark.parametrize(
    ("field", "values", "where"),
    [
        (Field("c", LONG, nullable=False), [1, None], "column c, row 1,"),
        (Field("c", LONG, nullable=False), pa.array([None, None]), "column c, row 0,"),
        (Field("c", REQUIRED_X), [{"x": 1}, None, {"x": None}], r"column c\.x, row 2,"),
        (
            Field("c", ArrayType(LONG, contains_null=False)),
            [[1], None, [], [2, None]],
            r"column c\.element, row 3,",
        ),
        (
            Field("c", ArrayType(REQUIRED_X)),
            [None, [{"x": 1}, None], [{"x": None}]],
            r"column c\.element\.x, row 2,",
        ),
        (
            Field("c", MapType(STRING, LONG, value_contains_null=False)),
            pa.array([[("a", 1)], None, [("a", None)]], pa.map_(pa.string(), pa.int64())),
            r"column c\.value, row 2,",
        ),
        (
            Field("c", StructType((Field("s", REQUIRED_X, nullable=False),))),
            pa.array(
                [None, {"s": {"x": 1}}, {"s": None}], pa.struct([("s", pa.struct([("x", pa.int64())]))])
            ),
            r"column c\.s, row 2,",
        ),
    ],
)
def test_a_null_where_none_may_be_is_named_with_its_row(field, values, where):
    with pytest.raises(ConstraintViolationError, match=where + " is null and must not be"):
        conform(pa.table({"c": values}), Schema([field]))


def test_data_in_the_tables_own_type_is_checked_for_nulls_too():
    schema = Schema([Field("c", REQUIRED_X), Field("d", LONG, nullable=False)])
    good = pa.table({"c": [{"x": 1, "y": 2}, None], "d": [1, 2]})
    batch = conform(good, schema).combine_chunks().to_batches()[0]
    assert next(conform_batches(batch, schema)) is batch  # nothing to do, nothing copied
    arrow = schema.to_arrow()
    broken = pa.RecordBatch.from_arrays([batch["c"], pa.array([1, None])], schema=arrow)
    with pytest.raises(ConstraintViolationError, match="column d, row 1,"):
        list(conform_batches(broken, schema))
    child = pa.array([None, 2])
    struct = pa.StructArray.from_arrays([child, child], fields=list(arrow.field("c").type))
    broken = pa.RecordBatch.from_arrays([struct, pa.array([1, 2])], schema=arrow)
    with pytest.raises(ConstraintViolationError, match=r"column c\.x, row 0,"):
        list(conform_batches(broken, schema))


def test_what_lies_under_a_null_parent_breaks_no_rule():
    children = pa.array([1, None, 300])
    struct = pa.StructArray.from_arrays([children], names=["x"], mask=pa.array([False, True, True]))
    schema = Schema([Field("c", StructType((Field("x", PrimitiveType("byte"), nullable=False),)))])
    assert conform(pa.table({"c": struct}), schema).to_pylist() == [{"c": {"x": 1}}, {"c": None}, {"c": None}]
    offsets = pa.array([0, 1, 3, 4], pa.int32())
    lists = pa.ListArray.from_arrays(
        offsets, pa.array([1, None, 300, 4]), mask=pa.array([False, True, False])
    )
    schema = Schema([Field("c", ArrayType(PrimitiveType("byte"), contains_null=False))])
    assert conform(pa.table({"c": lists}), schema).to_pylist() == [{"c": [1]}, {"c": None}, {"c": [4]}]


def test_slices_look_at_their_own_rows_only():
    values = pa.array([[None], [1, 2], None, [3], [None]])
    schema = Schema([Field("c", ArrayType(PrimitiveType("byte"), contains_null=False))])
    assert conform(pa.table({"c": values}).slice(1, 3), schema)["c"].to_pylist() == [[1, 2], None, [3]]
    with pytest.raises(ConstraintViolationError, match="row 3,"):
        conform(pa.table({"c": values}).slice(1), schema)
    structs = pa.array([{"x": None}, {"x": 1}, None, {"x": None}])
    schema = Schema([Field("c", REQUIRED_X)])
    assert conform(pa.table({"c": structs}).slice(1, 2), schema)["c"].to_pylist() == [
        {"x": 1, "y": None},
        None,
    ]
    maps = pa.array([[("a", 300)], [("b", 1)], None], pa.map_(pa.string(), pa.int64())).slice(1)
    assert column(maps, pa.map_(pa.string(), pa.int8())) == [[("b", 1)], None]


def test_a_null_key_is_refused():
    pairs = pa.array(
        [[{"key": None, "value": 1}]], pa.list_(pa.struct([("key", pa.string()), ("value", pa.int8())]))
    )
    with pytest.raises(ConstraintViolationError, match=r"column c\.key, row 0,"):
        column(pairs, pa.map_(pa.string(), pa.int8()))


def test_metadata_of_the_input_is_left_out():
    field = pa.field("c", pa.int64(), metadata={"PARQUET:field_id": "9"})
    table = pa.Table.from_arrays([pa.array([1])], schema=pa.schema([field], metadata={"pandas": "{}"}))
    [batch] = conform_batches(table, Schema.from_arrow({"c": "long"}))
    assert batch.schema.equals(pa.schema([("c", pa.int64())]), check_metadata=True)


def test_empty_input_has_the_tables_columns():
    schema = Schema([Field("a", LONG, nullable=False)])
    for nothing in ([], iter(()), pa.table({"a": pa.array([], pa.int64())})):
        assert sum(batch.num_rows for batch in conform_batches(nothing, schema)) == 0


def test_an_error_of_the_input_goes_through_unchanged_and_the_input_is_closed():
    closed = []

    def batches():
        try:
            yield pa.record_batch({"c": [1]})
            raise RuntimeError("the source broke")
        finally:
            closed.append(True)

    fitted = conform_batches(batches(), Schema.from_arrow({"c": "long"}))
    next(fitted)
    with pytest.raises(RuntimeError, match="the source broke"):
        next(fitted)
    assert closed == [True]
    fitted = conform_batches(batches(), Schema.from_arrow({"c": "long"}))
    next(fitted)
    fitted.close()
    assert closed == [True, True]


def test_a_batch_of_foreign_strings_past_the_limit_is_cut(monkeypatch):
    monkeypatch.setattr("lakefmt.schema.conform._BATCH_BYTES", 64)
    table = pa.table({"c": pa.array(["x" * 20] * 10 + [None], pa.large_string()), "n": [1] * 10 + [300]})
    schema = Schema.from_arrow({"c": "string", "n": "long"})
    batches = list(conform_batches(table, schema))
    assert len(batches) > 1
    assert pa.Table.from_batches(batches)["c"].to_pylist() == table["c"].to_pylist()
    with pytest.raises(SchemaMismatchError, match="row 10,"):
        list(conform_batches(table, Schema.from_arrow({"c": "string", "n": "byte"})))
