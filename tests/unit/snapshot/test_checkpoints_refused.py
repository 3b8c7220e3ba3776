"""Versions of which no checkpoint may be written: what it would say is not what the log says."""

import tempfile

import deltalake
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakefmt
from lakefmt.errors import CorruptTableError, OutOfMemoryError
from lakefmt.manifest.checkpoint.write import CheckpointKind
from lakefmt.upkeep.checkpoint import write_checkpoint

VECTOR = {"storageType": "u", "pathOrInlineDv": "vBn[lx{q8@P<9BNH/isA", "offset": 1, "sizeInBytes": 36}
VECTOR["cardinality"] = 2


@pytest.fixture
def table(tmp_path):
    properties = {"delta.enableDeletionVectors": "true", "delta.checkpointPolicy": "v2"}
    table = lakefmt.create(tmp_path / "t", {"id": "long"}, properties=properties)
    table.append({"id": [1, 2, 3]})
    return table


def log_of(table, tmp_path):
    return tmp_path / "t" / "_delta_log"


def first_add(log):
    actions = map(orjson.loads, (log / f"{1:020}.json").read_bytes().splitlines())
    return next(action["add"] for action in actions if "add" in action)


@pytest.mark.parametrize("kind", [CheckpointKind.CLASSIC, CheckpointKind.V2])
@pytest.mark.parametrize("action", ["add", "remove"])
def test_vector_that_names_nothing_is_not_left_out_of_the_next_checkpoint(table, tmp_path, kind, action):
    if action == "remove":
        table.overwrite({"id": [4]})
    version = write_checkpoint(table._store, table.snapshot, kind=CheckpointKind.CLASSIC).version
    log = log_of(table, tmp_path)
    file = log / f"{version:020}.checkpoint.parquet"
    written = pq.read_table(file)
    rows = written.to_pylist()
    for row in rows:
        if row[action]:
            row[action]["deletionVector"] = {**VECTOR, "storageType": None}
    pq.write_table(pa.Table.from_pylist(rows, written.schema), file)
    (log / f"{0:020}.json").unlink()  # nothing else stands for the version
    table = lakefmt.open(tmp_path / "t")
    table.append({"id": [9]})
    with pytest.raises(CorruptTableError, match="storageType"):
        write_checkpoint(table._store, table.snapshot, kind=kind)


@pytest.mark.parametrize("neighbour", [False, True], ids=["alone", "beside a file that is gone"])
@pytest.mark.parametrize("kind", [CheckpointKind.CLASSIC, CheckpointKind.V2])
def test_file_added_again_with_a_vector_and_not_removed_without_it_is_refused(
    table, tmp_path, kind, neighbour
):
    log = log_of(table, tmp_path)
    table.append({"id": [4]})
    write_checkpoint(table._store, table.snapshot, kind=kind)
    actions = [{"add": {**first_add(log), "deletionVector": VECTOR}}]
    if neighbour:
        (path,) = set(table.files()["path"].to_pylist()) - {first_add(log)["path"]}
        actions.append({"remove": {"path": path, "dataChange": True, "deletionTimestamp": 1}})
    (log / f"{3:020}.json").write_bytes(b"".join([orjson.dumps(action) + b"\n" for action in actions]))
    table = lakefmt.open(tmp_path / "t")
    with pytest.raises(CorruptTableError, match="added again with another deletion vector") as caught:
        write_checkpoint(table._store, table.snapshot, kind=kind)
    assert (caught.value.path, caught.value.version) == (first_add(log)["path"], 3)
    assert not list(log.glob(f"{3:020}.checkpoint*"))


@pytest.mark.parametrize("kind", [CheckpointKind.CLASSIC, CheckpointKind.V2])
def test_partition_value_that_is_none_is_refused_naming_table_and_version(tmp_path, kind):
    properties = {"delta.checkpoint.writeStatsAsStruct": "true"}
    table = lakefmt.create(
        tmp_path / "t", {"id": "long", "day": "date"}, partition_by=["day"], properties=properties
    )
    table.append(pa.table({"id": [1], "day": pa.array([0], pa.date32())}))
    log = log_of(table, tmp_path)
    add = {**first_add(log), "path": "other.parquet", "partitionValues": {"day": "someday"}}
    (log / f"{2:020}.json").write_bytes(orjson.dumps({"add": add}) + b"\n")
    table = lakefmt.open(tmp_path / "t")
    with pytest.raises(CorruptTableError, match="'someday' in the log is no date") as caught:
        write_checkpoint(table._store, table.snapshot, kind=kind)
    assert (caught.value.table, caught.value.version) == (table.uri, 2)


def test_files_in_no_order_without_a_place_for_temporary_files_are_refused(tmp_path, monkeypatch):
    table = lakefmt.create(tmp_path / "t", {"id": "long", "part": "long"}, partition_by=["part"])
    for part in (3, 1, 2):
        table.append({"id": [part], "part": [part]})
    deltalake.DeltaTable(tmp_path / "t").create_checkpoint()
    table = lakefmt.open(tmp_path / "t")
    table.append({"id": [4], "part": [2]})
    monkeypatch.setattr("lakefmt.manifest.checkpoint.row_order._HELD_ROWS", 1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not there"))
    with pytest.raises(OutOfMemoryError, match="temporary files") as caught:
        write_checkpoint(table._store, table.snapshot, kind=CheckpointKind.V2)
    assert "TMPDIR" in str(caught.value)
    assert not list((tmp_path / "t" / "_delta_log").glob(f"{4:020}.checkpoint*"))
