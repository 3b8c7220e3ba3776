"""What a checkpoint is to hold: one version of a table, as far as it is in hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lakefmt.log.actions import RemoveFile
from lakefmt.manifest.tombstones import Tombstones

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lakefmt.log.actions import AddFile, DomainMetadata, Metadata, Protocol, TransactionId
    from lakefmt.manifest.checkpoint.checkpoint import Checkpoint
    from lakefmt.manifest.file_list import FileList
    from lakefmt.properties import TableProperties
    from lakefmt.schema import Schema

__all__ = ["CheckpointContent"]


@dataclass(frozen=True, slots=True)
class CheckpointContent:
    """One version: its one-off actions, the files of an earlier one, and what commits since then made of those.

    Attributes:
        version: the version.
        protocol: of the version.
        metadata: of the version.
        schema: the columns that ``metadata`` tells of.
        properties: the properties that it tells of.
        partition_columns: names in ``schema``.
        partition_keys: what the log calls them.
        transactions: the latest of each application.
        domains: those in force.
        base: the files of an earlier version, None where there was none.
        tombstones: what had been removed before that version, where ``base`` is no checkpoint, which has its own.
        newest: the last action of the commits since on each logical file that they name, by path and vector id.
        added: those of these files that are live.
    """

    version: int
    protocol: Protocol
    metadata: Metadata
    schema: Schema
    properties: TableProperties
    partition_columns: tuple[str, ...]
    partition_keys: tuple[str, ...]
    transactions: tuple[TransactionId, ...]
    domains: tuple[DomainMetadata, ...]
    base: Checkpoint | FileList | None
    newest: Mapping[tuple[str, str | None], AddFile | RemoveFile]
    added: FileList
    tombstones: Tombstones = field(default_factory=Tombstones.none)

    @property
    def removed(self) -> Tombstones:
        """The files of ``newest`` that are no longer live."""
        return Tombstones.from_removes(
            [each for each in self.newest.values() if isinstance(each, RemoveFile)]
        )
