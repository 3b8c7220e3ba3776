"""The threads that an executor's tasks run on, or wait on, and the futures they settle."""

from __future__ import annotations

import os
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from lakefmt.engine.tasks.executor import TaskFuture
from lakefmt.errors import InvalidInputError
from lakefmt.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TaskThreads"]

R = TypeVar("R")


class TaskThreads:
    """Threads that are started with the first call and end with ``close``.

    Args:
        count: so many at most.
        name: what they are called begins so.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._is_closed = False
        self._lock = threading.Lock()
        self._threads: Threads | None = None
        self._unsettled: set[TaskFuture[Any]] = set()

    def submit(
        self, call: Callable[[Callable[[int], None]], R], ask_to_end: Callable[[], object]
    ) -> TaskFuture[R]:
        """Have ``call`` made, after those before it have begun.

        Args:
            call: raises the error that the future is to raise; given is what takes the rows that the task reports.
            ask_to_end: called where the future is cancelled while the call is made.

        Raises:
            InvalidInputError: it is closed.
        """
        future: TaskFuture[R] = TaskFuture(ask_to_end)
        with self._lock:
            if self._is_closed:
                raise InvalidInputError("The executor is closed: it takes no task")
            if self._threads is None:
                self._threads = Threads(self._count, self._name)
                _with_threads.add(self)
            threads = self._threads
            self._unsettled.add(future)
        threads.call(partial(self._settle, future, call))
        return future

    def close(self) -> None:
        """Cancel what is under way, wait for its end, and take no call any more."""
        with self._lock:
            self._is_closed = True
            threads, futures = self._threads, list(self._unsettled)
        # What waits first: else it would begin as soon as something that runs has ended.
        for future in [*(each for each in futures if not each.running()), *futures]:
            future.cancel()
        if threads is not None:
            threads.shutdown(wait=True)

    def begin_in_child(self) -> None:
        """Start with nothing in a forked child, to which no thread comes along."""
        self._lock = threading.Lock()
        self._threads = None
        for future in self._unsettled:
            future.forget_in_child()
        self._unsettled = set()

    def _settle(self, future: TaskFuture[R], call: Callable[[Callable[[int], None]], R]) -> None:
        try:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = call(future.report_rows)
            except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
                future.set_exception(error)
            else:
                future.set_result(result)
        finally:
            self._unsettled.discard(future)
            del future  # which the error's traceback would keep, and it the error


def _begin_in_child() -> None:
    for threads in list(_with_threads):
        threads.begin_in_child()


_with_threads: WeakSet[TaskThreads] = WeakSet()

if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_in_child)
