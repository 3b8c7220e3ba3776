"""Commits that say their time themselves: always, first in the commit, later than the one before."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import replace

import orjson
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.log import Protocol
from lakefmt.log.paths import commit_key
from lakefmt.snapshot import load_snapshot
from lakefmt.store import open_store
from lakefmt.txn import SYSTEM, Changes, Writer
from lakefmt.txn.commit import commit
from lakefmt.txn.operations.append import append

ROWS = pa.table({"id": [1]})
ON = {"delta.enableInCommitTimestamps": True}


@pytest.fixture
def store():
    return open_store(f"memory://{uuid.uuid4().hex}/t")


def writer_at(store, now_ms, **more):
    return Writer(store, replace(SYSTEM, now_ms=lambda: now_ms, **more))


def first_action(store, version):
    return json.loads(store.read(commit_key(version)).splitlines()[0])["commitInfo"]


def times(store, versions):
    return [first_action(store, version)["inCommitTimestamp"] for version in versions]


def test_times_never_stand_still_or_go_back(store):
    lakefmt.create(store.uri, ROWS.schema, properties=ON)
    start = times(store, [0])[0]
    for version, now_ms in enumerate([start, start - 10_000, start + 5_000, start + 5_000], 1):
        append(writer_at(store, now_ms), load_snapshot(store), ROWS)
        assert load_snapshot(store).timestamp_ms == times(store, [version])[0]
    assert times(store, range(5)) == [start, start + 1, start + 2, start + 5_000, start + 5_001]


def test_a_rebased_commit_is_dated_after_the_winners(store):
    table = lakefmt.create(store.uri, ROWS.schema, properties=ON)
    start = times(store, [0])[0]
    stale = load_snapshot(store)
    append(writer_at(store, start + 60_000), table.snapshot, ROWS)
    after, _ = append(writer_at(store, start + 1), stale, ROWS)
    assert (after.version, after.timestamp_ms) == (2, start + 60_001)
    assert times(store, [2]) == [start + 60_001]


def switched_on(snapshot):
    """The commit of an engine that switches in-commit timestamps on."""
    features = frozenset({"inCommitTimestamp", *(snapshot.protocol.writer_features or ())})
    protocol = Protocol(snapshot.protocol.min_reader_version, 7, snapshot.protocol.reader_features, features)
    configuration = {**snapshot.metadata.configuration, "delta.enableInCommitTimestamps": "true"}
    metadata = replace(snapshot.metadata, configuration=configuration)
    return Changes("SET TBLPROPERTIES", protocol=protocol, metadata=metadata)


def test_who_switches_them_on_says_since_when(store):
    table = lakefmt.create(store.uri, ROWS.schema)
    time.sleep(0.005)  # files of one millisecond count as written one after the other
    table.append(ROWS)
    assert "inCommitTimestamp" not in first_action(store, 1)
    written_ms = store.info(commit_key(1)).modified_ms
    base = load_snapshot(store)
    after = commit(writer_at(store, written_ms - 3_600_000), base, switched_on(base))
    assert times(store, [2]) == [written_ms + 1]  # later than the file before it, whatever the clock says
    properties = after.metadata.configuration
    assert properties["delta.inCommitTimestampEnablementVersion"] == "2"
    assert properties["delta.inCommitTimestampEnablementTimestamp"] == str(written_ms + 1)
    table.refresh().append(ROWS)
    newest = lakefmt.open(store.uri)
    assert [newest.at(timestamp=entry["timestamp"]).version for entry in newest.history().to_dicts()] == [
        3,
        2,
        1,
        0,
    ]


def test_the_version_since_when_is_that_of_the_attempt_that_won(store):
    lakefmt.create(store.uri, ROWS.schema)
    base = load_snapshot(store)
    first = complete_of(base)
    lakefmt.open(store.uri).append(ROWS)
    moved = complete_of(load_snapshot(store))
    assert (first, moved) == ("1", "2")


def complete_of(base):
    from lakefmt.txn.attempt import complete

    made = complete(switched_on(base), base, time.time_ns() // 1_000_000, "id")
    assert made.metadata.configuration["delta.inCommitTimestampEnablementTimestamp"] == str(
        made.info.in_commit_timestamp_ms
    )
    return made.metadata.configuration["delta.inCommitTimestampEnablementVersion"]


def test_since_when_outlives_a_change_of_metadata_that_leaves_it_out(store):
    lakefmt.create(store.uri, ROWS.schema)
    base = load_snapshot(store)
    on = commit(Writer(store), base, switched_on(base))
    bare = {"delta.enableInCommitTimestamps": "true"}
    change = Changes("REPLACE TABLE", metadata=replace(on.metadata, configuration=bare))
    after = commit(Writer(store), on, change)
    assert after.metadata.configuration["delta.inCommitTimestampEnablementVersion"] == "1"
    assert after.in_commit_timestamps == on.in_commit_timestamps


def test_a_table_that_has_them_from_the_start_says_nothing_of_since_when(store):
    table = lakefmt.create(store.uri, ROWS.schema, properties=ON)
    assert "inCommitTimestamp" in table.snapshot.protocol.writer_features
    assert not [name for name in table.properties if "Enablement" in name]
    lines = [orjson.loads(line) for line in store.read(commit_key(0)).splitlines()]
    assert next(iter(lines[0])) == "commitInfo"


def test_commits_on_a_table_loaded_from_a_checkpoint_are_dated_too(tmp_path):
    import deltalake

    table = lakefmt.create(tmp_path / "t", ROWS.schema, properties=ON)
    table.append(ROWS)
    deltalake.DeltaTable(tmp_path / "t").create_checkpoint()
    opened = lakefmt.open(tmp_path / "t")
    opened.append(ROWS)
    store = open_store(tmp_path / "t")
    found = times(store, range(3))
    assert found == sorted(set(found))
