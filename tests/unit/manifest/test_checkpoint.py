import datetime as dt
import json

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakefmt.errors import CorruptTableError
from lakefmt.log.segment import load_segment
from lakefmt.manifest import Checkpoint
from lakefmt.manifest.checkpoint.add_columns import map_values
from lakefmt.snapshot import load_snapshot
from lakefmt.store import open_store


@pytest.fixture
def delta_rs_table(tmp_path):
    uri = str(tmp_path / "t")
    for day in (1, 2, 3):
        rows = pa.table({"id": [day, day + 10], "day": pa.array([dt.date(2026, 11, day)] * 2)})
        deltalake.write_deltalake(uri, rows, mode="append", partition_by=["day"], name="flights")
    table = deltalake.DeltaTable(uri)
    table.delete("id = 2 OR id = 12")
    table.create_checkpoint()
    deltalake.write_deltalake(uri, rows, mode="append")
    return uri


def test_checkpoint_of_another_writer_is_read_as_columns(delta_rs_table):
    store = open_store(delta_rs_table)
    segment = load_segment(store)
    assert segment.checkpoint_version == 3
    files = Checkpoint(store, segment.checkpoint).files(["day"])
    values = [row["partition_values"]["day"] for row in files.table.to_pylist()]
    assert sorted(values) == ["2026-11-01", "2026-11-03"]
    assert files.table["stats"].null_count == files.table["num_records"].null_count == 2
    counted = Checkpoint(store, segment.checkpoint).files(["day"], counts=True)
    assert counted.num_records().to_pylist() == [2, 2]


def test_one_off_actions_come_from_the_checkpoint(delta_rs_table):
    store = open_store(delta_rs_table)
    state = Checkpoint(store, load_segment(store).checkpoint).state
    assert state.metadata.name == "flights"
    assert state.metadata.partition_columns == ("day",)
    assert state.protocol is not None


def test_files_are_those_the_other_writer_lists(delta_rs_table):
    snapshot = load_snapshot(open_store(delta_rs_table))
    table = deltalake.DeltaTable(delta_rs_table)
    assert snapshot.version == table.version() == 4
    ours = {uri.rpartition("/")[2] for uri in snapshot.files.table["path"].to_pylist()}
    assert ours == {uri.rpartition("/")[2] for uri in table.file_uris()}


@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty", "not a checkpoint"])
def test_damaged_checkpoint_is_a_typed_error_that_names_it(delta_rs_table, tmp_path, damage):
    path = next((tmp_path / "t" / "_delta_log").glob("*.checkpoint.parquet"))
    match damage:
        case "truncated":
            path.write_bytes(path.read_bytes()[:-100])
        case "garbage":
            path.write_bytes(b"x" * 500)
        case "empty":
            path.write_bytes(b"")
        case _:
            pq.write_table(pa.table({"x": [1]}), path)
    for commit in range(3):
        (path.parent / f"{commit:020d}.json").unlink()
    with pytest.raises(CorruptTableError, match=r"checkpoint") as caught:
        load_snapshot(open_store(delta_rs_table))
    assert caught.value.path.endswith(path.name)


ADD = {
    "path": "a%20b",
    "partitionValues": {"day": "2026-11-01"},
    "size": 5,
    "modificationTime": 7,
    "dataChange": False,
}
ONE_OFF = [
    {"checkpointMetadata": {"version": 2}},
    {
        "protocol": {
            "minReaderVersion": 3,
            "minWriterVersion": 7,
            "readerFeatures": ["v2Checkpoint"],
            "writerFeatures": [],
        }
    },
    {
        "metaData": {
            "id": "t",
            "format": {"provider": "parquet"},
            "schemaString": '{"type":"struct","fields":[{"name":"day","type":"date","nullable":true,"metadata":{}}]}',
            "partitionColumns": ["day"],
            "configuration": {"delta.checkpointPolicy": "v2"},
        }
    },
    {"txn": {"appId": "app", "version": 9}},
    {"domainMetadata": {"domain": "d", "configuration": "{}", "removed": False}},
]
NAME = f"{2:020d}.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json"


@pytest.fixture
def log(tmp_path):
    folder = tmp_path / "_delta_log"
    (folder / "_sidecars").mkdir(parents=True)
    return folder


def write_json(log, *more):
    (log / NAME).write_text("\n".join(map(json.dumps, [*ONE_OFF, *more])))


