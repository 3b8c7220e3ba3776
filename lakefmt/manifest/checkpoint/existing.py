"""A checkpoint that a version has already, under the one name that a writer would give it again.

Readers may be in the middle of it: of a file put in its place they would read the pages by the footer of the one before.
So it is only written again where nobody can read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.errors import CorruptTableError, ObjectNotFoundError
from lakefmt.log.paths import LogFile, LogFileKind, checkpoint_key
from lakefmt.manifest.checkpoint.checkpoint import Checkpoint
from lakefmt.manifest.checkpoint.write import CheckpointKind, WrittenCheckpoint

if TYPE_CHECKING:
    from lakefmt.manifest.checkpoint.action_file import ActionFile
    from lakefmt.manifest.checkpoint.content import CheckpointContent
    from lakefmt.store import Store

__all__ = ["find_checkpoint"]

_BATCH_ROWS = 10_000


def find_checkpoint(store: Store, content: CheckpointContent) -> WrittenCheckpoint | None:
    """Return the checkpoint by the classic name of a version, all of it read; None where there is none to go by.

    One that cannot be read to its end, or tells of another protocol or metadata than the version has, is none.

    Raises:
        StoreError: the store failed.
    """
    key = checkpoint_key(content.version)
    try:
        info = store.info(key)
    except ObjectNotFoundError:
        return None
    file = LogFile(LogFileKind.CHECKPOINT, content.version, key, info.size_bytes, info.modified_ms)
    checkpoint = Checkpoint(store, [file])
    try:
        state = checkpoint.state
        if (state.protocol, state.metadata) != (content.protocol, content.metadata):
            return None
        num_adds = sum([_read(part, "add") for part in checkpoint.parts])
        for part in checkpoint.parts:
            _read(part, "remove")
        num_actions = sum([part.metadata.num_rows for part in checkpoint.parts])
    except CorruptTableError:
        return None
    return WrittenCheckpoint(
        version=content.version,
        kind=CheckpointKind.V2_CLASSIC_NAME if state.sidecars else CheckpointKind.CLASSIC,
        key=key,
        file_size_bytes=info.size_bytes,
        num_actions=num_actions,
        num_adds=num_adds,
        size_bytes=info.size_bytes + sum([sidecar.size_bytes for sidecar in state.sidecars]),
        written_bytes=0,
        sidecars=state.sidecars,
        modified_ms=info.modified_ms,
    )


def _read(part: ActionFile, kind: str) -> int:
    """Return how many actions of a kind a file has, each of their values decoded. Raises CorruptTableError."""
    place = part.schema.get_field_index(kind)
    if place < 0:
        return 0
    members = [field.name for field in part.schema.field(place).type]
    with part.reading():
        groups = part.groups_with((kind, "path"))
        return sum([len(found) for found in part.stream_struct(kind, members, groups, _BATCH_ROWS)])
