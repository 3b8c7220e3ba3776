"""Threads for work that somebody waits for; where none can be started, the work is done by whoever hands it over.

None can be started once the interpreter's own end has begun: a program that reads or writes a table in a function that it
gave to ``atexit`` is still to get its rows. A process that is at its limit of threads is to get them, too.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Threads", "map_in_threads"]

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")


class Threads(ThreadPoolExecutor):
    """An executor whose ``submit`` does the work before it returns where no thread can be had for it.

    Args:
        count: so many threads at most.
        name: what they are called begins so.
    """

    def __init__(self, count: int, name: str) -> None:
        super().__init__(count, thread_name_prefix=name)

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Have ``fn`` called; see ``concurrent.futures.Executor.submit``."""
        job = _Job(lambda: fn(*args, **kwargs))
        try:
            return super().submit(job)
        except RuntimeError:
            # It may be in the queue all the same, where a thread from before finds it: it is done once.
            job.run()
            return job.outcome

    def call(self, function: Callable[[], object]) -> None:
        """Have ``function`` called once; it raises nothing, and says by itself what came of it."""
        once = _Once(function)
        try:
            super().submit(once.run)
        except RuntimeError:
            once.run()


def map_in_threads(work: Callable[[T], R], items: Iterable[T], count: int, name: str) -> list[R]:
    """Return what ``work`` makes of each item, in order, ``count`` of them at a time; its first error is raised."""
    with Threads(count, name) as pool:
        return list(pool.map(work, items))


class _Once:
    """A call that is made once, by whoever comes first."""

    __slots__ = ("_call", "_is_taken")

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._is_taken = threading.Lock()

    def run(self) -> None:
        """Make the call unless somebody else does."""
        if self._is_taken.acquire(blocking=False):
            self._call()


class _Job(_Once, Generic[R]):
    """A call whose outcome somebody asks for."""

    def __init__(self, call: Callable[[], R]) -> None:
        super().__init__(call)
        self.outcome: Future[Any] = Future()

    def __call__(self) -> R:
        self.run()
        found: R = self.outcome.result()
        return found

    def run(self) -> None:
        """Make the call unless somebody else does."""
        if not self._is_taken.acquire(blocking=False):
            return
        try:
            self.outcome.set_result(self._call())
        except BaseException as error:  # noqa: BLE001 - raised where the outcome is asked for
            self.outcome.set_exception(error)
