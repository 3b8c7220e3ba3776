"""Tasks on threads of this process: for work that spends its time in native code, or waiting."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from lakefmt.databases import available_cores
from lakefmt.engine.memory import default_memory_limit
from lakefmt.engine.tasks.executor import Resources
from lakefmt.engine.tasks.failures import as_task_error
from lakefmt.engine.tasks.run import run_task
from lakefmt.engine.tasks.task_threads import TaskThreads

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefmt.engine.tasks.executor import TaskFuture
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
        self._threads = TaskThreads(self._resources.parallelism, "lakefmt-task")

    @property
    def resources(self) -> Resources:
        """What it has; each task has one thread, its own."""
        return self._resources

    def submit(self, task: Task[R]) -> TaskFuture[R]:
        """Have a task run; see ``Executor``."""
        wish = _Wish()
        return self._threads.submit(partial(_run, task, self._resources, wish), wish.make)

    def close(self) -> None:
        """Cancel what is under way, wait for its end, and take no task any more."""
        self._threads.close()


def _run(task: Task[R], resources: Resources, wish: _Wish, report_rows: Callable[[int], None]) -> R:
    try:
        return run_task(task, resources, wish.was_made, report_rows)
    except Exception:
        raise
    except BaseException as error:
        # SystemExit and its like would end whoever waits. Ctrl-C is none of them: it reaches the main thread alone.
        raise as_task_error(error, str(task)) from error


class _Wish:
    """That a task end: an Event that nobody waits for, made in a tenth of the time."""

    __slots__ = ("_was_made",)

    def __init__(self) -> None:
        self._was_made = False

    def make(self) -> None:
        self._was_made = True

    def was_made(self) -> bool:
        return self._was_made
