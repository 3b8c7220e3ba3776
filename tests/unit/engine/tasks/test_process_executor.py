"""Tasks on worker processes: the executor contract, and what processes alone do."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import signal
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from lakefmt.engine.tasks import Task, TaskContext
from lakefmt.engine.tasks.pickling import decode, encode
from lakefmt.engine.tasks.processes import ProcessExecutor
from lakefmt.engine.tasks.surroundings import Versions, check_versions
from lakefmt.errors import (
    InvalidInputError,
    LakefmtError,
    TaskCancelledError,
    TaskError,
    WorkerLostError,
    WorkerStartError,
)
from lakefmt.testing.executor_contract import ExecutorContract, square, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 120.0


class TestProcessExecutor(ExecutorContract):
    MAKE = "from lakefmt.engine.tasks.processes import ProcessExecutor; executor = ProcessExecutor(2)"

    @pytest.fixture
    def executor(self) -> Iterator[ProcessExecutor]:
        with closing(ProcessExecutor(2, memory_bytes=64 << 20)) as executor:
            yield executor


@pytest.fixture
def executor() -> Iterator[ProcessExecutor]:
    with closing(ProcessExecutor(2, memory_bytes=64 << 20, grace_s=0.3)) as executor:
        yield executor


def run(executor: ProcessExecutor, function: Callable[[Any, TaskContext], Any], value: object = None) -> Any:
    return executor.submit(Task(function, value, "map", 3)).result(PATIENCE_S)


def kill(pid: int) -> None:
    """Kill a child of this process, and wait until it is dead with all its threads; somebody else waits for it."""
    os.kill(pid, signal.SIGKILL)
    until(lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None)


class TestWhatTravels:
    def test_a_function_of_the_test_itself(self, executor: ProcessExecutor) -> None:
        offset = 5
        assert run(executor, lambda value, _: value + offset, 1) == 6
        assert run(executor, _next_of, 1) == 2

    def test_it_runs_in_another_process_whose_main_is_not_the_drivers(
        self, executor: ProcessExecutor
    ) -> None:
        pid, main = run(executor, lambda _, __: (os.getpid(), sys.modules["__main__"].__spec__.name))
        assert pid != os.getpid()
        assert main == "lakefmt.engine.worker"

    def test_an_instance_comes_back_as_one_of_the_same_class(self, executor: ProcessExecutor) -> None:
        class Point:
            def __init__(self, x: int) -> None:
                self.x = x

        found = run(executor, lambda point, _: type(point)(point.x + 1), Point(1))
        assert type(found) is Point
        assert found.x == 2

    def test_a_function_of_a_module_that_only_the_driver_can_find(
        self, executor: ProcessExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "hidden.py"
        path.write_text(
            "BASE = 40\ndef base():\n    return BASE\ndef add(value, context):\n    return base() + value\n"
        )
        spec = importlib.util.spec_from_file_location("hidden_module", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "hidden_module", module)
        spec.loader.exec_module(module)
        assert run(executor, module.add, 2) == 42

    def test_a_function_of_another_module_of_the_same_name_as_one_to_be_found(
        self, executor: ProcessExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for folder, number in (("loaded", 1), ("found", 2)):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "twin_module.py").write_text(f"def number(_, __):\n    return {number}\n")
        monkeypatch.syspath_prepend(str(tmp_path / "loaded"))
        module = importlib.import_module("twin_module")
        monkeypatch.setattr(sys, "path", [str(tmp_path / "found"), *sys.path[1:]])
        assert run(executor, module.number) == 1
        monkeypatch.delitem(sys.modules, "twin_module")

    def test_modules_relative_paths_and_the_environment_are_the_drivers_of_now(
        self, executor: ProcessExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run(executor, square, 1)  # both workers run before anything changes
        (tmp_path / "late_module.py").write_text("def answer(_, __):\n    return 42\n")
        (tmp_path / "note").write_text("here")
        monkeypatch.setenv("LATE_SETTING", "1")
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
        look = lambda _, __: (os.environ.get("LATE_SETTING"), open("note").read(), sys.path[0])  # noqa: E731, SIM115, PTH123
        assert run(executor, importlib.import_module("late_module").answer) == 42
        assert run(executor, look) == ("1", "here", str(tmp_path))
        monkeypatch.delenv("LATE_SETTING")
        assert run(executor, look)[0] is None

    def test_some_megabytes_both_ways(self, executor: ProcessExecutor) -> None:
        rows = pa.table({"n": pa.array(range(2_000_000), pa.int64()), "s": ["x" * 5] * 2_000_000})
        found = run(executor, lambda table, _: table.append_column("m", table["n"]), rows)
        assert found.equals(rows.append_column("m", rows["n"]))

    def test_a_thousand_buffers(self, executor: ProcessExecutor) -> None:
        batches = [pa.record_batch({"n": pa.array([n] * 9_000, pa.int64())}) for n in range(1_100)]
        assert run(executor, lambda given, _: given[::-1], batches) == batches[::-1]

    def test_what_can_be_imported_goes_by_its_name(self) -> None:
        (pickled,) = encode(Task(square, 1, "s", 0))
        assert b"executor_contract" in bytes(pickled)
        assert b"cloudpickle" not in bytes(pickled)

    @pytest.mark.parametrize(
        "rows", [pa.table({"n": list(range(100_000))}), pa.table({"n": list(range(100_000))}).to_batches()[0]]
    )
    def test_a_slice_of_rows_without_the_rows_around_it(self, rows: Any) -> None:
        parts = encode(rows.slice(500, 3))
        assert sum(memoryview(part).nbytes for part in parts) < 2_000
        found = decode(parts)
        assert type(found) is type(rows)
        assert found.equals(rows.slice(500, 3))


class TestWhatDoesNot:
    def test_a_function_that_cannot_be_sent_is_named_before_anything_runs(
        self, executor: ProcessExecutor
    ) -> None:
        lock = threading.Lock()
        with pytest.raises(
            InvalidInputError, match=r"The function of task 3 of stage 'map' cannot be sent .*lock"
        ):
            executor.submit(Task(lambda _, __: lock.locked(), None, "map", 3))

    def test_an_input_that_cannot_be_sent_is_named_before_anything_runs(
        self, executor: ProcessExecutor
    ) -> None:
        with pytest.raises(
            InvalidInputError, match=r"The input of task 3 of stage 'map' cannot be sent .*lock"
        ):
            executor.submit(Task(square, threading.Lock(), "map", 3))

    def test_a_result_that_cannot_be_sent_is_named(self, executor: ProcessExecutor) -> None:
        with pytest.raises(
            InvalidInputError, match=r"The result of task 3 .*, a lock, cannot be sent back"
        ) as caught:
            run(executor, lambda _, __: threading.Lock())
        assert "In task 3 of stage 'map'" in caught.value.__notes__
        assert run(executor, square, 2) == 4

    def test_an_error_that_cannot_be_sent_arrives_as_its_text(self, executor: ProcessExecutor) -> None:
        class BrokenError(Exception):
            def __init__(self, first: str, second: threading.Lock) -> None:
                super().__init__(f"broken at {first}")
                self.second = second

        def fail(_: object, __: TaskContext) -> None:
            raise BrokenError("row 5", threading.Lock())

        with pytest.raises(
            TaskError, match="Task 3 of stage 'map' failed: BrokenError: broken at row 5"
        ) as caught:
            run(executor, fail)
        assert type(caught.value) is TaskError
        assert "in fail" in str(caught.value.__cause__)

    def test_an_error_that_cannot_be_made_again_arrives_as_its_text(self, executor: ProcessExecutor) -> None:
        class TwoPartsError(Exception):
            def __init__(self, first: str, second: str) -> None:
                super().__init__(f"{first} and {second}")

        def fail(_: object, __: TaskContext) -> None:
            raise TwoPartsError("one", "two")

        with pytest.raises(TaskError, match="TwoPartsError: one and two"):
            run(executor, fail)

    def test_an_error_tells_where_in_the_worker_it_came_from(self, executor: ProcessExecutor) -> None:
        def fail_deep_down(_: object, __: TaskContext) -> None:
            raise LakefmtError("no")

        with pytest.raises(LakefmtError) as caught:
            run(executor, fail_deep_down)
        assert "in fail_deep_down" in str(caught.value.__cause__)

    @pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
    def test_what_would_end_the_driver_is_an_error_of_the_task(
        self, executor: ProcessExecutor, error: BaseException
    ) -> None:
        def leave(_: object, __: TaskContext) -> None:
            raise error

        with pytest.raises(TaskError, match=f"Task 3 of stage 'map' failed: {type(error).__name__}"):
            run(executor, leave)
        assert run(executor, square, 2) == 4


class TestDeath:
    @pytest.mark.parametrize(
        ("die", "exit_code", "text"),
        [
            (lambda _, __: os.kill(os.getpid(), signal.SIGKILL), -9, "was ended by SIGKILL"),
            (lambda _, __: os._exit(3), 3, "exited with code 3"),
            (lambda _, __: os._exit(0), 0, "exited with code 0"),
            (lambda _, __: ctypes.string_at(0), -11, "was ended by SIGSEGV"),
        ],
    )
    def test_of_a_worker_is_its_tasks_alone(
        self, executor: ProcessExecutor, tmp_path: Path, die: Any, exit_code: int, text: str
    ) -> None:
        other = executor.submit(Task(_wait, str(tmp_path / "go"), "map", 4))
        with pytest.raises(
            WorkerLostError, match=f"The worker process of task 3 of stage 'map' {text}"
        ) as caught:
            run(executor, die)
        assert caught.value.exit_code == exit_code
        assert [run(executor, square, n) for n in range(5)] == [0, 1, 4, 9, 16]
        (tmp_path / "go").touch()
        assert other.result(PATIENCE_S) == str(tmp_path / "go")

    def test_of_a_worker_by_another_hand_in_the_middle_of_a_task(
        self, executor: ProcessExecutor, tmp_path: Path
    ) -> None:
        future = executor.submit(Task(_tell_pid_and_sleep, str(tmp_path / "pid"), "map", 3))
        until((tmp_path / "pid").exists)
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        with pytest.raises(WorkerLostError):
            future.result(PATIENCE_S)

    def test_of_a_worker_that_was_idle_is_nobodys_loss(self, executor: ProcessExecutor) -> None:
        for _ in range(3):
            kill(run(executor, lambda _, __: os.getpid()))
            assert run(executor, square, 3) == 9

    def test_of_a_worker_whose_child_lives_on_is_seen_at_once(
        self, executor: ProcessExecutor, tmp_path: Path
    ) -> None:
        def fork_and_die(path: str, _: TaskContext) -> None:
            child = os.fork()
            if child == 0:
                time.sleep(600)
            Path(path).write_text(str(child))
            os._exit(1)

        try:
            with pytest.raises(WorkerLostError):
                run(executor, fork_and_die, str(tmp_path / "child"))
        finally:
            os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)

    def test_of_a_worker_takes_its_scratch_folder_along(
        self, executor: ProcessExecutor, tmp_path: Path
    ) -> None:
        def spill_and_die(path: str, context: TaskContext) -> None:
            Path(path).write_text(context.scratch.folder())
            os.kill(os.getpid(), signal.SIGKILL)

        with pytest.raises(WorkerLostError):
            run(executor, spill_and_die, str(tmp_path / "where"))
        assert not Path((tmp_path / "where").read_text()).exists()

    def test_comes_to_a_cancelled_task_that_does_not_listen(
        self, executor: ProcessExecutor, tmp_path: Path
    ) -> None:
        future = executor.submit(Task(_tell_pid_and_sleep, str(tmp_path / "pid"), "map", 3))
        until((tmp_path / "pid").exists)
        future.cancel()
        with pytest.raises(TaskCancelledError, match="Task 3 of stage 'map' was cancelled"):
            future.result(PATIENCE_S)
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)
        assert run(executor, square, 3) == 9

    def test_does_not_come_to_the_next_task_of_a_worker_whose_task_was_cancelled(
        self, executor: ProcessExecutor, tmp_path: Path
    ) -> None:
        for number in range(20):
            place = tmp_path / str(number)
            future = executor.submit(Task(_listen, str(place), "map", 3))
            until(place.exists)
            future.cancel()
            assert isinstance(future.exception(PATIENCE_S), TaskCancelledError)
            pid = int(place.read_text())
            if not Path(f"/proc/{pid}").exists():
                continue  # it listened within the grace, but a loaded machine did not let it answer
            time.sleep(0.4)  # more than the grace
            assert run(executor, lambda _, __: os.getpid()) == pid
            return
        raise AssertionError("no task ended within the grace")


def test_workers_outlive_their_executor_and_serve_the_next() -> None:
    with closing(ProcessExecutor(1)) as first:
        pid = run(first, lambda _, __: os.getpid())
    with closing(ProcessExecutor(1)) as second:
        assert run(second, lambda _, __: os.getpid()) == pid


def test_a_worker_that_is_idle_gives_memory_back() -> None:
    def fill(_: object, __: TaskContext) -> int:
        numbers = pa.array(range(200_000), pa.int64())
        rows = [numbers.take(numbers) for _ in range(100)]
        return len(rows)

    def resident_bytes(_: object, __: TaskContext) -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    with closing(ProcessExecutor(1)) as executor:
        before = run(executor, resident_bytes)
        run(executor, fill)
        until(lambda: time.sleep(0.7) or run(executor, resident_bytes) < before + (70 << 20))


def test_workers_may_keep_the_threads_busy_that_others_leave() -> None:
    with closing(ProcessExecutor(1)) as executor:
        threads, arrow = run(executor, lambda _, context: (context.threads, pa.cpu_count()))
        assert threads == arrow == executor.resources.threads


def test_a_worker_of_other_versions_is_refused() -> None:
    ours = Versions.here()
    check_versions(ours, Versions.here())
    theirs = Versions(ours.python, ours.lakefmt, ours.pyarrow, "9.9.9")
    with pytest.raises(WorkerStartError, match=f"runs duckdb 9.9.9 instead of {ours.duckdb}"):
        check_versions(ours, theirs)


def _next_of(value: int, _: TaskContext) -> int:
    return value + _ONE


_ONE = 1


def _wait(path: str, _: TaskContext) -> str:
    while not Path(path).exists():
        time.sleep(0.005)
    return path


def _tell_pid(path: str) -> None:
    Path(f"{path}.part").write_text(str(os.getpid()))
    Path(f"{path}.part").rename(path)


def _tell_pid_and_sleep(path: str, _: TaskContext) -> None:
    _tell_pid(path)
    time.sleep(600)


def _listen(path: str, context: TaskContext) -> None:
    _tell_pid(path)
    while True:
        context.check_cancelled()
        time.sleep(0.005)
