"""Tasks on threads of this process: the executor contract, and what threads alone do."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from lakefmt.engine.tasks import Task, ThreadExecutor
from lakefmt.testing.executor_contract import ExecutorContract

if TYPE_CHECKING:
    from collections.abc import Iterator


class TestThreadExecutor(ExecutorContract):
    MAKE = "from lakefmt.engine.tasks import ThreadExecutor; executor = ThreadExecutor(2)"

    @pytest.fixture
    def executor(self) -> Iterator[ThreadExecutor]:
        with closing(ThreadExecutor(2, memory_bytes=64 << 20)) as executor:
            yield executor


def task_threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("lakefmt-task")]


def test_threads_begin_with_the_first_task_and_end_with_close() -> None:
    executor = ThreadExecutor(2)
    assert task_threads() == []
    assert executor.submit(Task(lambda _, __: len(task_threads()), None, "s", 0)).result() == 1
    executor.close()
    assert task_threads() == []
