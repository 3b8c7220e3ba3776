"""The machine and the versions that a measurement belongs to: nothing that identifies a host."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["Machine", "NeighbourWatch", "describe_machine"]

PACKAGES = ("lakefmt", "pyarrow", "duckdb", "polars", "deltalake", "fsspec", "s3fs", "moto")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when a benchmark ran.

    Attributes:
        measured_on: date, UTC.
        cores: logical processors that this process may use.
        memory_gib: of the machine.
        system: kernel and processor architecture, such as ``Linux x86_64``.
        file_system: what the working folder lies on, such as ``ext4``.
        python: its version.
        packages: name and version of those that take part.
        commit: the measured commit of lakefmt, with ``+`` where files had changed since; empty outside a clone.
        others_cores: processors' worth of work that everything else on the machine did meanwhile, None where the
            kernel does not say; well above 0 the benchmark was not alone.
    """

    measured_on: str
    cores: int
    memory_gib: float
    system: str
    file_system: str
    python: str
    packages: dict[str, str]
    commit: str
    others_cores: float | None

    def __str__(self) -> str:
        packages = ", ".join(f"{name} {number}" for name, number in self.packages.items())
        commit = f", lakefmt at {self.commit}" if self.commit else ""
        others = (
            "" if self.others_cores is None else f"; other processes took {self.others_cores:.2f} of a core"
        )
        return (
            f"{self.measured_on}, {self.cores} cores, {self.memory_gib:g} GiB, {self.system}, {self.file_system}, "
            f"Python {self.python}, {packages}{commit}{others}"
        )


class NeighbourWatch:
    """How busy the rest of the machine is from now on."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._all_before, self._own_before = _machine_cpu_seconds(), _own_cpu_seconds()

    def others_cores(self) -> float | None:
        """Return the mean number of processors that other processes kept busy since this was made."""
        all_after = _machine_cpu_seconds()
        if all_after is None or self._all_before is None:
            return None
        others = (all_after - self._all_before) - (_own_cpu_seconds() - self._own_before)
        return round(max(others, 0.0) / (time.perf_counter() - self._started), 2)


def describe_machine(folder: Path, others_cores: float | None) -> Machine:
    """Describe this machine as it is now; ``folder`` is where the measured tables lie."""
    return Machine(
        measured_on=datetime.now(UTC).date().isoformat(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        system=f"{platform.system()} {platform.machine()}",
        file_system=_file_system(folder),
        python=platform.python_version(),
        packages={name: number for name in PACKAGES if (number := _version(name))},
        commit=_commit(),
        others_cores=others_cores,
    )


def _machine_cpu_seconds() -> float | None:
    """Return the processor seconds that the machine has worked since it started."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    user, nice, system, _idle, _wait, irq, soft_irq, steal = map(int, stat.read_text().split()[1:9])
    return (user + nice + system + irq + soft_irq + steal) / os.sysconf("SC_CLK_TCK")


def _own_cpu_seconds() -> float:
    """Return the processor seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _file_system(folder: Path) -> str:
    """Return the type of the file system that ``folder`` is on, or "unknown file system" where /proc is not there."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return "unknown file system"
    here = folder.resolve()
    fields = [line.split() for line in mounts.read_text().splitlines()]
    holding = [(len(point), kind) for _, point, kind, *_ in fields if here.is_relative_to(point)]
    return max(holding)[1] if holding else "unknown file system"


def _commit() -> str:
    root = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "../lakefmt", "../benchmarks")
    short = git("rev-parse", "--short=10", "HEAD")
    return f"{short}+" if short and changed else short
