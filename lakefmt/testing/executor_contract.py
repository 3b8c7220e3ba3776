"""The executor contract as tests: every executor's test class inherits these.

    class TestMyExecutor(ExecutorContract):
        @pytest.fixture
        def executor(self):
            with closing(MyExecutor(2)) as executor: yield executor

        MAKE = "from my.executors import MyExecutor; executor = MyExecutor(2)"

The executor of the fixture, and the one that ``MAKE`` makes in another interpreter, run two tasks at once.
"""

# ruff: noqa: S101, D102 - tests: asserts are their point, names say all
from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa
import pytest

from lakefmt.engine.tasks import Task, TaskContext
from lakefmt.engine.tasks.function_error import FunctionError, raise_function_error
from lakefmt.errors import (
    CorruptTableError,
    InvalidInputError,
    LakefmtError,
    OutOfMemoryError,
    StoreError,
    TaskCancelledError,
    TaskError,
    WorkerLostError,
)
from lakefmt.testing.task_faults import TaskFault, TaskFaults

if TYPE_CHECKING:
    from pathlib import Path

    from lakefmt.engine.tasks import Executor

__all__ = ["ExecutorContract"]

_PATIENCE_S = 120.0


def square(value: int, _: TaskContext) -> int:
    return value * value


def describe(_: None, context: TaskContext) -> tuple[Any, ...]:
    return (
        context.stage,
        context.number,
        context.attempt,
        context.memory_bytes,
        context.threads,
        context.folder,
    )


def fail(error: Exception, _: TaskContext) -> None:
    raise error


class WordlessError(Exception):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise ValueError("no words")


class UnsendableError(Exception):
    """Cannot be sent to another process."""

    def __init__(self) -> None:
        super().__init__("held fast")
        self.lock = threading.Lock()


def leave(error: BaseException, _: TaskContext) -> None:
    """Raise an error that no Exception is, as a user's sys.exit() would."""
    raise error


def fail_as_function(error: BaseException | type[BaseException], _: TaskContext) -> None:
    """Fail as a user's function that raises an error."""
    raise_function_error(error() if isinstance(error, type) else error, "f")


def wait_for(path: str, context: TaskContext) -> str:
    """Say that the task runs, and go on until a file is there or the task is cancelled."""
    import pathlib

    begun, go = pathlib.Path(f"{path}.begun"), pathlib.Path(f"{path}.go")
    begun.touch()
    while not go.exists():
        context.check_cancelled()
        time.sleep(0.002)
    return path


def report(path: str, context: TaskContext) -> None:
    """Say again and again that so many rows were read, until a file is there."""
    import pathlib

    rows = 0
    while not pathlib.Path(path).exists():
        context.check_cancelled()
        rows = min(rows + 1, 50)
        context.report_rows(rows)
        time.sleep(0.002)


def touch(path: str, _: TaskContext) -> None:
    import pathlib

    pathlib.Path(path).touch()


def spill(how: str, context: TaskContext) -> str:
    """Leave a file in the scratch folder, and tell the folder by result or by error."""
    import pathlib

    folder = context.scratch.folder()
    pathlib.Path(folder, "rows").write_bytes(b"rows")
    if how == "raise":
        raise LakefmtError(folder)
    return folder


def until(condition: Any) -> None:
    """Wait until something holds; a test that waits for ever has failed."""
    end_s = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.002)


def rows_of(count: int, _: TaskContext) -> pa.Table:
    return pa.table({"n": pa.array(range(count), pa.int64())})


_DRIVER = """
import sys
from contextlib import closing
from lakefmt.engine.tasks import Task, map_tasks
from lakefmt.testing.executor_contract import wait_for
{make}
with closing(executor):
    futures = [executor.submit(Task(wait_for, f"{{sys.argv[1]}}/{{n}}", "s", n)) for n in range(4)]
    futures[0].result()
"""

_FORKING_DRIVER = """
import os, warnings
from contextlib import closing
from lakefmt.engine.tasks import Task
from lakefmt.testing.executor_contract import square
{make}
warnings.simplefilter("ignore")  # newer Pythons warn of forks beside threads
with closing(executor):
    run = lambda: [executor.submit(Task(square, n, "s", n)).result(60) for n in range(4)]
    print(run(), flush=True)
    child = os.fork()
    if child == 0:
        print(run(), flush=True)
        executor.close()
        os._exit(0)
    os.waitpid(child, 0)
    print(run())
"""


