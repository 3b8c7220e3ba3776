"""The forms that a query's rows come in, and what it tells of itself."""

from __future__ import annotations

import datetime as dt
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import duckdb
import polars as pl
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import InvalidInputError, TableExistsError

ROWS = pa.table({"id": pa.array(range(5000), pa.int64()), "city": [f"c{i % 10}" for i in range(5000)]})


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return lakefmt.write(tmp_path_factory.mktemp("results") / "t", ROWS, partition_by=["city"])


@pytest.fixture
def query(table):
    return lakefmt.sql("SELECT id, city FROM t WHERE city = 'c3' ORDER BY id", {"t": table})


def test_every_form_has_the_same_rows(query):
    rows = query.to_arrow()
    assert rows["id"].to_pylist() == list(range(3, 5000, 10))
    assert pa.Table.from_batches(query.to_batches(), query.schema).equals(rows)
    assert query.to_reader().read_all().equals(rows)
    assert pa.table(query).equals(rows)
    assert pa.schema(query) == rows.schema == query.schema
    assert query.to_pandas()["id"].tolist() == rows["id"].to_pylist()
    assert query.to_polars().to_arrow()["id"].to_pylist() == rows["id"].to_pylist()
    assert pl.DataFrame(query).height == 500


def test_large_result_comes_in_batches(table):
    query = lakefmt.sql("SELECT range AS i, 'x' || range AS s FROM range(300000)")
    sizes = [batch.num_rows for batch in query.to_batches()]
    assert sum(sizes) == 300_000
    assert len(sizes) > 1
    batches = query.to_batches()
    next(batches)
    batches.close()


def test_types_are_those_that_duckdb_gives_to_arrow():
    text = """SELECT 1::HUGEINT AS h, sum(x) AS s, 1.5 AS d, 'a'::ENUM('a', 'b') AS e, TIMESTAMPTZ '2026-01-01 00:00:00+00' AS t,
        {'a': 1, 'b': [1, 2]} AS n, NULL AS nothing, 'x'::BLOB AS b, INTERVAL 1 DAY AS i, DATE '2026-01-01' AS day
        FROM range(3) AS r(x)"""
    rows = lakefmt.sql(text).to_arrow()
    assert rows.schema.field("h").type == pa.decimal128(38, 0)
    assert rows.schema.field("s").type == pa.decimal128(38, 0)
    assert rows.schema.field("t").type == pa.timestamp("us", "UTC")
    row = rows.to_pylist()[0]
    assert (row["h"], row["s"], row["d"], row["n"], row["day"]) == (
        Decimal(1),
        Decimal(3),
        Decimal("1.5"),
        {"a": 1, "b": [1, 2]},
        dt.date(2026, 1, 1),
    )
    assert lakefmt.sql(text).schema == rows.schema


def test_columns_of_one_name_stay_two():
    query = lakefmt.sql("SELECT 1 AS a, 2 AS a")
    assert query.schema.names == query.to_arrow().column_names == ["a", "a"]
    assert lakefmt.sql("SELECT ? AS a, 2 AS a", params=[1]).schema.names == ["a", "a"]


def test_pivot_over_values_tells_its_columns_when_it_has_seen_them(table):
    query = lakefmt.sql("PIVOT t ON city IN ('c1', 'c2') USING count(*)", {"t": table})
    assert query.schema.names == ["id", "c1", "c2"]
    query = lakefmt.sql("PIVOT (SELECT 1 AS one, city FROM t) ON city USING count(*)", {"t": table})
    assert query.schema.names == ["one", *(f"c{i}" for i in range(10))]
    assert query.to_arrow().to_pylist()[0]["c7"] == 500


def test_rows_are_written_to_a_table(query, tmp_path):
    written = query.write_to(tmp_path / "copy", partition_by=["city"])
    assert written.count() == 500
    assert written.partition_columns == ("city",)
    query.write_to(tmp_path / "copy", mode="append")
    assert lakefmt.open(tmp_path / "copy").count() == 1000
    with pytest.raises(TableExistsError):
        query.write_to(tmp_path / "copy")


