"""Shuffle files: what is written is what is read, and anything else says whose output it was."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lakefmt.engine.exchange import (
    Exchange,
    Gather,
    HashKey,
    HashPartitioning,
    ShuffleInput,
    ShuffleOutputs,
    Versions,
    read_shuffle,
    write_shuffle_file,
)
from lakefmt.engine.exchange import write as write_module
from lakefmt.errors import InvalidInputError, LostOutputError, TaskCancelledError, UnsupportedFeatureError
from lakefmt.store import open_store

ROWS = 20_000
BATCH = pa.record_batch(
    {
        "id": pa.array(range(ROWS), pa.int64()),
        "name": pa.array([None if n % 7 == 0 else f"name {n}" for n in range(ROWS)]),
        "tags": pa.array([[n % 5] * (n % 3) for n in range(ROWS)], pa.list_(pa.int32())),
    }
)
BY_ID = HashPartitioning((HashKey("id"),), 8)


def read_all(exchange, files, context, start=0, stop=None, *, slices=None):
    source = ShuffleInput.of(exchange, files, start, exchange.partitions if stop is None else stop, slices)
    batches = list(read_shuffle(pickle.loads(pickle.dumps(source)), context))
    assert all(batch.num_rows for batch in batches)
    return pa.Table.from_batches(batches, exchange.wire_schema)


def by_id(table):
    return table.sort_by("id").combine_chunks()


@pytest.mark.parametrize("memory_bytes", [1, 1 << 20, 1 << 30], ids=["piece by piece", "in runs", "at once"])
@pytest.mark.parametrize("place", ["local", "memory"])
def test_all_rows_come_back_each_in_the_partition_of_its_key(context_of, tmp_path, place, memory_bytes):
    folder = None if place == "local" else f"memory://{tmp_path.name}-shuffle"
    exchange = Exchange(BATCH.schema, BY_ID)
    pieces = [BATCH.slice(start, 3_000) for start in range(0, ROWS, 3_000)]
    if memory_bytes == 1:
        pieces = [BATCH.slice(start, 10) for start in range(0, 200, 10)]
    whole = pa.Table.from_batches(pieces)
    files = [
        write_shuffle_file(exchange, pieces[n::2], context_of(n, memory_bytes=memory_bytes, folder=folder))
        for n in range(2)
    ]
    context = context_of(stage="reduce", folder=folder)
    assert by_id(read_all(exchange, files, context)) == by_id(whole)
    seen = set()
    for partition in range(8):
        rows = read_all(exchange, files, context, partition, partition + 1)
        found = {int(number) for batch in rows.to_batches() for number in BY_ID.assign(batch).numbers}
        assert found == {partition}
        assert rows.num_rows == sum(int(file.partition_rows[partition]) for file in files)
        seen |= set(rows["id"].to_pylist())
    assert len(seen) == whole.num_rows


def test_rows_keep_their_order_within_a_partition(context_of):
    exchange = Exchange(BATCH.schema, BY_ID)
    file = write_shuffle_file(exchange, [BATCH.slice(0, 9_000), BATCH.slice(9_000)], context_of())
    for partition in range(8):
        ids = read_all(exchange, [file], context_of(), partition, partition + 1)["id"].to_pylist()
        assert ids == sorted(ids)


def test_attempts_write_the_same_rows_to_files_of_their_own(context_of, tmp_path):
    exchange = Exchange(BATCH.schema, BY_ID)
    files = [write_shuffle_file(exchange, [BATCH], context_of(attempt=attempt)) for attempt in (0, 1)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map-0-0.arrow", "map-0-1.arrow"]
    first, second = (
        [batch.to_pylist() for batch in read_shuffle(ShuffleInput.of(exchange, [f], 0, 8), context_of())]
        for f in files
    )
    assert first == second


def test_the_file_is_an_arrow_file_that_any_reader_opens(context_of, tmp_path):
    exchange = Exchange(BATCH.schema, BY_ID)
    write_shuffle_file(exchange, [BATCH], context_of())
    with pa.ipc.open_file(tmp_path / "map-0-0.arrow") as reader:
        assert by_id(reader.read_all()) == by_id(pa.Table.from_batches([BATCH]))


def test_little_output_travels_with_the_answer_and_leaves_no_file(context_of, tmp_path):
    exchange = Exchange(BATCH.schema, BY_ID)
    file = write_shuffle_file(exchange, [BATCH.slice(0, 100)], context_of())
    assert not file.name
    assert len(file.inline) == file.size_bytes
    assert list(tmp_path.iterdir()) == []
    assert by_id(read_all(exchange, [file], context_of())) == by_id(
        pa.Table.from_batches([BATCH.slice(0, 100)])
    )
    part = ShuffleInput.of(exchange, [file], 3, 4)
    assert len(part.inline) < len(file.inline)
    rows = read_all(exchange, [file], context_of(), 3, 4)
    assert rows.num_rows == file.partition_rows[3] > 0


def test_small_batches_are_sent_together(context_of, tmp_path):
    exchange = Exchange(BATCH.schema, BY_ID)
    pieces = [BATCH.slice(start, 50) for start in range(0, ROWS, 50)]
    file = write_shuffle_file(exchange, pieces, context_of())
    with pa.ipc.open_file(tmp_path / file.name) as reader:
        assert reader.num_record_batches == 8
    part = read_all(exchange, [file], context_of(), 5, 6)["id"].to_pylist()
    assert part == sorted(part), "rows keep their order"
    assert by_id(read_all(exchange, [file], context_of())) == by_id(pa.Table.from_batches([BATCH]))


def test_an_input_is_by_partition_then_by_output_and_of_some_parts_where_they_are_named(context_of):
    exchange = Exchange(BATCH.schema, BY_ID)
    inline = write_shuffle_file(exchange, [BATCH.slice(0, 100)], context_of(0))
    files = [inline, *(write_shuffle_file(exchange, [BATCH], context_of(n)) for n in (1, 2)), inline]
    outputs = ShuffleOutputs(files, [0, 0, 1, 2])
    rows = outputs.select(exchange, 2, 5)
    assert rows.rows == sum(int(file.partition_rows[2:5].sum()) for file in files)
    assert [number for number, _ in rows.single_partitions()] == [2, 3, 4]
    places = list(zip(rows.ranges.partitions.tolist(), rows.ranges.sources.tolist(), strict=True))
    assert places == [(partition, output) for partition in (2, 3, 4) for output in range(4)]
    some = outputs.select(exchange, 2, 3, roots=(1, 3))
    found = pa.Table.from_batches(read_shuffle(some, context_of()))
    wanted = [*read_all(exchange, [files[2]], context_of(), 2, 3)["id"].to_pylist()]
    wanted += read_all(exchange, [inline], context_of(), 2, 3)["id"].to_pylist()
    assert found["id"].to_pylist() == wanted
    sizes = [
        sum(ShuffleInput.of(exchange, [file], part, part + 1).message_bytes for file in files)
        for part in range(8)
    ]
    assert outputs.partition_bytes(8).tolist() == sizes
    assert int(outputs.root_bytes(2).sum()) == sizes[2]
    assert outputs.root_bytes(2)[2] == ShuffleInput.of(exchange, [inline], 2, 3).message_bytes


def test_few_rows_in_many_partitions_become_a_file(context_of, tmp_path):
    exchange = Exchange(BATCH.schema, HashPartitioning((HashKey("id"),), 1_000))
    file = write_shuffle_file(exchange, [BATCH.slice(0, 900)], context_of())
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert file.size_bytes == (tmp_path / file.name).stat().st_size > write_module.INLINE_BYTES
    assert by_id(read_all(exchange, [file], context_of())) == by_id(
        pa.Table.from_batches([BATCH.slice(0, 900)])
    )


def test_no_rows_are_an_output_too(context_of):
    exchange = Exchange(BATCH.schema, BY_ID)
    empty = write_shuffle_file(exchange, [], context_of(0))
    also = write_shuffle_file(exchange, [BATCH.slice(0, 0)], context_of(1), inline_bytes=0)
    assert empty.rows == also.rows == 0
    assert read_all(exchange, [empty, also], context_of()).num_rows == 0


def test_rows_without_columns_are_gathered(context_of):
    bare = pa.RecordBatch.from_struct_array(pa.array([{}] * 5, pa.struct([])))
    exchange = Exchange(bare.schema, Gather())
    file = write_shuffle_file(exchange, [bare, bare], context_of(), inline_bytes=0)
    assert file.rows == 10
    assert (
        sum(batch.num_rows for batch in read_shuffle(ShuffleInput.of(exchange, [file], 0, 1), context_of()))
        == 10
    )


def test_65_536_partitions_are_possible_and_more_are_refused(context_of):
    exchange = Exchange(BATCH.schema, HashPartitioning((HashKey("id"),), 65_536))
    few = BATCH.slice(0, 500)
    file = write_shuffle_file(exchange, [few], context_of())
    assert by_id(read_all(exchange, [file], context_of())) == by_id(pa.Table.from_batches([few]))
    with pytest.raises(InvalidInputError, match="65,537"):
        HashPartitioning((HashKey("id"),), 65_537)


def test_files_elsewhere_are_compressed_and_local_ones_are_not(context_of, tmp_path):
    same = pa.record_batch({"id": pa.array([1] * 100_000, pa.int64())})
    exchange = Exchange(same.schema, Gather())
    local = write_shuffle_file(exchange, [same], context_of())
    remote = write_shuffle_file(exchange, [same], context_of(folder=f"memory://{tmp_path.name}-lz4"))
    assert local.size_bytes > 800_000 > 10 * remote.size_bytes
    assert local.row_bytes == remote.row_bytes == 800_000


def test_batches_are_of_bounded_size(context_of, monkeypatch):
    monkeypatch.setattr(write_module, "BATCH_BYTES", 10_000)
    exchange = Exchange(BATCH.schema, Gather())
    file = write_shuffle_file(exchange, [BATCH.slice(start, 7) for start in range(0, ROWS, 7)], context_of())
    sizes = [batch.nbytes for batch in read_shuffle(ShuffleInput.of(exchange, [file], 0, 1), context_of())]
    assert max(sizes) < 21_000
    assert len(sizes) < ROWS / 100, "small batches are put together"


def test_one_row_larger_than_a_batch_travels(context_of, monkeypatch):
    monkeypatch.setattr(write_module, "BATCH_BYTES", 10_000)
    rows = pa.record_batch({"id": [1, 2, 3], "text": ["a", "b" * 100_000, "c"]})
    exchange = Exchange(rows.schema, HashPartitioning((HashKey("id"),), 2))
    file = write_shuffle_file(exchange, [rows], context_of(memory_bytes=1_000))
    assert by_id(read_all(exchange, [file], context_of())) == pa.Table.from_batches([rows])


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def overwrite_with_another_jobs(path: Path) -> None:
    data = bytearray(path.read_bytes())
    with pa.ipc.open_file(pa.py_buffer(bytes(data))) as reader:
        token = reader.get_batch_with_custom_metadata(0).custom_metadata[b"lakefmt.exchange"].split(b"/")[0]
    path.write_bytes(bytes(data).replace(token, b"0123456789abcdef"))


def overwrite_with_garbage(path: Path) -> None:
    path.write_bytes(b"\xa5" * path.stat().st_size)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (Path.unlink, "is gone"),
        (cut_short, "bytes instead of"),
        (overwrite_with_another_jobs, "is another file"),
        (overwrite_with_garbage, "is damaged"),
    ],
)
def test_a_file_that_is_not_what_was_written_names_its_task(context_of, tmp_path, harm, says):
    exchange = Exchange(BATCH.schema, BY_ID)
    files = [write_shuffle_file(exchange, [BATCH], context_of(number, attempt=2)) for number in range(3)]
    harm(tmp_path / files[1].name)
    with pytest.raises(LostOutputError, match=says) as caught:
        read_all(exchange, files, context_of(stage="reduce"))
    assert (caught.value.stage, caught.value.number, caught.value.attempt) == ("map", 1, 2)


@pytest.mark.parametrize("harm", ["deleted", "cut short"])
def test_a_remote_file_that_is_not_what_was_written_names_its_task(context_of, tmp_path, harm):
    folder = f"memory://{tmp_path.name}-harm"
    exchange = Exchange(BATCH.schema, BY_ID)
    files = [write_shuffle_file(exchange, [BATCH], context_of(number, folder=folder)) for number in range(3)]
    store = open_store(folder)
    if harm == "deleted":
        store.delete([files[2].name])
    else:
        store.put(files[2].name, store.read(files[2].name)[:1_000])
    with pytest.raises(LostOutputError) as caught:
        read_all(exchange, files, context_of(folder=folder))
    assert caught.value.number == 2


def test_rows_missing_from_an_otherwise_whole_file_are_noticed(context_of):
    exchange = Exchange(BATCH.schema, BY_ID)
    file = write_shuffle_file(exchange, [BATCH], context_of())
    rows = file.index.rows
    counted = replace(file, index=replace(file.index, rows=rows + np.eye(8, dtype=np.int64)[3]))
    with pytest.raises(LostOutputError, match=f"{rows[3]:,} rows instead of {rows[3] + 1:,}"):
        read_all(exchange, [counted], context_of())


def test_a_task_that_fails_leaves_nothing(context_of, tmp_path):
    def failing():
        yield BATCH
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_shuffle_file(Exchange(BATCH.schema, BY_ID), failing(), context_of(memory_bytes=1 << 20))
    assert list(tmp_path.iterdir()) == []


def test_a_cancelled_task_ends_between_batches_and_leaves_nothing(context_of, tmp_path):
    context = replace(context_of(memory_bytes=1 << 20), is_cancelled=lambda: len(given) >= 3)
    given = []

    def batches():
        for start in range(0, ROWS, 1_000):
            given.append(start)
            yield BATCH.slice(start, 1_000)

    with pytest.raises(TaskCancelledError):
        write_shuffle_file(Exchange(BATCH.schema, BY_ID), batches(), context)
    assert len(given) == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("versions", [Versions("1.3.0", "0.0.1"), replace(Versions.here(), lakefmt="0.0.0")])
def test_other_versions_neither_write_nor_read(context_of, versions):
    exchange = Exchange(BATCH.schema, BY_ID)
    file = write_shuffle_file(exchange, [BATCH], context_of())
    other = replace(exchange, versions=versions)
    with pytest.raises(UnsupportedFeatureError, match=versions.lakefmt):
        write_shuffle_file(other, [BATCH], context_of(1))
    with pytest.raises(UnsupportedFeatureError, match=versions.duckdb):
        read_all(other, [file], context_of())


def test_rows_of_another_schema_are_refused(context_of):
    exchange = Exchange(BATCH.schema, BY_ID)
    with pytest.raises(InvalidInputError, match="announced with"):
        write_shuffle_file(exchange, [BATCH.select(["id"])], context_of())
    other = BATCH.set_column(0, "id", BATCH["id"].cast(pa.int32()))
    with pytest.raises(InvalidInputError, match="int32"):
        write_shuffle_file(exchange, [other], context_of())


def test_slices_of_a_partition_are_all_its_rows_each_once(context_of):
    exchange = Exchange(BATCH.schema, BY_ID)
    file = write_shuffle_file(exchange, [BATCH], context_of())
    ids = [
        read_all(exchange, [file], context_of(), 2, 3, slices=(which, 4))["id"].to_pylist()
        for which in range(4)
    ]
    whole = read_all(exchange, [file], context_of(), 2, 3)["id"].to_pylist()
    assert sorted(chain.from_iterable(ids)) == sorted(whole)
    assert min(map(len, ids)) > len(whole) / 8, "slices are of about the same size"


def test_a_heavy_key_is_told_with_its_partition(context_of):
    ids = np.arange(200_000)
    ids[50_000:150_000] = 7
    rows = pa.record_batch({"id": ids})
    exchange = Exchange(rows.schema, BY_ID)
    file = write_shuffle_file(exchange, [rows], context_of())
    (heavy,) = file.heavy_keys
    place = BY_ID.assign(pa.record_batch({"id": pa.array([7], pa.int64())}))
    assert (heavy.hash, heavy.partition) == (int(place.hashes[0]), int(place.numbers[0]))
    assert 80_000 < heavy.rows < 120_000


def test_keys_that_are_all_different_are_not_heavy(context_of):
    rows = pa.record_batch({"id": np.arange(200_000)})
    assert write_shuffle_file(Exchange(rows.schema, BY_ID), [rows], context_of()).heavy_keys == ()


def test_read_batches_stay_readable_when_the_file_is_deleted(context_of, tmp_path):
    exchange = Exchange(BATCH.schema, BY_ID)
    file = write_shuffle_file(exchange, [BATCH], context_of())
    table = read_all(exchange, [file], context_of())
    (tmp_path / file.name).unlink()
    assert by_id(table) == by_id(pa.Table.from_batches([BATCH]))


def test_reading_takes_no_memory_for_local_rows(context_of):
    wide = pa.record_batch({"id": np.arange(2_000_000)})
    exchange = Exchange(wide.schema, BY_ID)
    file = write_shuffle_file(exchange, [wide], context_of(memory_bytes=1 << 30))
    before = pa.total_allocated_bytes()
    batches = list(read_shuffle(ShuffleInput.of(exchange, [file], 0, 8), context_of()))
    assert sum(batch.nbytes for batch in batches) == 16_000_000
    assert pa.total_allocated_bytes() - before < 1_000_000