class ExecutorContract:
    """What every executor does.

    Attributes:
        MAKE: statements that make an executor, and call it ``executor``.
    """

    MAKE: ClassVar[str]

    def test_a_tasks_result_is_its_functions(self, executor: Executor) -> None:
        futures = [executor.submit(Task(square, n, "squares", n)) for n in range(20)]
        assert [future.result(_PATIENCE_S) for future in futures] == [n * n for n in range(20)]

    def test_a_task_is_told_what_it_is_and_may_use(self, executor: Executor) -> None:
        task = Task(describe, None, "map", 7, attempt=2, memory_bytes=5 << 20, folder="/job")
        threads = executor.resources.threads
        assert executor.submit(task).result(_PATIENCE_S) == ("map", 7, 2, 5 << 20, threads, "/job")

    def test_tasks_share_the_memory_equally(self, executor: Executor) -> None:
        resources = executor.resources
        assert resources.parallelism == 2
        memory_bytes = executor.submit(Task(describe, None, "map", 0)).result(_PATIENCE_S)[3]
        assert 0 < memory_bytes == resources.memory_bytes // 2

    def test_two_tasks_run_at_once(self, executor: Executor, tmp_path: Path) -> None:
        futures = [executor.submit(Task(wait_for, str(tmp_path / str(n)), "s", n)) for n in range(2)]
        until(lambda: (tmp_path / "0.begun").exists() and (tmp_path / "1.begun").exists())
        for n in range(2):
            (tmp_path / f"{n}.go").touch()
        assert [future.result(_PATIENCE_S) for future in futures] == [
            str(tmp_path / str(n)) for n in range(2)
        ]

    def test_rows_come_back(self, executor: Executor) -> None:
        found = executor.submit(Task(rows_of, 1_000_000, "rows", 0)).result(_PATIENCE_S)
        assert found.equals(pa.table({"n": pa.array(range(1_000_000), pa.int64())}))

    def test_a_tasks_own_error_keeps_its_kind_and_places_and_names_the_task(self, executor: Executor) -> None:
        error = CorruptTableError("Damaged", table="t", version=3, path="part-0", hint="Restore it")
        with pytest.raises(CorruptTableError) as caught:
            executor.submit(Task(fail, error, "scan", 4, attempt=1)).result(_PATIENCE_S)
        assert str(caught.value) == str(error)
        assert (caught.value.version, caught.value.path) == (3, "part-0")
        assert "In task 4 of stage 'scan', attempt 1" in caught.value.__notes__

    def test_a_foreign_error_of_the_users_function_is_raised_as_it_is(self, executor: Executor) -> None:
        with pytest.raises(ZeroDivisionError, match="by naught") as caught:
            executor.submit(Task(fail, ZeroDivisionError("by naught"), "map", 0)).result(_PATIENCE_S)
        assert "In task 0 of stage 'map'" in caught.value.__notes__

    @pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
    def test_what_would_end_the_driver_is_an_error_of_the_task(
        self, executor: Executor, error: BaseException
    ) -> None:
        with pytest.raises(TaskError, match=f"Task 2 of stage 'map' failed: {type(error).__name__}"):
            executor.submit(Task(leave, error, "map", 2)).result(_PATIENCE_S)
        assert executor.submit(Task(square, 3, "map", 3)).result(_PATIENCE_S) == 9

    def test_an_error_without_words_is_raised_as_it_is(self, executor: Executor) -> None:
        with pytest.raises(WordlessError) as caught:
            executor.submit(Task(fail, WordlessError(), "map", 0)).result(_PATIENCE_S)
        assert "In task 0 of stage 'map'" in caught.value.__notes__

    @pytest.mark.parametrize(
        "error", [StoreError("slow", path="p"), OSError(5, "Input/output error"), WordlessError()]
    )
    def test_an_error_of_a_users_function_is_told_from_the_engines(
        self, executor: Executor, error: Exception
    ) -> None:
        with pytest.raises(FunctionError) as caught:
            executor.submit(Task(fail_as_function, error, "map", 5)).result(_PATIENCE_S)
        found = caught.value.error
        assert type(found) is type(error)
        assert found.args == error.args
        assert "In task 5 of stage 'map'" in found.__notes__

    @pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, StopIteration, UnsendableError])
    def test_an_error_of_a_users_function_that_cannot_be_raised_elsewhere_is_told_in_words(
        self, executor: Executor, error: type[BaseException]
    ) -> None:
        with pytest.raises(FunctionError) as caught:
            executor.submit(Task(fail_as_function, error, "map", 5)).result(_PATIENCE_S)
        assert type(caught.value.error) is TaskError
        assert f"Function 'f' raised {error.__name__}" in str(caught.value.error)

    @pytest.mark.parametrize(
        "error", [MemoryError("too much"), pa.ArrowMemoryError("malloc of size 1 failed")]
    )
    def test_memory_that_ran_out_is_told_from_other_errors(
        self, executor: Executor, error: Exception
    ) -> None:
        with pytest.raises(OutOfMemoryError, match="Task 1 of stage 'sort' ran out of memory: ") as caught:
            executor.submit(Task(fail, error, "sort", 1)).result(_PATIENCE_S)
        assert str(error) in caught.value.message

    def test_tasks_after_a_failed_one_run(self, executor: Executor) -> None:
        failed = [executor.submit(Task(fail, LakefmtError("no"), "s", n)) for n in range(5)]
        done = [executor.submit(Task(square, n, "s", n)) for n in range(5)]
        assert [future.result(_PATIENCE_S) for future in done] == [0, 1, 4, 9, 16]
        assert all(isinstance(future.exception(_PATIENCE_S), LakefmtError) for future in failed)

    def test_a_thousand_tiny_tasks_from_several_threads_each_give_their_result(
        self, executor: Executor
    ) -> None:
        def submit_all(first: int) -> list[int]:
            futures = [executor.submit(Task(square, n, "tiny", n)) for n in range(first, first + 250)]
            return [future.result(_PATIENCE_S) for future in futures]

        with ThreadPoolExecutor(4) as threads:
            found = [n for part in threads.map(submit_all, range(0, 1000, 250)) for n in part]
        assert found == [n * n for n in range(1000)]

    def test_a_task_cancelled_before_it_began_never_runs(self, executor: Executor, tmp_path: Path) -> None:
        running = [executor.submit(Task(wait_for, str(tmp_path / str(n)), "s", n)) for n in range(2)]
        waiting = executor.submit(Task(wait_for, str(tmp_path / "never"), "s", 2))
        until(lambda: (tmp_path / "0.begun").exists() and (tmp_path / "1.begun").exists())
        assert waiting.cancel()
        for n in range(2):
            (tmp_path / f"{n}.go").touch()
        for future in running:
            future.result(_PATIENCE_S)
        with pytest.raises(CancelledError):
            waiting.result(_PATIENCE_S)
        assert executor.submit(Task(square, 3, "s", 3)).result(_PATIENCE_S) == 9
        assert not (tmp_path / "never.begun").exists()

    def test_a_cancelled_task_that_runs_ends_at_its_next_look(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        future = executor.submit(Task(wait_for, str(tmp_path / "it"), "s", 0))
        until((tmp_path / "it.begun").exists)
        assert not future.cancel()
        with pytest.raises(TaskCancelledError, match="Task 0 of stage 's'"):
            future.result(_PATIENCE_S)
        assert executor.submit(Task(square, 3, "s", 1)).result(_PATIENCE_S) == 9

    def test_cancelling_a_task_that_is_done_changes_nothing(self, executor: Executor) -> None:
        future = executor.submit(Task(square, 3, "s", 0))
        assert future.result(_PATIENCE_S) == 9
        assert not future.cancel()
        assert future.result() == 9
        assert executor.submit(Task(square, 4, "s", 1)).result(_PATIENCE_S) == 16

    def test_rows_that_a_running_task_reports_are_seen(self, executor: Executor, tmp_path: Path) -> None:
        future = executor.submit(Task(report, str(tmp_path / "end"), "s", 0))
        assert future.rows_reported <= 50
        until(lambda: future.rows_reported == 50)
        assert not future.done()
        (tmp_path / "end").touch()
        future.result(_PATIENCE_S)
        assert executor.submit(Task(square, 3, "s", 1)).result(_PATIENCE_S) == 9

    def test_closing_cancels_what_is_under_way(self, executor: Executor, tmp_path: Path) -> None:
        futures = [executor.submit(Task(wait_for, str(tmp_path / str(n)), "s", n)) for n in range(4)]
        until(lambda: (tmp_path / "0.begun").exists() and (tmp_path / "1.begun").exists())
        threading.Thread(target=executor.close).start()
        executor.close()
        assert all(future.done() for future in futures)
        for future in futures[:2]:
            with pytest.raises(TaskCancelledError):
                future.result()
        assert all(future.cancelled() for future in futures[2:])
        assert not (tmp_path / "2.begun").exists()

    def test_a_closed_executor_takes_no_task(self, executor: Executor) -> None:
        executor.submit(Task(square, 3, "s", 0)).result(_PATIENCE_S)
        executor.close()
        executor.close()
        with pytest.raises(InvalidInputError, match="closed"):
            executor.submit(Task(square, 3, "s", 1))

    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            (TaskFault.FAIL_BEFORE, StoreError),
            (TaskFault.FAIL_AFTER, StoreError),
            (TaskFault.KILL_BEFORE, WorkerLostError),
            (TaskFault.KILL_AFTER, WorkerLostError),
            (TaskFault.OUT_OF_MEMORY, OutOfMemoryError),
        ],
    )
    def test_a_faulty_attempt_ends_in_its_error_and_the_next_one_in_the_result(
        self, executor: Executor, fault: TaskFault, expected: type[LakefmtError]
    ) -> None:
        faults = TaskFaults(planned={("s", 0, 0): fault})
        others = [executor.submit(faults.disturb(Task(square, n, "s", n))) for n in range(1, 5)]
        with pytest.raises(expected, match="ask 0 of stage 's'"):
            executor.submit(faults.disturb(Task(square, 9, "s", 0))).result(_PATIENCE_S)
        again = executor.submit(faults.disturb(Task(square, 9, "s", 0, attempt=1)))
        assert again.result(_PATIENCE_S) == 81
        assert [future.result(_PATIENCE_S) for future in others] == [1, 4, 9, 16]

    def test_a_task_that_is_done_before_it_fails_has_been_done(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        for number, fault in enumerate((TaskFault.FAIL_AFTER, TaskFault.KILL_AFTER)):
            path = tmp_path / fault.name
            faults = TaskFaults(planned={("s", number, 0): fault})
            future = executor.submit(faults.disturb(Task(touch, str(path), "s", number)))
            assert isinstance(future.exception(_PATIENCE_S), StoreError | WorkerLostError)
            assert path.exists()

    def test_a_slow_task_holds_no_other_back(self, executor: Executor, tmp_path: Path) -> None:
        slow = executor.submit(Task(wait_for, str(tmp_path / "slow"), "s", 0))
        quick = [executor.submit(Task(square, n, "s", n)) for n in range(1, 20)]
        assert [future.result(_PATIENCE_S) for future in quick] == [n * n for n in range(1, 20)]
        assert not slow.done()
        (tmp_path / "slow.go").touch()
        slow.result(_PATIENCE_S)

    def test_a_task_that_hangs_ends_when_it_is_cancelled(self, executor: Executor) -> None:
        faults = TaskFaults(planned={("s", 0, 0): TaskFault.HANG})
        hanging = executor.submit(faults.disturb(Task(square, 1, "s", 0)))
        until(hanging.running)
        hanging.cancel()
        assert isinstance(hanging.exception(_PATIENCE_S), TaskCancelledError)

    @pytest.mark.parametrize("seed", range(2))
    def test_tasks_tried_again_after_random_faults_all_end_well(self, executor: Executor, seed: int) -> None:
        faults = TaskFaults(seed, share=0.4, delay_s=0.01)
        waiting = {n: executor.submit(faults.disturb(Task(square, n, "s", n))) for n in range(20)}
        found: dict[int, int] = {}
        for attempt in range(1, 4):
            for n, future in list(waiting.items()):
                if (error := future.exception(_PATIENCE_S)) is None:
                    found[n] = future.result()
                    del waiting[n]
                else:
                    assert isinstance(error, StoreError | WorkerLostError | OutOfMemoryError)
                    again = Task(square, n, "s", n, attempt=attempt)
                    waiting[n] = executor.submit(faults.disturb(again))
        assert found == {n: n * n for n in range(20)}

    def test_scratch_folders_are_gone_when_their_tasks_are(self, executor: Executor) -> None:
        folders = [executor.submit(Task(spill, how, "s", 0)) for how in ("return", "raise")]
        path = folders[0].result(_PATIENCE_S)
        with pytest.raises(LakefmtError) as caught:
            folders[1].result(_PATIENCE_S)
        assert path != caught.value.message
        assert not os.path.exists(path)  # noqa: PTH110 - a text as it came
        assert not os.path.exists(caught.value.message)  # noqa: PTH110

    def test_ctrl_c_ends_a_driver_that_waits_for_tasks(self, tmp_path: Path) -> None:
        command = [sys.executable, "-c", _DRIVER.format(make=self.MAKE), str(tmp_path)]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as driver:  # noqa: S603 - this interpreter
            until(lambda: (tmp_path / "0.begun").exists() and (tmp_path / "1.begun").exists())
            driver.send_signal(signal.SIGINT)
            _, complaints = driver.communicate(timeout=_PATIENCE_S)
        assert driver.returncode == -signal.SIGINT
        assert complaints.rstrip().endswith(b"KeyboardInterrupt")
        assert not (tmp_path / "2.begun").exists()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
    def test_a_forked_child_runs_tasks_by_itself(self) -> None:
        command = [sys.executable, "-c", _FORKING_DRIVER.format(make=self.MAKE)]
        done = subprocess.run(  # noqa: S603 - this interpreter
            command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
        assert (done.stdout, done.stderr) == ("[0, 1, 4, 9]\n" * 3, "")
