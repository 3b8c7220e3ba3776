"""What a failed attempt of a task means for the job; pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from lakefmt.errors import (
    LostOutputError,
    ObjectNotFoundError,
    OutOfMemoryError,
    StoreError,
    UnknownOutcomeError,
    WorkerLostError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Bounds", "Verdict", "judge_failure"]


_KILLED = -9  # by SIGKILL


class Verdict(Enum):
    """What is done about a failed attempt."""

    RETRY = auto()
    """The same task once more: what failed was not its doing."""
    SPLIT = auto()
    """Its input was too much at once: two tasks with half of it each."""
    RUN_BY_ITSELF = auto()
    """Its input was too much for a share of the memory, and is a unit: once more when nothing else runs, with all of it."""
    RUN_SOURCE_AGAIN = auto()
    """What it reads is lost: the task that made it first, then this one."""
    FAIL = auto()
    """The error is the task's own, or there were too many: the job ends with it."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How often things may go wrong before a job gives up.

    Attributes:
        failures: attempts of one task that storage failed.
        losses: workers that one task may lose.
        lost_workers: workers that a whole job may lose.
        lost_outputs: times that one task's output may be lost.
    """

    failures: int = 4
    losses: int = 3
    lost_workers: int = 12
    lost_outputs: int = 3


def judge_failure(
    error: BaseException,
    *,
    failures: Sequence[BaseException],
    lost_workers: int,
    can_split: bool,
    can_run_by_itself: bool,
    bounds: Bounds,
) -> Verdict:
    """Say what to do about a failed attempt.

    A worker that was killed by the system (SIGKILL) twice under one task is taken for one that ran out of memory: so the
    kernel's OOM killer acts, and it tells nobody. Should it be a row that kills, it is narrowed down.

    Args:
        error: what the attempt ended with.
        failures: what this task's earlier attempts ended with, those before it was split off included.
        lost_workers: workers that the job lost so far, this one included.
        can_split: whether the task's input can be cut in smaller ones.
        can_run_by_itself: whether the task would then have more memory than it had.
        bounds: how often is too often.
    """
    match error:
        case OutOfMemoryError():
            if can_split:
                return Verdict.SPLIT
            return Verdict.RUN_BY_ITSELF if can_run_by_itself else Verdict.FAIL
        case LostOutputError():
            return Verdict.RUN_SOURCE_AGAIN
        case WorkerLostError():
            before = sum(isinstance(each, WorkerLostError) for each in failures)
            if lost_workers > bounds.lost_workers:
                return Verdict.FAIL
            if before and error.exit_code == _KILLED and (can_split or can_run_by_itself):
                return Verdict.SPLIT if can_split else Verdict.RUN_BY_ITSELF
            return Verdict.RETRY if before + 1 < bounds.losses else Verdict.FAIL
        case StoreError() if not isinstance(error, ObjectNotFoundError | UnknownOutcomeError):
            before = sum(isinstance(each, StoreError) for each in failures)
            return Verdict.RETRY if before + 1 < bounds.failures else Verdict.FAIL
        case _:
            return Verdict.FAIL
