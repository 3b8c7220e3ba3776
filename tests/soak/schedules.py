"""Runs of the simulation with seeds from the clock: ``python -m tests.soak.schedules [seconds]``, part of ``make soak``.

A run that breaks a promise prints its seed and every store call, and does not end the others.
"""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import sys
import time
from collections import Counter

from tests.simulation.runs import play

SECONDS = 180
TOGETHER = 50


def play_some(seeds: range) -> tuple[Counter[str], list[str]]:
    """Play some runs; return how often each outcome came, and the messages of those that failed."""
    logging.disable()
    found: Counter[str] = Counter()
    failed = []
    for seed in seeds:
        try:
            found += play(seed)
        except AssertionError as error:
            failed.append(str(error))
    return found, failed


def main(seconds: float = SECONDS) -> int:
    """Play runs for some time; return how many failed."""
    first = time.time_ns() // 1_000_000
    print(f"simulation: seeds from {first} on, for {seconds:.0f} s", flush=True)
    deadline_s = time.monotonic() + seconds
    found: Counter[str] = Counter()
    runs, failures = 0, 0

    def parts():
        for number in itertools.count():
            if time.monotonic() > deadline_s:
                return
            yield range(first + number * TOGETHER, first + (number + 1) * TOGETHER)

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        waiting, todo = [], parts()
        while waiting or deadline_s > time.monotonic():
            waiting += [
                pool.apply_async(play_some, (part,))
                for part in itertools.islice(todo, 2 * cores - len(waiting))
            ]
            if not waiting:
                break
            outcomes, failed = waiting.pop(0).get()
            found += outcomes
            runs += TOGETHER
            failures += len(failed)
            for message in failed:
                print(
                    f"{message}\n  replay: LAKEFMT_SEED=<seed> pytest tests/simulation/test_schedules.py",
                    flush=True,
                )
    print(f"simulation: {runs} runs, {failures} failed; {dict(sorted(found.items()))}", flush=True)
    return failures


if __name__ == "__main__":
    sys.exit(main(*map(float, sys.argv[1:2])) > 0)
