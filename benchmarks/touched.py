"""Which files of a folder are opened, as the kernel sees it: by native code as well as by Python. Linux only."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["can_watch", "watch_opened"]

_IN_OPEN = 0x20
_EVENT = struct.Struct("iIII")


def can_watch() -> bool:
    """Say whether this system tells which files are opened."""
    return hasattr(ctypes.CDLL(None), "inotify_init1")


@contextlib.contextmanager
def watch_opened(folder: Path) -> Iterator[set[str]]:
    """Collect the names of the files right in ``folder`` that anyone opens; the set is filled when the block ends.

    Raises:
        OSError: the kernel does not watch, or had more to tell than it keeps.
    """
    found: set[str] = set()
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK)
    try:
        if descriptor < 0 or libc.inotify_add_watch(descriptor, os.fsencode(folder), _IN_OPEN) < 0:
            raise OSError(ctypes.get_errno(), "the folder cannot be watched", str(folder))
        yield found
        found.update(_opened(descriptor))
    finally:
        os.close(descriptor)


def _opened(descriptor: int) -> Iterator[str]:
    with contextlib.suppress(BlockingIOError):
        while events := os.read(descriptor, 1 << 20):
            at = 0
            while at < len(events):
                watched, _, _, length = _EVENT.unpack_from(events, at)
                at += _EVENT.size + length
                if watched < 0:
                    raise OSError("the kernel dropped events: too many files were opened")
                yield os.fsdecode(events[at - length : at].rstrip(b"\0"))
