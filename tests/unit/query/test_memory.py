"""Memory limits of queries, and results that do not fit."""

from __future__ import annotations

import pyarrow as pa
import pytest

import lakefmt
from lakefmt.databases import QueryDatabases
from lakefmt.engine.memory import available_memory, default_memory_limit
from lakefmt.errors import InvalidInputError, OutOfMemoryError, ResourceError
from lakefmt.process_folders import own_folder
from lakefmt.query.limits import MemoryLimits
from tests.unit.engine.test_gather import mapped_bytes

LARGE = "SELECT range AS i, 'x' || range AS s FROM range(1000000)"


def setting(query, name):
    """Return what a run of a query sees of a setting of DuckDB's."""
    session = query._open()
    try:
        return session.cursor.execute("SELECT current_setting(?)", [name]).fetchone()[0]
    finally:
        session.close()


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    rows = lakefmt.sql(LARGE).to_arrow()
    return lakefmt.write(tmp_path_factory.mktemp("memory") / "t", rows)


def test_large_result_is_mapped_and_has_the_same_rows_in_the_same_order():
    plain = lakefmt.sql(LARGE).to_arrow()
    assert mapped_bytes() == 0
    mapped = lakefmt.sql(LARGE, result_memory_limit="1MiB").to_arrow()
    assert mapped_bytes() > 0.9 * plain.nbytes
    assert mapped.equals(plain)
    assert mapped.schema.equals(plain.schema)


def test_scan_maps_its_result_too(table):
    plain = table.scan().to_arrow()
    assert mapped_bytes() == 0
    mapped = table.scan(result_memory_limit="1MiB").to_arrow()
    assert mapped_bytes() > 0.9 * plain.nbytes
    assert mapped.sort_by("i").equals(plain.sort_by("i"))


def test_every_form_of_a_mapped_result_has_its_rows(table):
    query = lakefmt.sql("SELECT i, s FROM t ORDER BY i", {"t": table}, result_memory_limit="1MiB")
    assert query.to_polars()["i"].sum() == query.to_pandas()["i"].sum() == 499_999_500_000


def test_large_result_with_parameters_is_mapped_as_it_comes(table):
    before = pa.total_allocated_bytes()
    query = lakefmt.sql("SELECT * FROM t WHERE i >= ?", {"t": table}, params=[0], result_memory_limit="1MiB")
    rows = query.to_arrow()
    assert rows.num_rows == 1_000_000
    assert pa.total_allocated_bytes() - before < 10_000_000
    assert mapped_bytes() > 0.9 * rows.nbytes


def test_query_of_zero_rows_has_its_columns(table):
    query = lakefmt.sql("SELECT * FROM t WHERE i < 0", {"t": table}, result_memory_limit="1MiB")
    assert query.to_arrow().schema == query.schema


def test_queries_of_different_limits_each_have_their_own(table):
    text = "SELECT count(DISTINCT i % 1000) FROM t"
    limits = ["100MB", "1GB", "100MB", None, "50%"]
    queries = [lakefmt.sql(text, {"t": table}, memory_limit=limit) for limit in limits]
    sessions = [query._open() for query in queries]
    try:
        # All rows of it, or DuckDB 2 takes nothing else on the cursor, which the next query is given.
        found = [
            each.cursor.execute("SELECT current_setting('memory_limit')").fetchall()[0][0]
            for each in sessions
        ]
        assert found[0] == found[2] == "76.2 MiB"
        assert found[1] == "762.9 MiB"
        assert len(set(found)) == 4
    finally:
        for session in sessions:
            session.close()
    assert [query.to_arrow().column(0).to_pylist() for query in queries] == [[1_000]] * 5


def test_each_database_spills_to_a_folder_of_its_own():
    queries = [lakefmt.sql("SELECT 1", memory_limit=limit) for limit in ("100MB", "200MB")]
    folders = {setting(query, "temp_directory") for query in queries}
    assert len(folders) == 2
    assert {folder.rpartition("/")[0] for folder in folders} == {str(own_folder("spill"))}


def test_databases_of_limits_long_unused_are_let_go_of():
    databases = QueryDatabases()
    for number in range(10):
        databases.within([], (number + 10) << 20).cursor().close()
    assert len(databases._databases) == 4
    assert next(iter(databases._databases))[0] == 16 << 20


def test_defaults_are_shares_of_what_the_process_may_have():
    limits = MemoryLimits.parse(None, None)
    assert limits.memory_bytes == default_memory_limit() == int(available_memory() * 0.7)
    assert limits.result_bytes == available_memory() // 4
    assert MemoryLimits.parse("1GB", None).result_bytes == min(10**9, available_memory() // 4)


@pytest.mark.parametrize("limit", ["much", "2 apples", 0, -1, True, "10KB", [1]])
def test_limit_that_is_no_amount_of_memory(table, limit):
    for name in ("memory_limit", "result_memory_limit"):
        with pytest.raises(InvalidInputError, match="no amount of memory"):
            lakefmt.sql("SELECT 1", **{name: limit})
    with pytest.raises(InvalidInputError, match="no amount of memory"):
        table.scan(result_memory_limit=limit)


def test_query_that_cannot_spill_names_the_limit_and_the_way_out():
    query = lakefmt.sql("SELECT list(range) AS all FROM range(10000000)", memory_limit="20MB")
    for run in (query.to_arrow, lambda: list(query.to_batches())):
        with pytest.raises(OutOfMemoryError) as caught:
            run()
        assert isinstance(caught.value, ResourceError)
        assert "memory_limit" in caught.value.hint
        assert "20 MB" in caught.value.message


def test_query_larger_than_its_limit_spills(table):
    text = "SELECT * FROM (SELECT i, s, hash(s) AS h FROM t) ORDER BY h"
    small = lakefmt.sql(text, {"t": table}, memory_limit="60MB", result_memory_limit="1MiB").to_arrow()
    assert small.equals(lakefmt.sql(text, {"t": table}).to_arrow())


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (
            "SELECT CAST(s AS INTEGER) FROM (SELECT CASE WHEN i > 900000 THEN s ELSE '1' END AS s FROM t)",
            InvalidInputError,
        ),
        (
            "SELECT 1000000000000::BIGINT * (CASE WHEN i > 900000 THEN i * 1000000 ELSE 1 END) FROM t",
            InvalidInputError,
        ),
        ("SELECT CASE WHEN i > 900000 THEN error('late') END FROM t", InvalidInputError),
    ],
)
def test_error_of_a_late_row_has_its_kind(table, text, kind):
    query = lakefmt.sql(text, {"t": table}, result_memory_limit="1MiB")
    for run in (query.to_arrow, lambda: list(query.to_batches())):
        with pytest.raises(kind, match="fails on a value"):
            run()
    assert list(own_folder("spill").glob("result-*")) == []
