"""Checksum files that follow commits: right, or not there."""

from __future__ import annotations

import uuid
from dataclasses import replace

import deltalake
import orjson
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import StoreError
from lakefmt.log import AddFile, Commit, CommitInfo, DeletionVectorDescriptor, RemoveFile, encode_commit
from lakefmt.log.checksum import load_checksum
from lakefmt.log.paths import LogFile, LogFileKind, checksum_key, commit_key
from lakefmt.snapshot import load_snapshot
from lakefmt.snapshot.totals import Totals
from lakefmt.snapshot.verify import find_discrepancies
from lakefmt.store import open_store
from lakefmt.store.memory import MemoryStore

ROWS = pa.table({"id": [1, 2], "part": ["a", "b"]})


def checksum_of(table, version=None):
    store, version = table._store, table.version if version is None else version
    try:
        info = store.info(checksum_key(version))
    except lakefmt.ObjectNotFoundError:
        return None
    return load_checksum(store, LogFile(LogFileKind.CHECKSUM, version, info.key, info.size_bytes, 0))


def raw(table):
    return orjson.loads(table._store.read(checksum_key(table.version)))


def assert_right(table):
    """Every version has one that its files, replayed from the log alone, add up to."""
    for version in range(table.version + 1):
        said = checksum_of(table, version)
        assert said is not None, version
        there = load_snapshot(table._store, version)
        assert find_discrepancies(said, there.files, there.protocol, there.metadata) == []
        assert not there.discrepancies
        assert said.txn_id == there.commit_info.txn_id


@pytest.fixture
def uri():
    return f"memory://{uuid.uuid4().hex}/t"


def test_every_version_adds_up_whatever_was_done(uri):
    table = lakefmt.create(uri, ROWS.schema, partition_by="part")
    table.append(ROWS)
    table.overwrite(ROWS.slice(0, 1), where="part = 'a'")
    other = lakefmt.open(uri)
    other.append(ROWS)
    table.append(ROWS)  # rebased
    table.overwrite(ROWS)
    lakefmt.write(uri, ROWS, mode="append")
    assert_right(lakefmt.open(uri))


def test_it_has_what_the_protocol_names(uri):
    table = lakefmt.create(uri, ROWS.schema, properties={"delta.enableInCommitTimestamps": True})
    table.append(ROWS, txn=("job", 7))
    said = raw(table)
    files = table.files()
    assert said["numFiles"] == files.num_rows == 1
    assert said["tableSizeBytes"] == files["size_bytes"][0].as_py()
    assert (said["numMetadata"], said["numProtocol"]) == (1, 1)
    assert (said["numDeletionVectorsOpt"], said["numDeletedRecordsOpt"]) == (0, 0)
    assert said["inCommitTimestampOpt"] == table.snapshot.timestamp_ms
    assert [(txn["appId"], txn["version"]) for txn in said["setTransactions"]] == [("job", 7)]
    assert said["domainMetadata"] == []
    assert said["metadata"]["id"] == table.snapshot.metadata.id
    assert "allFiles" not in said


def checkpointed(folder):
    lakefmt.create(folder, ROWS.schema).append(ROWS)
    deltalake.DeltaTable(folder).create_checkpoint()
    return folder


def test_a_new_handle_goes_on_from_the_file_of_the_version_that_it_opened(tmp_path):
    folder = checkpointed(tmp_path / "t")
    table = lakefmt.open(folder)
    table.append(ROWS)
    assert checksum_of(table).num_files == 2


def test_none_is_written_where_nobody_knows_and_again_once_the_files_are_listed(tmp_path):
    folder = checkpointed(tmp_path / "t")
    (folder / checksum_key(1)).unlink()
    table = lakefmt.open(folder)
    table.append(ROWS)
    assert checksum_of(table) is None
    table.files()
    table.append(ROWS)
    assert checksum_of(table).num_files == 3
    assert_figures(table)


def assert_figures(table):
    said = checksum_of(table)
    there = load_snapshot(table._store, table.version)
    assert find_discrepancies(said, there.files, there.protocol, there.metadata) == []


