import json
import os

import pytest

import lakefmt
from lakefmt.errors import CorruptTableError, VersionNotFoundError
from lakefmt.log import CommitTimes, InCommitTimestamps, Metadata, Protocol
from lakefmt.log.listing import list_commits
from lakefmt.store import open_store

SCHEMA = '{"type":"struct","fields":[{"name":"x","type":"long","nullable":true,"metadata":{}}]}'
FEATURE = {"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["inCommitTimestamp"]}
PLAIN = {"minReaderVersion": 1, "minWriterVersion": 2}


def metadata(**properties):
    return {
        "id": "m",
        "format": {"provider": "parquet", "options": {}},
        "schemaString": SCHEMA,
        "partitionColumns": [],
        "configuration": {f"delta.{name}": value for name, value in properties.items()},
    }


def write_commit(folder, version, *actions, in_commit=None, written=None):
    path = folder / "_delta_log" / f"{version:020d}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    info = {"operation": "WRITE"} | ({} if in_commit is None else {"inCommitTimestamp": in_commit})
    path.write_text("\n".join(json.dumps(a) for a in [{"commitInfo": info}, *actions]))
    if written is not None:
        os.utime(path, ns=(written * 1_000_000, written * 1_000_000))


@pytest.fixture
def enabled_midway(tmp_path):
    """Versions 0 to 2 at 1000, 2000, 3000 by their files; 3 to 5 at 4000, 5000, 6000 by what they say."""
    write_commit(tmp_path, 0, {"protocol": PLAIN}, {"metaData": metadata()}, written=1_000)
    write_commit(tmp_path, 1, written=2_000)
    write_commit(tmp_path, 2, written=3_000)
    on = metadata(
        enableInCommitTimestamps="true",
        inCommitTimestampEnablementVersion="3",
        inCommitTimestampEnablementTimestamp="4000",
    )
    # Files copied much later: their times mean nothing any more.
    write_commit(tmp_path, 3, {"protocol": FEATURE}, {"metaData": on}, in_commit=4_000, written=90_000)
    write_commit(tmp_path, 4, in_commit=5_000, written=80_000)
    write_commit(tmp_path, 5, in_commit=6_000, written=70_000)
    return tmp_path


@pytest.mark.parametrize(
    ("moment", "version"),
    [
        (1_000, 0),
        (1_999, 0),
        (2_000, 1),
        (3_000, 2),
        (3_999, 2),
        (4_000, 3),
        (4_999, 3),
        (5_000, 4),
        (6_000, 5),
    ],
)
def test_a_moment_is_the_version_that_was_newest_then(enabled_midway, moment, version):
    at = lakefmt.open(enabled_midway).at(timestamp=f"1970-01-01T00:00:{moment / 1000:06.3f}Z")
    assert at.version == version


def test_history_and_snapshot_are_dated_as_time_travel_is(enabled_midway):
    table = lakefmt.open(enabled_midway)
    assert [e.timestamp_ms for e in table.history()] == [6_000, 5_000, 4_000, 3_000, 2_000, 1_000]
    assert [lakefmt.open(enabled_midway, version=v).snapshot.timestamp_ms for v in range(6)] == [
        1_000,
        2_000,
        3_000,
        4_000,
        5_000,
        6_000,
    ]


def test_files_touched_after_the_enablement_do_not_hide_the_commits_since(enabled_midway):
    for version, written in ((1, 5_500), (2, 5_600)):
        os.utime(
            enabled_midway / "_delta_log" / f"{version:020d}.json", ns=(written * 10**6, written * 10**6)
        )
    assert lakefmt.open(enabled_midway, timestamp="1970-01-01T00:00:04.500Z").version == 3
    assert lakefmt.open(enabled_midway, timestamp="1970-01-01T00:00:03.900Z").version == 0


def test_before_and_after_all_commits_names_the_nearest(enabled_midway):
    with pytest.raises(VersionNotFoundError, match=r"version 0 at 1970-01-01T00:00:01"):
        lakefmt.open(enabled_midway, timestamp="1970-01-01T00:00:00.999Z")
    with pytest.raises(
        VersionNotFoundError, match=r"after the last commit: version 5 at 1970-01-01T00:00:06"
    ):
        lakefmt.open(enabled_midway, timestamp="1970-01-01T00:00:06.001Z")


def test_a_commit_that_must_say_its_time_and_does_not_is_named(enabled_midway):
    write_commit(enabled_midway, 4)
    table = lakefmt.open(enabled_midway)
    assert table.files().num_rows == 0
    with pytest.raises(CorruptTableError, match=r"no inCommitTimestamp.*0004\.json"):
        table.history()
    with pytest.raises(CorruptTableError, match="no inCommitTimestamp"):
        table.at(timestamp="1970-01-01T00:00:04.500Z")
    assert table.at(version=2).history()[0].timestamp_ms == 3_000


def test_what_commits_say_counts_only_while_the_feature_is_on(tmp_path):
    on = metadata(enableInCommitTimestamps="true")
    write_commit(tmp_path, 0, {"protocol": FEATURE}, {"metaData": on}, in_commit=10, written=1_000)
    write_commit(tmp_path, 1, {"metaData": metadata()}, in_commit=20, written=2_000)
    table = lakefmt.open(tmp_path)
    assert [entry.timestamp_ms for entry in table.history()] == [2_000, 1_000]
    assert table.at(version=0).snapshot.timestamp_ms == 10


def test_the_property_without_the_feature_is_off():
    properties = Metadata("m", SCHEMA, configuration={"delta.enableInCommitTimestamps": "true"})
    assert InCommitTimestamps.of(Protocol(1, 2), properties, table="t", version=0) is None


def test_an_enablement_that_is_no_number_is_corrupt():
    properties = Metadata(
        "m",
        SCHEMA,
        configuration={
            "delta.enableInCommitTimestamps": "true",
            "delta.inCommitTimestampEnablementVersion": "soon",
        },
    )
    protocol = Protocol(1, 7, None, frozenset({"inCommitTimestamp"}))
    with pytest.raises(CorruptTableError, match="'soon', no number"):
        InCommitTimestamps.of(protocol, properties, table="t", version=0)


def test_a_search_over_many_commits_reads_few(tmp_path):
    for version in range(300):
        write_commit(tmp_path, version, in_commit=1_000 * version)
    store = open_store(tmp_path)
    read = []
    store.read = lambda key, read_all=store.read: read.append(key) or read_all(key)
    times = CommitTimes(store, list_commits(store), InCommitTimestamps())
    assert times.version_at(123_456) == 123
    assert len(read) <= 11


def test_a_snapshot_at_a_checkpoint_reads_its_commit_for_the_time(tmp_path):
    deltalake = pytest.importorskip("deltalake")
    on = metadata(enableInCommitTimestamps="true")
    write_commit(tmp_path, 0, {"protocol": FEATURE}, {"metaData": on}, in_commit=10, written=1_000)
    write_commit(tmp_path, 1, in_commit=20, written=2_000)
    deltalake.DeltaTable(str(tmp_path)).create_checkpoint()
    snapshot = lakefmt.open(tmp_path).snapshot
    assert snapshot.timestamp_ms == 20
    (tmp_path / "_delta_log" / f"{1:020d}.json").unlink()
    assert lakefmt.open(tmp_path).version == 1
