"""On how many threads files of a store are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.databases import available_cores
from lakefmt.engine.tasks import ThreadExecutor

if TYPE_CHECKING:
    from lakefmt.store.contract import Store

__all__ = ["default_executor", "is_local"]

_REMOTE_THREADS = 16  # a request in flight uses no core


def default_executor(store: Store) -> ThreadExecutor:
    """Return an executor for reads of a store: one thread a core, more where most of the time is waiting."""
    return ThreadExecutor(available_cores() if is_local(store) else max(_REMOTE_THREADS, available_cores()))


def is_local(store: Store) -> bool:
    """Whether a store's files are on a disk of this machine."""
    return store.local_path("any") is not None
