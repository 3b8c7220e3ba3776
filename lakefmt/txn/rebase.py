"""Rebase: after a lost race, whether our changes still stand, and what they are on top of the winners' version."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lakefmt.errors import CommitConflictError, ObjectNotFoundError, StoreError
from lakefmt.log import list_commits_after
from lakefmt.log.paths import commit_key
from lakefmt.snapshot.load import load_commits, load_snapshot
from lakefmt.snapshot.replay import replay_state
from lakefmt.txn.conflicts import check_conflicts

if TYPE_CHECKING:
    from lakefmt.log import Commit
    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store
    from lakefmt.txn.changes import Changes
    from lakefmt.txn.conflicts import Conflict

__all__ = ["catch_up", "is_gone", "rebase"]

_log = logging.getLogger("lakefmt")


def rebase(store: Store, base: Snapshot, changes: Changes) -> tuple[Snapshot, Changes]:
    """Read the winners and judge them; return the snapshot they made, and our changes as they are on top of it.

    Raises:
        CommitConflictError: a winner's commit and ours cannot both stand.
        StoreError: the log contradicts itself.
    """
    files = list_commits_after(store, base.version)
    if files is None:
        return catch_up(store, base, changes), changes
    if not files:
        # The version was taken when we tried and is not in the listing: a log that lost a commit is not written to.
        raise StoreError(
            f"Version {base.version + 1} was taken, but the listing does not show it",
            table=store.uri,
            version=base.version + 1,
            hint="Check the store's consistency, then run it again",
        )
    commits = load_commits(store, files)
    winners = [(file.version, winner) for file, winner in zip(files, commits, strict=True)]
    conflict = check_conflicts(changes, winners, base)
    if conflict is not None:
        raise _conflict_error(store, changes, conflict, winners)
    _log.debug("%s: version %d was taken, rebasing on %d", store.uri, base.version + 1, files[-1].version)
    after = base.advance(
        tuple(commits), replay_state(base.state, commits), files[-1].version, files[-1].modified_ms
    )
    return after, changes


def is_gone(store: Store, base: Snapshot) -> bool:
    """Whether the log no longer holds the version that the changes were made on.

    The next version's name would then be free although it was taken long ago: a commit under it would be in no
    version that anybody reads.
    """
    try:
        store.info(commit_key(base.version))
    except ObjectNotFoundError:
        return True
    return False


def catch_up(store: Store, base: Snapshot, changes: Changes) -> Snapshot:
    """Return the newest snapshot where the commits since ``base`` cannot all be judged any more.

    Only what looked at nothing may go on, and only on a table that is still the same.
    """
    newest = load_snapshot(store)
    same = (newest.protocol, newest.metadata) == (base.protocol, base.metadata)
    if (
        same
        and newest.version >= base.version
        and (changes.is_blind_append or newest.version == base.version)
    ):
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


def _conflict_error(
    store: Store, changes: Changes, conflict: Conflict, winners: list[tuple[int, Commit]]
) -> CommitConflictError:
    info = next(commit.info for version, commit in winners if version == conflict.version)
    who = (
        f"{info.operation or 'a commit'} by {info.engine_info or 'another writer'}"
        if info
        else "another writer"
    )
    return CommitConflictError(
        f"{changes.operation} lost to version {conflict.version} ({who}), which {conflict.detail}",
        kind=conflict.kind,
        retry_helps=conflict.retry_helps,
        table=store.uri,
        version=conflict.version,
        path=conflict.path,
        hint="Refresh the table and run it again",
    )
