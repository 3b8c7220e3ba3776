"""The actions of a commit as values ("Actions" in the Delta protocol).

One-off actions and the 1 to 1,000 files of one commit are objects; the files of a whole table never are (they are
columns, see ``manifest.FileList``). Unknown fields and actions are ignored, as "Protocol Evolution" asks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AddCDCFile",
    "AddFile",
    "CommitInfo",
    "DeletionVectorDescriptor",
    "DomainMetadata",
    "Metadata",
    "Protocol",
    "RemoveFile",
    "Sidecar",
    "TransactionId",
]


@dataclass(frozen=True, slots=True)
class Protocol:
    """What a client must implement to read and to write the table ("Protocol Evolution").

    ``reader_features`` is None below reader version 3, ``writer_features`` below writer version 7.
    """

    min_reader_version: int
    min_writer_version: int
    reader_features: frozenset[str] | None = None
    writer_features: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Metadata:
    """The table's metadata at a version ("Change Metadata"); ``schema_string`` is the schema's JSON."""

    id: str
    schema_string: str
    partition_columns: tuple[str, ...] = ()
    configuration: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    description: str | None = None
    created_time_ms: int | None = None
    format_provider: str = "parquet"


@dataclass(frozen=True, slots=True)
class DeletionVectorDescriptor:
    """Where the bitmap of a logical file's deleted rows is ("Deletion Vector Descriptor Schema")."""

    storage_type: str
    path_or_inline: str
    size_bytes: int
    cardinality: int
    offset: int | None = None

    @property
    def unique_id(self) -> str:
        """The id that is part of a logical file's primary key ("Derived Fields")."""
        base = f"{self.storage_type}{self.path_or_inline}"
        return base if self.offset is None else f"{base}@{self.offset}"


@dataclass(frozen=True, slots=True)
class AddFile:
    """A data file that becomes part of the table; ``path`` stays percent-encoded as in the log.

    ``partition_values`` holds the protocol's strings ("Partition Value Serialization"), ``stats`` its JSON text.
    ``base_row_id`` and ``default_row_commit_version`` number the file's rows ("Row Tracking"); ``clustering_provider``
    names the clustering implementation that made it ("Clustered Table").
    """

    path: str
    partition_values: Mapping[str, str | None]
    size_bytes: int
    modified_ms: int
    data_change: bool = True
    stats: str | None = None
    tags: Mapping[str, str | None] | None = None
    deletion_vector: DeletionVectorDescriptor | None = None
    base_row_id: int | None = None
    default_row_commit_version: int | None = None
    clustering_provider: str | None = None


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """A logical file that is no longer part of the table; a tombstone until its retention has passed.

    ``base_row_id`` and ``default_row_commit_version`` are those of the ``add`` that it removes.
    """

    path: str
    deleted_ms: int | None
    data_change: bool = True
    partition_values: Mapping[str, str | None] | None = None
    size_bytes: int | None = None
    deletion_vector: DeletionVectorDescriptor | None = None
    base_row_id: int | None = None
    default_row_commit_version: int | None = None


@dataclass(frozen=True, slots=True)
class AddCDCFile:
    """A change data file: the rows that its version changed, and how ("Add CDC File"); ``path`` as in ``AddFile``."""

    path: str
    partition_values: Mapping[str, str | None]
    size_bytes: int
    tags: Mapping[str, str | None] | None = None


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A Parquet file with some of a checkpoint's file actions ("Sidecar File Information").

    ``path`` is the file's name, or a URI that ends with it; it always lies in the log's ``_sidecars``. ``tags`` say
    what its writer knows of it.
    """

    path: str
    size_bytes: int
    modified_ms: int = 0
    tags: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TransactionId:
    """How far an application has got ("Transaction Identifiers")."""

    app_id: str
    version: int
    last_updated_ms: int | None = None


@dataclass(frozen=True, slots=True)
class DomainMetadata:
    """A named configuration string ("Domain Metadata"); ``removed`` makes it a tombstone."""

    domain: str
    configuration: str
    removed: bool = False


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """Who did what ("Commit Provenance Information"); free-form, so everything unknown stays in ``more``.

    ``operation_parameters`` and ``operation_metrics`` are kept as the writer gave them.
    """

    timestamp_ms: int | None = None
    operation: str | None = None
    operation_parameters: Mapping[str, Any] = field(default_factory=dict)
    operation_metrics: Mapping[str, Any] = field(default_factory=dict)
    engine_info: str | None = None
    txn_id: str | None = None
    is_blind_append: bool | None = None
    in_commit_timestamp_ms: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
