"""The memory of a process and all that it starts, as Linux shares it out: what is its own, and what is shared in memory.

Proportional set sizes (PSS) count a page that n processes share as one n-th in each. Pages of files that can be read again
are left out: the system takes them back when it needs them.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Self

__all__ = ["TreePeak", "tree_bytes"]

_SHARED_OUT = ("Pss_Anon:", "Pss_Shmem:")
_WHOLE = ("RssAnon:", "RssShmem:")
_MOST_OF_A_CORE = 0.05


class TreePeak:
    """The highest memory of a process tree while a ``with`` block runs, looked at some times a second from a thread.

    To share out a process's pages the kernel walks all of them, mapped files too, and holds the process up meanwhile: half a
    second for some gigabytes. So that is done only when more is in use than was ever found, which the kernel's counters say at
    once (they count a shared page in each process, so never too little), and for a twentieth of the time at most.

    Args:
        pid: the process at the root.
        every_s: how often to look.

    Attributes:
        start_bytes: when the block began.
        peak_bytes: the most that was seen.
    """

    def __init__(self, pid: int, every_s: float = 0.01) -> None:
        self._pid = pid
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.start_bytes = self.peak_bytes = 0
        self._rests_until = 0.0

    def __enter__(self) -> Self:
        self.start_bytes = self.peak_bytes = tree_bytes(self._pid)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(self._every_s):
            started = time.monotonic()
            if started < self._rests_until or _sum(self._pid, "status", _WHOLE) <= self.peak_bytes:
                continue
            self.peak_bytes = max(self.peak_bytes, tree_bytes(self._pid))
            ended = time.monotonic()
            self._rests_until = ended + (ended - started) * (1 / _MOST_OF_A_CORE - 1)


def tree_bytes(pid: int) -> int:
    """Return what a process and its descendants hold, in bytes; 0 for one that has ended."""
    return _sum(pid, "smaps_rollup", _SHARED_OUT)


def _sum(pid: int, file: str, counted: tuple[str, ...]) -> int:
    size = 0
    try:
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(counted):
                size += int(line.split()[1]) * 1024
        for task in Path(f"/proc/{pid}/task").iterdir():
            children = (task / "children").read_text().split()
            size += sum(_sum(int(child), file, counted) for child in children)
    except (OSError, ValueError):
        pass
    return size
