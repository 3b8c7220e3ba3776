"""Mapping a function over inputs: order, back-pressure, and how a run ends."""

from __future__ import annotations

import itertools
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from lakefmt.engine.tasks import ThreadExecutor, map_tasks

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable


def run(parallelism: int, function: Any, inputs: Iterable[Any], *, ordered: bool = True) -> Generator[Any]:
    with closing(ThreadExecutor(parallelism)) as executor:
        yield from map_tasks(executor, function, inputs, stage="squares", ordered=ordered)


def worker_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("lakefmt-task")]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("tasks", [0, 1, 2, 50])
def test_every_task_gives_its_result_once(tasks: int, *, ordered: bool) -> None:
    results = list(run(4, lambda n: n * n, range(tasks), ordered=ordered))
    assert (results if ordered else sorted(results)) == [n * n for n in range(tasks)]
    assert worker_threads() == []


def test_ordered_results_keep_their_order_when_later_tasks_are_quicker() -> None:
    second_done = threading.Event()

    def work(n: int) -> int:
        if n == 0:
            assert second_done.wait(30)
        else:
            second_done.set()
        return n

    assert list(run(2, work, range(4))) == [0, 1, 2, 3]


def test_unordered_results_come_as_they_are_done() -> None:
    first_taken = threading.Event()

    def work(n: int) -> int:
        if n == 0:
            assert first_taken.wait(30)
        return n

    running = run(2, work, range(2), ordered=False)
    assert next(running) == 1
    first_taken.set()
    assert list(running) == [0]


@pytest.mark.parametrize("ordered", [True, False])
def test_slow_consumer_holds_the_work_back(*, ordered: bool) -> None:
    drawn = itertools.count()
    running = run(2, lambda n: n, (next(drawn) for _ in itertools.count()), ordered=ordered)
    for taken in range(1, 20):
        next(running)
        assert next(drawn) <= 2 * taken + 2 * 2 + 2  # the count itself draws one each time
    running.close()
    assert worker_threads() == []


def test_lone_task_runs_on_the_callers_thread() -> None:
    assert list(run(4, lambda _: threading.current_thread(), [1])) == [threading.current_thread()]


@pytest.mark.parametrize("ordered", [True, False])
def test_first_error_ends_the_run_and_its_threads(*, ordered: bool) -> None:
    begun = itertools.count()

    def work(n: int) -> int:
        next(begun)
        if n == 3:
            raise ZeroDivisionError("task 3")
        return n

    with pytest.raises(ZeroDivisionError, match="task 3"):
        list(run(2, work, range(1_000_000), ordered=ordered))
    # A thread that the system holds back between its begin and its error lets others go on for a while.
    assert next(begun) < 100_000
    assert worker_threads() == []


def test_error_of_the_task_source_ends_the_run_and_its_threads() -> None:
    def tasks() -> itertools.chain[int]:
        yield from range(5)
        raise ZeroDivisionError("the source broke")

    with pytest.raises(ZeroDivisionError, match="the source broke"):
        list(run(2, lambda n: n, tasks()))
    assert worker_threads() == []


def test_closing_drops_tasks_that_have_not_begun() -> None:
    done: list[int] = []
    running = run(2, done.append, range(1_000))
    next(running)
    running.close()
    assert len(done) < 20
    assert worker_threads() == []
