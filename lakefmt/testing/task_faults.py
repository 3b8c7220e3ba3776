"""Faults of tasks, decided by a seed and the name of each attempt; they travel with the task to wherever it runs.

    plan = TaskFaults(seed=7, share=0.3)
    executor.submit(plan.disturb(task))

| fault | what whoever waits for the task sees |
|---|---|
| ``FAIL_BEFORE``, ``FAIL_AFTER`` | a ``StoreError``; the function was not called, or was, and its result is lost |
| ``KILL_BEFORE``, ``KILL_AFTER`` | a ``WorkerLostError``: the process was killed (SIGKILL) before the function, or after it and before the answer. A task in the driver's own process cannot do that, and raises the error itself |
| ``OUT_OF_MEMORY`` | an ``OutOfMemoryError``; the function was not called |
| ``DELAY`` | the result, later than it could be |
| ``HANG`` | nothing, until the task is cancelled |
"""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from lakefmt.errors import StoreError, WorkerLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lakefmt.engine.tasks import Task, TaskContext

__all__ = ["PASSING", "TaskFault", "TaskFaults"]

R = TypeVar("R")


class TaskFault(Enum):
    """What goes wrong with one attempt of a task; the module's table says what it looks like."""

    FAIL_BEFORE = auto()
    FAIL_AFTER = auto()
    KILL_BEFORE = auto()
    KILL_AFTER = auto()
    OUT_OF_MEMORY = auto()
    DELAY = auto()
    HANG = auto()


PASSING = tuple(fault for fault in TaskFault if fault is not TaskFault.HANG)
"""Faults after which the task's future is settled by itself."""


@dataclass(frozen=True, slots=True)
class TaskFaults:
    """Which attempts meet which fault.

    Attributes:
        seed: decides, with the attempt's name.
        share: of the attempts that meet one, from 0 to 1.
        kinds: one of them each, equally likely.
        attempts: later attempts meet none, so that a job that tries often enough ends well.
        planned: faults of attempts by (stage, number, attempt), which nothing else decides.
        delay_s: how long a ``DELAY`` takes.
    """

    seed: int = 0
    share: float = 0.0
    kinds: tuple[TaskFault, ...] = PASSING
    attempts: int = 2
    planned: Mapping[tuple[str, int, int], TaskFault] = field(default_factory=dict)
    delay_s: float = 0.05

    def at(self, stage: str, number: int, attempt: int) -> TaskFault | None:
        """Return what an attempt meets."""
        if (stage, number, attempt) in self.planned:
            return self.planned[stage, number, attempt]
        if attempt >= self.attempts:
            return None
        chance = random.Random(f"{self.seed}/{stage}/{number}/{attempt}")  # noqa: S311 - replayed by its seed
        return chance.choice(self.kinds) if chance.random() < self.share else None

    def disturb(self, task: Task[R]) -> Task[R]:
        """Return the task with its faults."""
        return replace(task, function=_Disturbed(task.function, self, os.getpid()))


@dataclass(frozen=True, slots=True)
class _Disturbed:
    function: Callable[[Any, TaskContext], Any]
    faults: TaskFaults
    driver_pid: int

    def __call__(self, value: Any, context: TaskContext) -> Any:
        fault = self.faults.at(context.stage, context.number, context.attempt)
        match fault:
            case TaskFault.FAIL_BEFORE:
                raise StoreError(f"Storage failed {_place(context)}")
            case TaskFault.KILL_BEFORE:
                self._die(context)
            case TaskFault.OUT_OF_MEMORY:
                raise MemoryError(_place(context))
            case TaskFault.DELAY:
                time.sleep(self.faults.delay_s)
            case TaskFault.HANG:
                while True:
                    context.check_cancelled()
                    time.sleep(0.002)
        result = self.function(value, context)
        if fault is TaskFault.FAIL_AFTER:
            raise StoreError(f"Storage failed {_place(context)}, after the work was done")
        if fault is TaskFault.KILL_AFTER:
            self._die(context)
        return result

    def _die(self, context: TaskContext) -> NoReturn:
        if os.getpid() == self.driver_pid:
            raise WorkerLostError(f"The worker was lost {_place(context)}", exit_code=-signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("SIGKILL was survived")


def _place(context: TaskContext) -> str:
    return f"in task {context.number} of stage {context.stage!r}, attempt {context.attempt}"
