"""What a transaction wants to commit, and what it read to decide so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lakefmt.expressions import Predicate
    from lakefmt.log import AddFile, DomainMetadata, Metadata, Protocol, RemoveFile, TransactionId

__all__ = ["Changes"]


@dataclass(frozen=True, slots=True)
class Changes:
    """The actions of one commit before it has a version.

    Attributes:
        operation: what is done, in the protocol's words (``WRITE``, ``CREATE TABLE``).
        parameters: how it was asked for; for the history.
        metrics: what it came to, counts by name; for the history.
        adds: files that come.
        removes: files that go.
        read_predicate: which rows were looked at to decide the removes; None for a blind append.
        protocol: a new protocol.
        metadata: new metadata.
        transactions: transaction ids of applications.
        domains: metadata domains.
    """

    operation: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, int] = field(default_factory=dict)
    adds: tuple[AddFile, ...] = ()
    removes: tuple[RemoveFile, ...] = ()
    read_predicate: Predicate | None = None
    protocol: Protocol | None = None
    metadata: Metadata | None = None
    transactions: tuple[TransactionId, ...] = ()
    domains: tuple[DomainMetadata, ...] = ()
    more_info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_blind_append(self) -> bool:
        """Whether this only adds files, without having looked at the table's."""
        return bool(self.adds) and not self.removes and self.read_predicate is None and self.metadata is None
