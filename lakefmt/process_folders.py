"""Folders for what a process keeps on disk while it lives, and what is done with those of dead ones.

A folder is named after its owner: ``lakefmt-<purpose>-<place>-<pid>-<start>-<token>``, where ``place`` stands for the host,
its boot and the space that process ids are counted in, and ``start`` is the tick at which the process began, so that a
process id used again is not taken for its owner. Who makes a folder deletes it. After a kill nobody does: whoever makes
the next one for the purpose, on this machine, finds that its owner is gone. Of owners elsewhere (another host or
container that shares the folder) nobody here knows; theirs are deleted when they have not been touched for a week.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import re
import secrets
import shutil
import socket
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "delete_own_folders",
    "make_folder",
    "name_folder",
    "outlives_owner",
    "own_folder",
    "sweep_folders",
]

_NAME = re.compile(r"lakefmt-[a-z]+-(?P<place>[0-9a-f]{8})-(?P<pid>\d+)-(?P<start>\d+)-[0-9a-f]{8}")
_FORGOTTEN_S = 7 * 24 * 3600
_own: dict[tuple[int, str], Path] = {}  # by process id: what a fork inherits is the parent's


def own_folder(purpose: str) -> Path:
    """Return the one folder of this process for a purpose, in the system's for temporary files; it ends with the process.

    Raises:
        OSError: it cannot be made.
    """
    owner = os.getpid()
    folder = _own.get((owner, purpose))
    if folder is None:
        folder = make_folder(purpose)
        found = _own.setdefault((owner, purpose), folder)
        if found is not folder:  # another thread was quicker
            folder.rmdir()
            return found
        atexit.register(_delete_own, owner, folder)
    elif not folder.is_dir():  # tidied away by others, after days without use
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def delete_own_folders() -> None:
    """Delete this process's folders now: for one that ends without the interpreter's own end."""
    owner = os.getpid()
    for (pid, _), folder in list(_own.items()):
        if pid == owner:
            shutil.rmtree(folder, ignore_errors=True)


def _delete_own(owner: int, folder: Path) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def make_folder(purpose: str, within: str | os.PathLike[str] | None = None) -> Path:
    """Make a local folder that is this process's, readable by its user alone, and delete those of dead processes.

    Args:
        purpose: lower-case letters; folders of other purposes are left alone.
        within: an existing folder; None for the system's one for temporary files.

    Raises:
        OSError: it cannot be made.
    """
    parent = Path(tempfile.gettempdir() if within is None else within)
    sweep_folders(purpose, parent)
    folder = parent / name_folder(purpose)
    folder.mkdir(mode=0o700)
    return folder


@contextlib.contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """Make a folder as ``make_folder`` does, and delete it with all that is in it when the block ends."""
    folder = make_folder(purpose)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep_folders(purpose: str, within: Path) -> None:
    """Delete the folders for a purpose whose owner is gone; what cannot be deleted (another user's) stays."""
    with contextlib.suppress(OSError):
        for found in list(within.glob(f"lakefmt-{purpose}-*")):
            with contextlib.suppress(OSError):
                if outlives_owner(found.name, found.stat().st_mtime):
                    shutil.rmtree(found, ignore_errors=True)


def name_folder(purpose: str) -> str:
    """Return a new name for a folder of this process."""
    start = _start_tick(os.getpid()) or 0
    return f"lakefmt-{purpose}-{_place()}-{os.getpid()}-{start}-{secrets.token_hex(4)}"


def outlives_owner(name: str, modified_s: float) -> bool:
    """Whether a folder of that name, touched last at that time (seconds since the epoch), has no owner any more."""
    match = _NAME.fullmatch(name)
    if match is None:
        return False
    if match["place"] == _place() and int(match["start"]):
        return _start_tick(int(match["pid"])) != int(match["start"])
    return time.time() - modified_s > _FORGOTTEN_S


@cache
def _place() -> str:
    """Return what stands for the machine, its boot and the space of its process ids."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    with contextlib.suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


def _start_tick(pid: int) -> int | None:
    """Return when a process began, in ticks since the boot; None where it is not there, is dead, or nobody can tell."""
    try:
        # The second field is the program's name in parentheses, which may hold anything.
        state, *fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        # A dead process may stay listed for long: in containers often nobody waits for orphans.
        return None if state == b"Z" else int(fields[18])
    except (OSError, ValueError, IndexError):
        return None
