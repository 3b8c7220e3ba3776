"""PIVOT over the values of a column: read as far as other queries, run as it stands."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.query.pivots import list_pivot_values
from lakefmt.query.statement import parse_statement

LIST = " IN ('lakefmt: any value')"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PIVOT t ON p USING sum(i)", "PIVOT t ON p IN (?) USING sum(i)"),
        (
            "PIVOT t ON a, b /* x, */ || 'y,z', c IN (1, 2) GROUP BY n",
            "PIVOT t ON a IN (?), b /* x, */ || 'y,z' IN (?), c IN (1, 2) GROUP BY n",
        ),
        (
            "FROM (PIVOT t ON lower(p)) JOIN u ON i = j, v",
            "FROM (PIVOT t ON lower(p) IN (?)) JOIN u ON i = j, v",
        ),
        (
            'pivot (FROM a JOIN b ON a.x = b.x) on "ON", é',
            'pivot (FROM a JOIN b ON a.x = b.x) on "ON" IN (?), é IN (?)',
        ),
        ("SELECT 'PIVOT t ON p' -- PIVOT t ON p", "SELECT 'PIVOT t ON p' -- PIVOT t ON p"),
    ],
)
def test_columns_without_values_are_given_one(text, expected):
    listed = list_pivot_values(text)
    expected = expected.replace(" IN (?)", LIST)
    assert listed.text == expected
    for place, mark in enumerate(text.encode()):
        if all(abs(place - other) > 1 for other in listed.places):
            shifted = place + sum(other <= place for other in listed.places) * len(LIST)
            assert listed.position(shifted) == place
            assert expected.encode()[shifted] == mark


@pytest.fixture
def trips(tmp_path):
    table = lakefmt.create(tmp_path / "trips", {"day": "long", "city": "string", "fare": "long"})
    for day in range(4):
        table.append({"day": [day, day], "city": ["Bern", f"city {day}"], "fare": [day, 10 * day]})
    return table


def test_files_are_left_out_by_conditions_of_what_is_pivoted(trips):
    text = "PIVOT (SELECT * FROM trips WHERE day >= 2) ON city USING sum(fare) GROUP BY day ORDER BY day"
    query = lakefmt.sql(text, {"trips": trips})
    rows = query.to_arrow().to_pylist()
    assert [{name: row[name] and int(row[name]) for name in row} for row in rows] == [
        {"day": 2, "Bern": 2, "city 2": 20, "city 3": None},
        {"day": 3, "Bern": 3, "city 2": None, "city 3": 30},
    ]
    assert query.explain().tables[0].files == 2


def test_pivots_name_versions_and_places_of_tables(trips):
    text = (
        "WITH p AS (PIVOT (FROM trips AT (VERSION => 2) WHERE day < 9) ON city USING count(*) GROUP BY day), "
        f"q AS (PIVOT '{trips.uri}' AT (VERSION => 1) ON city GROUP BY day) "
        "SELECT (SELECT count(*) FROM p) AS p, (SELECT count(*) FROM q) AS q, (SELECT count(*) FROM trips AT (VERSION => 4)) AS t"
    )
    assert lakefmt.sql(text, {"trips": trips}).to_arrow().to_pylist() == [{"p": 2, "q": 1, "t": 8}]


@pytest.mark.parametrize(
    "text",
    [
        "WITH p AS (PIVOT trips ON city) SELECT trips.day FROM trips JOIN p ON p.day = trips.day",
        "FROM (PIVOT trips ON city USING sum(fare) GROUP BY day) UNION ALL BY NAME SELECT a.day FROM trips a JOIN trips b ON a.day = b.day",
        "FROM trips PIVOT (sum(fare) FOR city IN ('Bern')) JOIN (PIVOT trips ON city GROUP BY day) u ON u.day = 3",
        "FROM (FROM trips PIVOT (sum(fare) FOR city IN ('Bern')) JOIN trips b ON b.day = 3), (PIVOT trips ON city)",
    ],
)
def test_conditions_of_joins_beside_a_pivot_leave_out_no_file_that_matters(trips, text):
    native = duckdb.connect()
    native.register("rows", trips.to_arrow())
    native.execute("CREATE TABLE trips AS FROM rows")
    relation = native.sql(text)
    expected, found = relation.to_arrow_table(), lakefmt.sql(text, {"trips": trips}).to_arrow()
    assert found.column_names == relation.columns
    assert rows_of(found) == rows_of(expected)


def rows_of(table):
    return sorted(map(repr, zip(*(column.to_pylist() for column in table.columns), strict=True)))


def test_list_that_went_elsewhere_than_to_a_pivot_leaves_the_text_unread():
    in_pivot = "FROM (PIVOT t ON p) JOIN u ON u.p = 3"
    in_join = "FROM t PIVOT (sum(i) FOR p IN ('a')) JOIN (PIVOT t ON p) u ON u.p = 3"
    assert parse_statement(in_pivot).tree is not None
    assert parse_statement(in_join).tree is None


def test_pivot_that_leaves_no_column_but_those_of_values():
    query = lakefmt.sql("PIVOT t ON p USING sum(i)", {"t": pa.table({"p": ["a", "b", "a"], "i": [1, 2, 3]})})
    assert query.to_arrow().to_pylist() == [{"a": 4, "b": 2}]
    assert query.schema.names == ["a", "b"]
