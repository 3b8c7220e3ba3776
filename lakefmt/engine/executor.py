"""Running tasks in parallel: the seam between what is to be done and where.

A task is a small frozen value, a function turns it into a result; an executor runs many of them and hands out the
results as they are asked for. This one runs them on threads of this process, which suits work that spends its time
in native code; local processes and clusters are executors too, and get the same tasks.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import chain, islice
from typing import TYPE_CHECKING, Protocol, TypeVar

from lakefmt.databases import available_cores
from lakefmt.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

__all__ = ["Executor", "ThreadExecutor"]

T = TypeVar("T")
R = TypeVar("R")


class Executor(Protocol):
    """Where tasks run."""

    @property
    def parallelism(self) -> int:
        """How many tasks run at once."""

    def run(
        self, function: Callable[[T], R], tasks: Iterable[T], *, ordered: bool = True
    ) -> Generator[R, None, None]:
        """Yield ``function(task)`` for every task.

        At most twice ``parallelism`` tasks are begun beyond the results taken, so a slow consumer holds the work
        back; ``tasks`` is drawn from the consumer's thread, as needed. The first error ends the run: tasks not
        begun are dropped, those running are waited for. Closing the generator does the same.

        Args:
            function: called once for each task, for several at once.
            tasks: may be endless.
            ordered: results in the order of the tasks; else as they are done.
        """


class ThreadExecutor:
    """Runs tasks on threads that live as long as the run; one lone task runs on the caller's.

    Args:
        parallelism: threads; None for one a core.
    """

    def __init__(self, parallelism: int | None = None) -> None:
        self._parallelism = parallelism or available_cores()

    @property
    def parallelism(self) -> int:
        """How many tasks run at once."""
        return self._parallelism

    def run(
        self, function: Callable[[T], R], tasks: Iterable[T], *, ordered: bool = True
    ) -> Generator[R, None, None]:
        """Yield ``function(task)`` for every task; see ``Executor``."""
        remaining = iter(tasks)
        first = list(islice(remaining, min(2, self._parallelism)))
        if len(first) < 2:
            # Starting a thread costs as much as a small task.
            for task in chain(first, remaining):
                yield function(task)
            return
        pool = Threads(self._parallelism, "lakefmt-task")
        try:
            submitted = (pool.submit(function, task) for task in chain(first, remaining))
            results = _in_order if ordered else _as_done
            yield from results(submitted, 2 * self._parallelism)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _in_order(futures: Iterator[Future[R]], window: int) -> Iterator[R]:
    pending = deque(islice(futures, window))
    while pending:
        result = pending.popleft().result()
        pending.extend(islice(futures, 1))
        yield result


def _as_done(futures: Iterator[Future[R]], window: int) -> Iterator[R]:
    pending = set(islice(futures, window))
    while pending:
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        results = [future.result() for future in done]
        pending.update(islice(futures, len(done)))
        yield from results
