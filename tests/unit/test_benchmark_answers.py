"""Whether answers of several engines count as the same."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from benchmarks.answers import CloseRows

ROWS = {
    "name": ["b", "a", None],
    "total": [2.5, 1.25, 3.0],
    "day": [dt.date(2026, 1, each) for each in (1, 2, 3)],
}


def changed(**columns):
    return CloseRows(pa.table(ROWS | columns))


def test_rows_in_another_order_of_other_types_are_the_same():
    others = {
        "name": ["a", None, "b"],
        "total": [Decimal("1.25"), Decimal("3.00"), Decimal("2.50")],
        "day": [dt.datetime(2026, 1, each) for each in (2, 3, 1)],
    }
    assert CloseRows(pa.table(ROWS)) == CloseRows(pa.table(others))


def test_noise_of_doubles_is_no_difference():
    assert CloseRows(pa.table(ROWS)) == changed(total=[2.5 + 1e-9, 1.25 - 1e-9, 3.0])


@pytest.mark.parametrize(
    "columns",
    [
        {"total": [2.5, 1.25, 3.0001]},
        {"total": [2.5, 1.25, None]},
        {"total": [1.25, 2.5, 3.0]},
        {"name": ["b", "a", ""]},
        {"day": [dt.date(2026, 1, each) for each in (1, 2, 4)]},
    ],
)
def test_another_value_is_a_difference(columns):
    assert CloseRows(pa.table(ROWS)) != changed(**columns)


def test_a_row_more_or_a_column_less_is_a_difference():
    rows = pa.table(ROWS)
    assert CloseRows(rows) != CloseRows(pa.concat_tables([rows, rows.slice(0, 1)]))
    assert CloseRows(rows) != CloseRows(rows.drop_columns(["day"]))
