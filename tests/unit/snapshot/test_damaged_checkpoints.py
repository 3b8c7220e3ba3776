"""A checkpoint that cannot be read, where something else stands for the same versions."""

import logging

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
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


def damage_column(table, version, name):
    """Overwrite the pages of a column of a checkpoint; the footer and the other columns stay whole."""
    path = table / "_delta_log" / f"{version:020d}.checkpoint.parquet"
    data = bytearray(path.read_bytes())
    footer = pq.read_metadata(path)
    for group in range(footer.num_row_groups):
        for place in range(footer.row_group(group).num_columns):
            column = footer.row_group(group).column(place)
            if column.path_in_schema == name:
                start = column.dictionary_page_offset or column.data_page_offset
                data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(data)


READS = {
    "rows": lambda table: table.to_arrow()["id"].to_pylist(),
    "predicate": lambda table: table.scan(where="id >= 0").to_arrow()["id"].to_pylist(),
    "files": lambda table: [int(path is not None) for path in table.files()["path"].to_pylist()],
    "some": lambda table: table.scan(limit=100).to_arrow()["id"].to_pylist(),
    "count": lambda table: range(table.count()),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("column", ["add.path", "add.size"])
def test_commits_stand_for_a_column_that_turns_out_to_be_damaged(table, caplog, read, column):
    handle = lakefmt.open(table)  # before, so that the damage is found when files are asked for
    damage_column(table, 4, column)
    damage_column(table, 2, column)
    with caplog.at_level(logging.WARNING, "lakefmt.log"):
        assert len(read(handle)) == 6
    warnings = [record.getMessage() for record in caplog.records]
    assert [name for w in warnings for name in ("04.checkpoint", "02.checkpoint") if name in w] == [
        "04.checkpoint",
        "02.checkpoint",
    ]
    caplog.clear()
    assert len(read(handle)) == 6
    assert not caplog.records  # found once
    handle.append(pa.table({"id": [6]}))
    assert sorted(handle.to_arrow()["id"].to_pylist()) == list(range(7))


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_where_nothing_stands_for_a_damaged_column_the_checkpoint_is_named(table, read):
    damage_column(table, 4, "add.path")
    damage_column(table, 2, "add.path")
    forget_commits(table, 0, 1)
    handle = lakefmt.open(table)
    for _ in range(2):
        with pytest.raises(CorruptTableError, match=r"checkpoint\.parquet") as caught:
            read(handle)
        assert caught.value.version in (2, 4)


@pytest.mark.parametrize("harm", ["missing", "garbage"])
def test_commits_stand_for_a_sidecar_that_two_checkpoints_share(table, harm):
    log = table / "_delta_log"
    whole = pq.read_table(log / f"{2:020d}.checkpoint.parquet")
    sidecar = log / "_sidecars" / "shared.parquet"
    sidecar.parent.mkdir()
    pq.write_table(whole.select(["add"]).filter(whole["add"].is_valid()), sidecar)
    entry = {"path": sidecar.name, "sizeInBytes": sidecar.stat().st_size, "modificationTime": 0}
    for version in (2, 4):
        actions = whole.select(["protocol", "metaData"])
        actions = actions.append_column("sidecar", pa.array([entry] + [None] * (len(actions) - 1)))
        pq.write_table(actions, log / f"{version:020d}.checkpoint.parquet")
    if harm == "missing":
        sidecar.unlink()
    else:
        sidecar.write_bytes(b"PAR1" + b"\0" * 200)
    assert ids(table) == list(range(6))
    forget_commits(table, 0)
    with pytest.raises(CorruptTableError, match=r"_sidecars/shared\.parquet"):
        ids(table)


@pytest.mark.parametrize("use", [lambda t: t.to_arrow().num_rows, lambda t: t.checkpoint() and t.count()])
def test_a_checkpoint_that_was_written_again_is_read_as_it_is_now(table, use):
    log = table / "_delta_log"
    for version in range(5):
        (log / f"{version:020d}.json").unlink()
    (log / f"{2:020d}.checkpoint.parquet").unlink()
    handle = lakefmt.open(table)
    # What it has read of the checkpoint so far is its protocol, its metadata and where the rest is.
    path = log / f"{4:020d}.checkpoint.parquet"
    before = path.stat().st_size
    pq.write_table(pq.read_table(path), path, row_group_size=2, compression="none")
    assert path.stat().st_size != before
    assert use(handle) == 6
