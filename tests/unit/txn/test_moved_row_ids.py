"""Rows that move to other files keep their row ids and commit versions, whoever commits in between."""

from __future__ import annotations

import uuid

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakefmt
from lakefmt.errors import InvalidInputError
from lakefmt.log.commit_file import decode_commit
from lakefmt.log.paths import commit_key
from lakefmt.scan.row_ids import moved_rows_schema
from lakefmt.snapshot import load_snapshot
from lakefmt.store import open_store
from lakefmt.testing.rewriter import rewrite_table
from lakefmt.txn import Writer
from lakefmt.txn.data_files import plan_write, to_add
from lakefmt.txn.transaction import Transaction

ON = {"delta.enableRowTracking": True}
SHOWN = ["id", "_row_id", "_row_commit_version"]


@pytest.fixture
def store():
    return open_store(f"memory://{uuid.uuid4().hex}/t")


@pytest.fixture
def table(store):
    """Two files of three rows."""
    made = lakefmt.create(store.uri, {"id": pa.int64()}, properties=ON)
    made.append({"id": [5, 1, 3]})
    made.append({"id": [2, 6, 4]})
    return made


def tracked(uri, **scan):
    rows = lakefmt.open(uri).scan(**{"columns": SHOWN} | scan).to_arrow()
    assert rows.schema.names[0] == "id"
    return {row["id"]: (row["_row_id"], row["_row_commit_version"]) for row in rows.to_pylist()}


BEFORE = {5: (0, 1), 1: (1, 1), 3: (2, 1), 2: (3, 2), 6: (4, 2), 4: (5, 2)}


def delete(store, **positions):
    snapshot = load_snapshot(store)
    paths = snapshot.files.table["path"].to_pylist()
    deletion = Transaction(Writer(store), snapshot, "DELETE")
    deletion.stage_delete({paths[int(place[1:])]: rows for place, rows in positions.items()})
    return deletion.commit()


@pytest.mark.parametrize("sort_by", [None, "id"])
@pytest.mark.parametrize("num_outputs", [1, 2])
def test_rewritten_rows_keep_ids_and_versions_and_new_rows_get_their_own(store, table, sort_by, num_outputs):
    after = rewrite_table(Writer(store), table.snapshot, sort_by=sort_by, num_outputs=num_outputs)
    assert tracked(store.uri) == BEFORE
    table.refresh().append({"id": [7]})
    rewrite_table(Writer(store), load_snapshot(store), sort_by="id")
    assert after.version == 3
    # Ids of rows that were moved are given again to nobody: 6 to 11 went to the outputs.
    assert tracked(store.uri) == BEFORE | {7: (12, 4)}


def test_rows_are_told_apart_beside_deletion_vectors(store, table):
    delete(store, f0=[1], f1=[0])
    left = {row: ids for row, ids in BEFORE.items() if row not in (1, 2)}
    assert tracked(store.uri) == left
    rewrite_table(Writer(store), load_snapshot(store))
    assert tracked(store.uri) == left
    delete(store, f0=[1])
    del left[3]
    assert tracked(store.uri) == left


def test_rewrite_that_lost_to_a_deletion_and_an_append_keeps_ids(store, table):
    def others():
        delete(store, f0=[2], f1=[1])
        lakefmt.open(store.uri).append({"id": [8, 9]})

    rewrite_table(Writer(store), table.snapshot, sort_by="id", between=others)
    left = {row: ids for row, ids in BEFORE.items() if row not in (3, 6)}
    assert tracked(store.uri) == left | {8: (6, 4), 9: (7, 4)}
    commit = decode_commit(store.read(commit_key(5)), table=store.uri, version=5, path="")
    assert [add.base_row_id for add in commit.adds] == [8]
    assert [orjson.loads(domain.configuration) for domain in commit.domains] == [{"rowIdHighWaterMark": 13}]


def test_files_hold_the_ids_in_columns_that_no_schema_names(tmp_path):
    table = lakefmt.create(
        tmp_path / "t", {"id": pa.int64(), "p": pa.int64()}, partition_by="p", properties=ON
    )
    table.append({"id": [1, 2], "p": [1, 1]})
    store = open_store(str(tmp_path / "t"))
    after = rewrite_table(Writer(store), table.snapshot)
    file = table.refresh().scan().files()["path"][0].as_py()
    footer = pq.read_metadata(tmp_path / "t" / file)
    tracking = after.row_tracking
    names = [footer.schema.column(place).name for place in range(footer.num_columns)]
    assert names == ["id", tracking.row_id_column, tracking.commit_version_column, "p"]
    fields = pq.read_schema(tmp_path / "t" / file)
    assert [b"PARQUET:field_id" in (field.metadata or {}) for field in fields] == [True, False, False, True]
    assert table.schema.names == ["id", "p"]
    statistics = orjson.loads(after.files.table["stats"][0].as_py())
    assert statistics["minValues"].keys() == {"id"}
    commit = decode_commit(store.read(commit_key(2)), table=store.uri, version=2, path="")
    assert commit.info.more["tags"] == {"delta.rowTracking.preserved": "true"}


def test_rows_whose_ids_would_be_lost_are_refused(store, table):
    snapshot = table.snapshot
    from lakefmt import engine

    writer = Writer(store)
    spec = plan_write(snapshot, writer.environment)
    written = engine.write_files(table.to_arrow().to_batches(), spec, store)
    outputs = [to_add(file, snapshot, 1) for file in written]
    with pytest.raises(InvalidInputError, match="lacks their ids"):
        Transaction(writer, snapshot).stage_rewrite(snapshot.files.table["path"].to_pylist(), outputs)


def test_updated_rows_keep_their_id_and_get_the_version_of_the_commit(store, table):
    """What statements are to write: copied rows as they were, changed ones without a version, new ones without either."""
    from lakefmt import engine

    snapshot, writer = table.snapshot, Writer(store)
    columns = moved_rows_schema(snapshot).to_arrow()
    rows = pa.table([[5, 10, 11], [0, 1, None], [1, None, None]], schema=columns)
    spec = plan_write(snapshot, writer.environment, moved=True)
    transaction = Transaction(writer, snapshot, "UPDATE")
    transaction.remove(snapshot.files)
    transaction.add_written(engine.write_files(rows.to_batches(), spec, store))
    transaction.commit()
    assert tracked(store.uri) == {5: (0, 1), 10: (1, 3), 11: (8, 3)}
