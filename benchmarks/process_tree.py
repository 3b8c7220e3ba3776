"""The memory of a process and all that it starts, as Linux shares it out: what is its own, and what is shared in memory.

Proportional set sizes (PSS) count a page that n processes share as one n-th in each. Pages of files that can be read again
are left out: the system takes them back when it needs them.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Self

__all__ = ["TreePeak", "tree_bytes"]

_COUNTED = ("Pss_Anon:", "Pss_Shmem:")


class TreePeak:
    """The highest memory of a process tree while a ``with`` block runs, looked at some times a second from a thread.

    Args:
        pid: the process at the root.
        every_s: how often; a look holds up the processes that it looks at for some milliseconds a gigabyte.

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

    def __enter__(self) -> Self:
        self.start_bytes = self.peak_bytes = tree_bytes(self._pid)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(self._every_s):
            self.peak_bytes = max(self.peak_bytes, tree_bytes(self._pid))


def tree_bytes(pid: int) -> int:
    """Return what a process and its descendants hold, in bytes; 0 for one that has ended."""
    size = 0
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(_COUNTED):
                size += int(line.split()[1]) * 1024
        for task in Path(f"/proc/{pid}/task").iterdir():
            children = (task / "children").read_text().split()
            size += sum(tree_bytes(int(child)) for child in children)
    except (OSError, ValueError):
        pass
    return size
