"""Give a finished file its name on local disk, only if the name is free.

``link`` fails atomically where the name is taken, on every POSIX file system that has hard links, NFS included.
Where there are none (FAT, some FUSE and network mounts) a rename that refuses to replace does it: ``renameat2``
on Linux, ``renamex_np`` on macOS, plain ``rename`` on Windows. A file system with neither can be read only.
"""

# Paths are text here: pathlib costs more than the system calls that it wraps.
# ruff: noqa: PTH104, PTH108
from __future__ import annotations

import ctypes
import errno
import functools
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NotAtomicError", "link_to_free_name", "rename_to_free_name"]

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})
_NO_FLAG = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1  # linux/fs.h
_RENAME_EXCL = 4  # macOS sys/stdio.h


class NotAtomicError(OSError):
    """The file system has no atomic way to create a file that must not exist yet."""


def link_to_free_name(temporary: str, path: str) -> None:
    """Make ``path`` the name of the finished file ``temporary``, whose own name is then gone.

    Raises FileExistsError where ``path`` is taken, NotAtomicError where neither links nor such renames exist.
    """
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        rename_to_free_name(temporary, path)
    else:
        os.unlink(temporary)


def rename_to_free_name(temporary: str, path: str) -> None:
    """Do what ``link_to_free_name`` does on file systems without hard links."""
    rename = _exclusive_rename()
    if rename is None:
        raise NotAtomicError(errno.ENOTSUP, "no atomic rename on this platform", path)
    code = rename(os.fsencode(temporary), os.fsencode(path))
    if code in _NO_FLAG:
        raise NotAtomicError(code, os.strerror(code), path)
    if code:
        raise OSError(code, os.strerror(code), path)


@functools.cache
def _exclusive_rename() -> Callable[[bytes, bytes], int] | None:
    """Return a function that renames unless the target exists, and returns an errno or 0."""
    if os.name == "nt":
        return _rename_on_windows
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform.startswith("linux") and hasattr(libc, "renameat2"):
        renameat2 = libc.renameat2
        renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)

        def rename_on_linux(source: bytes, target: bytes) -> int:
            failed = renameat2(_AT_FDCWD, source, _AT_FDCWD, target, _RENAME_NOREPLACE)
            return ctypes.get_errno() if failed else 0

        return rename_on_linux
    if sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        renamex_np = libc.renamex_np
        renamex_np.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint)

        def rename_on_macos(source: bytes, target: bytes) -> int:
            return ctypes.get_errno() if renamex_np(source, target, _RENAME_EXCL) else 0

        return rename_on_macos
    return None


def _rename_on_windows(source: bytes, target: bytes) -> int:
    try:
        os.rename(source, target)
    except OSError as error:
        return error.errno or errno.EIO
    return 0
