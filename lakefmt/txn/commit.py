"""The commit loop: put the next version if it is absent, else rebase on who won and try again.

Crash safety: data files are there, durably, before the first put; the put is the atomic point. Who dies before it
leaves files no version names; who dies after it has committed.

Lost responses: every attempt carries the same ``txnId``. Where a store cannot tell whether a put was applied, the loop
goes on: it reads what is in the log by then, and finds its own commit there, or another's in its place (then ours was
not applied and never will be), or nothing (then the same version is put again, which at most one of the two wins).
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from lakefmt.errors import (
    CommitConflictError,
    InvalidInputError,
    LakefmtError,
    StoreError,
    UnknownOutcomeError,
)
from lakefmt.log import encode_commit
from lakefmt.log.features import check_writable
from lakefmt.log.listing import find_commit_file
from lakefmt.log.paths import canonical_path, commit_key
from lakefmt.snapshot.load import extend_snapshot, load_commits_after
from lakefmt.snapshot.replay import replay_state
from lakefmt.txn.attempt import complete, complete_first
from lakefmt.txn.commit_queue import commit_queue
from lakefmt.txn.find_commit import find_commit
from lakefmt.txn.patience import Patience
from lakefmt.txn.rebase import catch_up, rebase
from lakefmt.txn.staging import discard_staged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.log import Commit
    from lakefmt.log.paths import LogFile
    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store
    from lakefmt.txn.changes import Changes
    from lakefmt.txn.commit_queue import CommitQueue
    from lakefmt.txn.writer import Writer

__all__ = ["check_can_commit", "commit", "commit_first_version", "follow_up"]

_log = logging.getLogger("lakefmt")

# For so long what was seen of the log is taken to be there still, unless the table keeps its log for less than a day.
_LOOK_LASTS_MS: Final = 60_000
_DAY_MS: Final = 86_400_000


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
    store, environment = writer.store, writer.environment
    check_can_commit(store)
    first = complete_first(changes, environment.now_ms(), environment.new_id(), table=store.uri)
    data = encode_commit(first)
    patience = Patience(environment, writer.timeout_s)
    doubt: UnknownOutcomeError | None = None
    while True:
        started_s = environment.monotonic_s()
        try:
            won = store.put_if_absent(commit_key(0), data)
        except UnknownOutcomeError as error:
            if patience.is_over or error.was_applied:
                raise
            doubt = error
        except StoreError as error:
            if doubt is None:
                raise
            raise doubt from error  # this one was refused; the one before may be applied
        else:
            break
        # The same bytes again: where the first were applied after all, the store finds them and says so.
        patience.pause(environment.monotonic_s() - started_s)
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
        UnknownOutcomeError: the store did not say within the writer's ``timeout_s`` whether it was applied, or it was
            and may not last (``was_applied``).
        StoreError: the store failed, or cannot commit at all.
    """
    attempts = _Attempts(writer, commit_queue(writer.store), snapshot, changes)
    try:
        after = _commit(writer, snapshot, attempts)
    except StoreError:
        raise  # the outcome may be unknown: what a version may name is never deleted
    except LakefmtError:
        discard_staged(writer.store, attempts.changes)
        raise
    return after


def _commit(writer: Writer, snapshot: Snapshot, attempts: _Attempts) -> Snapshot:
    store, environment, changes = writer.store, writer.environment, attempts.changes
    check_can_commit(store)
    check_writable(snapshot.protocol, snapshot.metadata, table=store.uri, version=snapshot.version)
    snapshot.check_adds_up()
    if snapshot.properties.append_only and any(remove.data_change for remove in changes.removes):
        raise InvalidInputError(
            "The table is append-only (delta.appendOnly = true): no row may be removed",
            table=store.uri,
            version=snapshot.version,
            hint="Append instead, or set the property to false",
        )
    patience = Patience(environment, writer.timeout_s)
    queue = attempts.queue
    while True:
        if not queue.turns.take(patience.left_s()):
            raise attempts.time_is_up()
        started_s = environment.monotonic_s()
        try:
            after = attempts.make_one()
        finally:
            queue.turns.give()
        if after is not None:
            break
        if patience.is_over:
            raise attempts.time_is_up()
        patience.pause(environment.monotonic_s() - started_s)
    if attempts.changes.is_empty:
        return after
    _log.info("%s: committed version %d, %s", store.uri, after.version, changes.operation)
    follow_up(writer, after)
    return after


