"""Connections of a process to object stores: shared, made anew after a fork, and the secrets they need.

An fsspec file system talks through one event loop thread. A fork copies the file system but not the thread, so a
child's first request would wait for ever; here a connection is looked up by process. Stores with equal options share
one, so that opening a second table costs no second client (some 50 ms for S3).
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Connection", "keep_public"]

_KEPT = 32
# A password may itself hold "@" or "/": everything up to the last "@" before the path, query or end goes.
_USER_INFO = re.compile(r"(?<=://)[^/?#\s]*@")
_lock = threading.Lock()
_open: OrderedDict[str, Any] = OrderedDict()
_inherited: list[Any] = []
# Credentials may come from any of these; a changed one must not find the old connection.
_ENVIRONMENT = ("AWS_", "S3FS_", "FSSPEC_", "GOOGLE_", "GCSFS_", "STORAGE_EMULATOR_", "AZURE_")


class Connection:
    """A file system that this process connects at the first request, shared by its options.

    Args:
        kind: the backend.
        options: what the file system is made from, secrets included; kept in memory only.
        connect: makes the file system.

    Attributes:
        name: stands for kind, options and environment, and tells none of them.
    """

    def __init__(self, kind: str, options: Mapping[str, Any], connect: Callable[[], Any]) -> None:
        environment = sorted(item for item in os.environ.items() if item[0].startswith(_ENVIRONMENT))
        described = repr((kind, sorted(options.items(), key=lambda item: item[0]), environment))
        self.name = hashlib.sha256(described.encode()).hexdigest()
        self._connect = connect
        self._mine: tuple[int, Any] | None = None

    def file_system(self) -> Any:
        """Return this process's file system."""
        mine = self._mine
        if mine is None or mine[0] != os.getpid():
            mine = self._mine = (os.getpid(), self._shared())
        return mine[1]

    def _shared(self) -> Any:
        with _lock:
            found = _open.get(self.name)
            if found is None:
                found = _open[self.name] = self._connect()
                while len(_open) > _KEPT:
                    _open.popitem(last=False)
            _open.move_to_end(self.name)
            return found


def keep_public(options: Mapping[str, Any], public: frozenset[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Split storage options into those that may be pickled and the names of the others.

    Dictionaries inside are split by the same names; whatever is not known to be public counts as secret, and so does
    what a URL names before its host.
    """
    kept: dict[str, Any] = {}
    dropped: list[str] = []
    for name, value in options.items():
        if name not in public:
            dropped.append(name)
        elif isinstance(value, dict):
            inner, lost = keep_public(value, public)
            kept[name] = inner
            dropped += [f"{name}[{key!r}]" for key in lost]
        elif isinstance(value, str) and (bare := _USER_INFO.sub("", value)) != value:
            kept[name] = bare
            dropped.append(f"user information of {name}")
        else:
            kept[name] = value
    return kept, tuple(dropped)


def _start_over_in_child() -> None:
    """Forget the parent's connections without closing them: their sockets are still in use over there."""
    global _lock
    _lock = threading.Lock()
    _inherited.extend(_open.values())
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_over_in_child)
