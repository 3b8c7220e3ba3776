"""Footers of strangers, whole as Thrift and contradictory as footers: reading ends in rows or in a typed error.

In a process of its own, so that one that a library ends is seen: the last seed it wrote is the one.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.properties.conftest import SOAK

SEEDS = 100 * max(SOAK, 1)


def test_contradictory_footers_end_in_rows_or_typed_errors_and_never_the_process():
    first = time.time_ns() // 10**9 if SOAK else 0
    run = subprocess.run(
        [sys.executable, "-m", "tests.soak.fuzz_footers", str(first), str(SEEDS)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    seeds = [line for line in run.stdout.splitlines() if line.startswith("seed ")]
    assert run.returncode == 0, f"{seeds[-1:]}\n{run.stderr[-4000:]}"
    assert len(seeds) == SEEDS
    outcomes = run.stdout.splitlines()[-1]
    assert "'rows'" in outcomes
    assert "'CorruptTableError'" in outcomes