def write_sidecar(log, name, *paths):
    adds = [{**ADD, "path": path, "partitionValues": [("day", None)]} for path in paths]
    kind = pa.struct(
        [
            ("path", pa.string()),
            ("partitionValues", pa.map_(pa.string(), pa.string())),
            ("size", pa.int64()),
            ("modificationTime", pa.int64()),
            ("dataChange", pa.bool_()),
            ("stats", pa.null()),
        ]
    )
    removes = pa.nulls(len(adds), pa.struct([("path", pa.string())]))
    pq.write_table(pa.table({"add": pa.array(adds, kind), "remove": removes}), log / "_sidecars" / name)
    size = (log / "_sidecars" / name).stat().st_size
    return {"sidecar": {"path": name, "sizeInBytes": size, "modificationTime": 1}}


def paths_of(log):
    return load_snapshot(open_store(log.parent)).files.table["path"].to_pylist()


def test_json_checkpoint_may_list_its_files_itself(log):
    write_json(log, {"add": ADD}, {"remove": {"path": "gone", "deletionTimestamp": 1, "dataChange": True}})
    snapshot = load_snapshot(open_store(log.parent))
    assert paths_of(log) == ["a%20b"]
    assert snapshot.transactions["app"].version == 9
    assert list(snapshot.domains) == ["d"]


def test_sidecars_are_read_in_order_whatever_their_path_looks_like(log):
    first, second = write_sidecar(log, "one two.parquet", "f1", "f2"), write_sidecar(log, "b.parquet", "f3")
    first["sidecar"]["path"] = "one%20two.parquet"
    second["sidecar"]["path"] = f"{log.as_uri()}/_sidecars/b.parquet"
    write_json(log, first, second)
    assert paths_of(log) == ["f1", "f2", "f3"]


def test_files_of_a_null_typed_column_have_nulls_there(log):
    write_json(log, write_sidecar(log, "a.parquet", "f1"))
    assert load_snapshot(open_store(log.parent)).files.table["stats"].to_pylist() == [None]


def test_checkpoint_without_sidecars_and_files_is_an_empty_table(log):
    write_json(log)
    assert paths_of(log) == []


def test_missing_sidecar_is_named(log):
    write_json(log, write_sidecar(log, "a.parquet", "f1"))
    (log / "_sidecars" / "a.parquet").unlink()
    with pytest.raises(CorruptTableError) as caught:
        paths_of(log)
    assert caught.value.path == "_delta_log/_sidecars/a.parquet"


@pytest.mark.parametrize("path", ["", "..", "x/..", "%2e%2e"])
def test_sidecar_by_no_name_is_corrupt(log, path):
    write_json(log, {"sidecar": {"path": path, "sizeInBytes": 1, "modificationTime": 1}})
    with pytest.raises(CorruptTableError, match="sidecar"):
        paths_of(log)


def test_later_commits_count_on_top_of_sidecars(log):
    write_json(log, write_sidecar(log, "a.parquet", "f1", "f2"))
    (log / f"{3:020d}.json").write_text(
        "\n".join(
            map(json.dumps, [{"remove": {"path": "f1", "dataChange": True}}, {"add": {**ADD, "path": "f3"}}])
        )
    )
    assert paths_of(log) == ["f2", "f3"]
    snapshot = load_snapshot(open_store(log.parent))
    assert snapshot.first_files(1).table["path"].to_pylist()[0] == "f2"


def test_values_of_maps_in_any_layout():
    kind = pa.map_(pa.string(), pa.string())
    same = pa.array([[("a", "1"), ("b", "2")], [("a", None), ("b", "4")]], kind)
    mixed = pa.array([[("b", "2"), ("a", "1")], None, [], [("b", "3"), ("c", "4")]], kind)
    assert map_values(pa.chunked_array([same, mixed]), "b", 6).to_pylist() == ["2", "4", "2", None, None, "3"]
    assert map_values(pa.chunked_array([same]), "a", 2).to_pylist() == ["1", None]
    assert map_values(pa.chunked_array([mixed.slice(1)]), "a", 3).to_pylist() == [None, None, None]
    twice = pa.array([[("a", "1"), ("b", "x")], [("a", "2"), ("b", "y")]], kind)
    assert map_values(twice.slice(1), "a", 1).to_pylist() == ["2"]
    assert map_values(None, "a", 2).to_pylist() == [None, None]
