"""What the writers of one table in this process share: whose turn it is to commit, and the newest version they know.

Without it, threads that append to one table would race each other at every version, each losing to all others and
reading what the thread beside it has just written.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Final

from lakefmt.txn.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from lakefmt.log import Commit
    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store

__all__ = ["CommitQueue", "commit_queue"]

# Of the newest commits, so that a handle some versions behind need not read them; past either, it reads the log.
_KEPT_COMMITS: Final = 256
_KEPT_ACTIONS: Final = 10_000


class CommitQueue:
    """The turns of one table's writers, and the newest version that any of them has seen.

    Only who has the turn asks or tells what is known.
    """

    def __init__(self) -> None:
        self.turns = Turns()
        self._newest: Snapshot | None = None
        self._commits: dict[int, Commit] = {}
        self._actions = 0

    def learn(self, commits: Sequence[tuple[int, Commit]], after: Snapshot) -> None:
        """Remember the newest version and the commits in a row that lead to it."""
        known = self._newest
        if known is None or not commits or commits[0][0] != known.version + 1 or not _same(known, after):
            self.forget()
        self._newest = after
        for version, commit in commits:
            self._commits[version] = commit
            self._actions += _size(commit)
        while self._commits and (len(self._commits) > _KEPT_COMMITS or self._actions > _KEPT_ACTIONS):
            oldest = next(iter(self._commits))
            self._actions -= _size(self._commits.pop(oldest))

    def forget(self) -> None:
        """Know nothing."""
        self._newest, self._actions = None, 0
        self._commits.clear()

    def known_since(self, base: Snapshot) -> tuple[list[tuple[int, Commit]], Snapshot]:
        """Return the commits after ``base`` that are known, and the snapshot they lead to; none and ``base`` itself."""
        newest = self._newest
        if newest is None or newest.version <= base.version or not _same(newest, base):
            return [], base
        there, here = self._commits.get(base.version), base.commit_info
        if there and there.info and here and there.info.txn_id != here.txn_id:
            return [], base  # another history: the table was restored from a copy
        versions = range(base.version + 1, newest.version + 1)
        if versions[0] not in self._commits:
            return [], base
        return [(version, self._commits[version]) for version in versions], newest


def commit_queue(store: Store) -> CommitQueue:
    """Return the queue of the table at ``store``, one a process as long as somebody holds it."""
    identity = store.identity
    with _lock:
        queue = _queues.get(identity)
        if queue is None:
            queue = _queues[identity] = CommitQueue()
        return queue


def _same(one: Snapshot, other: Snapshot) -> bool:
    return one.metadata.id == other.metadata.id


def _size(commit: Commit) -> int:
    return len(commit.adds) + len(commit.removes)


_lock = threading.Lock()
_queues: weakref.WeakValueDictionary[Hashable, CommitQueue] = weakref.WeakValueDictionary()


def _start_over_in_child() -> None:
    """Free the turns, and forget what is known: who had the turn in the parent, and perhaps was telling, is not here."""
    global _lock
    _lock = threading.Lock()
    for queue in list(_queues.values()):
        queue.turns = Turns()
        queue.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_over_in_child)
