"""Many writers at once, one step at a time: which of them goes on is drawn from a seed, and the clock is a number.

Each task is a thread that runs only while it holds the turn. It gives the turn back at every call of its store and
whenever it sleeps, so that a run is a sequence of steps that the seed decides, and a schedule of thousands of years
of sleeping takes milliseconds.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lakefmt.txn.environment import Environment

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

__all__ = ["Scheduler", "Task"]

_START_MS = 1_790_000_000_000
_PATIENCE_S = (
    60.0  # of real time for one step: what takes longer waits for a task that does not have the turn
)
_LONGEST_STEP_MS = 20
# How often the turn goes to another task: from hardly ever, which lets whole operations pass, to always.
_RESTLESSNESS = (0.05, 0.2, 0.5, 1.0)


@dataclass(slots=True)
class Task:
    """One thread of a simulation.

    Attributes:
        name: for messages.
        wakes_ms: when it goes on.
        error: what ended it, if anything but its work's end did.
    """

    name: str
    work: Callable[[], None]
    thread: threading.Thread | None = None
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    wakes_ms: float = 0.0
    ended: bool = False
    error: BaseException | None = None


class Scheduler:
    """Hands the turn round.

    Args:
        draw: decides who goes next, how long steps take, and all that the tasks leave to chance.

    Attributes:
        now_ms: the time, milliseconds since the epoch.
        steps: turns handed out so far.
    """

    def __init__(self, draw: random.Random) -> None:
        self.now_ms: float = _START_MS
        self.steps = 0
        self._draw = draw
        self._restlessness = draw.choice(_RESTLESSNESS)
        self._tasks: list[Task] = []
        self._by_thread: dict[int, Task] = {}
        self._parked = threading.Semaphore(0)

    def spawn(self, name: str, work: Callable[[], None]) -> Task:
        """Add a task; it begins when it first gets the turn."""
        task = Task(name, work)
        self._tasks.append(task)
        return task

    def run(self) -> None:
        """Run until every task has ended. Raises the first error that ended one."""
        current: Task | None = None
        while waiting := [task for task in self._tasks if not task.ended]:
            ready = [task for task in waiting if task.wakes_ms <= self.now_ms]
            if not ready:
                self.now_ms = min(task.wakes_ms for task in waiting)
                continue
            if current not in ready or self._draw.random() < self._restlessness:
                current = self._draw.choice(ready)
            assert current is not None  # noqa: S101 - it is in ready
            self._give_turn(current)
        errors = [task.error for task in self._tasks if task.error is not None]
        self._tasks.clear()
        if errors:
            raise errors[0]

    def step(self) -> None:
        """Give the turn back and wait for it; called by whatever thread: those of no task just go on.

        A task's own helper threads go on, too: it holds the turn while it waits for them.
        """
        task = self._by_thread.get(threading.get_ident())
        if task is not None:
            self._park(task)

    def sleep(self, seconds: float) -> None:
        """Let a task wait, by the clock of the simulation."""
        task = self._by_thread.get(threading.get_ident())
        if task is None:
            self.now_ms += seconds * 1000
        else:
            task.wakes_ms = self.now_ms + seconds * 1000
            self._park(task)

    def environment(self, label: int, *, skew_ms: int = 0) -> Environment:
        """Return clock, sleep, randomness and ids for one writer, or for one operation of it.

        Args:
            label: a number below 2**32 that stands in every id, so that what the log holds tells who wrote it.
            skew_ms: by how much its wall clock is wrong.
        """
        count = 0

        def new_id() -> str:
            nonlocal count
            count += 1
            return str(uuid.UUID(int=label << 96 | count, version=4))

        return Environment(
            now_ms=lambda: int(self.now_ms) + skew_ms,
            monotonic_s=lambda: self.now_ms / 1000,
            sleep=self.sleep,
            random=self._draw.random,
            new_id=new_id,
        )

    def _give_turn(self, task: Task) -> None:
        self.steps += 1
        self.now_ms += self._draw.randrange(_LONGEST_STEP_MS)
        if task.thread is None:
            task.thread = threading.Thread(target=self._live, args=(task,), name=task.name, daemon=True)
            task.thread.start()
        else:
            task.go.release()
        if not self._parked.acquire(timeout=_PATIENCE_S):
            raise AssertionError(f"{task.name} waits for something that no step of another task can give it")
        if task.ended and task.thread is not None:
            task.thread.join()

    def _live(self, task: Task) -> None:
        self._by_thread[threading.get_ident()] = task
        try:
            task.work()
        except BaseException as error:  # noqa: BLE001 - handed to whoever runs the simulation
            task.error = error
        finally:
            del self._by_thread[threading.get_ident()]
            task.ended = True
            self._parked.release()

    def _park(self, task: Task) -> None:
        self._parked.release()
        task.go.acquire()


def label_of(identifier: str) -> int:
    """Return the label that stands in an id of ``Scheduler.environment``."""
    return uuid.UUID(identifier).int >> 96
