"""Whole jobs under faults give exactly the rows of an undisturbed run, and leave no file and nothing that runs."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from lakefmt.engine.exchange import SortKey
from lakefmt.engine.functions.map_job import MapSettings, Step, map_job
from lakefmt.engine.functions.row_function import RowFunction
from lakefmt.engine.jobs import Bounds, JobMetrics, job_folder, run_job, start_metrics
from lakefmt.engine.jobs.rows import open_rows
from lakefmt.engine.sort import sort_job
from lakefmt.engine.sources.streamed_rows import StreamedRows
from lakefmt.engine.tasks import ThreadExecutor
from lakefmt.engine.tasks.processes import ProcessExecutor
from lakefmt.errors import OutOfMemoryError
from lakefmt.testing.job_faults import FaultyExecutor
from lakefmt.testing.task_faults import PASSING, TaskFault, TaskFaults

# So many that no bound is met by chance; the bounds are tested where each case is made by hand.
PATIENT = Bounds(failures=40, losses=40, lost_workers=10_000, lost_outputs=40)
ROWS = pa.schema({"key": pa.string(), "id": pa.int64()})
SUMS = pa.schema({"key": pa.string(), "n": pa.int64(), "s": pa.int64()})


def sums(rows):
    found = rows.group_by("key").aggregate([([], "count_all"), ("id", "sum")])
    return pa.table({"key": found["key"], "n": found["count_all"], "s": found["id_sum"]})


def add_sums(rows):
    found = rows.group_by("key").aggregate([("n", "sum"), ("s", "sum")])
    return pa.table({"key": found["key"], "n": found["n_sum"], "s": found["s_sum"]})


def mark(rows):
    return rows


STEPS = {
    "map": (Step(RowFunction(mark, ROWS)),),
    "repartition": (Step(RowFunction(mark, ROWS), ("key",)),),
    "aggregate": (Step(RowFunction(sums, SUMS), ("key",)),),
    "combine": (Step(RowFunction(sums, SUMS), ("key",), RowFunction(add_sums, SUMS)),),
    "twice": (
        Step(RowFunction(mark, ROWS), ("key",)),
        Step(RowFunction(sums, SUMS), ("key",), RowFunction(add_sums, SUMS)),
    ),
}


@st.composite
def tables(draw: Any, most: int = 3000) -> pa.Table:
    """Rows with few or many keys, nulls and skew; perhaps none."""
    # Parts of so many rows that no chain of faults cuts them down to one.
    count = draw(st.sampled_from([0, 600, most]))
    keys = draw(st.sampled_from([1, 2, 13, 1000]))
    skew = draw(st.sampled_from([0, 5, 9]))
    values = [
        None if n % 11 == 3 else "heavy" if n % 10 < skew else f"k{n * 7919 % keys}" for n in range(count)
    ]
    return pa.table({"key": values, "id": range(count)}, schema=ROWS)


def run(
    table: pa.Table, kind: str, executor: Any, folder: str, *, memory: int = 64 << 20
) -> tuple[Counter, JobMetrics]:
    parallelism = executor.resources.parallelism
    source = StreamedRows(ROWS, lambda: iter_batches(table), 300, "the table")
    if kind == "sort":
        keys = (SortKey("key", nulls_first=True), SortKey("id", descending=True))
        job = sort_job(source, keys, table_of, parallelism=parallelism, target_bytes=4000)
    else:
        job = map_job(source, STEPS[kind], MapSettings(100, parallelism, memory, 1000, folder))
    metrics = start_metrics(job, executor)
    opened = None if kind == "sort" else open_rows
    with closing(
        run_job(job, executor, folder=folder, open_result=opened, metrics=metrics, bounds=PATIENT)
    ) as results:
        rows = [tuple(row.values()) for result in results for row in result.to_pylist()]
    if kind == "sort":
        assert rows == sorted(rows, key=lambda row: (row[0] is not None, row[0] or "", -row[1]))
    return Counter(rows), metrics


def table_of(batches, context):
    return pa.Table.from_batches(batches, ROWS)


def iter_batches(table):
    yield from table.to_batches()


def expected(table: pa.Table, kind: str) -> Counter:
    if kind in ("map", "repartition", "sort"):
        return Counter(tuple(row.values()) for row in table.to_pylist())
    groups: dict[Any, list[int]] = {}
    for row in table.to_pylist():
        groups.setdefault(row["key"], []).append(row["id"])
    return Counter((key, len(ids), sum(ids)) for key, ids in groups.items())


def check(executor, table, kind, tmp_path):
    try:
        with job_folder(tmp_path) as folder:
            rows, metrics = run(table, kind, executor, folder)
    except OutOfMemoryError as error:
        # A chain of faults went on until a part was a single row, or a single key: that ends a job, and rightly so.
        if "cannot be cut any smaller" not in str(error) or list(tmp_path.iterdir()):
            raise
        reject()
    assert rows == expected(table, kind), f"{kind} over {table.num_rows} rows\n{metrics}"
    assert list(tmp_path.iterdir()) == []
    assert sum(stage.rows_in for stage in metrics.stages[:1]) >= table.num_rows
    return metrics


@st.composite
def faults(draw: Any, attempts: int = 2) -> tuple[TaskFaults, float]:
    """Faults of tasks, the share of attempts before which a file is lost."""
    share = draw(st.sampled_from([0.0, 0.2, 0.5]))
    seed = draw(st.integers(0, 1 << 30))
    return TaskFaults(seed, share, attempts=attempts, delay_s=0.002), draw(st.sampled_from([0.0, 0.3]))


def disturbed(executor: Any, kind: str, faults: TaskFaults, lost_files: float) -> FaultyExecutor:
    # A partition of a sort is a unit: where it is too much the job ends, and rightly so (it sorts on disk before).
    kinds = tuple(each for each in PASSING if kind != "sort" or each is not TaskFault.OUT_OF_MEMORY)
    return FaultyExecutor(executor, replace(faults, kinds=kinds), lost_files=lost_files)


KINDS = st.sampled_from(sorted([*STEPS, "sort"]))


@given(tables(), KINDS, faults())
def test_job_on_threads_gives_the_same_rows_whatever_fails(tmp_path_factory, table, kind, found):
    with closing(ThreadExecutor(2)) as executor:
        check(disturbed(executor, kind, *found), table, kind, tmp_path_factory.mktemp("jobs"))


@given(tables(900), KINDS, faults(attempts=1))
@settings(max_examples=max(4, settings().max_examples // 10))
def test_job_on_processes_gives_the_same_rows_whoever_is_killed(tmp_path_factory, table, kind, found):
    with closing(ProcessExecutor(2)) as executor:
        check(disturbed(executor, kind, *found), table, kind, tmp_path_factory.mktemp("jobs"))


@pytest.mark.parametrize("fault", [TaskFault.KILL_BEFORE, TaskFault.KILL_AFTER, TaskFault.OUT_OF_MEMORY])
@pytest.mark.parametrize("stage", ["map-1", "map-2"])
def test_each_fault_was_really_met(tmp_path, fault, stage):
    table = pa.table({"key": [f"k{n % 50}" for n in range(2000)], "id": range(2000)}, schema=ROWS)
    with closing(ProcessExecutor(2)) as executor:
        planned = TaskFaults(planned={(stage, 0, 0): fault})
        metrics = check(FaultyExecutor(executor, planned), table, "combine", tmp_path)
    (found,) = (each for each in metrics.stages if each.name == stage)
    assert sum(found.failures.values()) == 1
    assert found.splits == (1 if fault is TaskFault.OUT_OF_MEMORY else 0)


def test_files_that_are_lost_are_made_again_by_their_tasks_alone(tmp_path):
    table = pa.table({"key": [f"k{n % 50}" for n in range(60_000)], "id": range(60_000)}, schema=ROWS)
    source = StreamedRows(ROWS, lambda: iter_batches(table), 20_000, "the table")
    with closing(ThreadExecutor(1)) as executor, job_folder(tmp_path) as folder:
        disturbed = FaultyExecutor(executor, TaskFaults(), lost_files=1.0)
        job = map_job(source, STEPS["repartition"], MapSettings(20_000, 1, 64 << 20, 1000, folder))
        metrics = start_metrics(job, executor)
        found = run_job(job, disturbed, folder=folder, open_result=open_rows, metrics=metrics, bounds=PATIENT)
        assert sum(part.num_rows for part in found) == 60_000
    send, read = metrics.stages
    assert disturbed.lost
    assert any("LostOutputError" in what for what in read.failures)
    # Three parts, and one more run for each complaint.
    assert len(send.tasks) == 3 + sum(read.failures.values())
