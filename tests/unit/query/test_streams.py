"""Rows of this library as tables of a query: their errors stay what they are, their columns can be told apart."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import CorruptTableError, InvalidInputError
from lakefmt.testing.deletion_vectors import delete_positions


class OwnError(Exception):
    """A function's."""


def fail(rows: pa.Table) -> pa.Table:
    raise OwnError("words of the function's own")


@pytest.fixture
def table(tmp_path):
    table = lakefmt.create(tmp_path / "t", pa.schema([("id", pa.int64())]))
    table.append(pa.table({"id": [1, 2, 3]}))
    return table


@pytest.mark.parametrize("text", ["SELECT * FROM m", "SELECT sum(id) FROM m", "FROM m JOIN t USING (id)"])
@pytest.mark.parametrize("depth", [1, 3])
def test_error_of_a_function_reaches_a_query_over_its_rows_as_it_is(table, text, depth):
    rows = table.scan().map_batches(fail, executor="threads")
    for _ in range(depth - 1):
        rows = lakefmt.sql("SELECT id FROM m", {"m": rows})
    query = lakefmt.sql(text, {"m": rows, "t": table})
    for consume in (query.to_arrow, lambda: list(query.to_batches()), lambda: query.explain(analyze=True)):
        with pytest.raises(OwnError) as caught:
            consume()
        assert str(caught.value) == "words of the function's own"
        assert caught.value.__cause__ is None


def test_error_of_a_function_reaches_what_writes_a_query(table, tmp_path):
    rows = table.scan().map_batches(fail, executor="threads")
    with pytest.raises(OwnError):
        lakefmt.sql("SELECT * FROM m", {"m": rows}).write_to(tmp_path / "new")


@pytest.mark.parametrize("params", [None, [0]])
def test_error_of_a_query_within_a_query_is_told_once(table, params):
    inner = lakefmt.sql(
        "SELECT CASE WHEN id = 2 THEN error('no two')::INT ELSE id END AS x FROM t", {"t": table}
    )
    outer = lakefmt.sql(f"SELECT x FROM q WHERE x > {'?' if params else 0}", {"q": inner}, params=params)
    with pytest.raises(InvalidInputError) as caught:
        outer.to_arrow()
    assert caught.value.message == "The query fails on a value: no two"


def test_damage_found_by_a_query_within_a_query_names_table_and_version(table):
    inner = lakefmt.sql("SELECT id + 1 AS x FROM t", {"t": table})
    (path,) = table.files()["path"].to_pylist()
    Path(table.uri.removeprefix("file://"), path).unlink()
    with pytest.raises(CorruptTableError) as caught:
        lakefmt.sql("SELECT sum(x) FROM q", {"q": inner}).to_arrow()
    assert (caught.value.table, caught.value.version) == (table.uri, 1)


def test_error_of_rows_is_no_reason_to_ask_again_without_deleted_rows(table):
    (path,) = table.snapshot.files.table["path"].to_pylist()
    delete_positions(table.uri, {path: [0]})
    calls = []

    def refuse(rows: pa.Table) -> pa.Table:
        calls.append(rows.num_rows)
        raise InvalidInputError("not these")

    rows = table.scan().map_batches(refuse, executor="threads")
    with pytest.raises(InvalidInputError, match="not these"):
        lakefmt.sql("SELECT * FROM m JOIN t USING (id)", {"m": rows, "t": table.refresh()}).to_arrow()
    assert calls == [3]


def test_error_of_a_foreign_stream_is_told_in_its_words():
    schema = pa.schema([("a", pa.int64())])

    def batches():
        yield pa.record_batch({"a": [1]})
        raise ValueError("its own words")

    class Foreign:
        def __arrow_c_schema__(self):
            return schema.__arrow_c_schema__()

        def __arrow_c_stream__(self, requested=None):
            return pa.RecordBatchReader.from_batches(schema, batches()).__arrow_c_stream__(requested)

    with pytest.raises(InvalidInputError) as caught:
        lakefmt.sql("SELECT sum(a) FROM s", {"s": Foreign()}).to_arrow()
    assert caught.value.message == "Rows that the query was given cannot be read: its own words"


@pytest.mark.parametrize("names", [["a", "b", "a"], ["a", "b", "A"]])
def test_columns_of_one_name_are_refused(table, names):
    named = ", ".join(f'id AS "{name}"' for name in names)
    both = f"{names[0]!r}" if names[0] == names[2] else f"{names[0]!r} and {names[2]!r}"
    for rows in (
        lakefmt.sql(f"SELECT {named} FROM t", {"t": table}),
        pa.table([[1], [2], [3]], names=names),
    ):
        with pytest.raises(InvalidInputError, match=f"tables\\['rows'\\] has .*{both}, which SQL does not"):
            lakefmt.sql("SELECT * FROM rows", {"rows": rows})


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_child_is_told_that_it_cannot_read_on(tmp_path):
    table = lakefmt.create(tmp_path / "big", pa.schema([("id", pa.int64())]))
    table.append(pa.table({"id": pa.array(range(1_000_000), pa.int64())}))
    batches = lakefmt.sql("SELECT id FROM t", {"t": table}).to_batches()
    rows = next(batches).num_rows
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for _ in batches:  # those that had come are the child's too
                pass
        except InvalidInputError as error:
            os.write(write_end, str(error).encode())
        anew = lakefmt.sql("SELECT sum(id)::BIGINT AS s FROM t", {"t": table}).to_arrow()
        os.write(write_end, f" {anew['s'][0]}".encode())
        del batches
        os._exit(0)
    os.close(write_end)
    deadline = time.monotonic() + 60
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    if not ended[0]:
        os.kill(child, 9)
        os.waitpid(child, 0)
    with os.fdopen(read_end, "rb") as answer:
        told = answer.read().decode()
    assert "forked from" in told
    assert told.endswith(f" {999_999 * 500_000}")
    assert ended[1] == 0
    assert rows + sum(batch.num_rows for batch in batches) == 1_000_000