def test_shown_are_columns_and_first_rows(query):
    text = repr(query)
    assert "SELECT id, city FROM t" in text
    assert "city  string" in text
    assert "\n  3   c3" in text
    assert "<table>" in query._repr_html_()
    failing = lakefmt.sql("SELECT error('no')")
    assert "no rows shown" in repr(failing)


def test_threads_run_one_query_at_once(query):
    found, errors = [], []

    def run():
        try:
            found.append(query.to_arrow().num_rows)
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found, errors) == ([500] * 8, [])


@pytest.mark.parametrize(
    ("text", "from_log"),
    [
        ("SELECT count(*) FROM t", True),
        ("SELECT count(*) AS n, count(*) FROM t AS x", True),
        ("SELECT count(*) FROM t WHERE city = 'c1'", True),
        ("SELECT count(*) FROM t x WHERE x.city >= 'c5' AND x.id >= 0", True),
        ("SELECT min(id), max(id), count(*) FROM t", True),
        ("SELECT min(city), max(city) FROM t", True),
        ("SELECT max(id) FROM t WHERE city IN ('c1', 'c2')", True),
        ("SELECT count(*) FROM t WHERE city = 'none'", True),
        ("SELECT max(id) FROM t WHERE city = 'none'", True),
        ("SELECT count(*) FROM t WHERE id < 17", False),
        ("SELECT count(*) FROM t WHERE city LIKE '%1'", True),
        ("SELECT count(*) + 1 FROM t", False),
        ("SELECT count(*) FROM t HAVING count(*) > 1", False),
        ("SELECT count(*) FROM t LIMIT 0", False),
        ("SELECT count(DISTINCT city) FROM t", False),
        ("SELECT count(*) FILTER (id > 5) FROM t", False),
        ("SELECT count(*) FROM t GROUP BY city", False),
        ("SELECT count(*) FROM t TABLESAMPLE 100%", False),
        ("SELECT count(*) FROM t USING SAMPLE 100%", False),
        ("SELECT count(*) FROM t, t u WHERE t.id < 3", False),
        ("SELECT DISTINCT count(*) FROM t", False),
        ("SELECT max(id) OVER () FROM t LIMIT 1", False),
        ("SELECT max(id, 2) FROM t", False),
    ],
)
def test_counts_and_extremes_come_from_the_log_where_it_knows(table, text, from_log):
    query = lakefmt.sql(text, {"t": table})
    expected = lakefmt.sql(text, {"t": ROWS}).to_arrow()
    assert query.to_arrow().equals(expected)
    assert (query._answer_from_metadata() is not None) is from_log


def test_log_answers_though_the_files_are_gone(tmp_path):
    table = lakefmt.write(tmp_path / "t", ROWS)
    for file in (tmp_path / "t").glob("*.parquet"):
        file.unlink()
    assert lakefmt.sql("SELECT count(*) AS n FROM t", {"t": table}).to_arrow()["n"].to_pylist() == [5000]


def test_extremes_that_bounds_do_not_tell_are_read(tmp_path):
    rows = pa.table(
        {
            "text": ["a" * 40, "b" * 40],
            "x": [1.0, float("nan")],
            "moment": pa.array([1, 1_000_001], pa.timestamp("us")),
            "cost": pa.array([Decimal("0.1"), Decimal("0.3")], pa.decimal128(30, 2)),
            "n": pa.array([None, 3], pa.int8()),
        }
    )
    table = lakefmt.write(tmp_path / "t", rows)
    for column in rows.column_names:
        text = f"SELECT min({column}) AS low, max({column}) AS high FROM t"
        found, expected = (lakefmt.sql(text, {"t": each}).to_arrow() for each in (table, rows))
        assert repr(found.to_pylist()) == repr(expected.to_pylist())
        assert found.schema == expected.schema


