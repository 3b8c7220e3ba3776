"""Arrow arrays of Python values: what pyarrow makes of the same, without pandas."""

from __future__ import annotations

import subprocess
import sys
from datetime import date

import pyarrow as pa
import pytest

from lakefmt.arrow_values import array_of, map_of, no_rows, repeat, row_numbers, scalar_of

CASES = [
    (pa.int8(), [1, None, -128]),
    (pa.int16(), [1, None, -(2**15)]),
    (pa.int32(), [None, 2**31 - 1]),
    (pa.int64(), [2**63 - 1, -(2**63), None, 0]),
    (pa.float32(), [0.5, None]),
    (pa.float64(), [0.1, -0.0, float("inf"), None]),
    (pa.bool_(), [True, False, None, True, True, False, False, True, None, True]),
    (pa.date32(), [date(1, 1, 1), None, date(1970, 1, 1), date(9999, 12, 31)]),
    (pa.string(), ["", "a", None, "ä€𝄞", "\0"]),
    (pa.binary(), [b"", None, b"\xff\0"]),
    (pa.decimal128(5, 2), [None]),
]


@pytest.mark.parametrize(("kind", "values"), CASES)
def test_values_become_what_pyarrow_makes_of_them(kind, values):
    for some in (values, [value for value in values if value is not None], [None, None], []):
        found = array_of(iter(some), kind)
        found.validate(full=True)
        assert found.equals(pa.array(some, kind))
        assert found.type == kind


@pytest.mark.parametrize(("kind", "values"), CASES)
def test_one_value_is_a_scalar_and_repeats(kind, values):
    for value in values:
        assert scalar_of(value, kind).equals(pa.scalar(value, kind))
        for count in (0, 1, 9):
            found = repeat(scalar_of(value, kind), count)
            found.validate(full=True)
            assert found.equals(pa.array([value] * count, kind))


@pytest.mark.parametrize("value", [True, 7, 0.5, "a", b"a", date(2026, 1, 1)])
def test_a_scalar_without_a_type_has_that_of_its_value(value):
    assert scalar_of(value).equals(pa.scalar(value))


@pytest.mark.parametrize(
    ("kind", "value"),
    [(pa.int32(), 2**31), (pa.int64(), "1"), (pa.int64(), 1.5), (pa.string(), b"a"), (pa.binary(), "a")],
)
def test_a_value_of_another_type_is_an_error(kind, value):
    with pytest.raises((OverflowError, TypeError)):
        array_of([value], kind)


def test_maps_of_texts():
    values = [{"a": "b"}, None, {}, {"c": None, "d": "e"}]
    found = map_of(values)
    found.validate(full=True)
    assert found.equals(pa.array(values, pa.map_(pa.string(), pa.string())))
    assert map_of([]).equals(pa.array([], pa.map_(pa.string(), pa.string())))


def test_no_rows_have_the_columns_of_the_schema():
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False), ("b", pa.map_(pa.string(), pa.string()))])
    assert no_rows(schema).equals(schema.empty_table())
    assert no_rows(schema).column("a").combine_chunks().type == pa.int64()


def test_rows_are_counted_from_zero():
    assert row_numbers(3).equals(pa.array([0, 1, 2], pa.int64()))
    assert len(row_numbers(0)) == 0


def test_none_of_it_imports_pandas():
    code = (
        "import sys, pyarrow as pa\n"
        "from lakefmt.arrow_values import *\n"
        "from datetime import date\n"
        "array_of([1, None], pa.int64()), array_of([True, None], pa.bool_()), array_of(['a', None], pa.string())\n"
        "array_of([date(2026, 1, 1)], pa.date32()), array_of([None], pa.decimal128(5, 2)), array_of([], pa.int8())\n"
        "repeat(scalar_of('a'), 3), map_of([{'a': 'b'}, None]), row_numbers(3)\n"
        "no_rows(pa.schema([('a', pa.int64())])).column('a').combine_chunks()\n"
        "assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
