"""What a handle writes with: made at its first write, so that who only reads does not load it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.txn.commit_queue import commit_queue
from lakefmt.txn.writer import Writer
from lakefmt.upkeep import checkpoint_schedule, checksum_writer

if TYPE_CHECKING:
    from lakefmt.store import Store

__all__ = ["WriteSide"]


class WriteSide:
    """How handles of one table commit; queue and schedule are shared by those that have written, as long as one is there.

    Attributes:
        writer: of their operations.
        checkpoints: when checkpoints are written.
    """

    def __init__(self, store: Store, timeout_s: float | None) -> None:
        self._queue = commit_queue(store)  # held: operations find it by the store
        self.checkpoints = checkpoint_schedule(store)
        self.writer = Writer(
            store, timeout_s=timeout_s, after_commit=(checksum_writer(store), self.checkpoints.follow)
        )
