"""Sessions whose connections are used again: what one query leaves behind, the next does not see."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pyarrow as pa
import pytest

import lakefmt
from lakefmt.databases import QueryDatabase

ROWS = 8_000


@pytest.fixture
def table(tmp_path):
    # More files than stand in a text: their list is a variable.
    schema = pa.schema([("x", pa.int64()), ("part", pa.int64())])
    table = lakefmt.create(tmp_path / "t", schema, partition_by=["part"])
    table.append(pa.table({"x": list(range(ROWS)), "part": [x // 100 for x in range(ROWS)]}))
    return table


@pytest.fixture
def made(monkeypatch):
    """Count the connections that are made."""
    made = []
    cursor = QueryDatabase.cursor

    def counted(self):
        made.append(self)
        return cursor(self)

    monkeypatch.setattr(QueryDatabase, "cursor", counted)
    return made


def total(table, where="true"):
    return (
        lakefmt.sql(f"SELECT sum(x)::BIGINT AS s FROM t WHERE {where}", {"t": table})
        .to_arrow()["s"][0]
        .as_py()
    )


def test_query_over_the_same_files_uses_the_connection_of_the_last(table, made):
    assert total(table) == total(table) == sum(range(ROWS))
    assert total(table, "x < 7_050") == total(table, "x < 7_050") == sum(range(7_050))
    assert len(made) == 2


def test_rows_of_a_new_version_are_seen(table):
    before = total(table)
    old = table.at(version=table.version)
    table.append(pa.table({"x": [1_000_000], "part": [0]}))
    assert total(table) == before + 1_000_000
    assert total(old) == before


def test_another_table_of_the_same_name_is_another(table, tmp_path):
    other = lakefmt.write(tmp_path / "other", pa.table({"x": [7]}))
    assert [total(table), total(other), total(table), total(other)] == [sum(range(ROWS)), 7] * 2


def test_query_that_is_read_half_way_leaves_nothing_to_the_next(table, made):
    query = lakefmt.sql("SELECT x FROM t", {"t": table})
    batches = query.to_batches()
    assert next(batches).num_rows
    assert total(table) == sum(range(ROWS))
    batches.close()
    assert query.to_arrow().num_rows == ROWS
    assert len(made) == 2


def test_query_after_one_that_failed(table):
    for _ in range(2):
        with pytest.raises(lakefmt.InvalidInputError):
            lakefmt.sql("SELECT (x::VARCHAR || 'a')::INTEGER FROM t", {"t": table}).to_arrow()
        assert total(table) == sum(range(ROWS))


def test_types_of_a_pivot_are_not_kept(table):
    for _ in range(2):
        lakefmt.sql("PIVOT t ON part USING sum(x)", {"t": table}).to_arrow()
    text = "SELECT type_name FROM t, duckdb_types() WHERE NOT internal LIMIT 1"
    assert lakefmt.sql(text, {"t": table}).to_arrow().num_rows == 0


def test_connection_of_too_many_values_leaves_the_others_alone():
    import duckdb

    from lakefmt.idle_cursors import IdleCursors

    idle, small, large = IdleCursors(), SimpleNamespace(values=1), SimpleNamespace(values=100_001)
    kept, closed = duckdb.connect(), duckdb.connect()
    idle.keep(small, kept)
    idle.keep(large, closed)
    assert (idle.take(large), idle.take(small)) == (None, kept)
    with pytest.raises(duckdb.ConnectionException):
        closed.execute("SELECT 1")


@pytest.mark.parametrize(
    "seeding",
    [
        "SELECT setseed(0.5) FROM t LIMIT 1",
        "FROM query('SELECT set' || 'seed(0.5)'), t LIMIT 1",
        "FROM query(E'SELECT \\x73etseed(0.5)'), t LIMIT 1",
    ],
)
def test_seed_of_one_query_is_not_the_next_ones(table, seeding):
    text = "SELECT random() AS r FROM t LIMIT 1"
    found = []
    for _ in range(2):
        lakefmt.sql(seeding, {"t": table}).to_arrow()
        found.append(lakefmt.sql(text, {"t": table}).to_arrow()["r"][0].as_py())
    assert found[0] != found[1]


def test_parameters_of_one_query_are_not_the_next_ones(table):
    text = "SELECT count(*) AS n FROM t WHERE x < $most"
    for most in (10, 20, 10):
        rows = lakefmt.sql(text, {"t": table}, params={"most": most}).to_arrow()
        assert rows["n"][0].as_py() == most


def test_threads_over_the_same_files_have_connections_of_their_own(table):
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(lambda _: total(table), range(24))) == {sum(range(ROWS))}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_child_leaves_its_parents_connections_alone(table):
    assert total(table) == sum(range(ROWS))
    child = os.fork()
    if not child:
        os._exit(0 if total(table) == sum(range(ROWS)) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert total(table) == sum(range(ROWS))
