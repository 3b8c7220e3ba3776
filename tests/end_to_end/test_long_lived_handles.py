"""Handles that stand still while the log moves on, is cleaned, or becomes another table's."""

import shutil

import deltalake
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import CommitConflictError, CorruptTableError

ROWS = pa.table({"id": [1], "part": ["a"]})


def write_and_clean(folder):
    """Another library commits, writes a checkpoint, and the log before it is cleaned away."""
    for _ in range(12):
        deltalake.write_deltalake(folder, ROWS, mode="append")
    deltalake.DeltaTable(folder).create_checkpoint()
    for version in range(12):
        (folder / "_delta_log" / f"{version:020d}.json").unlink()


@pytest.fixture
def folder(tmp_path):
    lakefmt.create(tmp_path / "t", ROWS.schema, partition_by="part")
    return tmp_path / "t"


def test_append_after_the_log_was_cleaned_commits_the_next_version(folder):
    stale = lakefmt.open(folder)
    write_and_clean(folder)
    result = stale.append(ROWS)
    assert result.version == 13
    assert stale.count() == lakefmt.open(folder).count() == 13
    assert not (folder / "_delta_log" / f"{1:020d}.json").exists()


def test_a_numbered_append_after_the_log_was_cleaned_is_still_made_once(folder):
    first, second = lakefmt.open(folder), lakefmt.open(folder)

    def rows():
        # Seen by neither's first look: the number is recorded, and the commit that did it cleaned away, meanwhile.
        second.append(ROWS, txn=("job", 7))
        write_and_clean(folder)
        yield from ROWS.to_batches()

    assert not first.append(rows(), txn=("job", 7)).committed
    assert first.append(ROWS, txn=("job", 8)).committed


def test_overwrite_after_the_log_was_cleaned_is_a_conflict_and_writes_nothing(folder):
    stale = lakefmt.open(folder)
    write_and_clean(folder)
    before = sorted(folder.rglob("*"))
    with pytest.raises(CommitConflictError, match="no longer in the log") as caught:
        stale.overwrite(ROWS)
    assert caught.value.retry_helps
    assert sorted(folder.rglob("*")) == before
    stale.refresh().overwrite(ROWS)
    assert lakefmt.open(folder).count() == 1


def test_refresh_after_the_log_was_cleaned_finds_the_newest_version(folder):
    stale = lakefmt.open(folder)
    write_and_clean(folder)
    assert stale.refresh().version == 12
    assert stale.count() == 12


def test_handle_of_a_table_that_was_replaced_cannot_write(folder):
    stale = lakefmt.open(folder)
    for _ in range(5):
        stale.append(ROWS)
    shutil.rmtree(folder)
    lakefmt.write(folder, ROWS)
    with pytest.raises(CommitConflictError, match="replaced by another"):
        stale.append(ROWS)
    assert lakefmt.open(folder).version == 1
    assert lakefmt.open(folder).count() == 1


def test_commit_stands_when_the_old_checkpoint_is_gone(folder):
    deltalake.DeltaTable(folder).create_checkpoint()
    handle = lakefmt.open(folder)
    next((folder / "_delta_log").glob("*.checkpoint.parquet")).unlink()
    for _ in range(260):
        handle.append(ROWS)
    assert handle.version == 260
    newest = lakefmt.open(folder)
    assert newest.count() == newest.to_arrow().num_rows == 260


def test_every_time_that_history_shows_leads_back_to_its_version(folder):
    table = lakefmt.open(folder)
    for _ in range(5):
        table.append(ROWS)
    for entry in table.history().to_dicts():
        assert table.at(timestamp=entry["timestamp"]).version == entry["version"]


def test_dynamic_overwrites_of_different_partitions_do_not_conflict(folder):
    first, second = lakefmt.open(folder), lakefmt.open(folder)
    first.overwrite({"id": [1], "part": ["a"]}, dynamic_partitions=True)
    second.overwrite({"id": [2, 3], "part": ["b", None]}, dynamic_partitions=True)
    third = lakefmt.open(folder)
    assert sorted(third.to_arrow()["id"].to_pylist()) == [1, 2, 3]
    with pytest.raises(CommitConflictError, match="would have read"):
        first.overwrite({"id": [4], "part": [None]}, dynamic_partitions=True)


def test_file_list_of_many_commits_stays_in_few_chunks(folder):
    table = lakefmt.open(folder)
    for number in range(150):
        table.append(ROWS)
        assert table.files().num_rows == number + 1
    files = table.snapshot.files
    assert files.table["path"].num_chunks <= 65


def test_incomplete_parts_of_a_checkpoint_alone_are_a_typed_error(folder):
    log = folder / "_delta_log"
    (log / f"{0:020d}.json").unlink()
    (log / f"{3:020d}.checkpoint.{1:010d}.{2:010d}.parquet").write_bytes(b"x")
    with pytest.raises(CorruptTableError, match="no complete checkpoint"):
        lakefmt.open(folder)