class _Attempts:
    """The attempts of one commit, one after the other; each in this process's turn.

    Args:
        writer: who commits.
        queue: what is known in this process.
        base: the version that the changes were made on.
        changes: ours.

    Attributes:
        queue: as given.
        changes: ours, as they are on top of what has been seen so far.
    """

    def __init__(self, writer: Writer, queue: CommitQueue, base: Snapshot, changes: Changes) -> None:
        self._writer = writer
        self._store = writer.store
        self.queue = queue
        self._base = base
        self.changes = changes
        self._txn_id = writer.environment.new_id()
        self._tried = -1  # the version of the last attempt
        self._doubt: UnknownOutcomeError | None = None  # an attempt that may have been applied
        self._looked = (0.0, 0)  # when the base was looked for in the log, by both clocks

    def make_one(self) -> Snapshot | None:
        """Put the version after the newest one; None where somebody else was first, or nobody knows who was."""
        try:
            after = self._catch_up()
            if after is None and self.changes.is_empty:
                return self._base  # all that was to be rewritten was left to others
            return self._put() if after is None else after
        except UnknownOutcomeError:
            raise  # for good: nothing is left that could tell
        except LakefmtError as error:
            if self._doubt is None:
                raise
            if not isinstance(error, StoreError):
                raise self._doubt from error
            _log.info("%s: version %d: %s", self._store.uri, self._tried, error.message)
            return None

    def _put(self) -> Snapshot | None:
        environment, base = self._writer.environment, self._base
        ours = complete(self.changes, base, environment.now_ms(), self._txn_id)
        data = encode_commit(ours)
        version = self._tried = base.version + 1
        try:
            if not self._store.put_if_absent(commit_key(version), data):
                return None
        except UnknownOutcomeError as error:
            if error.was_applied:
                error.version = version
                raise  # it is in the log, and to find it there says nothing of whether it stays
            _log.info("%s: version %d: %s", self._store.uri, version, error.message)
            self._doubt = error
            return None
        if self._looked_long_ago():
            try:
                if not base.is_in_log():
                    return self._find_or_take_back(version)
            except LakefmtError as error:
                # It is there, and whether readers find it nobody knows yet: looked at again before the next attempt.
                self._doubt = _unsure(error, version)
                return None
        ours = replace(ours, size_bytes=len(data))
        after = base.advance((ours,), replay_state(base.state, [ours]), version, environment.now_ms())
        self.queue.learn([(version, ours)], after)
        return after

    def _find_or_take_back(self, version: int) -> Snapshot | None:
        """Return our commit's snapshot where it stands although the version before it is gone; else delete the commit."""
        store, base = self._store, self._base
        # Cleaned after the put, it stands: whoever came later has built upon it. On another's version it does not.
        if find_commit_file(store, base.version) is None:
            found = find_commit(store, base, self.changes, self._txn_id)
            if found is not None and found.metadata.id == base.metadata.id:
                return found
        _log.warning("%s: the log was cleaned past version %d while it was committed", store.uri, version)
        store.delete([commit_key(version)])
        return None

    def _looked_long_ago(self) -> bool:
        """Whether the log may have been cleaned past the base since it was last seen there.

        The name that was free then was free again, and what was put there is in no version that anybody reads. Clocks
        that stand still while a machine sleeps do not show it, so both are asked.
        """
        environment, properties = self._writer.environment, self._base.properties
        monotonic_s, wall_ms = self._looked
        passed_ms = max((environment.monotonic_s() - monotonic_s) * 1000, environment.now_ms() - wall_ms)
        return passed_ms > _LOOK_LASTS_MS or properties.log_retention_ms < _DAY_MS

    def time_is_up(self) -> Exception:
        """Return the error of a commit that had no more time."""
        if self._doubt is not None:
            return self._doubt
        return CommitConflictError(
            f"Other writers took every version for {self._writer.timeout_s or 0:g} s",
            kind="contention",
            retry_helps=True,
            table=self._store.uri,
            version=self._base.version,
            hint="Run it again, give it more time (commit_timeout_s), or write fewer and larger commits",
        )

    def _catch_up(self) -> Snapshot | None:
        """Move to the newest version known; return our own commit's snapshot where an earlier attempt had made it."""
        environment = self._writer.environment
        self._looked = environment.monotonic_s(), environment.now_ms()
        winners, newest = self.queue.known_since(self._base)
        found = self._read_after(newest)
        if found is None:
            if newest is self._base:
                return self._leap()
            self.queue.forget()
            return self._catch_up()
        commits, last = found
        more = list(enumerate(commits, newest.version + 1))
        if (after := self._judge(winners + more)) is not None:
            return after
        if last is not None:
            newest = extend_snapshot(self._store, newest, commits, last.modified_ms, last_commit=last)
            self.queue.learn(more, newest)
        self._base = newest
        return None

    def _read_after(self, known: Snapshot) -> tuple[list[Commit], LogFile | None] | None:
        """Read what came after the newest version that is known, where somebody was first or a look costs nothing.

        Returns:
            The commits and the file of the last; None where ``known`` is no longer in the log: the next version's name
            would then be free although it was taken long ago, and a commit under it be in no version that anybody
            reads, or it would be in another table.
        """
        store, was_first = self._store, known.version < self._tried
        # The commit after it may be cleaned away, and its own not yet: stores delete many files in any order, and clean-ups
        # end half-way. After a day, though logs are kept for thirty by default: others may have made it less since.
        age_ms = self._writer.environment.now_ms() - known.written_ms
        is_old = age_ms > min(known.properties.log_retention_ms, _DAY_MS)
        if not was_first and not is_old and not store.requests_are_cheap:
            return ([], None) if known.is_in_log() else None
        found = load_commits_after(store, known, is_old=is_old)
        if was_first and found == ([], None) and self._doubt is None:
            # A log that lost a commit is not written to.
            raise StoreError(
                f"Version {self._tried} was taken, but is not in the log",
                table=store.uri,
                version=self._tried,
                hint="Check the store's consistency, then run it again",
            )
        return found

    def _judge(self, winners: Sequence[tuple[int, Commit]]) -> Snapshot | None:
        """Return our own commit's snapshot if it is among the winners; else rebase, or raise the conflict."""
        for number, (_, winner) in enumerate(winners, 1):
            if winner.info is not None and winner.info.txn_id == self._txn_id:
                commits = [commit for _, commit in winners[:number]]
                return extend_snapshot(self._store, self._base, commits, self._writer.environment.now_ms())
        if winners:
            _log.debug("%s: rebasing on version %d", self._store.uri, winners[-1][0])
            # The version that we tried is another's: ours was not applied, and never will be.
            self._doubt = None
            self._disown(winners)
            self.changes = rebase(self._writer, self._base, self.changes, winners)
        return None

    def _disown(self, winners: Sequence[tuple[int, Commit]]) -> None:
        """Leave staged files to the table where another commit names them: whoever committed twice loses once, no rows."""
        if not self.changes.staged_files:
            return
        ours = {canonical_path(add.path) for add in self.changes.adds}
        if any(canonical_path(add.path) in ours for _, winner in winners for add in winner.adds):
            self.changes = replace(self.changes, staged_files=())

    def _leap(self) -> Snapshot | None:
        """Go on from the newest version where the log no longer tells all that came since the base."""
        if self._doubt is not None:
            found = find_commit(self._store, self._base, self.changes, self._txn_id)
            if found is None:
                raise self._doubt
            return found
        self._base = catch_up(self._store, self._base, self.changes)
        return None


def _unsure(cause: LakefmtError, version: int) -> UnknownOutcomeError:
    return UnknownOutcomeError(
        f"it is unknown whether the log was cleaned past version {version} while it was committed: {cause.message}",
        table=cause.table,
        version=version,
        path=cause.path,
        hint="Look at the newest version before writing again: the rows may be there",
    )


def follow_up(writer: Writer, after: Snapshot) -> None:
    """Call what follows a commit; nothing that it raises reaches who committed."""
    for follow in writer.after_commit:
        try:
            follow(after)
        except Exception:  # noqa: BLE001 - the commit stands whatever follows
            _log.exception(
                "%s: version %d is committed; what was to follow failed", writer.store.uri, after.version
            )