def test_variable_of_a_session_is_no_way_into_another(table):
    first = lakefmt.sql("SELECT getvariable('lakefmt_0_files_0') AS v")
    assert first.to_arrow()["v"].to_pylist() == [None]


def test_query_that_fails_in_one_run_runs_in_the_next(table):
    text = "SELECT CAST(city AS INTEGER) FROM t WHERE city = 'c1'"
    query = lakefmt.sql(text, {"t": table})
    for _ in range(2):
        with pytest.raises(InvalidInputError):
            query.to_arrow()
    assert lakefmt.sql("SELECT id FROM t WHERE id = 1", {"t": table}).to_arrow().num_rows == 1


def test_progress_of_a_query_is_told(table):
    class Sink:
        def __init__(self):
            self.told = []

        def start(self, what, total_rows):
            self.told.append((what, total_rows))
            return 7

        def advance(self, number, rows):
            self.told.append((number, rows))

        def finish(self, number):
            self.told.append(number)

    for run in (lambda query: query.to_arrow(), lambda query: list(query.to_batches())):
        sink = Sink()
        with lakefmt.show_progress(sink):
            run(lakefmt.sql("SELECT range FROM range(200000)"))
        assert sink.told[0] == ("query", None)
        assert sink.told[-1] == 7
        assert sum(rows for _, rows in sink.told[1:-1]) == 200_000
    sink = Sink()
    with lakefmt.show_progress(sink), pytest.raises(InvalidInputError):
        lakefmt.sql("SELECT error('no')").to_arrow()
    assert sink.told == [("query", None), 7]


def test_now_is_one_moment_in_a_run(table):
    text = "SELECT count(DISTINCT now()) AS n, bool_and(now() = current_timestamp) AS same FROM t, range(100)"
    assert lakefmt.sql(text, {"t": table}).to_arrow().to_pylist() == [{"n": 1, "same": True}]


def test_batches_that_nobody_wants_any_more_end_the_session(table, monkeypatch):
    from lakefmt.query.session import Session

    closed = []
    close = Session.close
    monkeypatch.setattr(Session, "close", lambda self: (closed.append(self), close(self)))
    batches = lakefmt.sql("SELECT * FROM range(10000000)").to_batches()
    next(batches)
    assert closed == []
    del batches
    assert len(closed) == 1
    with pytest.raises(duckdb.Error):
        closed[0].cursor.execute("SELECT 1")


def test_query_is_a_table_of_another_twice(query):
    text = "SELECT count(*) AS n FROM q a JOIN q b USING (id) WHERE a.id > (SELECT min(id) FROM q)"
    assert lakefmt.sql(text, {"q": query}).to_arrow()["n"].to_pylist() == [499]


def test_query_does_not_pickle_and_says_what_does(query):
    with pytest.raises(InvalidInputError, match="does not pickle") as caught:
        pickle.dumps(query)
    assert "to_arrow" in caught.value.hint


def test_text_whose_tables_are_not_told_by_its_parse_runs_over_all_files(table):
    query = lakefmt.sql("SELECT count(*) AS n FROM query_table('t') WHERE city = 'c3'", {"t": table})
    (read,) = query.explain().tables
    assert (read.files, read.all_files, read.predicate) == (10, 10, None)
    assert query.to_arrow().to_pylist() == [{"n": 500}]


def test_threads_ask_for_the_columns_at_once(table):
    for _ in range(10):
        query = lakefmt.sql("SELECT *, id + 1 AS next FROM t JOIN t AS other USING (id)", {"t": table})
        with ThreadPoolExecutor(8) as threads:
            schemas = list(threads.map(lambda _, query=query: query.schema, range(8)))
        assert all(each.equals(schemas[0]) for each in schemas)


def test_unions_without_a_row():
    query = lakefmt.sql("SELECT union_value(a := 1) AS u WHERE false")
    assert query.to_arrow().num_rows == 0
    assert query.to_arrow().schema == query.schema
