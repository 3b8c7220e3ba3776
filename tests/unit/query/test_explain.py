"""What ``explain`` tells, as values and as text."""

from __future__ import annotations

import threading

import duckdb
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import CorruptTableError, InvalidInputError
from lakefmt.process_folders import own_folder
from lakefmt.query.operators import parse_operators
from lakefmt.testing.deletion_vectors import delete_positions

ROWS = pa.table(
    {
        "id": pa.array(range(5000), pa.int64()),
        "city": [f"c{i % 10}" for i in range(5000)],
        "text": ["x" * 50] * 5000,
    }
)
LARGE = pa.table(
    {
        "i": pa.array(range(1_000_000), pa.int64()),
        "s": [f"row {i * 7919 % 1_000_000}" for i in range(1_000_000)],
    }
)

WITH_PRAGMA = pytest.mark.skipif(
    duckdb.__version__ >= "2", reason="DuckDB 2 reads no PRAGMA as a SELECT, and queries refuse it"
)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explained")
    table = lakefmt.write(folder / "t", ROWS, partition_by=["city"])
    inner = lakefmt.write(folder / "t" / "inner", ROWS.select(["id"]))
    return {"t": table, "u": inner, "large": lakefmt.write(folder / "large", LARGE)}


def explained(tables, text, **more):
    return lakefmt.sql(text, tables, **more).explain(analyze=True)


def test_files_and_bytes_that_are_left_out(tables):
    explanation = lakefmt.sql("SELECT id FROM t WHERE city = 'c3'", tables).explain()
    (read,) = explanation.tables
    assert (read.name, read.files, read.all_files, read.own_files) == ("t", 1, 10, 0)
    assert 0 < read.size_bytes < read.all_bytes
    assert (read.predicate, read.read_bytes) == ("city = 'c3'", None)
    assert (explanation.seconds, explanation.rows, explanation.spilled_bytes) == (None, None, None)
    assert "files 1 of 10" in str(explanation)
    assert "READ_PARQUET" in explanation.plan.upper()
    assert explanation.executor == "in-process"


def test_run_tells_rows_time_and_what_it_read_of_each_table(tables):
    text = "SELECT t.id FROM t JOIN u ON t.id = u.id WHERE city IN ('c3', 'c4') ORDER BY ALL"
    explanation = explained(tables, text)
    assert explanation.rows == 1000
    assert explanation.seconds >= explanation.planning_seconds > 0
    assert explanation.peak_memory_bytes > 0
    assert explanation.spilled_bytes == 0
    first, second = explanation.tables
    assert (first.name, first.files, second.name, second.files) == ("t", 2, "u", 1)
    # Two columns of three are not looked at; the footer and the pages of the other are.
    assert 0 < first.read_bytes < first.size_bytes * 3
    assert second.read_bytes > 0
    assert "1,000 rows in " in str(explanation)
    assert "nothing spilled" in str(explanation)
    assert repr(explanation) == str(explanation)


def test_column_that_is_not_looked_at_is_not_read(tables):
    wide = explained(tables, "SELECT sum(length(s)) FROM large").tables[0]
    narrow = explained(tables, "SELECT sum(i) FROM large").tables[0]
    assert narrow.read_bytes < wide.read_bytes
    assert narrow.read_bytes < 0.7 * narrow.size_bytes


def test_operators_are_a_tree_of_values(tables):
    explanation = explained(
        tables, "SELECT city, count(*) AS n FROM t GROUP BY city ORDER BY n, city LIMIT 3"
    )
    top = explanation.operators
    assert (top.name, top.rows) == ("TOP_N", 3)
    names, waiting = [], [top]
    while waiting:
        operator = waiting.pop()
        names.append(operator.name)
        waiting.extend(operator.children)
    scan = names[-1]
    assert "PARQUET" in scan
    assert str(top).splitlines()[-1].lstrip("└─ ").startswith(scan)


def test_scans_name_their_tables_and_of_folders_within_others_the_innermost(tables):
    waiting, scans = [explained(tables, "SELECT t.id FROM t JOIN u ON t.id = u.id").operators], []
    while waiting:
        operator = waiting.pop()
        waiting.extend(operator.children)
        scans += [operator.details.get("Table")] * ("PARQUET" in operator.name)
    assert sorted(scans) == ["t", "u"]


