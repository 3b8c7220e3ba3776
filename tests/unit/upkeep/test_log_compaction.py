"""Log compaction files: one file for several commits, the same table."""

from __future__ import annotations

import deltalake
import orjson
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.log import Commit, DomainMetadata, RemoveFile, TransactionId, load_segment
from lakefmt.log.paths import LogFileKind, compaction_key
from lakefmt.upkeep import compact_log
from lakefmt.upkeep.log_compaction import reconcile_commits


@pytest.fixture
def table(tmp_path):
    """Versions 0 to 6: rows come and go."""
    table = lakefmt.create(
        tmp_path / "table",
        {"day": "long", "id": "long"},
        partition_by="day",
        properties={"delta.checkpointInterval": 1000},
    )
    for day in range(4):
        table.append(pa.table({"day": [day], "id": [day]}))
    table.overwrite(pa.table({"day": [1], "id": [11]}), where="day = 1")
    table.append(pa.table({"day": [9], "id": [9]}))
    return table


def compact(table, *versions):
    return compact_log(table._store, table.snapshot, *versions)


def test_one_file_stands_for_all_commits_and_the_rows_are_the_same(table):
    rows = sorted(table.to_arrow().to_pylist(), key=str)
    found = compact(table)
    assert (found.first_version, found.last_version) == (0, 6)
    assert found.size_bytes < found.commit_bytes
    segment = load_segment(table._store)
    assert [(file.kind, file.version, file.end_version) for file in segment.commits] == [
        (LogFileKind.COMPACTED, 0, 6)
    ]
    path = table.uri.removeprefix("file://")
    again = lakefmt.open(path)
    assert sorted(again.to_arrow().to_pylist(), key=str) == rows
    assert again.snapshot.metadata == table.snapshot.metadata
    assert deltalake.DeltaTable(path).get_add_actions().num_rows == 5
    assert [entry.version for entry in again.history()] == list(range(6, -1, -1))


def test_range_in_the_middle_is_used_for_versions_that_hold_it_whole(table):
    compact(table, 2, 5)
    kinds = [(file.version, file.end_version) for file in load_segment(table._store).commits]
    assert kinds == [(0, -1), (1, -1), (2, 5), (6, -1)]
    for version in range(7):
        assert lakefmt.open(table.uri, version=version).count() == table.at(version=version).count()


def test_removes_of_what_was_before_stay(table):
    compact(table, 5, 6)
    lines = [orjson.loads(line) for line in table._store.read(compaction_key(5, 6)).splitlines()]
    assert [next(iter(line)) for line in lines] == ["remove", "add", "add"]


def test_range_begins_after_the_checkpoint_unless_told(table):
    path = table.uri.removeprefix("file://")
    older = lakefmt.open(path, version=3)
    deltalake.DeltaTable(path, version=3).create_checkpoint()
    found = compact(lakefmt.open(path))
    assert (found.first_version, found.last_version) == (4, 6)
    assert older.version == 3


@pytest.mark.parametrize("versions", [(3, 3), (-1, 4), (2, 7), (5, 2)])
def test_range_of_no_two_commits_is_refused(table, versions):
    with pytest.raises(lakefmt.InvalidInputError, match="no two commits"):
        compact(table, *versions)


def test_gap_in_the_commits_is_found(table):
    table._store.delete(["_delta_log/00000000000000000003.json"])
    with pytest.raises(lakefmt.CorruptTableError, match="version 3 is missing"):
        compact(table, 1, 5)


def test_second_time_is_no_error(table):
    first = compact(table)
    assert compact(table).size_bytes == first.size_bytes
    assert repr(first).startswith("compact_log: versions 0 to 6, ")


def test_newest_of_each_name_stays_and_what_is_removed_stays_removed():
    before = Commit(
        transactions=(TransactionId("a", 1), TransactionId("b", 1)),
        domains=(DomainMetadata("x", "1"), DomainMetadata("y", "1")),
    )
    after = Commit(
        removes=(RemoveFile("f", 5),),
        transactions=(TransactionId("a", 2),),
        domains=(DomainMetadata("x", "", removed=True),),
    )
    assert reconcile_commits([before, after], ()) == Commit(
        removes=(RemoveFile("f", 5),),
        transactions=(TransactionId("a", 2), TransactionId("b", 1)),
        domains=(DomainMetadata("x", "", removed=True), DomainMetadata("y", "1")),
    )
