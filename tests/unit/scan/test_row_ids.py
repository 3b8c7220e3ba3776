"""``_row_id`` and ``_row_commit_version``: columns of a scan that are asked for by name."""

from __future__ import annotations

import uuid

import duckdb
import polars as pl
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import CorruptTableError, InvalidInputError
from lakefmt.store import open_store
from lakefmt.testing.rewriter import rewrite_table
from lakefmt.txn import Writer
from lakefmt.txn.transaction import Transaction

ON = {"delta.enableRowTracking": True}
SHOWN = ["id", "_row_id", "_row_commit_version"]
BOTH = ["_row_id", "_row_commit_version"]
FILTERS = [
    *("id % 3 = 0", "id = 17", "text = 'b'", "text >= 'b' AND id < 25"),
    *("_row_id = 3", "_row_id IN (5, 27, 34)", "_row_id IS NULL", "_row_id > 1e6"),
    *("_row_commit_version = 3", "_row_commit_version > 1 AND id % 2 = 0"),
]


@pytest.fixture(params=["memory", "disk"])
def uri(request, tmp_path):
    return f"memory://{uuid.uuid4().hex}/t" if request.param == "memory" else str(tmp_path / "t")


@pytest.fixture
def table(uri):
    """Files of 10 rows each: one whose rows were moved, one with a deletion vector, and a new one."""
    made = lakefmt.create(uri, {"id": pa.int64(), "text": pa.string()}, properties=ON)
    made.append({"id": range(10), "text": ["a"] * 10})
    store = open_store(uri)
    rewrite_table(Writer(store), made.snapshot)
    made.refresh().append({"id": range(10, 20), "text": ["b"] * 10})
    deletion = Transaction(Writer(store), made.snapshot, "DELETE")
    paths = made.snapshot.files.table["path"].to_pylist()
    deletion.stage_delete({paths[-1]: [0, 1, 5]})
    deletion.commit()
    made.refresh().append({"id": range(20, 30), "text": ["c"] * 10})
    return made


def expected():
    moved = {number: (number, 1) for number in range(10)}
    marked = {number: (number + 10, 3) for number in range(10, 20) if number not in (10, 11, 15)}
    return moved | marked | {number: (number + 10, 5) for number in range(20, 30)}


def by_id(rows):
    columns = [rows[name].to_pylist() for name in SHOWN]
    return {name: (row_id, version) for name, row_id, version in zip(*columns, strict=True)}


def test_rows_have_the_ids_of_their_files_or_their_own(table):
    rows = table.scan(columns=SHOWN).to_arrow()
    assert by_id(rows) == expected()
    assert rows.schema.field("_row_id") == pa.field("_row_id", pa.int64(), nullable=False)
    assert table.to_arrow().schema.names == ["id", "text"]


@pytest.mark.parametrize("where", FILTERS)
def test_filters_leave_the_ids_of_the_rows_that_stay(table, where):
    rows = table.scan(columns=SHOWN, where=where).to_arrow()
    kept = pa.table([[*expected()], *zip(*expected().values(), strict=True)], names=SHOWN)
    text = pa.array(["abc"[number // 10] for number in kept["id"].to_pylist()])
    with duckdb.connect() as con:
        con.register("kept", kept.append_column("text", text))
        wanted = con.sql(f"SELECT * EXCLUDE text FROM kept WHERE {where}").fetchall()
    assert sorted(by_id(rows).items()) == sorted((name, tuple(ids)) for name, *ids in wanted)
    assert table.scan(where=where).count() == len(wanted)


def test_ids_alone_are_read_without_another_column(table):
    rows = table.scan(columns=BOTH).to_arrow()
    assert sorted(zip(*(rows[name].to_pylist() for name in BOTH), strict=True)) == sorted(expected().values())
    assert table.scan(columns=["_row_id"], limit=3).to_arrow().num_rows == 3


def test_ids_follow_places_in_the_file_when_it_is_read_in_pieces(uri, monkeypatch):
    made = lakefmt.create(uri, {"id": pa.int64()}, properties=ON)
    writes = lakefmt.engine.write.DataFileWriter.__init__

    def small_groups(self, spec, store):
        from dataclasses import replace

        writes(self, replace(spec, row_group_rows=100), store)

    monkeypatch.setattr(lakefmt.engine.write.DataFileWriter, "__init__", small_groups)
    made.append({"id": range(1000)})
    monkeypatch.setattr("lakefmt.engine.read._UNIT_ROWS", 150)
    for where in (None, "id BETWEEN 250 AND 260 OR id > 870"):
        rows = made.scan(columns=["_row_id", "id"], where=where).to_arrow()
        assert rows["_row_id"].to_pylist() == rows["id"].to_pylist()
    mapped = (
        made.scan(columns=["_row_id", "id"]).map_batches(lambda rows: rows, executor="threads").to_arrow()
    )
    assert sorted(mapped["_row_id"].to_pylist()) == sorted(mapped["id"].to_pylist()) == list(range(1000))


def test_other_libraries_are_given_the_same_ids(table):
    scan = table.scan(columns=SHOWN)
    assert by_id(scan.to_polars().filter(pl.col("_row_id") >= 0).collect().to_arrow()) == expected()
    assert scan.to_polars().filter(pl.col("_row_id") == 3).select("id").collect().rows() == [(3,)]
    with duckdb.connect() as con:
        scan.to_duckdb(con, "shown")
        assert by_id(con.sql("FROM shown").to_arrow_table()) == expected()
    assert by_id(pa.table(scan)) == expected()


def test_columns_of_the_table_keep_their_names(uri):
    made = lakefmt.create(uri, {"id": pa.int64(), "_row_id": pa.string()}, properties=ON)
    made.append({"id": [1], "_row_id": ["mine"]})
    shown = made.scan(columns=["_row_id", "_row_commit_version"]).to_arrow()
    assert shown.to_pydict() == {"_row_id": ["mine"], "_row_commit_version": [1]}
    rewrite_table(Writer(open_store(uri)), made.snapshot)
    assert lakefmt.open(uri).scan(columns=["_row_id", "_row_commit_version"]).to_arrow() == shown


@pytest.mark.parametrize("asked", [{"columns": ["id", "_row_id"]}, {"where": "_row_commit_version > 3"}])
def test_table_that_does_not_track_its_rows_says_how_to_have_ids(uri, asked):
    made = lakefmt.create(uri, {"id": pa.int64()})
    with pytest.raises(InvalidInputError, match="does not track its rows") as told:
        made.scan(**asked)
    assert "delta.enableRowTracking" in told.value.hint


def test_file_without_numbers_in_a_table_that_tracks_rows_is_named(table, uri):
    snapshot = table.snapshot
    files = snapshot.files.table
    place = files.schema.get_field_index("base_row_id")
    broken = files.set_column(place, "base_row_id", pa.nulls(files.num_rows, pa.int64()))
    from dataclasses import replace

    scan = table.scan(columns=["_row_id"])
    scan.plan = replace(scan.plan, files=type(snapshot.files)(broken))
    with pytest.raises(CorruptTableError, match="does not number the rows") as told:
        scan.to_arrow()
    assert told.value.path.endswith(".parquet")
    assert table.scan(columns=["id"]).to_arrow().num_rows == 27
