"""Tasks on threads of this process: for work that spends its time in native code, or waiting."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from lakefmt.databases import available_cores
from lakefmt.engine.memory import default_memory_limit
from lakefmt.engine.tasks.executor import Resources, TaskFuture
from lakefmt.engine.tasks.run import run_task
from lakefmt.errors import InvalidInputError
from lakefmt.threads import Threads

if TYPE_CHECKING:
    from lakefmt.engine.tasks.task import Task

__all__ = ["ThreadExecutor"]

R = TypeVar("R")


class ThreadExecutor:
    """Runs tasks on threads that are started with the first task and end with ``close``.

    A task that never asks whether it is cancelled runs to its end, and ``close`` waits for it: a thread cannot be ended
    from outside.

    Args:
        parallelism: threads; None for one a core.
        memory_bytes: for all tasks together; None for the default limit.
    """

    def __init__(self, parallelism: int | None = None, memory_bytes: int | None = None) -> None:
        self._resources = Resources(
            "threads",
            parallelism or available_cores(),
            1,
            default_memory_limit() if memory_bytes is None else memory_bytes,
        )
        self._lock = threading.Lock()
        self._pool: Threads | None = None
        self._is_closed = False
        self._begun: WeakSet[TaskFuture[Any]] = WeakSet()

    @property
    def resources(self) -> Resources:
        """What it has; each task has one thread, its own."""
        return self._resources

    def submit(self, task: Task[R]) -> TaskFuture[R]:
        """Have a task run; see ``Executor``."""
        cancelled = threading.Event()
        future: TaskFuture[R] = TaskFuture(cancelled.set)
        with self._lock:
            if self._is_closed:
                raise InvalidInputError("The executor is closed: it takes no task")
            if self._pool is None:
                self._pool = Threads(self._resources.parallelism, "lakefmt-task")
            pool = self._pool
            self._begun.add(future)
        pool.submit(self._run, task, future, cancelled)
        return future

    def close(self) -> None:
        """Cancel what is under way, wait for its end, and take no task any more."""
        with self._lock:
            self._is_closed = True
            pool, begun = self._pool, list(self._begun)
        for future in begun:
            future.cancel()
        if pool is not None:
            pool.shutdown(wait=True)

    def _run(self, task: Task[R], future: TaskFuture[R], cancelled: threading.Event) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = run_task(task, self._resources, cancelled.is_set)
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            future.set_exception(error)
            del future  # which the error's traceback would keep, and it the error
        else:
            future.set_result(result)
