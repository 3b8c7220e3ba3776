"""Faults of storage, and schedules that say which call meets which.

What goes wrong is decided by a *schedule*, a function of the call alone, so that a seed and a sequence of calls replay
a run. Faults are those that a caller of a ``Store`` can meet, above the retries of the backends: an error here is one
that a backend gave up on. After ``BEFORE`` a conditional put has been refused; after any other it is unknown whether it was
applied, and the error says so. What the contract rules out is not played: ``put_if_absent`` never lies about who won, no
object is seen in part, no listing is silently short.

| fault | read, read_ranges, info, list | open_input | put, put_if_absent, delete | open_output |
|---|---|---|---|---|
| ``BEFORE`` | error | error | error, nothing done | error when it is opened |
| ``AFTER`` | error | error | done, and an error: the answer is lost | there, and an error at its end |
| ``MIDWAY`` | ``list`` ends in an error half-way | its reads end in an error half-way | ``delete``: half of the keys are gone, then an error; ``put_advisory``: an empty object; puts are atomic: as ``AFTER`` | error in its second write or at its end, never there |
| ``LATE`` | as ``BEFORE`` | as ``BEFORE`` | error now, and done some calls later if it then still can be | as ``BEFORE`` |
| ``DELAY`` | a pause before the call | | | |
| ``THROTTLE`` | this call and the next few end in an error, nothing done | | | |
| ``KILL_BEFORE``, ``KILL_AFTER``, ``KILL_MIDWAY`` | the writer dies where the fault without ``KILL_`` has its error | | | |
"""

from __future__ import annotations

import os
import random
import signal
from dataclasses import dataclass
from enum import Enum, auto
from typing import NoReturn

__all__ = [
    "ERRORS",
    "KILLS",
    "WRITES",
    "Call",
    "Fault",
    "FaultAt",
    "SeededFaults",
    "WriterKilledError",
    "kill_process",
]


class Fault(Enum):
    """What goes wrong with a call; the module's table says what each does to which call."""

    BEFORE = auto()
    AFTER = auto()
    MIDWAY = auto()
    LATE = auto()
    DELAY = auto()
    THROTTLE = auto()
    KILL_BEFORE = auto()
    KILL_AFTER = auto()
    KILL_MIDWAY = auto()

    @property
    def survived(self) -> Fault:
        """The fault that does the same without killing."""
        return Fault[self.name.removeprefix("KILL_")]


ERRORS = (Fault.BEFORE, Fault.AFTER, Fault.MIDWAY, Fault.LATE, Fault.DELAY, Fault.THROTTLE)
KILLS = (Fault.KILL_BEFORE, Fault.KILL_AFTER, Fault.KILL_MIDWAY)

WRITES = frozenset({"put", "put_if_absent", "put_advisory", "delete", "open_output"})
"""The store's methods that change what is stored."""


class WriterKilledError(BaseException):
    """The writer is dead: no code of its own may go on, so no ``except Exception`` takes it for an error."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a store's method.

    Attributes:
        number: how many calls of the same store came before.
        method: the method's name.
        key: what it is about: a key, the folder of a listing, the first key of a delete.
        nth: how many calls of this method with this key came before.
    """

    number: int
    method: str
    key: str
    nth: int

    @property
    def writes(self) -> bool:
        """Whether it changes what is stored."""
        return self.method in WRITES


@dataclass(frozen=True, slots=True)
class SeededFaults:
    """A schedule drawn from a seed. Of calls that several threads make, each has its fault in whatever order they come.

    Attributes:
        seed: of the draw.
        rate: how many of the calls fail, 0 to 1.
        faults: the kinds drawn from.
        writes_only: whether calls that only read are left alone.
    """

    seed: int | str
    rate: float
    faults: tuple[Fault, ...] = ERRORS
    writes_only: bool = False

    def __call__(self, call: Call) -> Fault | None:
        """Return what goes wrong with a call."""
        if self.writes_only and not call.writes:
            return None
        draw = random.Random(f"{self.seed} {call.method} {call.key} {call.nth}")  # noqa: S311 - no secret
        return draw.choice(self.faults) if draw.random() < self.rate else None


@dataclass(frozen=True, slots=True)
class FaultAt:
    """A schedule with one fault, at the call of a number: for going through all calls of an operation."""

    number: int
    fault: Fault

    def __call__(self, call: Call) -> Fault | None:
        """Return what goes wrong with a call."""
        return self.fault if call.number == self.number else None


def kill_process() -> NoReturn:
    """End this process as a power cut would, without a last word."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise WriterKilledError
