"""Rebase: after a lost race, whether our changes still stand, and what they are on top of the winners' version."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lakefmt.errors import CommitConflictError
from lakefmt.log import Commit
from lakefmt.log.features import check_writable
from lakefmt.log.paths import canonical_path
from lakefmt.snapshot.load import extend_snapshot, load_snapshot
from lakefmt.snapshot.replay import replay_state
from lakefmt.txn.conflicts import Conflict, Rebase, VectorsNeeded, check_conflicts
from lakefmt.txn.staging import discard_outputs, discard_vectors, load_rows, stage_row_changes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.log import CommitInfo
    from lakefmt.manifest.deletion_vectors import DeletedRows
    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store
    from lakefmt.txn.changes import Changes
    from lakefmt.txn.writer import Writer

__all__ = ["catch_up", "rebase"]


def rebase(
    writer: Writer, base: Snapshot, changes: Changes, winners: Sequence[tuple[int, Commit]]
) -> Changes:
    """Judge what others committed since ``base``; return our changes as they are on top of that.

    Deletion vectors that winners gave to files of ours are read, and ours written anew on top of them. Whoever calls
    knows that no version names what earlier attempts staged: that is deleted.

    Args:
        writer: who commits.
        base: the version that the changes were made on.
        changes: ours.
        winners: (version, commit) of all that came since, oldest first.

    Raises:
        CommitConflictError: a winner's commit and ours cannot both stand.
        UnsupportedFeatureError: a winner made the table ask for something that this release does not have.
        StoreError: storage failed.
    """
    store = writer.store
    _check_still_writable(store, base, winners)
    outcome = _judge(store, base, changes, winners)
    while isinstance(outcome, Conflict):
        seen = [winner for version, winner in winners if version <= outcome.version]
        if outcome.kind != "rearranged" or changes.find_removes is None or any(map(_brings_rows, seen)):
            raise _conflict_error(store, changes, outcome, winners)
        # The same rows are in other files: these are replaced instead, and the winners after that judged.
        base = extend_snapshot(store, base, seen, writer.environment.now_ms())
        changes = replace(changes, removes=changes.find_removes(base))
        winners = winners[len(seen) :]
        outcome = _judge(store, base, changes, winners)
    rebased = outcome.changes
    if any(_brings_rows(winner) for _, winner in winners):
        # Should a later winner move these rows to files together with ours, none of those files is ours to replace.
        rebased = replace(rebased, find_removes=None)
    if not outcome.moved:
        return rebased
    staged = stage_row_changes(store, writer.environment, rebased)
    discard_vectors(store, changes)
    for rewrite in outcome.dropped:
        discard_outputs(store, rewrite)
        if changes.hand_back is not None:
            changes.hand_back(rewrite)
    return staged


def catch_up(store: Store, base: Snapshot, changes: Changes) -> Snapshot:
    """Return the newest snapshot where the commits since ``base`` cannot all be judged any more.

    Only what looked at nothing may go on, and only on a table that is still the same, in which neither the same
    application nor the owner of the same metadata domain has got on meanwhile.
    """
    newest = load_snapshot(store)
    same = (newest.protocol, newest.metadata) == (base.protocol, base.metadata)
    if same and newest.version >= base.version and (changes.is_blind_append or newest.is_same_version(base)):
        winners = [(newest.version, _since(base, newest))]
        if isinstance(outcome := _judge(store, base, changes, winners), Conflict):
            raise _conflict_error(store, changes, outcome, winners)
        return newest
    replaced = newest.metadata.id != base.metadata.id
    raise CommitConflictError(
        "The table has been replaced by another one"
        if replaced
        else f"Version {base.version} is no longer in the log, nor all that was committed since",
        kind="metadata" if replaced or not same else "removed",
        retry_helps=not replaced,
        table=store.uri,
        version=newest.version,
        hint="Open the table anew" if replaced else "Refresh the table and run it again",
    )


def _judge(
    store: Store, base: Snapshot, changes: Changes, winners: Sequence[tuple[int, Commit]]
) -> Rebase | Conflict:
    """Judge with the deletion vectors that it depends on, which are read."""
    level = base.properties.isolation_level
    vectors: dict[tuple[str, str], DeletedRows] = {}
    while isinstance(outcome := check_conflicts(changes, winners, base, level, vectors), VectorsNeeded):
        for file, num_rows in outcome.files:
            if file.deletion_vector is not None:
                key = canonical_path(file.path), file.deletion_vector.unique_id
                vectors[key] = load_rows(store, file, num_rows)
    return outcome


def _since(base: Snapshot, newest: Snapshot) -> Commit:
    """Return what the newest version still tells of the commits since ``base``, as one commit."""
    transactions = [txn for name, txn in newest.transactions.items() if base.transactions.get(name) != txn]
    domains = [domain for name, domain in newest.domains.items() if base.domains.get(name) != domain]
    gone = [
        replace(domain, removed=True) for name, domain in base.domains.items() if name not in newest.domains
    ]
    return Commit(transactions=tuple(transactions), domains=(*domains, *gone))


def _brings_rows(winner: Commit) -> bool:
    return any(add.data_change for add in winner.adds)


def _check_still_writable(store: Store, base: Snapshot, winners: Sequence[tuple[int, Commit]]) -> None:
    """Raise UnsupportedFeatureError where a winner changed what the table asks of its writers, beyond us."""
    if all(winner.protocol is None and winner.metadata is None for _, winner in winners):
        return
    state = replay_state(base.state, [winner for _, winner in winners])
    if state.protocol is not None and state.metadata is not None:
        check_writable(state.protocol, state.metadata, table=store.uri, version=winners[-1][0])


def _conflict_error(
    store: Store, changes: Changes, conflict: Conflict, winners: Sequence[tuple[int, Commit]]
) -> CommitConflictError:
    info = next(commit.info for version, commit in winners if version == conflict.version)
    return CommitConflictError(
        f"{changes.operation} lost to version {conflict.version} ({_who(info)}), which {conflict.detail}",
        kind=conflict.kind,
        retry_helps=conflict.retry_helps,
        table=store.uri,
        version=conflict.version,
        path=conflict.path,
        hint=conflict.hint or "Refresh the table and run it again",
    )


def _who(info: CommitInfo | None) -> str:
    """Return who committed, by what the commit says of itself; every part of it may be missing."""
    if info is None:
        return "another writer"
    user = info.more.get("userName") or info.more.get("userId")
    told = f" for {user}" if isinstance(user, str) else ""
    return f"{info.operation or 'a commit'} by {info.engine_info or 'another writer'}{told}"
