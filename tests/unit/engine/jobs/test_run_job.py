"""Jobs on threads of this process: results, their order, what is done about errors, and what is left after."""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing, nullcontext
from pathlib import Path

import pytest

import lakefmt
from lakefmt.engine.jobs import Job, Stage, TaskOutput, job_folder, run_job, start_metrics
from lakefmt.engine.tasks import ThreadExecutor
from lakefmt.errors import (
    InvalidInputError,
    LostOutputError,
    OutOfMemoryError,
    StoreError,
    TaskCancelledError,
)


@pytest.fixture
def executor():
    executor = ThreadExecutor(2)
    yield executor
    executor.close()


def work(function, parts, **more):
    return Stage(
        "work", lambda part, context: TaskOutput(function(part, context), rows_in=1), lambda _: parts, **more
    )


def results(job, executor, **more):
    with job_folder() as folder:
        return list(run_job(job, executor, folder=folder, **more))


def test_results_come_in_the_order_of_the_parts_if_so_asked(executor):
    def slow_first(part, context):
        time.sleep(0.02 if part == 0 else 0)
        return part

    assert results(Job((work(slow_first, range(20)),), ordered=True), executor) == list(range(20))
    assert sorted(results(Job((work(slow_first, range(20)),)), executor)) == list(range(20))


def test_stages_hand_on_what_they_made(executor):
    def write(part, context):
        path = Path(context.folder) / f"{context.stage}-{context.number}-{context.attempt}"
        path.write_text(str(part * 10))
        return TaskOutput(str(path), rows_out=1)

    def add(paths, context):
        return TaskOutput(sum(int(Path(path).read_text()) for path in paths))

    job = Job(
        (
            Stage("write", write, lambda _: range(5)),
            Stage("add", add, lambda outputs: [[s.value for s in outputs["write"]]], reads=("write",)),
        )
    )
    assert results(job, executor) == [100]


def test_slow_consumer_holds_the_work_back_and_closing_ends_it(executor):
    begun = []
    job = Job((work(lambda part, context: begun.append(part), iter(range(1000))),))
    with job_folder() as folder:
        run = run_job(job, executor, folder=folder)
        next(run)
        time.sleep(0.05)
        assert len(begun) <= 9
        run.close()
        count = len(begun)
    time.sleep(0.02)
    assert len(begun) == count


def test_users_own_error_comes_once_with_task_and_input_named(executor):
    calls = []

    def fail(part, context):
        calls.append(part)
        raise ZeroDivisionError("no way")

    with pytest.raises(ZeroDivisionError) as raised:
        results(Job((work(fail, ["x.parquet"], describe=lambda part: f"file {part}"),)), executor)
    assert calls == ["x.parquet"]
    assert any("task 0 of stage 'work'" in note for note in raised.value.__notes__)
    assert "It read file x.parquet" in raised.value.__notes__


def test_storage_that_recovers_is_tried_again_and_told_in_the_metrics(executor):
    def flaky(part, context):
        if context.attempt < 2:
            raise StoreError("slow down")
        return context.attempt

    job = Job((work(flaky, [1]),))
    metrics = start_metrics(job, executor)
    assert results(job, executor, metrics=metrics) == [2]
    assert metrics.stages[0].failures == {"StoreError: slow down": 2}
    assert "work: 2 x StoreError: slow down" in str(metrics)


