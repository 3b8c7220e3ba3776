"""What a failed request means, and how long to go on asking.

Backends classify their client's exceptions into ``Failure``; everything above knows only that. One policy serves
every store: exponential backoff with full jitter, bounded by attempts and by time. The clients' own retries are
switched off in every backend, so that what is on the wire is what this file says.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["DEFAULT_RETRY", "Failure", "RetryPolicy"]

T = TypeVar("T")


class Failure(Enum):
    """What an exception of a storage client says.

    The first three leave open whether a write was applied; of the rest storage has said that it was not.
    """

    TRANSIENT = auto()  # a time-out, a broken connection, 429, 5xx: ask again
    TAKEN = auto()  # 409 or 412, EEXIST: something is there, or another write is under way
    UNKNOWN = auto()  # nothing this library knows: not asked again
    ABSENT = auto()  # no such object
    NO_CONTAINER = auto()  # no such bucket or container
    DENIED = auto()  # storage knows who asks and says no
    CREDENTIALS = auto()  # no credentials, or wrong or expired ones
    FULL = auto()  # no space left, or a quota is used up
    INVALID = auto()  # the request cannot be right: 400 and the like

    @property
    def leaves_outcome_open(self) -> bool:
        """Whether the request may have been, or may yet be, applied."""
        return self in (Failure.TRANSIENT, Failure.TAKEN, Failure.UNKNOWN)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long to try.

    Attributes:
        attempts: requests at most, the first included.
        first_delay_s: upper bound of the first pause; it doubles from pause to pause.
        longest_delay_s: where the doubling ends.
        budget_s: no new request once this long has passed since the first.
        clock: a monotonic clock in seconds.
        sleep: waits that many seconds.
        jitter: a number in [0, 1) that scales each pause; half of the pause is always kept.
    """

    attempts: int = 8
    first_delay_s: float = 0.1
    longest_delay_s: float = 5.0
    budget_s: float = 60.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def rounds(self) -> Iterator[int]:
        """Yield the number of each attempt, from 1, pausing before all but the first, until the budget is used."""
        deadline = self.clock() + self.budget_s
        bound = self.first_delay_s
        yield 1
        for attempt in range(2, self.attempts + 1):
            pause = bound * (0.5 + self.jitter() / 2)
            if self.clock() + pause > deadline:
                return
            self.sleep(pause)
            bound = min(bound * 2, self.longest_delay_s)
            yield attempt

    def call(self, request: Callable[[], T], classify: Callable[[Exception], Failure]) -> T:
        """Return ``request()``, asked again while it fails transiently; raises its last exception."""
        last: Exception | None = None
        for _ in self.rounds():
            try:
                return request()
            except Exception as error:
                if classify(error) is not Failure.TRANSIENT:
                    raise
                last = error
        assert last is not None, "a policy makes one attempt at least"  # noqa: S101 - invariant of rounds()
        raise last


DEFAULT_RETRY = RetryPolicy()
