"""Action reconciliation: from a base and the commits after it to one state ("Action Reconciliation"); pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from lakefmt.log import AddFile, Commit, RemoveFile
from lakefmt.manifest.file_list import FileList

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lakefmt.log import (
        DomainMetadata,
        Metadata,
        Protocol,
        TransactionId,
    )

__all__ = ["FileChanges", "TableState", "reconcile", "replay_state"]


@dataclass(frozen=True, slots=True)
class TableState:
    """All of a version but its files; protocol and metadata are None only before the first commit."""

    protocol: Protocol | None
    metadata: Metadata | None
    transactions: Mapping[str, TransactionId]
    domains: Mapping[str, DomainMetadata]


def replay_state(base: TableState, commits: Iterable[Commit]) -> TableState:
    """Apply the one-off actions of ``commits``, oldest first: the latest of each kind (and name) wins."""
    state = base
    for commit in commits:
        if commit.protocol is not None:
            state = replace(state, protocol=commit.protocol)
        if commit.metadata is not None:
            state = replace(state, metadata=commit.metadata)
        if commit.transactions:
            newer = {txn.app_id: txn for txn in commit.transactions}
            state = replace(state, transactions={**state.transactions, **newer})
        if commit.domains:
            domains = {**state.domains, **{d.domain: d for d in commit.domains}}
            state = replace(state, domains={name: d for name, d in domains.items() if not d.removed})
    return state


@dataclass(frozen=True, slots=True)
class FileChanges:
    """What some commits in a row make of the files before them.

    Attributes:
        newest: the last action on each logical file that they name, by path and deletion vector id, in the order in
            which they came last. Nothing of what was there before is left of these files.
        added: those of them that are live afterwards.
    """

    newest: Mapping[tuple[str, str | None], AddFile | RemoveFile]
    added: FileList

    def apply(self, base: FileList) -> FileList:
        """Return the live files after the commits, given those before, or some of those."""
        kept = self.keep(base)
        if not self.added.num_files:
            return kept
        return self.added if kept.num_files == 0 else kept.concat(self.added)

    def keep(self, base: FileList) -> FileList:
        """Return those of the files before the commits that are live after them."""
        return base.without(self.newest) if self.newest and base.num_files else base

    def to_commit(self) -> Commit:
        """Return the commits as one that does the same to files."""
        adds = tuple([each for each in self.newest.values() if isinstance(each, AddFile)])
        removes = tuple([each for each in self.newest.values() if isinstance(each, RemoveFile)])
        return Commit(adds=adds, removes=removes)


def reconcile(commits: Iterable[Commit], partition_keys: tuple[str, ...]) -> FileChanges:
    """Reconcile the file actions of ``commits``, oldest first.

    The newest action per (path, deletion vector id) wins. Within one commit removes come before adds: the order of
    actions in a commit means nothing, and a commit may move a file from one vector to another.
    """
    newest: dict[tuple[str, str | None], AddFile | RemoveFile] = {}
    for commit in commits:
        for action in chain[AddFile | RemoveFile](commit.removes, commit.adds):
            vector = action.deletion_vector
            key = (action.path, None if vector is None else vector.unique_id)
            # Dictionaries keep the place of the first insertion; files should stand in the order they came last.
            newest.pop(key, None)
            newest[key] = action
    live = [each for each in newest.values() if isinstance(each, AddFile)]
    added = FileList.from_adds(live, partition_keys) if live else FileList.empty(partition_keys)
    return FileChanges(newest, added)
