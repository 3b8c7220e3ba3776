"""Runs of the simulation, each decided by its seed alone: ``make test`` plays the first few, ``make soak`` many others."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

from lakefmt.testing.faults import ERRORS, KILLS, Fault
from lakefmt.testing.simulation import simulate

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

# Nothing wrong, storage that fails, writers that die, writes that arrive late, and all of it.
_FAULTS = ((), ERRORS, KILLS, (Fault.LATE, Fault.AFTER), ERRORS + KILLS)
_PROPERTIES = (
    {},
    {"delta.isolationLevel": "Serializable"},
    {"delta.enableInCommitTimestamps": True},
    {"delta.enableDeletionVectors": False},
    {"delta.checkpointInterval": 2},
    {"delta.checkpointInterval": 3, "delta.checkpointPolicy": "v2"},
    {"delta.enableRowTracking": True},
)
_RATES = (0.01, 0.05, 0.2)


def seeds(count: int) -> Sequence[int]:
    """Return the seeds of a test: the first ``count``, or the one of ``LAKEFMT_SEED``, to replay what a failure printed."""
    replayed = os.environ.get("LAKEFMT_SEED")
    return range(count) if replayed is None else [int(replayed)]


def play(seed: int) -> Counter[str]:
    """Simulate what a seed decides: how many writers, how many operations, what goes wrong and how often."""
    draw = random.Random(f"run {seed}")
    faults = draw.choice(_FAULTS)
    return simulate(
        seed,
        writers=draw.randint(2, 5),
        operations=draw.randint(2, 6),
        rate=draw.choice(_RATES) if faults else 0,
        faults=faults,
        properties=draw.choice(_PROPERTIES),
    )
