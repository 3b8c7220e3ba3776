"""Tasks on worker processes of this machine.

For Python functions, which share no interpreter's lock there, and for work that may bring its process down. A task that dies takes its worker with it and nothing else. A thread of this process waits for each worker; it spends its
time in the system.
"""

from __future__ import annotations

import signal
import threading
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from lakefmt.databases import available_cores
from lakefmt.engine.memory import default_memory_limit
from lakefmt.engine.tasks.answers import encode_task, outcome
from lakefmt.engine.tasks.executor import Resources, has_worker_processes
from lakefmt.engine.tasks.failures import sentence
from lakefmt.engine.tasks.task_threads import TaskThreads
from lakefmt.engine.tasks.worker_pool import workers
from lakefmt.engine.tasks.worker_process import WorkerDiedError
from lakefmt.errors import TaskCancelledError, UnsupportedFeatureError, WorkerLostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefmt.engine.tasks.executor import TaskFuture
    from lakefmt.engine.tasks.task import Task
    from lakefmt.engine.tasks.worker_process import WorkerProcess

__all__ = ["ProcessExecutor"]

R = TypeVar("R")

_GRACE_S = 5.0


class ProcessExecutor:
    """Runs tasks on worker processes, borrowed from those of this process; they outlive the executor.

    Functions and inputs travel as ``pickling`` says; what a task prints appears where this process's standard output and
    error went when the worker began.

    Args:
        parallelism: workers; None for one a core.
        memory_bytes: for all tasks together; None for the default limit.
        grace_s: a cancelled task that does not end by itself for so many seconds is ended with its process.

    Raises:
        UnsupportedFeatureError: this system has none.
    """

    def __init__(
        self, parallelism: int | None = None, memory_bytes: int | None = None, *, grace_s: float = _GRACE_S
    ) -> None:
        if not has_worker_processes():
            raise UnsupportedFeatureError(
                "Worker processes need a POSIX system",
                hint="Leave executor out, or write executor='threads'; on Windows, WSL has worker processes",
            )
        cores = available_cores()
        parallelism = parallelism or cores
        memory_bytes = default_memory_limit() if memory_bytes is None else memory_bytes
        self._resources = Resources("processes", parallelism, max(1, cores // parallelism), memory_bytes)
        self._grace_s = grace_s
        self._threads = TaskThreads(parallelism, "lakefmt-worker")

    @property
    def resources(self) -> Resources:
        """What it has."""
        return self._resources

    def submit(self, task: Task[R]) -> TaskFuture[R]:
        """Have a task run; see ``Executor``."""
        run = _Run(task, self._resources, self._grace_s)
        return self._threads.submit(run.result, run.ask_to_end)

    def close(self) -> None:
        """Cancel what is under way, wait for its end, and take no task any more; the workers stay for others."""
        self._threads.close()


class _Run:
    """A task on its way through a worker.

    Raises:
        InvalidInputError: the task cannot be sent.
    """

    def __init__(self, task: Task[Any], resources: Resources, grace_s: float) -> None:
        self._name = str(task)
        self._parts = encode_task(task)
        self._resources = resources
        self._grace_s = grace_s
        self._number = next(_numbers)
        self._lock = threading.Lock()
        self._worker: WorkerProcess | None = None
        self._is_cancelled = False

    def result(self, report_rows: Callable[[int], None]) -> Any:
        """Run the task on a worker and return its result, or raise its error; ``report_rows`` is told how far it is."""
        pool = workers()
        try:
            worker = pool.take()
        except WorkerDiedError as error:
            raise self._lost(error.exit_code) from None
        with self._lock:
            self._worker = worker
        try:
            answer = worker.run(
                self._number, self._resources, self._parts, lambda: self._is_cancelled, report_rows
            )
        except WorkerDiedError:
            exit_code = pool.drop(worker)
            raise self._cancelled() if self._is_cancelled else self._lost(exit_code) from None
        except BaseException:
            pool.drop(worker)  # it may be in the middle of something
            raise
        pool.give_back(worker)
        if answer is None:
            raise self._cancelled()
        return outcome(*answer, self._name)

    def ask_to_end(self) -> None:
        """Ask that the task end; if it does not in time, its process is killed."""
        with self._lock:
            if self._is_cancelled:
                return
            self._is_cancelled = True
            worker = self._worker
        if worker is None:
            return
        worker.ask_to_end(self._number)
        kill = threading.Timer(self._grace_s, worker.kill_if_running, [self._number])
        kill.daemon = True
        try:
            kill.start()
        except RuntimeError:  # no thread can be started any more: at the end of the process, or at a limit
            worker.kill_if_running(self._number)

    def _cancelled(self) -> TaskCancelledError:
        return TaskCancelledError(f"{sentence(self._name)} was cancelled")

    def _lost(self, exit_code: int) -> WorkerLostError:
        if exit_code >= 0:
            end, hint = f"exited with code {exit_code}", "A task must not end its process"
        else:
            end, hint = f"was ended by {_signal_name(-exit_code)}", "Native code crashed in it"
            if -exit_code == signal.SIGKILL:
                hint = "Somebody killed it; where it was the system, for want of memory, give tasks less (memory_limit)"
        return WorkerLostError(f"The worker process of {self._name} {end}", exit_code=exit_code, hint=hint)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


_numbers = count()
