"""Log clean-up: what goes, what stays, and that every moment of it is right."""

from __future__ import annotations

import datetime as dt
import os
import re
from pathlib import Path

import deltalake
import orjson
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.store.local import LocalStore
from lakefmt.txn.environment import Environment
from lakefmt.txn.operations.append import append as append_rows
from lakefmt.txn.writer import Writer
from lakefmt.upkeep import clean_log
from lakefmt.upkeep.checkpoint import write_checkpoint
from lakefmt.upkeep.log_cleanup import has_expired

NOW = dt.datetime(2026, 6, 30, 15, tzinfo=dt.UTC)
CLOCK = Environment(now_ms=lambda: int(NOW.timestamp() * 1000))
QUIET = {"delta.checkpointInterval": 1000}


def days_ago(days):
    return (NOW - dt.timedelta(days=days)).timestamp()


@pytest.fixture
def table(tmp_path):
    """Versions 0 to 9, one a day, the newest today; version n has n rows; checkpoints of versions 3 and 6 by delta-rs."""
    return make_table(tmp_path / "table", QUIET | {"delta.logRetentionDuration": "interval 2 days"})


def make_table(path, properties, versions=10, checkpoints=(3, 6)):
    table = lakefmt.create(path, {"id": "long"}, properties=properties)
    for number in range(1, versions):
        table.append(pa.table({"id": [number]}))
        if number in checkpoints:
            deltalake.DeltaTable(path).create_checkpoint()
    age(path, versions)
    return lakefmt.open(path)


def age(path, versions=10):
    for file in (Path(path) / "_delta_log").iterdir():
        if found := re.match(r"\d{20}", file.name):
            written = days_ago(versions - 1 - int(found[0]))
            os.utime(file, (written, written))


def names(table):
    folder = folder_of(table)
    return sorted(file.name for file in folder.iterdir() if file.is_file())


def folder_of(table):
    return Path(table.uri.removeprefix("file://")) / "_delta_log"


def commits_of(table):
    return [int(name[:20]) for name in names(table) if re.fullmatch(r"\d{20}\.json", name)]


def clean(table, **more):
    return clean_log(table._store, table.snapshot, CLOCK, **more)


def test_log_begins_with_the_newest_checkpoint_before_the_cut_off(table):
    # Two days before today's midnight is June 28: version 7, of 15:00, is newer, 6 is the cut-off commit.
    found = clean(table)
    assert (found.oldest_version, found.num_commits, found.num_checkpoint_files) == (6, 6, 1)
    assert found.size_bytes > 0
    assert commits_of(table) == [6, 7, 8, 9]
    assert [name for name in names(table) if "checkpoint" in name] == [
        f"{6:020}.checkpoint.parquet",
        "_last_checkpoint",
    ]
    assert "6 commits, 1 checkpoint file" in repr(found)


@pytest.mark.parametrize(("late_ms", "oldest"), [(0, 6), (1, 3)])
def test_commit_of_exactly_midnight_is_the_cut_off_commit(table, late_ms, oldest):
    moment_ns = int(dt.datetime(2026, 6, 28, tzinfo=dt.UTC).timestamp()) * 10**9 + late_ms * 10**6
    path = folder_of(table) / f"{6:020}.json"
    os.utime(path, ns=(moment_ns, moment_ns))
    clean(table)
    assert commits_of(table)[0] == oldest


def test_versions_that_are_kept_have_their_rows_and_others_a_typed_error(table):
    clean(table)
    for version in range(6, 10):
        assert table.at(version=version).count() == version
    for version in range(6):
        with pytest.raises(lakefmt.VersionNotFoundError, match="6"):
            table.at(version=version)
    assert [entry.version for entry in lakefmt.open(table.uri).history()] == [9, 8, 7, 6]
    assert table.append({"id": [1]}).version == 10
    assert deltalake.DeltaTable(table.uri.removeprefix("file://")).to_pyarrow_dataset is not None


def test_second_clean_up_finds_nothing(table):
    clean(table)
    found = clean(table)
    assert (found.oldest_version, found.num_commits) == (None, 0)
    assert repr(found) == "clean_log: nothing is old enough"


def test_dry_run_deletes_nothing_and_says_what_would_go(table):
    before = names(table)
    found = clean(table, dry_run=True)
    assert names(table) == before
    assert (found.num_commits, found.oldest_version, found.dry_run) == (6, 6, True)
    assert "would be deleted" in repr(found)


def test_without_a_checkpoint_nothing_goes(tmp_path):
    table = make_table(
        tmp_path / "table", QUIET | {"delta.logRetentionDuration": "interval 0 days"}, checkpoints=()
    )
    assert clean(table).num_commits == 0
    assert len(commits_of(table)) == 10


def test_default_retention_is_thirty_days(tmp_path):
    table = make_table(tmp_path / "table", QUIET)
    assert clean(table).num_commits == 0


@pytest.mark.parametrize("text", ["interval 2 months", "nonsense", "interval -3 days"])
def test_retention_that_makes_no_sense_is_not_guessed_at(table, text):
    rewrite_property(table, "delta.logRetentionDuration", text)
    with pytest.raises(lakefmt.InvalidInputError, match="logRetentionDuration"):
        clean(lakefmt.open(table.uri))
    assert commits_of(table)[0] == 0


def rewrite_property(table, name, value, features=()):
    """Commit version 10 with a property as another engine sets it."""
    folder = folder_of(table)
    first = [orjson.loads(line) for line in (folder / f"{0:020}.json").read_bytes().splitlines()]
    metadata = next(line["metaData"] for line in first if "metaData" in line)
    metadata["configuration"][name] = value
    lines = [{"metaData": metadata}]
    if features:
        protocol = next(line["protocol"] for line in first if "protocol" in line)
        protocol["writerFeatures"] += features
        lines.append({"protocol": protocol})
    (folder / f"{10:020}.json").write_bytes(b"\n".join(map(orjson.dumps, lines)))


