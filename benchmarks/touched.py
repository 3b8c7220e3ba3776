"""What a process touches on disk: which files of a folder it opens, and how many bytes it reads. Linux only.

The kernel counts, so readers in native code are counted as well as Python.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Touched", "can_watch", "watch"]

_ACCOUNT = Path("/proc/self/io")
_IN_OPEN = 0x20
_EVENT = struct.Struct("iIII")


@dataclass(slots=True)
class Touched:
    """What was touched; filled when the watch ends.

    Attributes:
        files: how many files of the folder were opened, each counted once.
        read_bytes: what reads returned, the page cache's answers included; pages mapped into memory are not seen.
    """

    files: int = 0
    read_bytes: int = 0


def can_watch() -> bool:
    """Say whether this system keeps the account."""
    return _ACCOUNT.exists()


@contextlib.contextmanager
def watch(folder: Path) -> Iterator[Touched]:
    """Count what this process reads, and the files right in ``folder`` that anyone opens, until the block ends.

    Raises:
        OSError: the kernel does not watch, or had more to tell than it keeps.
    """
    found = Touched()
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK)
    try:
        if descriptor < 0 or libc.inotify_add_watch(descriptor, os.fsencode(folder), _IN_OPEN) < 0:
            raise OSError(ctypes.get_errno(), "the folder cannot be watched", str(folder))
        before = _read_bytes()
        yield found
        found.read_bytes = _read_bytes() - before
        found.files = len(set(_opened(descriptor)))
    finally:
        os.close(descriptor)


def _opened(descriptor: int) -> Iterator[bytes]:
    with contextlib.suppress(BlockingIOError):
        while events := os.read(descriptor, 1 << 20):
            at = 0
            while at < len(events):
                watched, _, _, length = _EVENT.unpack_from(events, at)
                if watched < 0:
                    raise OSError("the kernel dropped events: too many files were opened")
                name = events[at + _EVENT.size : at + _EVENT.size + length].rstrip(b"\0")
                if name.endswith(b".parquet"):
                    yield name
                at += _EVENT.size + length


def _read_bytes() -> int:
    line = next(line for line in _ACCOUNT.read_text().splitlines() if line.startswith("rchar:"))
    return int(line.split()[1])
