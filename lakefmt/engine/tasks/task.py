"""What a task is, and what it may use while it runs: values, the same wherever it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lakefmt.errors import TaskCancelledError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefmt.engine.tasks.scratch import Scratch

__all__ = ["Task", "TaskContext", "tell_nobody"]

R = TypeVar("R")


def tell_nobody(_: int) -> None:
    """Take what a task reports where nobody asked."""


@dataclass(frozen=True, slots=True)
class TaskContext:
    """What a running task may use.

    Attributes:
        stage: the task's.
        number: the task's.
        attempt: the task's.
        memory_bytes: so much may be in use at once, for DuckDB, Arrow and Python values together.
        threads: so many of its own it may keep busy.
        folder: of the job, a local path or an fsspec URI; '' where the task writes no file. What is written there is
            named by stage, number and attempt, and published by an atomic rename.
        is_cancelled: whether nobody waits for the result any more; any thread may ask.
        scratch: gives a local folder for what does not outlive the attempt, such as spilled rows.
        report_rows: is told how many rows the task has read so far, from the thread it runs in, between batches; whoever
            waits for the task sees it on the future, a moment later.
    """

    stage: str
    number: int
    attempt: int
    memory_bytes: int
    threads: int
    folder: str
    is_cancelled: Callable[[], bool] = field(repr=False, compare=False)
    scratch: Scratch = field(repr=False, compare=False)
    report_rows: Callable[[int], object] = field(default=tell_nobody, repr=False, compare=False)

    def check_cancelled(self) -> None:
        """Go on, or end here because the job is over; long tasks ask between batches.

        Raises:
            TaskCancelledError: nobody waits for the result any more.
        """
        if self.is_cancelled():
            raise TaskCancelledError(f"Task {self.number} of stage {self.stage!r} was cancelled")


@dataclass(frozen=True, slots=True)
class Task(Generic[R]):
    """One piece of work: a function of a value.

    Running it again, here or elsewhere, gives the same result: what the input names can be read again, and files that
    an attempt leaves are told from those of any other attempt by their names.

    Attributes:
        function: takes the input and the context; runs in any thread, and in another process if it is sent there.
        input: a value, small: file runs, row ranges, partitions of an exchange.
        stage: the name of the stage, for messages and files.
        number: within the stage.
        attempt: from 0.
        memory_bytes: its share of the memory; None for an equal share of the executor's.
        folder: of the job; see ``TaskContext``.
    """

    function: Callable[[Any, TaskContext], R]
    input: Any
    stage: str
    number: int
    attempt: int = 0
    memory_bytes: int | None = None
    folder: str = ""

    def __str__(self) -> str:
        """Return its name in messages."""
        again = f", attempt {self.attempt}" if self.attempt else ""
        return f"task {self.number} of stage {self.stage!r}{again}"
