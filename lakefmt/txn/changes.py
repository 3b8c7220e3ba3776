"""What a transaction wants to commit, and what it read to decide so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lakefmt.expressions import Predicate
    from lakefmt.log import AddFile, DomainMetadata, Metadata, Protocol, RemoveFile, TransactionId
    from lakefmt.manifest import FileList
    from lakefmt.snapshot import Snapshot
    from lakefmt.txn.row_changes import Rewrite, RowDelete

__all__ = ["Changes", "Read"]


@dataclass(frozen=True, slots=True)
class Read:
    """Rows that a transaction looked for.

    Attributes:
        predicate: which; ``ALL_ROWS`` for the whole table.
        files: where more was read than the rows that are written (a subquery, the matches of a merge, a scan that
            feeds an append): the files that hold them; nobody may have taken rows from these. None where the rows
            read are the rows written: what others did to other rows does not matter.
        moved_to: paths (``canonical_path``) of files that others have moved rows of ``files`` to since.
    """

    predicate: Predicate
    files: FileList | None = None
    moved_to: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Changes:
    """The actions of one commit before it has a version.

    Attributes:
        operation: what is done, in the protocol's words (``WRITE``, ``CREATE TABLE``).
        parameters: how it was asked for; for the history.
        metrics: what it came to, counts by name; for the history.
        adds: files that come; those of ``row_deletes`` and ``rewrites`` too, once their vectors are stored.
        removes: files that go; likewise.
        reads: which rows were looked at to decide all this; none for a blind append.
        protocol: a new protocol.
        metadata: new metadata.
        transactions: transaction ids of applications.
        domains: metadata domains.
        more_info: further provenance.
        row_deletes: rows that go by deletion vectors; how ``adds`` and ``removes`` of their files came to be, so that
            they can be made again on top of other vectors.
        rewrites: files whose rows move to other files unchanged; likewise.
        vector_file: key of the file with the vectors of these very ``adds``, if they needed one.
        staged_files: keys of data files that were written for this commit alone: who knows that it failed deletes
            them.
        find_removes: finds ``removes`` in another version, for changes that only depend on which files are replaced;
            asked where others moved rows of them to other files. Reads nothing but metadata.
        hand_back: is given every rewrite that had to be left out of the commit because others changed its files.
    """

    operation: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, int] = field(default_factory=dict)
    adds: tuple[AddFile, ...] = ()
    removes: tuple[RemoveFile, ...] = ()
    reads: tuple[Read, ...] = ()
    protocol: Protocol | None = None
    metadata: Metadata | None = None
    transactions: tuple[TransactionId, ...] = ()
    domains: tuple[DomainMetadata, ...] = ()
    more_info: Mapping[str, Any] = field(default_factory=dict)
    row_deletes: tuple[RowDelete, ...] = ()
    rewrites: tuple[Rewrite, ...] = ()
    vector_file: str | None = None
    staged_files: tuple[str, ...] = ()
    find_removes: Callable[[Snapshot], tuple[RemoveFile, ...]] | None = None
    hand_back: Callable[[Rewrite], None] | None = None

    @property
    def is_blind_append(self) -> bool:
        """Whether this only adds files, without having looked at the table's."""
        return bool(self.adds) and not (self.removes or self.reads or self.rewrites or self.metadata)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not (
            self.adds
            or self.removes
            or self.row_deletes
            or self.rewrites
            or self.protocol
            or self.metadata
            or self.transactions
            or self.domains
        )

    @property
    def changes_data(self) -> bool:
        """Whether rows come or go, rather than move."""
        return (
            bool(self.row_deletes)
            or any(add.data_change for add in self.adds)
            or any(remove.data_change for remove in self.removes)
        )
