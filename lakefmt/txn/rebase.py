"""Rebase: after a lost race, whether our changes still stand, and what they are on top of the winners' version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.errors import CommitConflictError, ObjectNotFoundError
from lakefmt.log.paths import commit_key
from lakefmt.snapshot.load import load_snapshot
from lakefmt.txn.conflicts import check_conflicts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.log import Commit
    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store
    from lakefmt.txn.changes import Changes
    from lakefmt.txn.conflicts import Conflict
    from lakefmt.txn.writer import Writer

__all__ = ["catch_up", "is_gone", "rebase"]


def rebase(
    writer: Writer, base: Snapshot, changes: Changes, winners: Sequence[tuple[int, Commit]]
) -> Changes:
    """Judge what others committed since ``base``; return our changes as they are on top of that.

    Args:
        writer: who commits.
        base: the version that the changes were made on.
        changes: ours.
        winners: (version, commit) of all that came since, oldest first.

    Raises:
        CommitConflictError: a winner's commit and ours cannot both stand.
    """
    conflict = check_conflicts(changes, winners, base)
    if conflict is not None:
        raise _conflict_error(writer.store, changes, conflict, winners)
    return changes


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
    store: Store, changes: Changes, conflict: Conflict, winners: Sequence[tuple[int, Commit]]
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
