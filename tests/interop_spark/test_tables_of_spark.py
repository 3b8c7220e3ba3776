"""Tables that Spark wrote read as Spark reads them, value for value: newest, earlier versions, filtered."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal

import pyarrow as pa
import pytest
from interop_spark.cases import all_cases
from interop_spark.variant import comparable, holds_variants, json_of_variants

import lakefmt

CASES = all_cases().values()
FILTERED = (bool, int, float, str, bytes, dt.date, Decimal)  # datetime is a date


def each(cases):
    """Parametrize by cases; all tests of one go to one worker, so that its table is written once."""
    marked = [pytest.param(case, id=case.name, marks=pytest.mark.xdist_group(case.name)) for case in cases]
    return pytest.mark.parametrize("case", marked)


def rows_of(scan, expected):
    """The rows found, variants as the JSON that stands for them in what is expected."""
    return json_of_variants(scan.to_arrow(), expected.schema)


@each([case for case in CASES if not case.refused])
def test_rows_are_those_that_spark_reads(case, written, assert_same_rows):
    table = written(case)
    expected = table.expected()
    opened = lakefmt.open(table.uri)
    assert opened.version == table.facts["version"]
    assert opened.files().num_rows == table.facts["files"]
    assert list(opened.partition_columns) == table.facts["partition_columns"]
    found = rows_of(opened, expected)
    assert found.column_names == expected.column_names
    assert_same_rows(found, comparable(expected))
    assert opened.count() == expected.num_rows


@each([case for case in CASES if case.versions])
def test_earlier_versions_are_what_spark_reads(case, written, assert_same_rows):
    table = written(case)
    for version in table.facts["versions"]:
        expected = table.expected(f"v{version}")
        assert_same_rows(rows_of(lakefmt.open(table.uri, version=version), expected), comparable(expected))


@each([case for case in CASES if case.changes])
def test_change_feed_is_the_one_that_spark_reads(case, written, assert_same_rows):
    table = written(case)
    found = lakefmt.open(table.uri).changes(0).to_arrow().drop_columns(["_commit_timestamp"])
    assert_same_rows(found, table.expected("changes"))


@each([case for case in CASES if not case.refused])
def test_filters_keep_the_rows_that_match(case, written):
    """What statistics, partition values and row groups prune by must not cost a row."""
    table = written(case)
    expected = table.expected()
    opened = lakefmt.open(table.uri)
    for field in expected.schema:
        values = expected[field.name].to_pylist() if not holds_variants(field) else []
        for value in chosen(values):
            column = lakefmt.col(field.name)
            where = column.is_null() if value is None else column == value
            wanted = sum(other == value for other in values)
            assert opened.count(where) == wanted, f"{field.name} == {value!r}"
            assert opened.scan(where=where).to_arrow().num_rows == wanted, f"{field.name} == {value!r}"


@each([case for case in CASES if case.refused])
def test_what_is_not_read_is_refused_by_name(case, written):
    with pytest.raises(lakefmt.UnsupportedFeatureError, match=case.refused):
        lakefmt.open(written(case).uri).to_arrow()


def chosen(values):
    """A few values of a column that SQL compares as Python does."""
    plain = [v for v in values if isinstance(v, FILTERED) and not (isinstance(v, float) and math.isnan(v))]
    some = {repr(value): value for value in (plain[:2] + plain[-1:])}
    return [*some.values(), *([None] if None in values else [])]


def test_the_comparison_of_rows_can_fail(assert_same_rows):
    with pytest.raises(AssertionError):
        assert_same_rows(pa.table({"x": [1]}), pa.table({"x": [2]}))
