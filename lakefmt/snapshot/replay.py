"""Action reconciliation: from a base and the commits after it to one state ("Action Reconciliation"); pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lakefmt.manifest.file_list import FileList

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lakefmt.log import (
        AddFile,
        Commit,
        DeletionVectorDescriptor,
        DomainMetadata,
        Metadata,
        Protocol,
        TransactionId,
    )

__all__ = ["TableState", "replay_files", "replay_state"]


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


def replay_files(base: FileList, commits: Iterable[Commit], partition_columns: tuple[str, ...]) -> FileList:
    """Apply the file actions of ``commits``, oldest first, to the files of ``base``.

    The newest action per (path, deletion vector id) wins. Within one commit removes come before adds: the order of
    actions in a commit means nothing, and a commit may move a file from one vector to another.
    """
    newest: dict[tuple[str, str | None], AddFile | None] = {}
    for commit in commits:
        for remove in commit.removes:
            _put_last(newest, (remove.path, _vector_id(remove.deletion_vector)), None)
        for add in commit.adds:
            _put_last(newest, (add.path, _vector_id(add.deletion_vector)), add)
    if not newest:
        return base
    live = [add for add in newest.values() if add is not None]
    kept = base if base.num_files == 0 else base.without(newest)
    if not live:
        return kept
    added = FileList.from_adds(live, partition_columns)
    return added if kept.num_files == 0 else kept.concat(added)


def _put_last(
    newest: dict[tuple[str, str | None], AddFile | None], key: tuple[str, str | None], value: AddFile | None
) -> None:
    # Dictionaries keep the place of the first insertion; files should stand in the order they came last.
    newest.pop(key, None)
    newest[key] = value


def _vector_id(vector: DeletionVectorDescriptor | None) -> str | None:
    return None if vector is None else vector.unique_id
