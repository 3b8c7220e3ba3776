"""A checkpoint that cannot be read, where something else stands for the same versions."""

import logging

import deltalake
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import CorruptTableError


@pytest.fixture
def table(tmp_path):
    """Versions 0 to 5 of one row each, with checkpoints at 2 and 4."""
    uri = str(tmp_path / "t")
    for version in range(6):
        deltalake.write_deltalake(uri, pa.table({"id": [version]}), mode="append")
        if version in (2, 4):
            deltalake.DeltaTable(uri).create_checkpoint()
    return tmp_path / "t"


def damage(table, version):
    path = table / "_delta_log" / f"{version:020d}.checkpoint.parquet"
    path.write_bytes(path.read_bytes()[:50])


def forget_commits(table, *versions):
    for version in versions:
        (table / "_delta_log" / f"{version:020d}.json").unlink()


def ids(table):
    return sorted(lakefmt.open(table).to_arrow()["id"].to_pylist())


def test_the_older_checkpoint_is_read_instead_with_a_warning(table, caplog):
    damage(table, 4)
    forget_commits(table, 0, 1, 2)
    with caplog.at_level(logging.WARNING, "lakefmt.log"):
        assert ids(table) == list(range(6))
    assert "00000000000000000004.checkpoint.parquet" in caplog.text
    assert "was read without it" in caplog.text


def test_the_commits_from_the_start_are_read_where_no_checkpoint_can_be(table):
    damage(table, 4)
    damage(table, 2)
    assert ids(table) == list(range(6))
    assert sorted(lakefmt.open(table, version=3).to_arrow()["id"].to_pylist()) == [0, 1, 2, 3]


def test_where_nothing_else_is_left_the_damaged_file_is_named(table):
    damage(table, 4)
    damage(table, 2)
    forget_commits(table, 0)
    with pytest.raises(CorruptTableError, match=r"0004\.checkpoint\.parquet"):
        lakefmt.open(table)


def test_another_checkpoint_of_the_same_version_will_do(table):
    log = table / "_delta_log"
    whole = log / f"{4:020d}.checkpoint.parquet"
    (log / f"{4:020d}.checkpoint.{1:010d}.{1:010d}.parquet").write_bytes(whole.read_bytes())
    damage(table, 4)
    damage(table, 2)
    forget_commits(table, 0, 1, 2, 3)
    assert ids(table) == list(range(6))


def test_a_damaged_commit_is_not_healed(table):
    (table / "_delta_log" / f"{5:020d}.json").write_bytes(b"garbage")
    with pytest.raises(CorruptTableError, match=r"0005\.json"):
        lakefmt.open(table)
