"""Where tasks run: the seam between what is to be done and the threads, processes or machines that do it."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefmt.engine.tasks.task import Task

__all__ = ["Executor", "Resources", "TaskFuture", "has_worker_processes"]

R = TypeVar("R")


def has_worker_processes() -> bool:
    """Whether this system can run worker processes: Windows cannot.

    A worker is handed its end of a socket and of a pipe as descriptors, starts with Ctrl-C blocked, and has to end with a
    driver that is killed; on Windows none of these is there, and what would stand for them is not built.
    """
    return hasattr(signal, "pthread_sigmask")


@dataclass(frozen=True, slots=True)
class Resources:
    """What an executor has.

    Attributes:
        kind: ``"threads"`` of this process, which share its memory; ``"processes"`` of this machine.
        parallelism: so many tasks run at once.
        threads: that each of them may keep busy.
        memory_bytes: that all of them together may use.
    """

    kind: Literal["threads", "processes"]
    parallelism: int
    threads: int
    memory_bytes: int

    @property
    def task_memory_bytes(self) -> int:
        """A task's equal share of the memory."""
        return self.memory_bytes // self.parallelism


class Executor(Protocol):
    """Runs tasks, as many at once as it has room for; safe among threads.

    ``lakefmt.testing.executor_contract`` says as tests what every executor does.
    """

    @property
    def resources(self) -> Resources:
        """What it has."""

    def submit(self, task: Task[R]) -> TaskFuture[R]:
        """Have a task run once, after those that were submitted before it have begun.

        The future's ``result`` raises what the task raised, with a note that names the task: an error of its own kind
        wherever that can be told here too, else a ``TaskError`` with its text; an ``OutOfMemoryError`` where memory ran
        out; a ``WorkerLostError`` where its process died under it. Nothing is tried twice.

        The future's ``cancel`` keeps a task from beginning. Of one that runs it asks that it end (and returns False, as
        the standard says): the future is then a ``TaskCancelledError`` unless the task was quicker.

        The future's ``rows_reported`` is what the task said last of the rows it has read (``TaskContext.report_rows``), which
        may take a fraction of a second to be seen.

        Raises:
            InvalidInputError: the executor is closed, or the task cannot be sent to where it would run.
        """

    def close(self) -> None:
        """Cancel what is under way, wait for its end, and take no task any more."""


class TaskFuture(Future[R]):
    """The outcome of a task, whose ``cancel`` reaches it while it runs.

    Args:
        ask_to_end: called by ``cancel`` while the task runs, from any thread, perhaps several times.

    Attributes:
        rows_reported: rows that the task has read so far, as it says itself.
    """

    def __init__(self, ask_to_end: Callable[[], object]) -> None:
        super().__init__()
        self._ask_to_end = ask_to_end
        self.rows_reported = 0

    def report_rows(self, rows: int) -> None:
        """Take what the task says of its rows."""
        self.rows_reported = rows

    def cancel(self) -> bool:
        """Keep the task from beginning (True), or ask that it end (False)."""
        if super().cancel():
            return True
        if not self.done():
            self._ask_to_end()
        return False

    def forget_in_child(self) -> None:
        """Be cancelled, in a forked child: nobody there settles it, and the lock may be a thread's that is not there."""
        self._condition = threading.Condition()
        self._waiters.clear()
        if not self.done():
            self._state = "PENDING"
            super().cancel()
            self.set_running_or_notify_cancel()
