"""Faults of whole jobs: of their tasks, wherever these run, and of the files that tasks leave for one another.

    executor = FaultyExecutor(ProcessExecutor(2), TaskFaults(seed=7, share=0.3), lost_files=0.2)
    rows = run_job(job, executor, folder=folder)

What meets which fault is decided by the seed and the name of the attempt, so that a seed replays a run, except for the order
in which tasks that run at once end.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from lakefmt.engine.tasks import Executor, Resources, Task
    from lakefmt.engine.tasks.executor import TaskFuture
    from lakefmt.testing.task_faults import TaskFaults

__all__ = ["FaultyExecutor"]

R = TypeVar("R")


class FaultyExecutor:
    """An executor whose tasks meet faults, and in whose jobs' folders files get lost.

    Args:
        executor: runs the tasks.
        faults: of the tasks.
        lost_files: for how many of the first attempts, from 0 to 1, a file of the job's folder is deleted or cut short
            before the task begins; it may be one that nobody reads any more.

    Attributes:
        lost: how many files were.
    """

    def __init__(self, executor: Executor, faults: TaskFaults, *, lost_files: float = 0.0) -> None:
        self._executor = executor
        self._faults = faults
        self._lost_files = lost_files
        self.lost = 0

    @property
    def resources(self) -> Resources:
        """Those of the executor."""
        return self._executor.resources

    def submit(self, task: Task[R]) -> TaskFuture[R]:
        """Have a task run with its faults; see ``Executor``."""
        chance = random.Random(f"{self._faults.seed}/files/{task.stage}/{task.number}")  # noqa: S311 - replayed by its seed
        if task.attempt == 0 and chance.random() < self._lost_files:
            self._lose_file(Path(task.folder), chance)
        return self._executor.submit(self._faults.disturb(task))

    def close(self) -> None:
        """Close the executor."""
        self._executor.close()

    def _lose_file(self, folder: Path, chance: random.Random) -> None:
        # Rows that the driver itself keeps for its tasks are as safe as the driver.
        files = sorted(path for path in folder.glob("*.arrow") if not path.name.startswith("rows-"))
        if not files:
            return
        path = chance.choice(files)
        self.lost += 1
        if chance.random() < 0.5:
            path.unlink(missing_ok=True)
        else:
            # A reader may have it mapped: cutting that file short would kill it, and no storage does so. Another file of the
            # name is what a disk that was full, or a copy that broke off, leaves.
            content = path.read_bytes()
            path.unlink()
            path.write_bytes(content[: chance.randrange(len(content))])