def test_retention_that_was_changed_since_the_handle_looked_counts(table):
    rewrite_property(table, "delta.logRetentionDuration", "interval 20 days")
    assert clean(table).num_commits == 0


@pytest.mark.parametrize(
    ("before", "cleaned"), [("6", True), ("7", False), ("x", False), ("9" * 5_000, False)]
)
def test_protected_checkpoints_go_in_one_piece_or_not_at_all(table, before, cleaned):
    rewrite_property(
        table, "delta.requireCheckpointProtectionBeforeVersion", before, features=["checkpointProtection"]
    )
    assert (clean(lakefmt.open(table.uri)).num_commits > 0) is cleaned


def test_table_that_writers_cannot_write_to_is_not_cleaned(table):
    rewrite_property(table, "delta.x", "y", features=["someNewFeature"])
    with pytest.raises(lakefmt.UnsupportedFeatureError, match="someNewFeature"):
        clean(lakefmt.open(table.uri))
    assert len(commits_of(table)) == 11


def test_checksums_and_log_compactions_go_as_well(table):
    folder = folder_of(table)
    for version in (2, 6, 7):
        (folder / f"{version:020}.crc").write_bytes(b"{}")
    for first, last in ((1, 2), (6, 8), (7, 8)):
        (folder / f"{first:020}.{last:020}.compacted.json").write_bytes(b"{}")
    (folder / "_staged_commits").mkdir()
    staged = [f"{v:020}.3a0d65cd-4056-49b8-937b-95f9e3ee90e5.json" for v in (2, 6, 7)]
    for name in staged:
        (folder / "_staged_commits" / name).write_bytes(b"{}")
    found = clean(table)
    assert found.num_other_files == 6 + 2 + 2
    assert [name for name in names(table) if name.endswith(".crc")] == [
        f"{version:020}.crc" for version in range(6, 10)
    ]
    assert [name for name in names(table) if "compacted" in name] == [f"{7:020}.{8:020}.compacted.json"]
    assert [path.name for path in (folder / "_staged_commits").iterdir()] == staged[2:]


def test_checkpoint_that_cannot_be_read_stands_for_nothing(table, caplog):
    folder = folder_of(table)
    (folder / f"{6:020}.checkpoint.parquet").write_bytes(b"PAR1 no checkpoint PAR1")
    age(folder.parent)
    assert clean(table).oldest_version == 3
    assert commits_of(table)[0] == 3
    assert "not cleaned up to it" in caplog.text


def test_hint_to_a_checkpoint_that_goes_is_deleted_first(table):
    folder = folder_of(table)
    (folder / "_last_checkpoint").write_bytes(b'{"version":3,"size":5}')
    clean(table)
    assert "_last_checkpoint" not in names(table)
    assert lakefmt.open(table.uri).count() == 9


def test_in_commit_timestamps_date_commits_where_files_do_not(tmp_path):
    """The files are of today; the commits say that they are old."""
    table = lakefmt.create(
        tmp_path / "table",
        {"id": "long"},
        properties=QUIET
        | {"delta.logRetentionDuration": "interval 2 days", "delta.enableInCommitTimestamps": "true"},
    )
    first = folder_of(table) / f"{0:020}.json"
    lines = [orjson.loads(line) for line in first.read_bytes().splitlines()]
    lines[0]["commitInfo"]["inCommitTimestamp"] = int(days_ago(9) * 1000)
    first.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    snapshot = lakefmt.open(table.uri).snapshot
    for version in range(1, 10):
        clock = Environment(now_ms=lambda version=version: int(days_ago(9 - version) * 1000))
        snapshot, _ = append_rows(Writer(table._store, clock), snapshot, pa.table({"id": [version]}))
        if version in (3, 6):
            write_checkpoint(table._store, snapshot)
    midnight = int(dt.datetime(2026, 6, 28, tzinfo=dt.UTC).timestamp() * 1000)
    assert has_expired(table._store, snapshot, midnight)
    assert not has_expired(table._store, snapshot, int(days_ago(9) * 1000) - 1)
    found = clean_log(table._store, snapshot, CLOCK)
    assert (found.oldest_version, found.num_commits) == (6, 6)
    assert lakefmt.open(table.uri).count() == 9


class CrashError(Exception):
    """The process dies here."""


class CrashingStore(LocalStore):
    """A local disk whose process dies after some deletes; within a request in any order."""

    left: int = 10**9
    backwards = False

    def delete(self, keys):
        for key in sorted(keys, reverse=self.backwards):
            if self.left == 0:
                raise CrashError
            self.left -= 1
            super().delete([key])


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("after", range(15))
def test_whatever_moment_the_process_dies_at_versions_have_their_rows_or_a_typed_error(
    table, after, backwards
):
    store = CrashingStore(table.uri.removeprefix("file://"))
    store.left, store.backwards = after, backwards
    if after < 13:
        with pytest.raises(CrashError):
            clean_log(store, table.snapshot, CLOCK)
    else:
        clean_log(store, table.snapshot, CLOCK)
    assert lakefmt.open(table.uri).count() == 9
    for version in range(10):
        try:
            rows = lakefmt.open(table.uri, version=version).count()
        except lakefmt.VersionNotFoundError:
            assert version < 6
        except lakefmt.CorruptTableError:
            # What is left in any order is no log that was cleaned.
            assert version < 6
            assert backwards
        else:
            assert rows == version
    assert deltalake.DeltaTable(table.uri.removeprefix("file://")).version() == 9
    # The next one ends what was begun.
    clean(table)
    assert commits_of(table) == [6, 7, 8, 9]
