"""Writing a checkpoint of a version ("Checkpoints"): the complete replay of its log, in few files.

Nothing here is done file by file: live files pass by as columns, from the checkpoint before and from the commits since.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from lakefmt.errors import InvalidInputError
from lakefmt.log.paths import LogFile, LogFileKind, checkpoint_key
from lakefmt.manifest.checkpoint.checkpoint import Checkpoint
from lakefmt.manifest.checkpoint.classic import write_classic
from lakefmt.manifest.checkpoint.layout import ActionLayout
from lakefmt.manifest.checkpoint.v2 import write_v2

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefmt.log.actions import Sidecar
    from lakefmt.manifest.checkpoint.content import CheckpointContent
    from lakefmt.store import Store

__all__ = ["CheckpointKind", "WrittenCheckpoint", "choose_kind", "write_checkpoint"]

_RETENTION: Final = "delta.deletedFileRetentionDuration"


class CheckpointKind(Enum):
    """Which of the protocol's checkpoints ("Allowed combinations")."""

    CLASSIC = "classic"
    V2 = "v2"
    V2_CLASSIC_NAME = "v2, classic name"


@dataclass(frozen=True, slots=True)
class WrittenCheckpoint:
    """A checkpoint that is there now, and what ``_last_checkpoint`` says of it.

    Attributes:
        version: of the table.
        kind: which checkpoint.
        key: of its file in the log.
        file_size_bytes: of that file.
        num_actions: how many actions it holds, those of its sidecars included.
        num_adds: how many of them are live files.
        size_bytes: of all its files.
        written_bytes: of those of its files that were written for it; the others are an earlier checkpoint's, too. 0
            where the checkpoint was there.
        sidecars: what of it is in files of its own.
        modified_ms: when it was written, by the writer's clock.
    """

    version: int
    kind: CheckpointKind
    key: str
    file_size_bytes: int
    num_actions: int
    num_adds: int
    size_bytes: int
    written_bytes: int
    sidecars: tuple[Sidecar, ...]
    modified_ms: int

    def to_checkpoint(self, store: Store) -> Checkpoint:
        """Return the checkpoint, to be read."""
        named = LogFileKind.UUID_CHECKPOINT if self.kind is CheckpointKind.V2 else LogFileKind.CHECKPOINT
        return Checkpoint(
            store, [LogFile(named, self.version, self.key, self.file_size_bytes, self.modified_ms)]
        )


def choose_kind(content: CheckpointContent) -> CheckpointKind:
    """Return the checkpoint that the table's ``delta.checkpointPolicy`` asks for, as far as its protocol allows it."""
    asked = content.properties.checkpoint_policy.lower()
    supported = "v2Checkpoint" in (content.protocol.writer_features or ())
    return CheckpointKind.V2 if asked == "v2" and supported else CheckpointKind.CLASSIC


def write_checkpoint(
    store: Store,
    content: CheckpointContent,
    *,
    now_ms: int,
    new_id: Callable[[], str],
    kind: CheckpointKind | None = None,
) -> WrittenCheckpoint:
    """Write a checkpoint of a version whose commit is there.

    Args:
        store: the table's.
        content: the version.
        now_ms: the time, milliseconds since the epoch: tombstones past their retention are left out.
        new_id: makes the UUIDs in names of files.
        kind: which checkpoint; None for the one that the table asks for.

    Raises:
        CorruptTableError: what is there contradicts itself, or a file of the checkpoint before is gone.
        StoreError: the store failed; no reader sees half a checkpoint.
    """
    chosen = choose_kind(content) if kind is None else kind
    layout = ActionLayout(content)
    expired_ms = _expired_ms(content, now_ms)
    if chosen is CheckpointKind.CLASSIC:
        key = checkpoint_key(content.version)
        written = write_classic(store, key, content, layout, expired_ms=expired_ms)
        return WrittenCheckpoint(
            version=content.version,
            kind=chosen,
            key=key,
            file_size_bytes=written.size_bytes,
            num_actions=written.num_actions,
            num_adds=written.num_adds,
            size_bytes=written.size_bytes,
            written_bytes=written.size_bytes,
            sidecars=(),
            modified_ms=now_ms,
        )
    manifest = write_v2(
        store,
        content,
        layout,
        expired_ms=expired_ms,
        now_ms=now_ms,
        new_id=new_id,
        classic_name=chosen is CheckpointKind.V2_CLASSIC_NAME,
    )
    return WrittenCheckpoint(
        version=content.version,
        kind=chosen,
        key=manifest.key,
        file_size_bytes=manifest.size_bytes,
        num_actions=manifest.num_actions,
        num_adds=manifest.num_adds,
        size_bytes=manifest.size_bytes + sum(sidecar.size_bytes for sidecar in manifest.sidecars),
        written_bytes=manifest.written_bytes,
        sidecars=manifest.sidecars,
        modified_ms=now_ms,
    )


def _expired_ms(content: CheckpointContent, now_ms: int) -> int:
    """Return the moment up to which tombstones are left out; before all of them where the table's word makes no sense."""
    from lakefmt.properties import TableProperties

    configuration = content.metadata.configuration
    told = {_RETENTION: configuration[_RETENTION]} if _RETENTION in configuration else {}
    try:
        return now_ms - TableProperties.parse_strictly(told).deleted_file_retention_ms
    except InvalidInputError:
        return -1
