"""When a checkpoint is due, and that it is written then: after the commit has returned, by whoever made it.

A version that is a multiple of ``delta.checkpointInterval`` is due, so that of many writers the one that made it writes
its checkpoint and the others know. Where that writer died, or never wrote checkpoints, whoever finds two intervals
without one does. And so is a version whose readers would have to read very long commits.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Final

from lakefmt import background
from lakefmt.errors import VersionNotFoundError
from lakefmt.log.last_checkpoint import read_checkpoint_hint
from lakefmt.log.listing import find_commit_file
from lakefmt.txn.environment import SYSTEM
from lakefmt.upkeep.checkpoint import CheckpointResult, write_checkpoint
from lakefmt.upkeep.log_cleanup import clean_log, cutoff_ms, has_expired, is_enabled

if TYPE_CHECKING:
    from collections.abc import Hashable

    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store
    from lakefmt.txn.environment import Environment

__all__ = ["CheckpointSchedule", "checkpoint_schedule", "is_due"]

_log = logging.getLogger("lakefmt.upkeep")

# Of commits that a reader has to read beside the checkpoint: a tenth of a second or more.
_LONG_LOG_BYTES: Final = 16 << 20
_JOB: Final = "checkpoint"


def is_due(version: int, interval: int, last: int, log_bytes: int) -> bool:
    """Whether a version should have a checkpoint (pure).

    Args:
        version: the version.
        interval: ``delta.checkpointInterval``, in commits.
        last: the newest version known to have one, -1 for none.
        log_bytes: length of the commits since.
    """
    since = version - last
    by_number = (version > 0 and version % interval == 0) or since >= 2 * interval
    return since > 0 and (by_number or log_bytes > _LONG_LOG_BYTES)


class CheckpointSchedule:
    """What this process knows of a table's checkpoints, shared by its handles; ``follow`` is called after each commit.

    No locks: only one job of a table runs at a time, and what is written elsewhere meanwhile costs a checkpoint more at
    worst.

    Args:
        store: the table's.
        environment: clock and ids.
    """

    def __init__(self, store: Store, environment: Environment = SYSTEM) -> None:
        self._store = store
        self._environment = environment
        self._table_id = ""
        self._last = -1  # the newest version that has a checkpoint, or for which one was tried
        self._bytes_then = 0  # how long the log was that a snapshot of that version had been read from
        self._cleaned_until_ms = -1

    def follow(self, after: Snapshot) -> None:
        """Have a checkpoint of ``after`` written if it is due."""
        if self._is_due(after):
            background.submit(self._store.identity, _JOB, lambda: self._write_if_due(after))

    def follow_in_line(self, after: Snapshot) -> None:
        """Do the same in the caller's thread, where a simulation decides what happens when. Raises as ``write``."""
        if self._is_due(after):
            self._write_if_due(after)

    def write(self, snapshot: Snapshot) -> CheckpointResult:
        """Write a checkpoint of ``snapshot`` now, in the caller's thread. Raises as ``write_checkpoint``."""
        began_s = time.perf_counter()
        written = write_checkpoint(self._store, snapshot, self._environment)
        if snapshot.version > self._last:
            self._remember(snapshot, snapshot.version)
        return CheckpointResult.of(written, time.perf_counter() - began_s)

    def _is_due(self, snapshot: Snapshot, hint: int = -1) -> bool:
        last, bytes_then = snapshot.checkpoint_version, 0
        if snapshot.metadata.id == self._table_id:
            last = max(last, self._last)
            bytes_then = self._bytes_then if snapshot.log_bytes >= self._bytes_then else 0
        interval = snapshot.properties.checkpoint_interval
        return is_due(snapshot.version, interval, max(last, hint), snapshot.log_bytes - bytes_then)

    def _write_if_due(self, snapshot: Snapshot) -> None:
        hint = read_checkpoint_hint(self._store)
        if hint is not None and hint > snapshot.version and find_commit_file(self._store, hint) is None:
            hint = None  # it names what never was
        if hint is not None and not self._is_due(snapshot, hint):
            self._remember(snapshot, hint)
            return
        try:
            write_checkpoint(self._store, snapshot, self._environment)
        except VersionNotFoundError as error:
            _log.info("No checkpoint: %s", error)
            return
        finally:
            # One that failed is not tried again at every commit.
            self._remember(snapshot, snapshot.version)
        self._clean(snapshot)

    def _remember(self, snapshot: Snapshot, last: int) -> None:
        self._table_id = snapshot.metadata.id
        self._last, self._bytes_then = last, snapshot.log_bytes

    def _clean(self, snapshot: Snapshot) -> None:
        if not is_enabled(snapshot):
            return
        cutoff = cutoff_ms(snapshot, self._environment.now_ms())
        if cutoff <= self._cleaned_until_ms:
            return
        if has_expired(self._store, snapshot, cutoff):
            clean_log(self._store, snapshot, self._environment)
        self._cleaned_until_ms = cutoff


def checkpoint_schedule(store: Store) -> CheckpointSchedule:
    """Return the schedule of the table at ``store``, one a process as long as somebody holds it."""
    identity = store.identity
    with _lock:
        found = _schedules.get(identity)
        if found is None:
            found = _schedules[identity] = CheckpointSchedule(store)
        return found


_lock = threading.Lock()
_schedules: weakref.WeakValueDictionary[Hashable, CheckpointSchedule] = weakref.WeakValueDictionary()


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
