"""What a job is: stages of tasks, cut where rows change hands; values, apart from their running."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakefmt.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lakefmt.engine.tasks.task import TaskContext

__all__ = ["Job", "Source", "Stage", "StageOutputs", "TaskOutput"]


@dataclass(frozen=True, slots=True)
class TaskOutput:
    """What a task answers: its result, small, and what it counted.

    Attributes:
        value: the result: where the rows are (a file of an exchange, named by the attempt), or a few rows themselves.
        rows_in: rows read.
        rows_out: rows made.
        bytes_in: bytes of the rows read.
        bytes_out: bytes of the rows made.
        spilled_bytes: bytes written to disk because memory was short.
    """

    value: Any
    rows_in: int = 0
    rows_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    spilled_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """An accepted output, as later stages see it.

    Attributes:
        root: which of the stage's parts, as planned, it comes from; where a part was split, several have the same.
        value: the task's ``TaskOutput.value``.
    """

    root: int
    value: Any


StageOutputs = Mapping[str, Sequence[Source]]
"""The outputs of the stages that one reads, by name, each in the order of its parts."""


def _part_itself(part: Any, _: StageOutputs) -> Any:
    return part


def _cannot_split(_: Any) -> Sequence[Any]:
    return ()


def _unknown(_: StageOutputs) -> int | None:
    return None


def _nothing_to_say(_: Sequence[Source]) -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Stage:
    """Tasks of one kind.

    What is called a part is a piece of the stage's input as it is planned and split; a task's input is made from it
    when the task is submitted, so that it names the outputs that are there then.

    Attributes:
        name: unique in the job; names files too.
        function: what a task does.
        plan: the parts, given the outputs of the stages in ``reads``; called once these are complete, drawn as tasks can
            begin, and may be endless where nothing is read from other stages.
        reads: names of earlier stages.
        bind: makes a task's input of a part and the outputs.
        split: cuts a part whose task ran out of memory into smaller ones with the same rows; none where it is a unit.
        describe: names what a part is about, in errors.
        way_out: what somebody may do for whom a unit is too much memory.
        summarize: says of the outputs, when all are there, what is worth knowing of them; for the metrics.
        is_repeatable: a task gives the same rows whenever it is run; else what others read of it is not made again.
        only_threads: why its tasks can run in this process alone; None where they can run anywhere.
        total_rows: tells of the outputs how many rows the stage will read, None where nobody knows; asked only where
            progress is shown.
    """

    name: str
    function: Callable[[Any, TaskContext], TaskOutput]
    plan: Callable[[StageOutputs], Iterable[Any]]
    reads: tuple[str, ...] = ()
    bind: Callable[[Any, StageOutputs], Any] = _part_itself
    split: Callable[[Any], Sequence[Any]] = _cannot_split
    describe: Callable[[Any], str] = str
    way_out: str = "Raise memory_limit"
    summarize: Callable[[Sequence[Source]], Sequence[str]] = _nothing_to_say
    is_repeatable: bool = True
    only_threads: str | None = None
    total_rows: Callable[[StageOutputs], int | None] = _unknown


@dataclass(frozen=True, slots=True)
class Job:
    """Stages, each after those that it reads; the outputs of the last are the job's result.

    Attributes:
        stages: in order.
        ordered: the result is in the order of the last stage's parts; else as its tasks are done.
    """

    stages: tuple[Stage, ...]
    ordered: bool = False

    def __post_init__(self) -> None:
        known: set[str] = set()
        for stage in self.stages:
            if stage.name in known or not known.issuperset(stage.reads):
                raise InvalidInputError(
                    f"Stage {stage.name!r} has another's name, or reads one that is not before it"
                )
            known.add(stage.name)
        if not known:
            raise InvalidInputError("A job has at least one stage")