def test_spill_is_told(tables):
    explanation = explained(tables, "SELECT * FROM large ORDER BY s", memory_limit="70MB")
    assert explanation.rows == 1_000_000
    assert explanation.spilled_bytes > 1_000_000
    assert 0 < explanation.peak_memory_bytes <= 70_000_000
    assert explanation.memory_limit == 70_000_000
    assert "spilled" in str(explanation)


def test_other_queries_are_not_counted(tables):
    over = threading.Event()

    def others():
        query = lakefmt.sql("SELECT max(s) FROM large", tables)
        while not over.is_set():
            query.to_arrow()

    thread = threading.Thread(target=others)
    thread.start()
    try:
        explanation = explained(tables, "SELECT sum(id) FROM u")
    finally:
        over.set()
        thread.join()
    assert explanation.tables[0].read_bytes < 100_000 < tables["large"].files()["size_bytes"][0].as_py()


def test_log_that_answers_is_told(tables):
    explanation = explained(tables, "SELECT count(*) FROM t")
    assert (explanation.executor, explanation.rows, explanation.tables, explanation.plan) == (
        "log",
        1,
        (),
        "",
    )
    assert "no data file is read" in str(explanation)
    assert lakefmt.sql("SELECT count(*) FROM t", tables).explain().rows is None


def test_rows_of_a_union_are_counted(tables):
    assert explained(tables, "SELECT id FROM t UNION ALL SELECT id FROM u").rows == 10_000


def test_two_versions_of_a_table_share_its_files_and_neither_is_told_bytes(tables, tmp_path):
    table = lakefmt.write(tmp_path / "t", ROWS)
    table.append(ROWS)
    explanation = explained({"t": table}, "SELECT id FROM t UNION ALL SELECT id FROM t AT (VERSION => 1)")
    assert [each.read_bytes for each in explanation.tables] == [None, None]
    assert [each.files for each in explanation.tables] == [2, 1]


@pytest.mark.parametrize(
    "text",
    [
        "DESCRIBE t",
        "SUMMARIZE u",
        "PIVOT t ON city IN ('c1', 'c2') USING count(*)",
        "PIVOT (SELECT id, id % 3 AS k FROM u) ON k USING count(*)",
        "VALUES (1)",
        "FROM t",
        pytest.param("PRAGMA version", marks=WITH_PRAGMA),
        pytest.param("-- a note\npragma version;", marks=WITH_PRAGMA),
        "SELECT 'pragma' AS pragma FROM t",
    ],
)
def test_every_statement_is_explained(tables, text):
    query = lakefmt.sql(text, tables)
    assert str(query.explain())
    assert query.explain(analyze=True).seconds > 0


def test_query_that_deleted_rows_would_fail_is_explained_as_it_runs(tmp_path):
    table = lakefmt.write(tmp_path / "t", {"id": [1, 2], "text": ["1", "no number"]})
    (path,) = table.files()["log_path"].to_pylist()
    delete_positions(table.uri, {path: [1]})
    query = lakefmt.sql(
        "SELECT 1 AS one, n FROM (SELECT CAST(text AS INTEGER) AS n FROM t) WHERE n >= 0",
        {"t": table.refresh()},
    )
    assert query.to_arrow()["n"].to_pylist() == [1]
    assert query.explain(analyze=True).rows == 1


def test_query_that_fails_fails_here_too(tables):
    with pytest.raises(InvalidInputError, match="fails on a value"):
        explained(tables, "SELECT CAST(city AS INTEGER) FROM t")


def test_parameters_are_taken(tables):
    assert explained(tables, "SELECT id FROM t WHERE id < ?", params=[7]).rows == 7


def test_analysis_leaves_no_spilled_byte(tables):
    explained(tables, "SELECT * FROM large ORDER BY s", memory_limit="70MB")
    left = [path for path in own_folder("spill").rglob("*") if path.is_file() and path.stat().st_size]
    assert left == []


@pytest.mark.parametrize("text", ["", "no plan", "[]", "{}", '{"children": []}', "[1]", '"x"'])
def test_text_that_is_no_plan(text):
    assert parse_operators(text, {}) is None


def test_missing_file_is_told_as_one(tables, tmp_path):
    table = lakefmt.write(tmp_path / "gone", ROWS)
    for path in (tmp_path / "gone").glob("*.parquet"):
        path.unlink()
    with pytest.raises(CorruptTableError):
        lakefmt.sql("SELECT sum(id) FROM t", {"t": table}).explain(analyze=True)
