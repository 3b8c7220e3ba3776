"""From a snapshot to a checkpoint of its version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.manifest.checkpoint.write import write_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefmt.manifest.checkpoint.write import CheckpointKind, WrittenCheckpoint
    from lakefmt.snapshot.snapshot import Snapshot
    from lakefmt.store import Store

__all__ = ["checkpoint_snapshot"]


def checkpoint_snapshot(
    store: Store,
    snapshot: Snapshot,
    *,
    now_ms: int,
    new_id: Callable[[], str],
    kind: CheckpointKind | None = None,
) -> WrittenCheckpoint:
    """Write a checkpoint of the snapshot's version; arguments and errors as ``write_checkpoint``.

    The version's commit must be there; ``_last_checkpoint`` is the caller's to write.
    """
    return write_checkpoint(store, snapshot.checkpoint_content(), now_ms=now_ms, new_id=new_id, kind=kind)
