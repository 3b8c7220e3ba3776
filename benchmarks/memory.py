"""What this process holds in memory, as the kernel counts it."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

__all__ = ["forget_peak", "peak_mb", "resident_mb"]

_STATUS = Path("/proc/self/status")


def peak_mb() -> float:
    """Return this process's highest resident size so far (since ``forget_peak``), in MB."""
    if _STATUS.exists():
        # getrusage would also count what the parent held when it forked.
        return _status_mb("VmHWM")
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_bytes / 1e6


def resident_mb() -> float:
    """Return this process's resident size now, in MB; its peak where the system does not tell."""
    return _status_mb("VmRSS") if _STATUS.exists() else peak_mb()


def forget_peak() -> None:
    """Let the peak start again from what is resident now, where the system can do that."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _status_mb(name: str) -> float:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024 / 1e6
