"""Rows that deletion vectors take away: in no result, no count, and no expression fails on one."""

from __future__ import annotations

import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import CorruptTableError, InvalidInputError
from lakefmt.testing.deletion_vectors import delete_positions

ROWS = pa.table(
    {
        "id": pa.array(range(1000), pa.int64()),
        "text": pa.array([str(i) if i % 7 else "none" for i in range(1000)]),
        "p": pa.array([f"p{i // 250}" for i in range(1000)]),
    }
)
DELETED = {*range(0, 1000, 7), 1, 8, 999}


@pytest.fixture(scope="module", params=[1, 4, 20], ids=["a file", "some files", "many files"])
def table(request, tmp_path_factory):
    """A table of several files, one of which has no vector."""
    count = request.param
    uri = tmp_path_factory.mktemp("deleted") / "t"
    table = lakefmt.create(uri, ROWS.schema)
    size = 1000 // count
    for start in range(0, 1000, size):
        table.append(ROWS.slice(start, size))
    extra = pa.table({"id": [5000], "text": ["1"], "p": ["p9"]}, schema=ROWS.schema)
    table.append(extra)
    positions = {}
    for file in table.snapshot.files.table["path"].to_pylist():
        rows = [row for row in rows_of_file(table, file) if row in DELETED]
        if rows:
            positions[file] = [row % size for row in rows]
    delete_positions(uri, positions)
    return table.refresh()


def rows_of_file(table, path):
    import pyarrow.parquet as pq

    return pq.read_table(f"{table.uri.removeprefix('file://')}/{path}")["id"].to_pylist()


LEFT = [i for i in range(1000) if i not in DELETED] + [5000]


def test_rows_of_every_file_that_are_left(table):
    assert sorted(lakefmt.sql("SELECT id FROM t", {"t": table}).to_arrow()["id"].to_pylist()) == LEFT
    batches = lakefmt.sql("SELECT id FROM t", {"t": table}).to_batches()
    assert sorted(row for batch in batches for row in batch["id"].to_pylist()) == LEFT


@pytest.mark.parametrize(
    "where", ["id >= 500", "id < 10", "p = 'p2'", "id = 7", "id = 8 OR id = 9", "id > 100 AND p < 'p2'"]
)
def test_conditions_see_the_rows_that_are_left(table, where):
    query = lakefmt.sql(f"SELECT id, p FROM t WHERE {where} ORDER BY id", {"t": table})
    left = ROWS.append_column("left", pa.array([i not in DELETED for i in range(1000)]))
    expected = lakefmt.sql(
        f'SELECT id, p FROM d WHERE "left" AND ({where}) ORDER BY id', {"d": left}
    ).to_arrow()
    found = query.to_arrow()
    assert [row for row in found.to_pylist() if row["id"] != 5000] == expected.to_pylist()


def test_counts_and_extremes(table):
    text = "SELECT count(*) AS n, min(id) AS low, max(id) AS high FROM t"
    assert lakefmt.sql(text, {"t": table}).to_arrow().to_pylist() == [
        {"n": len(LEFT), "low": 2, "high": 5000}
    ]
    assert lakefmt.sql("SELECT count(*) AS n FROM t", {"t": table}).to_arrow().to_pylist() == [
        {"n": len(LEFT)}
    ]
    assert len(lakefmt.sql("SELECT id FROM t LIMIT 100000", {"t": table}).to_arrow()) == len(LEFT)


def test_no_expression_fails_on_a_deleted_row(table):
    query = lakefmt.sql(
        "SELECT sum(CAST(text AS BIGINT)) AS s FROM t WHERE CAST(text AS INTEGER) >= 0", {"t": table}
    )
    expected = sum(LEFT) - 5000 + 1
    assert query.to_arrow().to_pylist() == [{"s": expected}]
    assert [row for batch in query.to_batches() for row in batch.to_pylist()] == [{"s": expected}]
    failing = lakefmt.sql("SELECT CAST(p AS INTEGER) FROM t", {"t": table})
    with pytest.raises(InvalidInputError, match="Could not convert"):
        failing.to_arrow()


def test_join_of_a_table_with_its_earlier_version(table):
    text = "SELECT count(*) AS n FROM t AT (VERSION => {}) old ANTI JOIN t USING (id)".replace(
        "t AT (VERSION => {}) old", "t old AT (VERSION => {})"
    )
    query = lakefmt.sql(text.format(table.version - 1), {"t": table})
    assert query.to_arrow().to_pylist() == [{"n": len(DELETED)}]


def test_vector_that_is_missing_is_told(tmp_path):
    table = lakefmt.write(tmp_path / "t", ROWS)
    delete_positions(tmp_path / "t", {table.snapshot.files.table["path"][0].as_py(): [1, 2]})
    for file in (tmp_path / "t").glob("**/*.bin"):
        file.unlink()
    query = lakefmt.sql("SELECT id FROM t WHERE id > 1", {"t": table.refresh()})
    with pytest.raises(CorruptTableError) as caught:
        query.to_arrow()
    assert caught.value.table == table.uri
    assert caught.value.version == 2


def test_file_that_is_missing_or_damaged_is_told(tmp_path):
    table = lakefmt.write(tmp_path / "t", ROWS)
    path = table.snapshot.files.table["path"][0].as_py()
    query = lakefmt.sql("SELECT sum(id) AS s FROM t", {"t": table})
    assert query.to_arrow().num_rows == 1
    content = (tmp_path / "t" / path).read_bytes()
    for damaged in (
        content[: len(content) // 2],
        content[:200] + bytes(len(content) - 208) + content[-8:],
        None,
    ):
        if damaged is None:
            (tmp_path / "t" / path).unlink()
        else:
            (tmp_path / "t" / path).write_bytes(damaged)
        with pytest.raises(CorruptTableError) as caught:
            query.to_arrow()
        assert caught.value.table == table.uri
        with pytest.raises(CorruptTableError):
            list(query.to_batches())


@pytest.mark.parametrize(
    "positions",
    [[0], [999], range(30), range(970, 1000), [500, 510], [0, 999], range(1000), range(999), range(1, 1000)],
    ids=["first", "last", "begin", "end", "middle", "both ends", "all", "all but last", "all but first"],
)
def test_rows_that_are_deleted_at_one_place_of_a_file(tmp_path, positions):
    table = lakefmt.create(tmp_path / "t", ROWS.schema)
    table.append(ROWS)
    (path,) = table.snapshot.files.table["path"].to_pylist()
    delete_positions(table.uri, {path: list(positions)})
    table = table.refresh()
    left = sorted(set(range(1000)) - set(positions))
    for _ in range(2):  # what vectors say is kept for the second
        found = lakefmt.sql("SELECT id FROM t WHERE text IS NOT NULL", {"t": table}).to_arrow()
        assert sorted(found["id"].to_pylist()) == left


def test_vector_that_is_gone_after_a_query_has_been_read_is_not_missed(tmp_path):
    table = lakefmt.create(tmp_path / "t", ROWS.schema)
    table.append(ROWS)
    (path,) = table.snapshot.files.table["path"].to_pylist()
    delete_positions(table.uri, {path: list(range(0, 1000, 3))})
    table = table.refresh()
    assert lakefmt.sql("SELECT sum(id) AS s FROM t", {"t": table}).to_arrow().num_rows == 1
    for file in tmp_path.glob("t/deletion_vector*"):
        file.unlink()
    found = lakefmt.sql("SELECT id FROM t", {"t": table}).to_arrow()["id"].to_pylist()
    assert sorted(found) == [i for i in range(1000) if i % 3]
