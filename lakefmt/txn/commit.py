"""The commit loop: put the next version if it is absent, else look who won, judge, rebase, try again.

Crash safety: data files are there, durably, before the first put; the put is the atomic point. Who dies before it
leaves files no version names; who dies after it has committed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from lakefmt import __version__
from lakefmt.errors import CommitConflictError, InvalidInputError, ObjectNotFoundError, StoreError
from lakefmt.log import Commit, CommitInfo, encode_commit, list_commits_after
from lakefmt.log.features import check_writable
from lakefmt.log.paths import commit_key
from lakefmt.snapshot.load import load_commits, load_snapshot
from lakefmt.snapshot.replay import replay_state
from lakefmt.txn.conflicts import check_conflicts

if TYPE_CHECKING:
    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store
    from lakefmt.txn.changes import Changes
    from lakefmt.txn.conflicts import Conflict
    from lakefmt.txn.environment import Environment

__all__ = ["ENGINE_INFO", "commit", "commit_first_version"]

_log = logging.getLogger("lakefmt")

ENGINE_INFO: Final = f"lakefmt/{__version__}"
# How long a commit that keeps losing races goes on. Blind appends only ever lose races, never arguments.
COMMIT_TIMEOUT_S: Final = 300.0
_FIRST_PAUSE_S: Final = 0.002
_LONGEST_PAUSE_S: Final = 1.0


def check_can_commit(store: Store) -> None:
    """Raise StoreError where the store has no atomic put-if-absent; asked before any data is written."""
    if store.read_only_reason is not None:
        raise StoreError(
            f"Nothing can be committed here: {store.read_only_reason}",
            table=store.uri,
            hint="Read from it, or write to a store with an atomic put-if-absent (local disk, S3, GCS, Azure)",
        )


def commit_first_version(store: Store, changes: Changes, environment: Environment) -> bool:
    """Publish version 0; False if somebody else's is there already."""
    check_can_commit(store)
    data, _ = _encode(changes, environment)
    won = store.put_if_absent(commit_key(0), data)
    if won:
        _log.info("%s: committed version 0, %s", store.uri, changes.operation)
    return won


def commit(
    store: Store,
    snapshot: Snapshot,
    changes: Changes,
    environment: Environment,
    *,
    timeout_s: float = COMMIT_TIMEOUT_S,
) -> Snapshot:
    """Publish ``changes``, made on ``snapshot``, as the next free version and return that version's snapshot.

    Raises:
        CommitConflictError: another writer's commit and this one cannot both stand, or races were lost for
            ``timeout_s`` seconds.
        UnsupportedFeatureError: the table asks writers for something this release does not have.
        CorruptTableError: the file list that the changes were made on contradicts the version's checksum file.
        StoreError: the store failed, or cannot commit at all.
    """
    check_can_commit(store)
    check_writable(snapshot.protocol, snapshot.metadata, table=store.uri, version=snapshot.version)
    snapshot.check_adds_up()
    if changes.removes and snapshot.properties.append_only:
        raise InvalidInputError(
            "The table is append-only (delta.appendOnly = true): no row may be removed",
            table=store.uri,
            version=snapshot.version,
            hint="Append instead, or set the property to false",
        )
    deadline = environment.monotonic_s() + timeout_s
    pause_s = _FIRST_PAUSE_S
    base = _catch_up(store, snapshot, changes) if _is_gone(store, snapshot) else snapshot
    while True:
        data, ours = _encode(changes, environment)
        version = base.version + 1
        if store.put_if_absent(commit_key(version), data):
            _log.info("%s: committed version %d, %s", store.uri, version, changes.operation)
            return base.advance((ours,), replay_state(base.state, [ours]), version, environment.now_ms())
        base = _rebase(store, base, changes)
        if environment.monotonic_s() > deadline:
            raise CommitConflictError(
                f"Other writers took every version for {timeout_s:.0f} s",
                kind="contention",
                retry_helps=True,
                table=store.uri,
                version=base.version,
                hint="Run it again, or write fewer and larger commits",
            )
        environment.sleep(pause_s * environment.random())
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


def _rebase(store: Store, base: Snapshot, changes: Changes) -> Snapshot:
    """Read the winners, judge them, and return the snapshot they made."""
    files = list_commits_after(store, base.version)
    if files is None:
        return _catch_up(store, base, changes)
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
    return base.advance(
        tuple(commits), replay_state(base.state, commits), files[-1].version, files[-1].modified_ms
    )


def _is_gone(store: Store, base: Snapshot) -> bool:
    """Whether the log no longer holds the version that the changes were made on.

    The next version's name would then be free although it was taken long ago: a commit under it would be in no
    version that anybody reads.
    """
    try:
        store.info(commit_key(base.version))
    except ObjectNotFoundError:
        return True
    return False


def _catch_up(store: Store, base: Snapshot, changes: Changes) -> Snapshot:
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


def _encode(changes: Changes, environment: Environment) -> tuple[bytes, Commit]:
    # A fresh txnId per attempt: each attempt's bytes are its own, so that reading a key back tells who wrote it.
    info = CommitInfo(
        timestamp_ms=environment.now_ms(),
        operation=changes.operation,
        operation_parameters=changes.parameters,
        operation_metrics={name: str(count) for name, count in changes.metrics.items()},
        engine_info=ENGINE_INFO,
        txn_id=environment.new_id(),
        is_blind_append=changes.is_blind_append,
        more=changes.more_info,
    )
    ours = Commit(
        info=info,
        protocol=changes.protocol,
        metadata=changes.metadata,
        adds=changes.adds,
        removes=changes.removes,
        transactions=changes.transactions,
        domains=changes.domains,
    )
    return encode_commit(ours), ours


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
