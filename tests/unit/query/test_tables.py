"""What a query may be over: tables, places, versions, data of other libraries, other queries."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import InvalidInputError, TableNotFoundError, VersionNotFoundError

ROWS = pa.table({"id": [1, 2, 3], "x": [1.5, float("nan"), None], "name": ["a", "b", None]})


@pytest.fixture
def table(tmp_path):
    table = lakefmt.write(tmp_path / "trips", ROWS)
    table.append(ROWS.slice(0, 1))
    return table


def values(query: lakefmt.Query) -> list[dict]:
    return query.to_arrow().to_pylist()


def test_place_is_a_table_in_tables_and_in_the_text(table, tmp_path):
    place = tmp_path / "trips"
    counted = [{"n": 4}]
    assert values(lakefmt.sql("SELECT count(*) AS n FROM t", {"t": place})) == counted
    assert values(lakefmt.sql("SELECT count(*) AS n FROM t", {"t": str(place)})) == counted
    assert values(lakefmt.sql(f"SELECT count(*) AS n FROM '{place}'")) == counted
    assert values(lakefmt.sql(f"SELECT count(*) AS n FROM 'file://{place}' AS x WHERE x.id > 0")) == counted
    assert values(lakefmt.sql(f"WITH c AS (FROM '{place}') SELECT count(*) AS n FROM c")) == counted


def test_relative_place_is_below_the_current_folder(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert values(lakefmt.sql("SELECT count(*) AS n FROM './trips'")) == [{"n": 4}]


def test_place_without_a_table_is_told(tmp_path):
    with pytest.raises(TableNotFoundError):
        lakefmt.sql(f"FROM '{tmp_path / 'nothing'}'")
    with pytest.raises(TableNotFoundError):
        lakefmt.sql("FROM t", {"t": tmp_path / "nothing"})


@pytest.mark.parametrize("name", ["t", "T", "trips of 2026", 'a"b', "s3://bucket/t", "group"])
def test_names_of_any_kind(table, name):
    quoted = '"' + name.replace('"', '""') + '"'
    assert values(lakefmt.sql(f"SELECT count(*) AS n FROM {quoted}", {name: table})) == [{"n": 4}]


def test_versions_by_number_and_time(table):
    tables = {"t": table}
    by_number = "SELECT count(*) AS n FROM t AT (VERSION => {})"
    assert [values(lakefmt.sql(by_number.format(i), tables))[0]["n"] for i in (0, 1, 2)] == [0, 3, 4]
    log = Path(table.uri.removeprefix("file://")) / "_delta_log"
    for version in range(
        3
    ):  # of their own: two commits of one millisecond are told apart by time travel alone
        os.utime(log / f"{version:020}.json", (1_700_000_000 + version,) * 2)
    moments = [table.at(version=version).snapshot.timestamp_ms for version in (1, 2)]
    by_time = "SELECT count(*) AS n FROM t AT (TIMESTAMP => epoch_ms({}))"
    assert [values(lakefmt.sql(by_time.format(moment), tables))[0]["n"] for moment in moments] == [3, 4]
    text = dt.datetime.fromtimestamp(moments[0] / 1000, dt.UTC).isoformat()
    assert values(lakefmt.sql(f"SELECT count(*) AS n FROM t AT (TIMESTAMP => '{text}')", tables)) == [
        {"n": 3}
    ]
    with pytest.raises(VersionNotFoundError):
        lakefmt.sql("FROM t AT (TIMESTAMP => DATE '2999-01-01')", tables)


def test_versions_side_by_side(table):
    text = (
        "SELECT old.id, new.n FROM t old AT (VERSION => 1) JOIN "
        "(SELECT id, count(*) AS n FROM t /* the newest AT (x) */ GROUP BY id) new USING (id) "
        "WHERE old.name = 'a' ORDER BY ALL"
    )
    assert values(lakefmt.sql(text, {"t": table})) == [{"id": 1, "n": 2}]
    text = "SELECT t.id FROM t AT (VERSION => (1)) WHERE t.id = 2 AND '(' <> ')' UNION ALL SELECT count(*) FROM t"
    assert values(lakefmt.sql(text, {"t": table})) == [{"id": 2}, {"id": 4}]


@pytest.mark.parametrize(
    "clause",
    [
        "t/* a comment */AT (VERSION => 1)",
        "t--a comment\nAT (VERSION => 1)",
        "t /* one /* in */ AT (another) */ AT/* ( */(VERSION => 1)",
        '"t"AT (VERSION => /* ) */ (1))',
        't AS "AT (VERSION => 2)"("AT") AT (VERSION => 1)',
    ],
)
def test_version_between_comments_and_quotes(table, clause):
    assert values(lakefmt.sql(f"SELECT count(*) AS n FROM {clause}", {"t": table})) == [{"n": 3}]


def test_name_that_stands_elsewhere_than_duckdb_says_is_refused(table):
    with pytest.raises(InvalidInputError, match="was not found in the SQL text"):
        lakefmt.sql("SELECT 1,\u00a0 2 FROM t AT (VERSION => 1)", {"t": table})


def test_version_of_a_place(table, tmp_path):
    assert values(lakefmt.sql(f"SELECT count(*) AS n FROM '{tmp_path / 'trips'}' AT (VERSION => 1)")) == [
        {"n": 3}
    ]


def test_version_of_a_table_prunes_its_files(table):
    query = lakefmt.sql("SELECT id FROM t AT (VERSION => 2) WHERE id = 3", {"t": table})
    assert (query.explain().tables[0].version, query.explain().tables[0].files) == (2, 1)


def test_version_that_never_was_is_told(table):
    with pytest.raises(VersionNotFoundError):
        lakefmt.sql("FROM t AT (VERSION => 9)", {"t": table})


@pytest.mark.parametrize(
    "clause", ["VERSION => 'x'", "VERSION => -1", "VERSION => 1.5", "TIMESTAMP => 3", "TIMESTAMP => 'soon'"]
)
def test_at_that_makes_no_sense_is_refused(table, clause):
    with pytest.raises((InvalidInputError, VersionNotFoundError)):
        lakefmt.sql(f"FROM t AT ({clause})", {"t": table})


def test_at_of_what_has_no_versions_is_refused(table):
    with pytest.raises(InvalidInputError, match="no table with versions"):
        lakefmt.sql("FROM d AT (VERSION => 1)", {"d": ROWS})
    with pytest.raises(InvalidInputError, match="Did you mean 'trips'"):
        lakefmt.sql("FROM trip AT (VERSION => 1)", {"trips": table})


def test_query_keeps_the_version_of_its_handle(table):
    query = lakefmt.sql("SELECT count(*) AS n, max(id) AS m FROM t", {"t": table})
    table.append(ROWS)
    assert values(query) == [{"n": 4, "m": 3}]
    assert values(lakefmt.sql("SELECT count(*) AS n FROM t", {"t": table})) == [{"n": 7}]


DATA = {
    "table": lambda: ROWS,
    "batch": lambda: ROWS.to_batches()[0],
    "reader": ROWS.to_reader,
    "pandas": ROWS.to_pandas,
    "polars": lambda: pl.from_arrow(ROWS),
    "lazy polars": lambda: pl.from_arrow(ROWS).lazy(),
    "query": lambda: lakefmt.sql("FROM r", {"r": ROWS}),
}


@pytest.mark.parametrize("kind", DATA)
def test_data_of_python(table, kind):
    query = lakefmt.sql(
        "SELECT t.id, d.name FROM t JOIN d USING (id) WHERE d.name = 'a' AND t.id < 9",
        {"t": table, "d": DATA[kind]()},
    )
    assert values(query) == values(query) == [{"id": 1, "name": "a"}, {"id": 1, "name": "a"}]


@pytest.mark.parametrize("kind", ["table", "reader", "polars", "query"])
def test_nan_in_data_of_python_is_greater_than_every_number(kind):
    assert values(lakefmt.sql("SELECT id FROM d WHERE x > 100", {"d": DATA[kind]()})) == [{"id": 2}]


def test_scan_and_changes_are_data(table):
    tables = {"s": table.scan(where="id > 1"), "c": table.changes(1)}
    assert values(lakefmt.sql("SELECT count(*) AS n FROM s", tables)) == [{"n": 2}]
    assert values(lakefmt.sql("SELECT _change_type AS c, count(*) AS n FROM c GROUP BY ALL", tables)) == [
        {"c": "insert", "n": 4}
    ]


def test_query_over_queries(table):
    first = lakefmt.sql("SELECT id, x * 2 AS y FROM t WHERE id < 3", {"t": table})
    second = lakefmt.sql("SELECT id, sum(y) AS y FROM first GROUP BY id", {"first": first})
    third = lakefmt.sql(
        "SELECT f.id FROM first f JOIN second s USING (id) WHERE s.y > 5", {"first": first, "second": second}
    )
    assert sorted(values(third), key=str) == [{"id": 1}, {"id": 1}, {"id": 2}]


def test_pandas_index_is_no_column():
    frame = pd.DataFrame({"a": [1, 2]}, index=["x", "y"])
    assert lakefmt.sql("FROM f", {"f": frame}).to_arrow().to_pylist() == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("what", [3, None, [1], {"a": [1]}, object()])
def test_what_has_no_rows_is_refused(what):
    with pytest.raises(InvalidInputError, match="has no rows"):
        lakefmt.sql("FROM d", {"d": what})


@pytest.mark.parametrize("tables", [[ROWS], {"": ROWS}, {1: ROWS}, {"d": ROWS, "D": ROWS}])
def test_names_that_make_no_sense_are_refused(tables):
    with pytest.raises(InvalidInputError):
        lakefmt.sql("SELECT 1", tables)


def test_tables_that_are_not_named_are_not_opened(tmp_path):
    assert values(lakefmt.sql("SELECT 1 AS x", {"t": tmp_path / "nothing"})) == [{"x": 1}]


def test_tables_on_an_object_store(s3_bucket, s3_options):
    uri = f"{s3_bucket}/trips"
    table = lakefmt.write(uri, ROWS, storage_options=s3_options)
    table.append(ROWS.slice(1))
    query = lakefmt.sql("SELECT id, name FROM t WHERE id > 1 AND x > 100", {"t": table})
    assert values(query) == [{"id": 2, "name": "b"}] * 2
    assert query.explain().tables[0].own_files == 2
    text = f"SELECT max(id) AS m FROM '{uri}' AT (VERSION => 1)"
    assert values(lakefmt.sql(text, storage_options=s3_options)) == [{"m": 3}]
    assert values(lakefmt.sql("SELECT count(*) AS n FROM t GROUP BY ALL", {"t": table})) == [{"n": 5}]


def test_tables_in_memory():
    table = lakefmt.write(f"memory://sql{os.getpid()}", ROWS)
    assert values(lakefmt.sql("SELECT name FROM t ORDER BY id", {"t": table})) == [
        {"name": "a"},
        {"name": "b"},
        {"name": None},
    ]
    assert values(lakefmt.sql("SELECT t.name FROM t SEMI JOIN t u ON t.id = u.id + 2", {"t": table})) == [
        {"name": None}
    ]


@pytest.mark.parametrize(
    ("clause", "where", "params", "ids"),
    [
        ("?", "id > 0", [1], [1, 2, 3]),
        ("?", "id >= ? AND id < ?", [1, 2, 3], [2]),
        ("$2", "id = $1", [3, 1], [3]),
        ("$1", "id = $2", [1, 3], [3]),
        ("$1", "id = $1 + 1", [1], [2]),
        ("$v", "id = $w", {"v": 1, "w": 2}, [2]),
        ("$v", "id = $v", {"v": 1}, [1]),
    ],
)
def test_version_is_a_parameter_among_others(table, clause, where, params, ids):
    text = f"SELECT id FROM t AT (VERSION => {clause}) WHERE {where} ORDER BY id"
    assert values(lakefmt.sql(text, {"t": table}, params=params)) == [{"id": each} for each in ids]
    more = {**params, "x": 1} if isinstance(params, dict) else [*params, 1]
    with pytest.raises(InvalidInputError):
        lakefmt.sql(text, {"t": table}, params=more)


def test_one_version_by_a_name_in_two_spellings_is_one(table):
    text = "SELECT count(*) AS n FROM T a AT (VERSION => 1), t b AT (VERSION => 1)"
    assert values(lakefmt.sql(text, {"t": table})) == [{"n": 9}]


def test_places_that_differ_in_case_alone_are_two(tmp_path):
    for place, number in (("t", 1), ("T", 2)):
        lakefmt.write(tmp_path / place, pa.table({"id": [number]}))
    text = f"SELECT id FROM '{tmp_path}/t' UNION ALL SELECT id FROM '{tmp_path}/T' UNION ALL SELECT \"T\".id FROM '{tmp_path}/T' \"T\""
    assert sorted(each["id"] for each in values(lakefmt.sql(text))) == [1, 2, 2]


def test_name_of_a_version_is_not_that_of_another_table(table):
    tables = {"t": table, "t at 1": pa.table({"n": [99]})}
    text = 'SELECT (SELECT count(*) FROM t AT (VERSION => 1)) AS old, n FROM "t at 1"'
    assert values(lakefmt.sql(text, tables)) == [{"old": 3, "n": 99}]
    text = 'WITH "t at 1" AS (SELECT 5 AS n) SELECT count(*) AS n FROM t AT (VERSION => 1)'
    assert values(lakefmt.sql(text, {"t": table})) == [{"n": 3}]
