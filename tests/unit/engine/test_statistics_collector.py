"""Statistics of rows as they are written."""

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from lakefmt.engine.statistics import StatisticsCollector
from lakefmt.schema import ColumnStatistics

NAN, INF = float("nan"), float("inf")


def collect(*batches, path=("c",)):
    collector = StatisticsCollector(batches[0].schema, [path])
    for batch in batches:
        collector.update(batch)
    found = collector.finish()
    assert found.num_records == sum(batch.num_rows for batch in batches)
    return found.columns[0]


def of(*arrays, **options):
    return collect(*(pa.record_batch({"c": each}) for each in arrays), **options)


def facts(column: ColumnStatistics):
    least = None if column.minimum is None else column.minimum.as_py()
    greatest = None if column.maximum is None else column.maximum.as_py()
    return least, greatest, column.null_count


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([3, None, 1], pa.int8()), (1, 3, 1)),
        (pa.array([2**53 + 1, -(2**63), 2**63 - 1]), (-(2**63), 2**63 - 1, 0)),
        (pa.array(["b", "a\U0001f600", None]), ("a\U0001f600", "b", 1)),
        (pa.array(["\uffff", "\U00010000", "x"]), ("x", "\U00010000", 0)),
        (pa.array([Decimal("1.10"), Decimal("-5.00"), None]), (Decimal("-5.00"), Decimal("1.10"), 1)),
        (
            pa.array([dt.date(2020, 1, 2), dt.date(2020, 1, 1), None]),
            (dt.date(2020, 1, 1), dt.date(2020, 1, 2), 1),
        ),
        (pa.array([1.5, -INF, INF]), (-INF, INF, 0)),
        (pa.array([True, None, False]), (None, None, 1)),
        (pa.array([b"a", None, b"b"]), (None, None, 1)),
        (pa.array([None, None, None], pa.int64()), (None, None, 3)),
        (pa.array([[1], None, [None]]), (None, None, 1)),
    ],
)
def test_counts_and_bounds_by_type_however_the_rows_are_cut(values, expected, parts):
    arrays = [values.slice(start, 4 - parts) for start in range(0, 3, 4 - parts)]
    assert facts(of(*arrays)) == expected


def test_timestamps_keep_their_type():
    found = of(pa.array([5, 3], pa.timestamp("us", "UTC")))
    assert found.minimum.type == pa.timestamp("us", "UTC")
    assert found.minimum.value == 3


@pytest.mark.parametrize("type_", [pa.float32(), pa.float64()])
@pytest.mark.parametrize("apart", [False, True])
def test_nan_leaves_a_minimum_and_no_maximum(type_, apart):
    arrays = [[1.0], [NAN], [3.0, None]] if apart else [[1.0, NAN, 3.0, None]]
    found = of(*(pa.array(each, type_) for each in arrays))
    assert facts(found) == (1.0, None, 1)
    assert found.has_nan


@pytest.mark.parametrize("values", [[NAN], [NAN, NAN], [NAN, None]])
def test_nothing_but_nan_has_no_bounds(values):
    found = of(pa.array(values, pa.float64()))
    assert (found.minimum, found.maximum, found.has_nan) == (None, None, True)


def test_infinities_of_both_signs_are_no_nan():
    found = of(pa.array([INF, -INF]))
    assert facts(found) == (-INF, INF, 0)
    assert not found.has_nan


@pytest.mark.parametrize("values", [[0.0], [-0.0], [0.0, -0.0], [-0.0, 0.0]])
def test_zero_is_bounded_by_both_its_signs(values):
    found = of(pa.array(values))
    assert (str(found.minimum.as_py()), str(found.maximum.as_py())) == ("-0.0", "0.0")


def test_leaves_of_structs_are_null_where_a_parent_is():
    inner = pa.StructArray.from_arrays(
        [pa.array([100, 2, 3, None])], names=["x"], mask=pa.array([True, False, False, False])
    )
    outer = pa.StructArray.from_arrays([inner], names=["s"], mask=pa.array([False, False, True, False]))
    assert facts(of(outer, path=("c", "s", "x"))) == (2, 2, 3)
    assert facts(of(outer.slice(1), path=("c", "s", "x"))) == (2, 2, 2)


def test_many_one_row_batches_are_folded():
    found = of(*(pa.array([value]) for value in range(1000, 0, -1)))
    assert facts(found) == (1, 1000, 0)


def test_no_rows_no_facts():
    assert facts(of(pa.array([], pa.int64()))) == (None, None, 0)


def test_tables_are_taken_too():
    collector = StatisticsCollector(pa.schema([("c", pa.int64())]), [("c",)])
    collector.update(pa.table({"c": pa.chunked_array([[3], [1, None]])}))
    collector.update(pa.table({"c": pa.chunked_array([[7]])}))
    assert facts(collector.finish().columns[0]) == (1, 7, 1)


def test_unknown_column_is_a_key_error():
    for path in (("z",), ("c", "z")):
        with pytest.raises(KeyError):
            StatisticsCollector(pa.schema([("c", pa.struct([("x", pa.int8())]))]), [path])
