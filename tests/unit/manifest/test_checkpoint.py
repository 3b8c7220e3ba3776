import datetime as dt

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakefmt.errors import CorruptTableError
from lakefmt.log.segment import load_segment
from lakefmt.manifest import Checkpoint
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
    assert all(stats is not None for stats in files.table["stats"].to_pylist())


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
