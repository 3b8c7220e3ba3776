"""The commit loop: put the next version if it is absent, else rebase on who won and try again.

Crash safety: data files are there, durably, before the first put; the put is the atomic point. Who dies before it
leaves files no version names; who dies after it has committed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from lakefmt import __version__
from lakefmt.errors import CommitConflictError, InvalidInputError, StoreError
from lakefmt.log import Commit, CommitInfo, encode_commit
from lakefmt.log.features import check_writable
from lakefmt.log.paths import commit_key
from lakefmt.snapshot.replay import replay_state
from lakefmt.txn.rebase import catch_up, is_gone, rebase

if TYPE_CHECKING:
    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store
    from lakefmt.txn.changes import Changes
    from lakefmt.txn.environment import Environment
    from lakefmt.txn.writer import Writer

__all__ = ["ENGINE_INFO", "commit", "commit_first_version"]

_log = logging.getLogger("lakefmt")

ENGINE_INFO: Final = f"lakefmt/{__version__}"
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


def commit_first_version(writer: Writer, changes: Changes) -> bool:
    """Publish version 0; False if somebody else's is there already."""
    store = writer.store
    check_can_commit(store)
    data, _ = _encode(changes, writer.environment)
    won = store.put_if_absent(commit_key(0), data)
    if won:
        _log.info("%s: committed version 0, %s", store.uri, changes.operation)
    return won


def commit(writer: Writer, snapshot: Snapshot, changes: Changes) -> Snapshot:
    """Publish ``changes``, made on ``snapshot``, as the next free version and return that version's snapshot.

    Raises:
        CommitConflictError: another writer's commit and this one cannot both stand, or races were lost for the
            writer's ``timeout_s``.
        UnsupportedFeatureError: the table asks writers for something this release does not have.
        CorruptTableError: the file list that the changes were made on contradicts the version's checksum file.
        StoreError: the store failed, or cannot commit at all.
    """
    store, environment = writer.store, writer.environment
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
    deadline = environment.monotonic_s() + writer.timeout_s
    pause_s = _FIRST_PAUSE_S
    base = catch_up(store, snapshot, changes) if is_gone(store, snapshot) else snapshot
    while True:
        data, ours = _encode(changes, environment)
        version = base.version + 1
        if store.put_if_absent(commit_key(version), data):
            _log.info("%s: committed version %d, %s", store.uri, version, changes.operation)
            after = base.advance((ours,), replay_state(base.state, [ours]), version, environment.now_ms())
            _follow_up(writer, after)
            return after
        base, changes = rebase(store, base, changes)
        if environment.monotonic_s() > deadline:
            raise CommitConflictError(
                f"Other writers took every version for {writer.timeout_s:.0f} s",
                kind="contention",
                retry_helps=True,
                table=store.uri,
                version=base.version,
                hint="Run it again, or write fewer and larger commits",
            )
        environment.sleep(pause_s * environment.random())
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


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


def _follow_up(writer: Writer, after: Snapshot) -> None:
    for follow in writer.after_commit:
        try:
            follow(after)
        except Exception:  # noqa: BLE001 - the commit stands whatever follows
            _log.exception(
                "%s: version %d is committed; what was to follow failed", writer.store.uri, after.version
            )