def test_input_that_is_too_much_is_cut(executor):
    def at_most_three(part, context):
        if len(part) > 3:
            raise MemoryError
        return part

    job = Job((work(at_most_three, [list(range(20))], split=lambda p: [p[: len(p) // 2], p[len(p) // 2 :]]),))
    metrics = start_metrics(job, executor)
    found = results(job, executor, metrics=metrics)
    assert sorted(row for rows in found for row in rows) == list(range(20))
    assert metrics.stages[0].splits == 7
    with pytest.raises(OutOfMemoryError, match="cannot be cut any smaller"):
        results(Job((work(at_most_three, [list(range(20))]),)), executor)


def memory_and_process(part, context):
    if context.memory_bytes < part:
        raise MemoryError
    return part, context.memory_bytes, os.getpid()


def test_unit_that_is_too_much_for_threads_is_run_by_a_worker_process_with_all_of_the_memory():
    job = Job((work(memory_and_process, [1 << 20, 3 << 20, 2 << 20]),), ordered=True)
    with closing(ThreadExecutor(2, 4 << 20)) as executor:
        metrics = start_metrics(job, executor)
        small, large, last = results(job, executor, metrics=metrics)
    assert small == (1 << 20, 2 << 20, os.getpid())
    assert last == (2 << 20, 2 << 20, os.getpid())
    assert large[:2] == (3 << 20, 4 << 20)
    assert large[2] != os.getpid()
    assert metrics.stages[0].by_itself == 1
    assert "threads, 2 threads, and on processes, 1 worker, where these ran out of memory" in str(metrics)
    assert "work: 1 x run by itself, with all of the memory" in str(metrics)


@pytest.mark.parametrize("why", ["the caller says so", "its rows are in this process", "it cannot be sent"])
def test_unit_stays_on_threads_where_it_has_to_and_runs_there_by_itself(why):
    lock = threading.Lock() if why == "it cannot be sent" else nullcontext()

    def function(part, context):
        with lock:
            return memory_and_process(part, context)

    reason = "memory://" if why == "its rows are in this process" else None
    job = Job((work(function, [3 << 20, 1 << 20], only_threads=reason),), ordered=True)
    with closing(ThreadExecutor(2, 4 << 20)) as executor:
        metrics = start_metrics(job, executor)
        found = results(job, executor, metrics=metrics, may_move=why != "the caller says so")
    assert found == [(3 << 20, 4 << 20, os.getpid()), (1 << 20, 2 << 20, os.getpid())]
    assert metrics.moved_to is None


def test_units_that_are_too_much_run_one_at_a_time():
    running, most = [], []

    def function(part, context):
        running.append(part)
        most.append(len(running) if context.memory_bytes == 4 << 20 else 1)
        time.sleep(0.002)
        running.remove(part)
        return memory_and_process(3 << 20, context)[:2]

    job = Job((work(function, range(20)),))
    with closing(ThreadExecutor(2, 4 << 20)) as executor:
        assert results(job, executor, may_move=False) == [(3 << 20, 4 << 20)] * 20
    assert max(most) == 1


def test_result_that_is_gone_when_it_is_opened_is_made_again(executor):
    def where(part, context):
        return context.attempt

    def open_result(attempt):
        if attempt == 0:
            raise LostOutputError("gone", stage="work", number=0, attempt=0)
        return f"attempt {attempt}"

    assert results(Job((work(where, [1]),)), executor, open_result=open_result) == ["attempt 1"]


def test_error_waits_for_the_tasks_under_way_so_that_none_writes_after(executor):
    began, ended = threading.Event(), []

    def task(part, context):
        if part == 0:
            began.wait()
            raise ValueError("stop")
        began.set()
        while True:
            try:
                context.check_cancelled()
            except TaskCancelledError:
                ended.append(part)
                raise
            time.sleep(0.001)

    with pytest.raises(ValueError, match="stop"):
        results(Job((work(task, range(2)),)), executor)
    assert ended == [1]


def test_executor_that_is_closed_under_a_job_ends_it_and_does_not_hang():
    executor = ThreadExecutor(1)
    job = Job((work(lambda part, context: part, range(100)),))
    with job_folder() as folder:
        run = run_job(job, executor, folder=folder)
        next(run)
        executor.close()
        with pytest.raises((TaskCancelledError, InvalidInputError), match="closed"):
            list(run)


def test_job_tells_progress_to_who_asked(executor):
    class Sink:
        def __init__(self):
            self.told = []

        def start(self, what, total_rows):
            self.told.append((what, total_rows))
            return 7

        def advance(self, number, rows):
            self.told.append((number, rows))

        def finish(self, number):
            self.told.append(number)

    sink = Sink()
    with lakefmt.show_progress(sink):
        results(Job((work(lambda part, context: part, range(3), total_rows=lambda _: 3),)), executor)
    assert (sink.told[0], sink.told[-1]) == (("work", 3), 7)
    assert sum(rows for _, rows in sink.told[1:-1]) == 3


def test_rows_of_an_attempt_that_fails_are_told_once(executor):
    told = []

    class Sink:
        def start(self, what, total_rows):
            return 0

        def advance(self, number, rows):
            told.append(rows)

        def finish(self, number):
            pass

    def fail_when_told(part, context):
        if context.attempt:
            return TaskOutput(part, rows_in=10)
        while not told:
            context.report_rows(7)
            time.sleep(0.002)
        raise StoreError("slow down")

    with lakefmt.show_progress(Sink()):
        results(Job((Stage("work", fail_when_told, lambda _: [1]),)), executor)
    assert told == [7, 3]


def test_metrics_add_up_and_print_a_line_a_stage(executor):
    job = Job((Stage("read", lambda part, context: TaskOutput(0, 10, 5, 80, 40), lambda _: range(4)),))
    metrics = start_metrics(job, executor)
    results(job, executor, metrics=metrics)
    (stage,) = metrics.stages
    assert (len(stage.tasks), stage.rows_in, stage.rows_out, stage.bytes_out) == (4, 40, 20, 160)
    lines = str(metrics).splitlines()
    assert lines[0].startswith("run in ")
    assert lines[0].endswith("ms on threads, 2 threads")
    assert lines[2].split()[:4] == ["read", "4", "40", "20"]


def test_folder_is_gone_after_the_block_however_it_ends(tmp_path):
    def fail_within():
        with job_folder(tmp_path) as folder:
            Path(folder, "x").write_text("rows")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_within()
    assert list(tmp_path.iterdir()) == []
    with job_folder("memory://job-folders") as uri:
        store = lakefmt.store.open_store(uri)
        store.put("map-0-0", b"rows")
    assert list(lakefmt.store.open_store("memory://job-folders").list("", recursive=True)) == []


def test_folder_that_cannot_be_made_is_a_typed_error(tmp_path):
    with pytest.raises(StoreError, match="Give another place"), job_folder(tmp_path / "missing"):
        pass
