"""All of the memory for one task: where tasks run that were too much for a share of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.engine.tasks.executor import has_worker_processes

if TYPE_CHECKING:
    from lakefmt.engine.jobs.stage import Stage
    from lakefmt.engine.tasks.executor import Executor

__all__ = ["SpareMemory"]

_GRACE_S = 0.5  # for a task that nobody waits for any more


class SpareMemory:
    """What one task can have more than its share, while nothing else of the job runs.

    Worker processes give it all of theirs. So do threads; but what they hold on to, or what limits this process, is not
    the task's to have: it goes to a worker process, which is started then, where it can be sent to one.

    Args:
        executor: the job's.
        may_move: tasks of threads may go to a worker process.
    """

    def __init__(self, executor: Executor, *, may_move: bool) -> None:
        self._executor = executor
        self._moves = may_move and executor.resources.kind == "threads" and has_worker_processes()
        self._other: Executor | None = None

    def has_more_for(self, stage: Stage) -> bool:
        """Whether a task of a stage would have more than its share."""
        return self._executor.resources.parallelism > 1 or self._moves_tasks_of(stage)

    def executor_for(self, stage: Stage) -> Executor:
        """Return where a task of a stage is run, with all of the memory that this one has."""
        if not self._moves_tasks_of(stage):
            return self._executor
        if self._other is None:
            from lakefmt.engine.tasks.processes import ProcessExecutor

            self._other = ProcessExecutor(1, self._executor.resources.memory_bytes, grace_s=_GRACE_S)
        return self._other

    def close(self) -> None:
        """End what it has started."""
        if self._other is not None:
            self._other.close()

    def _moves_tasks_of(self, stage: Stage) -> bool:
        return self._moves and stage.only_threads is None
