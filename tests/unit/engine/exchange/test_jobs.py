"""Repartition and global sort as jobs, on threads and on worker processes, over files and over rows in memory."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakefmt.engine import ReadSpec, ReadTask
from lakefmt.engine.exchange import HashKey, HashPartitioning, SortKey
from lakefmt.engine.jobs import job_folder, run_job, start_metrics
from lakefmt.engine.repartition import repartition_job
from lakefmt.engine.sort import sort_job
from lakefmt.engine.sources.file_rows import DataFileRows
from lakefmt.engine.sources.streamed_rows import StreamedRows
from lakefmt.engine.tasks import ThreadExecutor
from lakefmt.engine.tasks.processes import ProcessExecutor
from lakefmt.errors import InvalidInputError, OutOfMemoryError, StoreError
from lakefmt.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakefmt.engine.tasks import TaskContext

ROWS = 12_000
draw = np.random.default_rng(5)
TABLE = pa.table(
    {
        "n": pa.array(range(ROWS)),
        "k": pa.array(draw.integers(0, 900, ROWS), mask=draw.random(ROWS) < 0.05),
        "x": pa.array(np.where(draw.random(ROWS) < 0.1, np.nan, draw.normal(size=ROWS)), from_pandas=False),
        "t": [f"text {n}" for n in draw.integers(0, 300, ROWS)],
    }
)


@pytest.fixture(params=["threads", "processes"])
def executor(request):
    made = ThreadExecutor(2) if request.param == "threads" else ProcessExecutor(2)
    yield made
    made.close()


def files_of(table: pa.Table, folder: Path) -> DataFileRows:
    folder.mkdir(exist_ok=True)
    for number in range(3):
        path = folder / f"{number}.parquet"
        if not path.exists():
            pq.write_table(table.slice(number * 4_000, 4_000), path, row_group_size=1_000)
    tasks = [ReadTask(path.name, path.stat().st_size) for path in sorted(folder.iterdir())]
    size = sum(task.size_bytes for task in tasks)
    return DataFileRows(
        open_store(folder), ReadSpec(table.schema, table.schema), "a table", 0, size, lambda: tasks
    )


def rows_of(table: pa.Table) -> StreamedRows:
    return StreamedRows(
        table.schema, lambda: (batch for batch in table.to_batches()), 1_000, "a table in memory"
    )


def run(job, executor, **more):
    with job_folder() as folder:
        metrics = start_metrics(job, executor)
        found = list(run_job(job, executor, folder=folder, metrics=metrics, **more))
        return found, metrics


def take_all(partition: int, batches: Iterator[pa.RecordBatch], context: TaskContext) -> pa.Table:
    return pa.Table.from_batches(batches)


def all_in_order(batches: Iterator[pa.RecordBatch], context: TaskContext) -> pa.Table:
    return pa.Table.from_batches(batches, TABLE.schema)


def by_n(tables):
    # As text: NaN is not equal to itself.
    return str(pa.concat_tables(tables).sort_by("n").to_pylist())


@pytest.mark.parametrize("kind", ["files", "rows"])
def test_repartition_brings_equal_keys_together(tmp_path, executor, kind):
    source = files_of(TABLE, tmp_path / "files") if kind == "files" else rows_of(TABLE)
    keys = (HashKey("k"), HashKey("t"))
    job = repartition_job(source, keys, 10, take_all, parallelism=2, target_bytes=20_000)
    found, metrics = run(job, executor)
    results = [result for results in found for result in results]
    assert sorted(result.partition for result in results) == list(range(10))
    assert by_n([result.value for result in results]) == by_n([TABLE])
    for result in results:
        for batch in result.value.to_batches():
            assert set(HashPartitioning(keys, 10).assign(batch).numbers.tolist()) == {result.partition}
    assert [sum(task.rows_in for task in stage.tasks) for stage in metrics.stages] == [ROWS, ROWS]


@pytest.mark.parametrize("kind", ["files", "rows"])
@pytest.mark.parametrize(
    "keys",
    [
        (SortKey("x", descending=True), SortKey("n")),
        (SortKey("k", nulls_first=True), SortKey("t", descending=True), SortKey("n")),
    ],
)
def test_a_sort_is_that_of_duckdb(tmp_path, executor, kind, keys):
    source = files_of(TABLE, tmp_path / "files") if kind == "files" else rows_of(TABLE)
    job = sort_job(
        source,
        keys,
        all_in_order,
        parallelism=2,
        target_bytes=30_000,
    )
    found, _ = run(job, executor)
    assert len(found) > 4
    by = ", ".join(f"{key.column} {key.modifier}" for key in keys)
    with duckdb.connect() as connection:
        connection.register("rows", TABLE)
        wanted = connection.sql(f"SELECT n FROM rows ORDER BY {by}").fetchall()
    assert pa.concat_tables(found)["n"].to_pylist() == [n for (n,) in wanted]


def sorted_numbers(numbers, executor, function=all_in_order, **more):
    table = TABLE.slice(0, len(numbers)).set_column(1, "k", pa.array(numbers))
    job = sort_job(rows_of(table), (SortKey("k"),), function, parallelism=2, **more)
    return run(job, executor)


def test_a_heavy_key_is_read_by_several_tasks_and_its_rows_keep_their_order():
    executor = ThreadExecutor(2)
    numbers = draw.integers(0, 100, ROWS)
    numbers[2_000:11_000] = 50
    found, metrics = sorted_numbers(numbers, executor, target_bytes=20_000)
    executor.close()
    whole = pa.concat_tables(found)
    assert whole["k"].to_pylist() == sorted(numbers.tolist())
    heavy = whole.filter(pa.array(whole["k"].to_numpy() == 50))["n"].to_pylist()
    assert heavy == sorted(heavy)
    sizes = [task.rows_in for task in metrics.stages[-1].tasks]
    assert max(sizes) < 4_500, "nine thousand rows have the key"


def test_a_partition_larger_than_memory_is_cut_on_disk(tmp_path):
    # A share of 120 kB in which 24 kB of rows are sorted at once; there are some 500 kB.
    executor = ThreadExecutor(2, memory_bytes=240_000)
    numbers = draw.permutation(ROWS)
    cuts = []

    def watching(batches, context):
        table = all_in_order(batches, context)
        cuts.extend(sorted(path.name for path in Path(context.scratch.folder()).glob("*.arrow")))
        return table

    table = TABLE.set_column(1, "k", pa.array(numbers))
    job = sort_job(rows_of(table), (SortKey("k"),), watching, parallelism=2, target_bytes=1 << 30)
    found, _ = run(job, executor)
    executor.close()
    assert pa.concat_tables(found)["k"].to_pylist() == list(range(ROWS))
    assert any("cut0" in name for name in cuts)


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_stream_that_can_be_read_once_is_sorted(executor, is_kept):
    once = iter([TABLE.to_batches(max_chunksize=700)])
    source = StreamedRows(TABLE.schema, lambda: (batch for batch in next(once)), 1_000, "a stream")
    with job_folder() as folder:
        job = sort_job(
            source,
            (SortKey("t"), SortKey("n", descending=True)),
            all_in_order,
            parallelism=2,
            folder=folder if is_kept else None,
            target_bytes=30_000,
        )
        found = list(run_job(job, executor, folder=folder))
    assert len(found) > 4
    wanted = TABLE.sort_by([("t", "ascending"), ("n", "descending")])["n"]
    assert pa.concat_tables(found)["n"].to_pylist() == wanted.to_pylist()


class TooManyAtOnce:
    """Fails on more rows than so many as if they were too much, wherever it runs."""

    def __init__(self, most_rows: int) -> None:
        self.most_rows = most_rows

    def __call__(self, batches: Iterator[pa.RecordBatch], context: TaskContext) -> pa.Table:
        table = pa.Table.from_batches(batches, TABLE.schema)
        if table.num_rows > self.most_rows:
            raise OutOfMemoryError("Too many rows")
        return table


@pytest.mark.parametrize("keys", ["each its own", "one in nine rows of ten"])
def test_a_sorted_partition_that_is_too_much_for_the_function_is_cut_in_its_order(executor, keys):
    numbers = draw.permutation(ROWS) if keys == "each its own" else np.where(draw.random(ROWS) < 0.9, 7, 9)
    found, metrics = sorted_numbers(numbers, executor, TooManyAtOnce(700))
    whole = pa.concat_tables(found)
    by = [("k", "ascending"), ("n", "ascending")]
    wanted = TABLE.set_column(1, "k", pa.array(numbers)).sort_by(by)
    assert whole.select(["k", "n"]).equals(wanted.select(["k", "n"]))
    assert metrics.stages[2].splits >= 8
    assert max(table.num_rows for table in found) <= 700


def test_a_sort_that_is_too_much_for_one_row_is_told_with_what_it_read():
    executor = ThreadExecutor(1)
    with pytest.raises(OutOfMemoryError) as caught:
        sorted_numbers(range(5), executor, TooManyAtOnce(0))
    executor.close()
    assert "keys of slice" in caught.value.hint
    assert "in the order of k" in caught.value.hint


def test_rows_in_order_already_are_cut_evenly_by_a_sample_of_the_files(tmp_path, executor):
    source = files_of(TABLE, tmp_path / "files")
    job = sort_job(source, (SortKey("n"),), all_in_order, parallelism=2, target_bytes=30_000)
    found, metrics = run(job, executor)
    assert pa.concat_tables(found)["n"].to_pylist() == list(range(ROWS))
    assert metrics.stages[0].rows_in < ROWS, "a part of the row groups tells enough"
    assert max(table.num_rows for table in found) < 3 * ROWS / len(found)


def test_one_key_alone_larger_than_memory_is_handed_on_unsorted():
    executor = ThreadExecutor(2, memory_bytes=100_000)
    found, _ = sorted_numbers([7] * ROWS, executor)
    executor.close()
    assert pa.concat_tables(found)["n"].to_pylist() == list(range(ROWS))


@pytest.mark.parametrize("what", ["no parts", "no rows"])
def test_no_rows_are_sorted_and_brought_together(what, executor):
    empty = TABLE.slice(0, 0)
    source = rows_of(empty)
    if what == "no rows":
        source = replace(source, open_stream=lambda: (batch for batch in [TABLE.to_batches()[0].slice(0, 0)]))
    assert run(sort_job(source, (SortKey("k"),), all_in_order, parallelism=2), executor)[0] == []
    assert run(repartition_job(source, (HashKey("k"),), 4, take_all, parallelism=2), executor)[0] == []


def lose_a_file_once(partition: int, batches: Iterator[pa.RecordBatch], context: TaskContext) -> pa.Table:
    # One of the two threads that are here at once.
    with contextlib.suppress(FileExistsError):
        (Path(context.folder) / "lost").touch(exist_ok=False)
        (Path(context.folder) / "shuffle-1-0.arrow").unlink()
        raise StoreError("Storage is not there for a moment")  # tried again, which finds the file gone
    return take_all(partition, batches, context)


def test_a_lost_file_is_made_again_by_its_task_alone():
    executor = ThreadExecutor(2)
    big = pa.concat_tables([TABLE] * 2).combine_chunks()  # parts whose output is no longer sent inline
    source = StreamedRows(big.schema, lambda: (batch for batch in big.to_batches()), 6_000, "rows")
    job = repartition_job(source, (HashKey("k"),), 4, lose_a_file_once, parallelism=2)
    found, metrics = run(job, executor)
    executor.close()
    assert sum(result.value.num_rows for results in found for result in results) == 2 * ROWS
    attempts = {task.number: task.attempt for task in metrics.stages[0].tasks}
    assert attempts[1] > 0
    assert {attempt for number, attempt in attempts.items() if number != 1} == {0}


class OnceOutOfMemory:
    """Fails on partitions with many rows as if they were too much, wherever it runs."""

    def __init__(self, most_rows: int) -> None:
        self.most_rows = most_rows

    def __call__(self, partition: int, batches: Iterator[pa.RecordBatch], context: TaskContext) -> pa.Table:
        table = pa.Table.from_batches(batches)
        if table.num_rows > self.most_rows:
            raise OutOfMemoryError("Too many rows")
        return table


def test_partitions_that_are_too_much_are_cut_between_keys():
    executor = ThreadExecutor(2)
    job = repartition_job(rows_of(TABLE), (HashKey("k"),), 2, OnceOutOfMemory(2_000), parallelism=2)
    found, metrics = run(job, executor)
    executor.close()
    results = [result for results in found for result in results]
    assert by_n([result.value for result in results]) == by_n([TABLE])
    assert len(results) >= 8
    assert metrics.stages[1].splits >= 6
    seen: set[int | None] = set()
    for result in results:
        keys = set(result.value["k"].to_pylist())
        assert not seen & keys, "rows with equal keys are in one call"
        seen |= keys


@pytest.mark.parametrize("make", ["sort", "repartition"])
def test_a_key_that_is_no_column_is_told_before_anything_runs(make):
    def plan():
        if make == "sort":
            return sort_job(rows_of(TABLE), (SortKey("z"),), all_in_order, parallelism=2)
        return repartition_job(rows_of(TABLE), (HashKey("z"),), 2, take_all, parallelism=2)

    with pytest.raises(InvalidInputError, match="'z'"):
        plan()


def test_nothing_is_left_in_the_folder_of_temporary_files(tmp_path, monkeypatch, executor):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    job = sort_job(rows_of(TABLE), (SortKey("k"),), all_in_order, parallelism=2)
    run(job, executor)
    assert [path for path in tmp_path.iterdir() if "job" in path.name] == []
