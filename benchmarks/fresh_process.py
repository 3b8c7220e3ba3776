"""Jobs that run once in a process of their own: their time and memory without the imports, and without what ran before.

A job is a function of texts that imports and connects what it needs and returns what is timed: a call that gives an
answer that JSON can hold.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.memory import forget_peak, peak_mb, resident_mb
from benchmarks.results import Counts, Verdict
from benchmarks.rounds import Contender, Role, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["FreshJob", "Measured", "added_memory"]

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run of a job took.

    Attributes:
        seconds: of the call, after the imports.
        added_mb: the highest resident size during the call over the size before it.
        answer: what the call returned.
    """

    seconds: float
    added_mb: float
    answer: Any


@dataclass(frozen=True, slots=True)
class FreshJob:
    """One way to do a job, each time in a new process.

    Attributes:
        name: of the contender.
        job: a module-level function as described above.
        arguments: of the function.
        role: of the contender.
        measured: every run so far, those of the warm-up too.
    """

    name: str
    job: Callable[..., Callable[[], object]]
    arguments: tuple[str, ...]
    role: Role = "peer"
    measured: list[Measured] = field(default_factory=list)

    def measure(self) -> Measured:
        """Run once."""
        name = f"{self.job.__module__}:{self.job.__name__}"
        command = [sys.executable, "-m", "benchmarks.fresh_process", name, *self.arguments]
        done = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE)
        found = Measured(**json.loads(done.stdout.splitlines()[-1]))
        self.measured.append(found)
        return found

    def contender(self) -> Contender:
        """Return the contender whose times are the child's own."""
        run = Run(self.measure, answer=lambda found: found.answer, seconds=lambda found: found.seconds)
        return Contender(self.name, lambda: run, self.role)

    @property
    def added_mb(self) -> float:
        """The median of what the runs added to their memory."""
        return statistics.median(found.added_mb for found in self.measured)


def added_memory(
    title: str, jobs: Sequence[FreshJob], *, most_mb: float | None = None, most_ratio: float | None = None
) -> Counts:
    """Return what the runs of the jobs added to their processes' memory, the subject's first; judged by its median.

    Args:
        title: of the table.
        jobs: the subject, then a peer that ``most_ratio`` is about, then others; all have run.
        most_mb: what the subject may add.
        most_ratio: times the first peer's that the subject may add.
    """
    subject, *others = jobs
    rows = [(subject.name, f"{subject.added_mb:,.0f}", "")]
    rows += [(job.name, f"{job.added_mb:,.0f}", f"{subject.added_mb / job.added_mb:.2f} x") for job in others]
    limit_mb, bar = most_mb, f"at most {most_mb:,.0f} MB" if most_mb is not None else ""
    if most_ratio is not None:
        limit_mb, bar = most_ratio * others[0].added_mb, f"at most {most_ratio:g} x {others[0].name}'s"
    verdict: Verdict = "no bar" if limit_mb is None else "met" if subject.added_mb <= limit_mb else "missed"
    return Counts(title, ("", "added memory, MB", "lakefmt / it"), tuple(rows), bar, verdict)


def _child(job: str, arguments: Sequence[str]) -> Measured:
    """Run the job in this process."""
    module, _, name = job.partition(":")
    call = getattr(importlib.import_module(module), name)(*arguments)
    gc.collect()
    before = resident_mb()
    forget_peak()
    started = time.perf_counter()
    answer = call()
    seconds = time.perf_counter() - started
    return Measured(seconds, max(peak_mb() - before, 0.0), answer)


if __name__ == "__main__":
    print(json.dumps(asdict(_child(sys.argv[1], sys.argv[2:]))), flush=True)
    # What a library does when the interpreter ends (some crash, with threads still at work) is not measured.
    os._exit(0)
