"""From a snapshot to a checkpoint of its version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.errors import CorruptTableError, VersionNotFoundError
from lakefmt.log.listing import list_log
from lakefmt.log.segment import complete_checkpoints
from lakefmt.manifest.checkpoint import Checkpoint
from lakefmt.manifest.checkpoint.existing import find_checkpoint
from lakefmt.manifest.checkpoint.write import CheckpointKind, choose_kind, write_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefmt.manifest.checkpoint.write import WrittenCheckpoint
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

    The version's commit must be there; ``_last_checkpoint`` is the caller's to write. Snapshots that follow from this
    one will read their files from the new checkpoint. Where a checkpoint of the name to be written is there and can be
    read, it is returned and nothing is written.
    """
    content = snapshot.checkpoint_content()
    chosen = choose_kind(content) if kind is None else kind
    if chosen is not CheckpointKind.V2 and (found := find_checkpoint(store, content)) is not None:
        snapshot.note_checkpoint(found.to_checkpoint(store))
        return found
    if chosen is not CheckpointKind.CLASSIC:
        # Only of the newest checkpoint no clean-up deletes the sidecars.
        content = snapshot.checkpoint_content(_newest_checkpoint(store, snapshot))
    unreadable: frozenset[str] = frozenset()
    while True:
        try:
            written = write_checkpoint(store, content, now_ms=now_ms, new_id=new_id, kind=chosen)
            break
        except CorruptTableError as error:
            error.table, error.version = store.uri, error.version or snapshot.version
            base = content.base
            if not isinstance(base, Checkpoint) or not base.is_made_of(error.path) or base.keys <= unreadable:
                raise
            unreadable |= base.damaged_keys()
            try:
                content = snapshot.checkpoint_content(without=unreadable)
            except (CorruptTableError, VersionNotFoundError):
                raise error from None
    snapshot.note_checkpoint(written.to_checkpoint(store))
    return written


def _newest_checkpoint(store: Store, snapshot: Snapshot) -> Checkpoint | None:
    """Return the newest complete checkpoint up to the snapshot's version that the log has; None for none."""
    found = complete_checkpoints(list_log(store, max(snapshot.checkpoint_version, 0)))
    usable = [version for version in found if version <= snapshot.version]
    return Checkpoint(store, found[max(usable)]) if usable else None
