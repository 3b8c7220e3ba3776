"""Checkpoints follow commits: when, by whom, and never in the way of a commit."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import deltalake
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import lakefmt
from lakefmt.log import load_segment
from lakefmt.log.last_checkpoint import json_checksum
from lakefmt.log.paths import LAST_CHECKPOINT
from lakefmt.manifest.checkpoint.write import CheckpointKind
from lakefmt.manifest.repeated_files import PathsMet
from lakefmt.store.local import LocalStore
from lakefmt.txn.operations.append import append as append_rows
from lakefmt.txn.writer import Writer
from lakefmt.upkeep.checkpoint import write_checkpoint
from lakefmt.upkeep.schedule import checkpoint_schedule, is_due

ROW = pa.table({"id": [1]})


@pytest.fixture
def table(tmp_path):
    return lakefmt.create(tmp_path / "table", {"id": "long"})


def append(table, times):
    """Append one row so many times, waiting for what follows each."""
    for _ in range(times):
        table.append(ROW)
        table.close()


def folder_of(table):
    return Path(table.uri.removeprefix("file://")) / "_delta_log"


def checkpoints_of(table):
    names = (path.name for path in folder_of(table).iterdir())
    return sorted(int(name[:20]) for name in names if ".checkpoint." in name)


@pytest.mark.parametrize(
    ("version", "last", "log_bytes", "due"),
    [
        (0, -1, 0, False),
        (9, -1, 0, False),
        (10, -1, 0, True),
        (10, 10, 1 << 40, False),
        (10, 12, 1 << 40, False),  # a writer is ahead
        (11, 10, 0, False),
        (19, -1, 0, True),  # two intervals: whoever was to write it is gone
        (18, -1, 0, False),
        (20, 15, 0, True),
        (11, 10, 16 << 20, False),
        (11, 10, (16 << 20) + 1, True),
    ],
)
def test_what_is_due(version, last, log_bytes, due):
    assert is_due(version, 10, last, log_bytes) is due


def test_every_tenth_commit_has_a_checkpoint_and_the_hint_names_the_newest(table):
    append(table, 21)
    assert checkpoints_of(table) == [10, 20]
    hint = orjson.loads((folder_of(table) / "_last_checkpoint").read_bytes())
    assert (hint["version"], hint["numOfAddFiles"]) == (20, 20)
    assert hint["sizeInBytes"] == (folder_of(table) / f"{20:020}.checkpoint.parquet").stat().st_size
    assert hint.pop("checksum") == json_checksum(hint)
    segment = load_segment(table._store)
    assert (segment.checkpoint_version, len(segment.commits)) == (20, 1)
    again = lakefmt.open(table.uri)
    assert again.count() == 21
    assert deltalake.DeltaTable(table.uri.removeprefix("file://")).get_add_actions().num_rows == 21


def test_interval_is_the_tables(tmp_path):
    table = lakefmt.create(tmp_path / "table", {"id": "long"}, properties={"delta.checkpointInterval": 3})
    append(table, 7)
    assert checkpoints_of(table) == [3, 6]


def test_first_rows_of_a_new_table_may_be_due(tmp_path):
    table = lakefmt.write(tmp_path / "table", ROW, properties={"delta.checkpointInterval": 1})
    table.close()
    assert checkpoints_of(table) == [1]


def test_commits_in_a_row_leave_a_checkpoint_of_one_of_the_last(table):
    """Nobody waits between them: those in the middle may be skipped, the last one that is due never is."""
    for _ in range(40):
        table.append(ROW)
    table.close()
    assert checkpoints_of(table)[-1] == 40
    assert lakefmt.open(table.uri).count() == 40


def test_very_long_commits_are_due_before_their_number_is(table):
    stats = orjson.dumps({"numRecords": 0, "minValues": {"id": "x" * 100}}).decode()
    lines = [
        orjson.dumps(
            {
                "add": {
                    "path": f"{number}.parquet",
                    "partitionValues": {},
                    "size": 1,
                    "modificationTime": 0,
                    "dataChange": True,
                    "stats": stats,
                }
            }
        )
        for number in range(90_000)
    ]
    (folder_of(table) / f"{1:020}.json").write_bytes(b"\n".join(lines))
    table = lakefmt.open(table.uri)
    assert table.snapshot.log_bytes > 16 << 20
    append(table, 2)
    assert checkpoints_of(table) == [2]


def test_log_without_checkpoints_gets_one_at_the_first_commit(table):
    append_without_upkeep(table, 23)
    append(table.refresh(), 1)
    assert checkpoints_of(table) == [24]


def append_without_upkeep(table, times=1):
    """Append one row so many times, as writers do that write no checkpoints; return the last snapshot."""
    after = table.snapshot
    for _ in range(times):
        after = append_rows(Writer(table._store), after, ROW)[0]
    return after


def test_checkpoint_that_is_there_is_not_written_again(table):
    append(table, 9)
    one, other = lakefmt.open(table.uri), lakefmt.open(table.uri)
    append(one, 1)
    before = (folder_of(table) / f"{10:020}.checkpoint.parquet").stat()
    other.refresh()
    checkpoint_schedule(table._store)._write_if_due(other.snapshot)
    assert (folder_of(table) / f"{10:020}.checkpoint.parquet").stat().st_mtime_ns == before.st_mtime_ns
    append(other, 10)
    assert checkpoints_of(table) == [10, 20]


def test_hint_to_what_never_was_stops_nothing(table):
    append(table, 9)
    (folder_of(table) / "_last_checkpoint").write_bytes(b'{"version":1000,"size":1}')
    append(table, 1)
    assert checkpoints_of(table) == [10]
    assert orjson.loads((folder_of(table) / "_last_checkpoint").read_bytes())["version"] == 10


def test_checkpoint_that_fails_fails_no_commit_and_the_next_one_is_written(table, caplog):
    (folder_of(table) / f"{10:020}.checkpoint.parquet").mkdir()
    append(table, 10)
    assert table.version == 10
    assert "checkpoint failed" in caplog.text
    caplog.clear()
    append(table, 9)
    assert caplog.text == ""  # not tried again at every commit
    append(table, 1)
    assert 20 in checkpoints_of(table)


def test_handles_of_one_table_share_what_they_know(table):
    other = lakefmt.open(table.uri)
    assert table._write_side.checkpoints is other._write_side.checkpoints
    copy = pickle.loads(pickle.dumps(table))
    assert copy._write_side.checkpoints is table._write_side.checkpoints


def test_table_that_was_deleted_does_not_come_back(table):
    append(table, 9)
    snapshot = append_without_upkeep(table)
    shutil.rmtree(folder_of(table).parent)
    table._write_side.checkpoints.follow(snapshot)
    table.close()
    assert not list(folder_of(table).parent.rglob("*.parquet"))
    assert not lakefmt.is_table(table.uri)


def test_table_that_was_replaced_gets_no_checkpoint_of_the_old_one(table):
    append(table, 9)
    snapshot = append_without_upkeep(table)
    shutil.rmtree(folder_of(table).parent)
    fresh = lakefmt.create(table.uri, {"other": "string"}, properties={"delta.checkpointInterval": 1000})
    for _ in range(10):
        fresh.append({"other": ["x"]})
    table._write_side.checkpoints.follow(snapshot)
    table.close()
    assert checkpoints_of(fresh) == []
    assert lakefmt.open(fresh.uri).count() == 10
    with pytest.raises(lakefmt.VersionNotFoundError, match="no longer in the log"):
        table._write_side.checkpoints.write(snapshot)


def test_table_that_is_deleted_while_its_checkpoint_is_written_does_not_come_back(table):
    append(table, 3)

    class Store(LocalStore):
        @contextlib.contextmanager
        def open_output(self, key):
            with super().open_output(key) as stream:
                yield stream
                self.delete([info.key for info in self.list("_delta_log")])

        def put(self, key, data):
            super().put(key, data)
            if ".checkpoint." in key:
                self.delete([info.key for info in self.list("_delta_log") if ".checkpoint." not in info.key])

    store = Store(table.uri.removeprefix("file://"))
    with pytest.raises(lakefmt.VersionNotFoundError):
        write_checkpoint(store, table.snapshot)
    assert not lakefmt.is_table(table.uri)


def test_checkpoint_on_request_says_what_it_came_to(table):
    append(table, 3)
    found = table.checkpoint()
    assert (found.version, found.kind, found.num_files, found.num_sidecars) == (3, "classic", 3, 0)
    assert found.size_bytes == (folder_of(table) / f"{3:020}.checkpoint.parquet").stat().st_size
    assert repr(found).startswith("checkpoint: version 3, classic, 3 data files (")
    assert found.to_dict()["version"] == 3
    assert lakefmt.open(table.uri).snapshot.checkpoint_version == 3


def test_checkpoint_of_an_older_version_leaves_the_hint(table):
    append(table, 2)
    older = lakefmt.open(table.uri)
    append(table, 1)
    table.checkpoint()
    older.checkpoint()
    assert checkpoints_of(table) == [2, 3]
    assert orjson.loads(table._store.read(LAST_CHECKPOINT))["version"] == 3


def test_read_only_handle_writes_no_checkpoint(table):
    append(table, 1)
    for verb in ("checkpoint", "clean_log", "compact_log"):
        with pytest.raises(lakefmt.InvalidInputError, match="read-only"):
            getattr(table.at(version=1), verb)()


def test_table_with_a_feature_that_writers_lack_gets_no_checkpoint(table):
    path = folder_of(table) / f"{0:020}.json"
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    for line in lines:
        if "protocol" in line:
            line["protocol"]["writerFeatures"].append("someNewFeature")
    path.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    with pytest.raises(lakefmt.UnsupportedFeatureError, match="someNewFeature"):
        lakefmt.open(table.uri).checkpoint()
    assert checkpoints_of(table) == []


def test_handle_is_a_context_that_ends_when_all_is_done(table):
    with lakefmt.open(table.uri) as handle:
        for _ in range(10):
            handle.append(ROW)
    assert checkpoints_of(table)[-1:] == [10]
    handle.append(ROW)


def test_v2_checkpoints_by_policy(tmp_path):
    table = lakefmt.create(tmp_path / "table", {"id": "long"}, properties={"delta.checkpointPolicy": "v2"})
    append(table, 20)
    names = sorted(path.name for path in folder_of(table).iterdir() if ".checkpoint." in path.name)
    assert [int(name[:20]) for name in names] == [10, 20]
    assert all(len(name) > len(f"{10:020}.checkpoint.parquet") for name in names)
    hint = orjson.loads((folder_of(table) / "_last_checkpoint").read_bytes())
    assert hint["v2Checkpoint"]["path"] == names[-1]
    assert hint["v2Checkpoint"]["sizeInBytes"] == (folder_of(table) / names[-1]).stat().st_size
    assert lakefmt.open(table.uri).count() == 20
    assert deltalake.DeltaTable(tmp_path / "table").get_add_actions().num_rows == 20


def test_checkpoints_on_every_store(table_uri):
    uri, options = table_uri
    table = lakefmt.create(
        uri, {"id": "long"}, properties={"delta.checkpointInterval": 2}, storage_options=options
    )
    append(table, 4)
    assert lakefmt.open(uri, storage_options=options).snapshot.checkpoint_version == 4


def one_append(uri):
    lakefmt.open(uri).append(ROW)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_hundred_processes_of_one_append_each_leave_checkpoints(table):
    context = multiprocessing.get_context("fork")
    for _ in range(25):
        processes = [context.Process(target=one_append, args=(table.uri,)) for _ in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
            assert process.exitcode == 0
    assert checkpoints_of(table)[0] <= 20
    assert checkpoints_of(table)[-1] >= 90
    again = lakefmt.open(table.uri)
    assert (again.version, again.count()) == (100, 100)
    assert again.snapshot.checkpoint_version >= 90


def test_process_that_ends_after_its_commit_leaves_the_checkpoint(table):
    append(table, 9)
    code = f"import lakefmt; lakefmt.open({table.uri!r}).append({{'id': [1]}})"
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")
    assert checkpoints_of(table) == [10]


def repeat_adds(folder, change=lambda adds: adds):
    """Have the one checkpoint of a table list its files twice."""
    file = next((folder / "_delta_log").glob("*.checkpoint.parquet"))
    rows = pq.read_table(file)
    pq.write_table(pa.concat_tables([rows, change(rows.filter(pc.is_valid(rows["add"])))]), file)


@pytest.mark.parametrize("partition_by", [[], ["day"]])
@pytest.mark.parametrize("kind", [CheckpointKind.CLASSIC, CheckpointKind.V2])
def test_files_that_the_checkpoint_before_repeats_are_written_once(tmp_path, kind, partition_by):
    v2 = {"delta.checkpointPolicy": "v2"} if kind is CheckpointKind.V2 else {}
    schema = {"id": "long", "day": "long"}
    table = lakefmt.create(tmp_path / "t", schema, partition_by=partition_by, properties=v2)
    for number in range(3):
        table.append({"id": [number], "day": [-number]})
    write_checkpoint(table._store, table.snapshot, kind=CheckpointKind.CLASSIC)
    repeat_adds(tmp_path / "t")
    table = lakefmt.open(tmp_path / "t")
    table.append({"id": [9], "day": [-1]})
    written = write_checkpoint(table._store, table.snapshot, kind=kind)
    assert written.num_adds == 4
    again = lakefmt.open(tmp_path / "t")
    assert sorted(again.to_arrow()["id"].to_pylist()) == [0, 1, 2, 9]
    if kind is CheckpointKind.CLASSIC:
        adds = pq.read_table(tmp_path / "t" / written.key, columns=["add"])["add"]
        assert len(adds) - adds.null_count == 4
    left = {path.name for path in (tmp_path / "t" / "_delta_log").rglob("_sidecars/*")}
    assert left == {sidecar.path for sidecar in written.sidecars}  # nothing of a first try


@pytest.mark.parametrize("held", [1, 200_000])
@pytest.mark.parametrize("repeated", [False, True])
def test_paths_are_known_to_be_different_by_themselves_and_by_their_hashes(held, repeated, monkeypatch):
    monkeypatch.setattr("lakefmt.manifest.repeated_files._HELD_FILES", held)
    met = PathsMet()
    for paths in (["a", "b"], [], ["c"], ["a" if repeated else "d"]):
        met.add(pa.chunked_array([paths], pa.string()))
    assert met.are_different() is not repeated


def test_checkpoint_asked_for_twice_is_the_file_that_is_there(table):
    append(table, 3)
    first = table.checkpoint()
    file = folder_of(table) / f"{3:020}.checkpoint.parquet"
    before = (file.stat().st_ino, file.read_bytes())
    (folder_of(table) / "_last_checkpoint").unlink()
    again = lakefmt.open(table.uri).checkpoint()
    assert (file.stat().st_ino, file.read_bytes()) == before
    assert (again.written_bytes, again.size_bytes, again.num_files) == (0, first.size_bytes, 3)
    assert (again.kind, again.num_sidecars) == ("classic", 0)
    assert orjson.loads(table._store.read(LAST_CHECKPOINT))["size"] == first.num_files + 2


def test_checkpoint_of_another_writer_is_not_written_again(tmp_path):
    deltalake.write_deltalake(tmp_path / "t", ROW)
    deltalake.DeltaTable(tmp_path / "t").create_checkpoint()
    (file,) = (tmp_path / "t").glob("_delta_log/*.checkpoint.parquet")
    before = file.read_bytes()
    assert lakefmt.open(tmp_path / "t").checkpoint().written_bytes == 0
    assert file.read_bytes() == before


def cut(file):
    file.write_bytes(file.read_bytes()[:-40])


def zero_pages(file):
    data = bytearray(file.read_bytes())
    leaves = pq.read_metadata(file).row_group(1)
    path = next(
        leaf for leaf in map(leaves.column, range(leaves.num_columns)) if leaf.path_in_schema == "add.path"
    )
    data[path.data_page_offset : path.data_page_offset + path.total_compressed_size] = bytes(
        path.total_compressed_size
    )
    file.write_bytes(data)


def tell_of_another_table(file):
    rows = pq.read_table(file).to_pylist()
    for row in rows:
        if row["metaData"] is not None:
            row["metaData"]["id"] = "another"
    pq.write_table(pa.Table.from_pylist(rows, pq.read_schema(file)), file)


@pytest.mark.parametrize("damage", [cut, zero_pages, tell_of_another_table])
def test_checkpoint_that_cannot_be_read_is_written_again(table, damage):
    append(table, 3)
    table.checkpoint()
    file = folder_of(table) / f"{3:020}.checkpoint.parquet"
    damage(file)
    assert table.checkpoint().written_bytes > 0
    assert lakefmt.open(table.uri).checkpoint().written_bytes == 0
    assert pq.read_table(file)["metaData"].combine_chunks().drop_null()[0]["id"].as_py() != "another"
    for commit in range(4):
        (folder_of(table) / f"{commit:020}.json").unlink()
    assert lakefmt.open(table.uri).count() == 3


def test_checkpoint_with_a_classic_name_before_a_clean_up_is_written_once(tmp_path):
    table = lakefmt.create(tmp_path / "table", {"id": "long"}, properties={"delta.checkpointPolicy": "v2"})
    append(table, 3)
    first = write_checkpoint(table._store, table.snapshot, kind=CheckpointKind.V2_CLASSIC_NAME)
    again = write_checkpoint(table._store, table.snapshot, kind=CheckpointKind.V2_CLASSIC_NAME)
    assert again.written_bytes == 0 < first.written_bytes
    assert replace(again, written_bytes=0, modified_ms=0) == replace(first, written_bytes=0, modified_ms=0)
