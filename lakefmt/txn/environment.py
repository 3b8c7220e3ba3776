"""Clock, randomness and ids, passed in so that a seed replays a run."""

from __future__ import annotations

import random
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SYSTEM", "Environment"]


@dataclass(frozen=True, slots=True)
class Environment:
    """What a transaction takes from outside beside its store.

    Attributes:
        now_ms: wall clock, milliseconds since the epoch.
        monotonic_s: a clock that never goes back, seconds.
        sleep: waits that many seconds.
        random: backoff jitter, in [0, 1).
        new_id: a fresh UUID as text.
    """

    now_ms: Callable[[], int] = field(default=lambda: time.time_ns() // 1_000_000)
    monotonic_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random
    new_id: Callable[[], str] = field(default=lambda: str(uuid.uuid4()))


SYSTEM = Environment()
