"""What a job did, per stage and task."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from lakefmt.wording import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.engine.jobs.stage import TaskOutput

__all__ = ["JobMetrics", "StageMetrics", "TaskMetrics", "Usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """What an attempt took, measured where it ran.

    Attributes:
        seconds: from its start to its end.
        processor_seconds: of its process, or where tasks are threads of one process, of its own thread alone.
        peak_memory_bytes: the most that its process had resident meanwhile, files mapped from the page cache included;
            None where tasks share one.
        worker: where it ran.
    """

    seconds: float
    processor_seconds: float
    peak_memory_bytes: int | None
    worker: str


@dataclass(frozen=True, slots=True)
class TaskMetrics:
    """A task whose output was accepted; see ``TaskOutput`` and ``Usage``."""

    number: int
    attempt: int
    rows_in: int
    rows_out: int
    bytes_in: int
    bytes_out: int
    spilled_bytes: int
    seconds: float
    processor_seconds: float
    peak_memory_bytes: int | None
    worker: str


@dataclass(slots=True)
class StageMetrics:
    """The tasks of a stage, and what went wrong on the way.

    Attributes:
        name: the stage's.
        tasks: those whose output was accepted.
        failures: what attempts ended with, in a few words, and how many did.
        splits: tasks whose input was cut because it was too much.
        by_itself: tasks that were run once more by themselves, with all of the memory, because their input was too much and
            could not be cut.
        notes: what else there is to say: sizes of partitions, keys that are heavier than others.
    """

    name: str
    tasks: list[TaskMetrics] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    splits: int = 0
    by_itself: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, number: int, attempt: int, output: TaskOutput, usage: Usage) -> None:
        """Count a task in."""
        self.tasks.append(
            TaskMetrics(
                number,
                attempt,
                output.rows_in,
                output.rows_out,
                output.bytes_in,
                output.bytes_out,
                output.spilled_bytes,
                usage.seconds,
                usage.processor_seconds,
                usage.peak_memory_bytes,
                usage.worker,
            )
        )

    def add_failure(self, what: str) -> None:
        """Count a failed attempt in."""
        self.failures[what] = self.failures.get(what, 0) + 1

    @property
    def rows_in(self) -> int:
        """Rows read."""
        return sum(task.rows_in for task in self.tasks)

    @property
    def rows_out(self) -> int:
        """Rows made."""
        return sum(task.rows_out for task in self.tasks)

    @property
    def bytes_out(self) -> int:
        """Bytes of the rows made."""
        return sum(task.bytes_out for task in self.tasks)

    @property
    def spilled_bytes(self) -> int:
        """Bytes written to disk because memory was short."""
        return sum(task.spilled_bytes for task in self.tasks)

    @property
    def processor_seconds(self) -> float:
        """Processor time of all accepted attempts."""
        return sum(task.processor_seconds for task in self.tasks)

    @property
    def peak_memory_bytes(self) -> int | None:
        """The most that one worker had resident; None where workers share a process."""
        peaks = [task.peak_memory_bytes for task in self.tasks if task.peak_memory_bytes is not None]
        return max(peaks, default=None)

    @property
    def slowest_to_median(self) -> float | None:
        """How much longer the slowest task took than the one in the middle; None with fewer than two tasks."""
        times = [task.seconds for task in self.tasks]
        middle = median(times) if len(times) > 1 else 0.0
        return max(times) / middle if middle else None


@dataclass(slots=True)
class JobMetrics:
    """What a job did; prints as a table with a line for each stage.

    Attributes:
        executor: what ran the tasks, as it is told to users: ``"processes, 2 workers"``.
        stages: in order.
        seconds: from the start to the last result taken; None while it runs.
        moved_to: what ran tasks for which threads had too little memory; None where that was not needed.
    """

    executor: str
    stages: tuple[StageMetrics, ...]
    seconds: float | None = None
    moved_to: str | None = None

    def __str__(self) -> str:
        took = "running" if self.seconds is None else f"run in {self.seconds * 1000:.1f} ms"
        where = self.executor
        if self.moved_to is not None:
            where += f", and on {self.moved_to}, where these ran out of memory"
        lines = [f"{took} on {where}", *_columns([_HEAD, *map(_line, self.stages)])]
        for stage in self.stages:
            lines += [f"{stage.name}: {count} x {what}" for what, count in stage.failures.items()]
            if stage.splits:
                lines.append(f"{stage.name}: {stage.splits} x input cut in two")
            if stage.by_itself:
                lines.append(f"{stage.name}: {stage.by_itself} x run by itself, with all of the memory")
            lines += [f"{stage.name}: {note}" for note in stage.notes]
        return "\n".join(lines)

    __repr__ = __str__


_HEAD = (
    "stage",
    "tasks",
    "rows in",
    "rows out",
    "bytes out",
    "spilled",
    "processor s",
    "slowest/median",
    "peak memory",
)


def _line(stage: StageMetrics) -> tuple[str, ...]:
    skew, peak = stage.slowest_to_median, stage.peak_memory_bytes
    return (
        stage.name,
        f"{len(stage.tasks):,}",
        f"{stage.rows_in:,}",
        f"{stage.rows_out:,}",
        format_size(stage.bytes_out),
        format_size(stage.spilled_bytes),
        f"{stage.processor_seconds:.2f}",
        "" if skew is None else f"{skew:.1f}",
        "" if peak is None else format_size(peak),
    )


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            text.rjust(width) if place else text.ljust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