def test_a_version_that_does_not_add_up_gets_no_successor(tmp_path):
    table = lakefmt.create(tmp_path / "t", ROWS.schema)
    table.append(ROWS)
    path = tmp_path / "t" / checksum_key(1)
    path.write_bytes(path.read_bytes().replace(b'"numFiles":1', b'"numFiles":5'))
    opened = lakefmt.open(tmp_path / "t")
    opened.files()
    with pytest.raises(lakefmt.CorruptTableError):
        opened.append(ROWS)


def test_a_checksum_that_cannot_be_written_fails_no_commit(uri, monkeypatch, caplog):
    table = lakefmt.create(uri, ROWS.schema)

    def refuse(self, key, data):
        raise StoreError("denied")

    monkeypatch.setattr(MemoryStore, "put_advisory", refuse)
    assert table.append(ROWS).version == 1
    assert "committed" in caplog.text


def test_one_that_is_there_already_is_left(tmp_path):
    store = open_store(tmp_path)
    assert store.put_advisory("_delta_log/x.crc", b"first")
    assert not store.put_advisory("_delta_log/x.crc", b"second")
    assert store.read("_delta_log/x.crc") == b"first"


def test_on_an_object_store_it_follows_in_the_background(s3_bucket, s3_options, s3_server):
    table = lakefmt.create(f"{s3_bucket}/t", ROWS.schema, storage_options=s3_options)
    table.append(ROWS)
    table.close()
    s3_server.gate.forget()
    table.append(ROWS)
    table.close()
    requests = [(request.method, request.path.rpartition(".")[2]) for request in s3_server.gate.requests()]
    assert sorted(requests) == [("GET", "json"), ("PUT", "crc"), ("PUT", "json"), ("PUT", "parquet")]
    assert_right(lakefmt.open(table.uri, storage_options=s3_options))


VECTOR = DeletionVectorDescriptor("i", "x", 1, 3)


def add(path, size_bytes=10, **more):
    return AddFile(path, {}, size_bytes, 0, **more)


def remove(path, size_bytes=10, **more):
    return RemoveFile(path, 0, size_bytes=size_bytes, **more)


@pytest.mark.parametrize(
    ("commit", "after"),
    [
        (Commit(adds=(add("a"),)), Totals(6, 110, 1, 4)),
        (Commit(removes=(remove("a"),)), Totals(4, 90, 1, 4)),
        (Commit(removes=(remove("a"),), adds=(add("a", deletion_vector=VECTOR),)), Totals(5, 100, 2, 7)),
        (Commit(removes=(remove("a", deletion_vector=VECTOR),), adds=(add("b", 4),)), Totals(5, 94, 0, 1)),
        (
            Commit(removes=(remove("a", data_change=False),), adds=(add("b", data_change=False),)),
            Totals(5, 100, 1, 4),
        ),
        (Commit(), Totals(5, 100, 1, 4)),
        (Commit(removes=(remove("a", None),)), None),
        (Commit(adds=(add("a", data_change=False),)), None),  # statistics or row ids of a file that is there
        (Commit(removes=(remove("a", data_change=False),)), None),  # tombstones of vectors
    ],
)
def test_what_a_commit_makes_of_the_totals(commit, after):
    by_us = replace(commit, info=CommitInfo(engine_info="lakefmt/0"))
    assert Totals(5, 100, 1, 4).after([by_us]) == after
    # Others may add what is there already, and remove what is not.
    by_others = replace(commit, info=CommitInfo(engine_info="delta-rs:0"))
    assert Totals(5, 100, 1, 4).after([by_others]) == (after if commit == Commit() else None)


def test_a_file_that_others_added_twice_is_counted_once(tmp_path):
    # As loaders that register files do when they are run again. It may not turn the table into one that does not add up.
    table = lakefmt.write(tmp_path / "t", ROWS)
    (file,) = table.snapshot.files.to_adds()
    again = Commit(adds=(file,), info=CommitInfo(engine_info="loader"))
    (tmp_path / "t" / commit_key(2)).write_bytes(encode_commit(again))
    table.refresh()
    table.append(ROWS)
    assert checksum_of(table).num_files == 2
    assert lakefmt.open(tmp_path / "t").append(ROWS).version == 4
