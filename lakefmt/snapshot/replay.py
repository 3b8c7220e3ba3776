"""Action reconciliation: from a base and the commits after it to one state ("Action Reconciliation"); pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.arrow_values import array_of
from lakefmt.log import AddFile, Commit, RemoveFile
from lakefmt.log.paths import canonical_path
from lakefmt.manifest.file_list import FileList
from lakefmt.manifest.path_columns import canonical_paths
from lakefmt.manifest.repeated_files import added_twice

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
        newest: the last action on each logical file that they name, by path (``canonical_path``) and deletion vector
            id, in the order in which they came last. Nothing of what was there before is left of these files.
        added: those of them that are live afterwards, or some of those.
        named: the paths of ``newest``, a string array.
        live: those of the files that are live afterwards.
    """

    newest: Mapping[tuple[str, str | None], AddFile | RemoveFile]
    added: FileList
    named: Any
    live: Any

    def apply(self, base: FileList) -> FileList:
        """Return the live files after the commits, given those before, or some of those. Raises as ``keep``."""
        kept = self.keep(base)
        if not self.added.num_files:
            return kept
        return self.added if kept.num_files == 0 else kept.concat(self.added)

    def keep(self, base: FileList) -> FileList:
        """Return those of the files before the commits that are live after them.

        Raises:
            CorruptTableError: a file was added again with another deletion vector and never removed with the one it
                had, which the protocol calls illegal ("Add File and Remove File"): its rows would come twice.
        """
        if not self.newest or not base.num_files:
            return base
        import pyarrow.compute as pc

        paths = canonical_paths(base.table["path"])
        touched: Any = pc.is_in(paths, value_set=self.named)
        if not pc.any(touched).as_py():
            return base
        # Hardly ever is one of them left: a remove of it may name a vector that it had before.
        left = base.filter(touched).without(self.newest)
        if not left.num_files:
            return base.filter(pc.invert(touched))
        left_paths = canonical_paths(left.table["path"])
        twice: Any = left_paths.filter(pc.is_in(left_paths, value_set=self.live))
        if len(twice):
            raise added_twice(twice[0].as_py())
        return base.without(self.newest)

    def to_commit(self) -> Commit:
        """Return the commits as one that does the same to files."""
        adds = tuple([each for each in self.newest.values() if isinstance(each, AddFile)])
        removes = tuple([each for each in self.newest.values() if isinstance(each, RemoveFile)])
        return Commit(adds=adds, removes=removes)


def reconcile(commits: Iterable[Commit], partition_keys: tuple[str, ...]) -> FileChanges:
    """Reconcile the file actions of ``commits``, oldest first.

    The newest action per (path, deletion vector id) wins. Within one commit removes come before adds: the order of
    actions in a commit means nothing, and a commit may move a file from one vector to another.

    Raises:
        CorruptTableError: as ``FileChanges.keep``, among these commits.
    """
    newest: dict[tuple[str, str | None], AddFile | RemoveFile] = {}
    for commit in commits:
        for action in chain[AddFile | RemoveFile](commit.removes, commit.adds):
            vector = action.deletion_vector
            key = (canonical_path(action.path), None if vector is None else vector.unique_id)
            # Dictionaries keep the place of the first insertion; files should stand in the order they came last.
            newest.pop(key, None)
            newest[key] = action
    live = {key: each for key, each in newest.items() if isinstance(each, AddFile)}
    paths = [path for path, _ in live]
    if len(set(paths)) < len(paths):
        raise added_twice(next(path for path, times in Counter(paths).items() if times > 1))
    added = (
        FileList.from_adds(list(live.values()), partition_keys) if live else FileList.empty(partition_keys)
    )
    named = array_of([path for path, _ in newest], pa.string())
    return FileChanges(newest, added, named, array_of(paths, pa.string()))
