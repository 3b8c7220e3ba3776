"""The machine and the versions that a measurement belongs to: nothing that identifies a host."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["Machine", "describe_machine"]

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
        load_before: the machine's one-minute load average when the benchmark began; well above 0 it was not alone.
    """

    measured_on: str
    cores: int
    memory_gib: float
    system: str
    file_system: str
    python: str
    packages: dict[str, str]
    commit: str
    load_before: float

    def __str__(self) -> str:
        packages = ", ".join(f"{name} {number}" for name, number in self.packages.items())
        commit = f", lakefmt at {self.commit}" if self.commit else ""
        return (
            f"{self.measured_on}, {self.cores} cores, {self.memory_gib:g} GiB, {self.system}, {self.file_system}, "
            f"Python {self.python}, {packages}{commit}; load before: {self.load_before:.1f}"
        )


def describe_machine(folder: Path) -> Machine:
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
        load_before=round(os.getloadavg()[0], 2),
    )


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
