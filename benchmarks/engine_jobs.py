"""Jobs of several processes: each run a new tree of them, its time taken by itself, its memory as the kernel counts it.

The memory of a run is the most that its processes had at once, from the start of the first, imports included
(``process_tree``). Peaks shorter than a tenth of a second may be missed, for every contender alike.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.process_tree import TreePeak
from benchmarks.results import Counts, Verdict
from benchmarks.rounds import Contender, Role, Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["PEERS_PYTHON", "TreeJob", "TreeRun", "peak_memory"]

ROOT = Path(__file__).parents[1]
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
"""The interpreter of `make .venv-peers/.ready`: engines that the library's own environment is not to have."""

_MARK = "LAKEFMT_BENCHMARK_RUN"
_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class TreeRun:
    """What one run took.

    Attributes:
        seconds: as the job says.
        peak_mb: of all its processes together.
        answer: of the job.
    """

    seconds: float
    peak_mb: float
    answer: Any


@dataclass(frozen=True, slots=True)
class TreeJob:
    """A job of processes, each time new ones.

    Attributes:
        name: of the contender.
        command: prints, as its last line, a JSON object with ``seconds`` and ``answer``.
        role: of the contender.
        runs: every one so far, those of the warm-up too.
    """

    name: str
    command: tuple[str, ...]
    role: Role = "peer"
    runs: list[TreeRun] = field(default_factory=list)

    def run(self) -> TreeRun:
        """Run once, and end whatever the job left running."""
        mark = secrets.token_hex(8)
        environment = {**os.environ, _MARK: mark, "PYTHONPATH": str(ROOT)}
        pipes = subprocess.PIPE
        process = subprocess.Popen(
            self.command, cwd=ROOT, env=environment, stdout=pipes, stderr=pipes, text=True
        )
        try:
            with TreePeak(process.pid, _EVERY_S) as memory:
                output, errors = process.communicate()
        finally:
            for pid in _marked(mark):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if process.returncode:
            sys.exit(f"{self.name} failed:\n{errors[-3_000:]}")
        found = json.loads(output.splitlines()[-1])
        run = TreeRun(found["seconds"], memory.peak_bytes / 1e6, found["answer"])
        self.runs.append(run)
        return run

    def contender(self) -> Contender:
        """Return the contender whose times are the job's own."""
        run = Run(self.run, answer=lambda found: found.answer, seconds=lambda found: found.seconds)
        return Contender(self.name, lambda: run, self.role)

    @property
    def peak_mb(self) -> float:
        """The median of the runs' peaks."""
        return statistics.median(run.peak_mb for run in self.runs)


def peak_memory(title: str, jobs: Sequence[TreeJob], *, most_mb: float) -> Counts:
    """Return the peaks of jobs that have run, the subject's first, judged by what it may have."""
    subject = jobs[0]
    rows = tuple((job.name, f"{job.peak_mb:,.0f}", f"{subject.peak_mb / job.peak_mb:.2f} x") for job in jobs)
    verdict: Verdict = "met" if subject.peak_mb <= most_mb else "missed"
    columns = ("", "peak of all processes, MB", "lakefmt / it")
    return Counts(title, columns, rows, f"at most {most_mb:,.0f} MB", verdict)


def _marked(mark: str) -> Iterator[int]:
    wanted = f"{_MARK}={mark}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if wanted in (folder / "environ").read_bytes():
                    yield int(folder.name)
