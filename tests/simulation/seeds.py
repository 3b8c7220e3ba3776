"""Which seeds a test of simulations goes through.

``make test`` takes the same ones every time; ``LAKEFMT_SOAK=n`` takes n times as many, from the clock on;
``LAKEFMT_SEED=s`` takes one, to replay what a failure printed.
"""

from __future__ import annotations

import os
import time


def seeds(count: int) -> range:
    """Return the seeds of a run; ``count`` of them in a quick one."""
    if replayed := os.environ.get("LAKEFMT_SEED"):
        return range(int(replayed), int(replayed) + 1)
    if soak := int(os.environ.get("LAKEFMT_SOAK", "0")):
        first = time.time_ns() // 1_000_000
        print(f"seeds from {first}")  # noqa: T201 - pytest shows it when one fails
        return range(first, first + count * soak)
    return range(count)
