"""Progress of a job: the rows that its stages have read, while their tasks are at it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lakefmt.engine.jobs.stage import Stage
    from lakefmt.engine.jobs.state import Attempt, JobState
    from lakefmt.engine.progress import ProgressSink
    from lakefmt.engine.tasks.executor import TaskFuture

__all__ = ["JobProgress"]

_PAUSE_S = 0.2


class JobProgress:
    """Tells a sink of the rows that stages have read: those of tasks that are done, and what the others report.

    What was told is never taken back: where an attempt that had read much fails, the sink is told no more until others have
    read as much.

    Args:
        sink: None where nobody asked.
    """

    def __init__(self, sink: ProgressSink | None) -> None:
        self._sink = sink
        self._numbers: dict[str, int] = {}
        self._done: Counter[str] = Counter()
        self._told: Counter[str] = Counter()

    @property
    def pause_s(self) -> float | None:
        """How long to wait for a task before the next look at those that run; None for as long as it takes."""
        return None if self._sink is None else _PAUSE_S

    def begin(self, stage: Stage, state: JobState) -> None:
        """Tell that a stage has begun, once."""
        if self._sink is not None and stage.name not in self._numbers:
            self._numbers[stage.name] = self._sink.start(
                stage.name, stage.total_rows(state.outputs_read(stage))
            )

    def add(self, stage: Stage, rows: int) -> None:
        """Count a task in that is done."""
        self._done[stage.name] += rows

    def look(self, running: Mapping[TaskFuture[Any], Attempt]) -> None:
        """Tell what was read since the last look."""
        if self._sink is None:
            return
        read = self._done.copy()
        for future, attempt in running.items():
            read[attempt.stage.name] += future.rows_reported
        for name, rows in read.items():
            if rows > self._told[name]:
                self._sink.advance(self._numbers[name], rows - self._told[name])
                self._told[name] = rows

    def end(self) -> None:
        """Tell that all stages are over."""
        if self._sink is not None:
            for number in self._numbers.values():
                self._sink.finish(number)
