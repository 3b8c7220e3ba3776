"""From a log on a store to a snapshot, and from one snapshot to a newer one."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from lakefmt.errors import CorruptTableError, ObjectNotFoundError, VersionNotFoundError
from lakefmt.log import decode_commit, list_commits_after, load_segment
from lakefmt.log.listing import read_commit_bytes
from lakefmt.log.paths import commit_key
from lakefmt.manifest.checkpoint import Checkpoint
from lakefmt.snapshot.replay import TableState, replay_state
from lakefmt.snapshot.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.log import Catalog, Commit, LogSegment
    from lakefmt.log.paths import LogFile
    from lakefmt.store import Store

__all__ = ["advance_snapshot", "extend_snapshot", "load_commits", "load_commits_after", "load_snapshot"]

_log = logging.getLogger("lakefmt.log")

_READ_THREADS = 16
# Below this many bytes a local read costs less than handing it to a thread.
_READ_IN_LINE = 4


def load_snapshot(store: Store, version: int | None = None, catalog: Catalog | None = None) -> Snapshot:
    """Load ``version`` (None: the newest) from the log, or from what ``catalog`` says of it.

    A checkpoint only shortens the way: where one cannot be read, another one of its version, an older one or the
    commits from the start are taken instead, as far as they are still there.

    Raises:
        TableNotFoundError, VersionNotFoundError, CorruptTableError, UnsupportedFeatureError: as
            ``log.load_segment``, ``log.decode_commit`` and ``manifest.Checkpoint`` say.
    """
    segment = load_segment(store, version, catalog)
    try:
        return _load_segment_state(store, segment, catalog)
    except CorruptTableError as error:
        first_error, unreadable = error, _unreadable_checkpoint(segment, error)
    while unreadable:
        try:
            segment = load_segment(store, segment.version, catalog, unreadable)
        except (CorruptTableError, VersionNotFoundError):
            break  # nothing is left to begin with
        try:
            snapshot = _load_segment_state(store, segment, catalog)
        except CorruptTableError as error:
            also = _unreadable_checkpoint(segment, error)
            unreadable = unreadable | also if also else frozenset()
        else:
            _log.warning("%s Version %d was read without it", first_error, segment.version)
            return snapshot
    raise first_error


def _load_segment_state(store: Store, segment: LogSegment, catalog: Catalog | None) -> Snapshot:
    state, checkpoint = TableState(None, None, {}, {}), None
    if segment.checkpoint:
        checkpoint = Checkpoint(store, segment.checkpoint)
        found = checkpoint.state
        state = TableState(
            found.protocol,
            found.metadata,
            {txn.app_id: txn for txn in found.transactions},
            {d.domain: d for d in found.domains if not d.removed},
        )
    commits = load_commits(store, segment.commits)
    state = replay_state(state, commits)
    if segment.checkpoint and (state.protocol is None or state.metadata is None):
        raise CorruptTableError(
            "The checkpoint holds no protocol or no metaData action",
            table=store.uri,
            version=segment.checkpoint_version,
            path=segment.checkpoint[0].key,
            hint="Delete the checkpoint if the commits before it are still there, or restore it from a backup",
        )
    return Snapshot(
        store,
        state,
        version=segment.version,
        written_ms=segment.written_ms,
        last_commit=segment.last_commit,
        checksum=segment.checksum,
        base=checkpoint,
        commits=tuple(commits),
        log_bytes=sum([commit.size_bytes for commit in commits]),
        catalog=catalog,
    )


def _unreadable_checkpoint(segment: LogSegment, error: CorruptTableError) -> frozenset[str]:
    """Return the keys of the segment's checkpoint if ``error`` is about one of its files; else none."""
    keys = frozenset(file.key for file in segment.checkpoint)
    return keys if error.path in keys else frozenset()


def advance_snapshot(store: Store, snapshot: Snapshot) -> Snapshot:
    """Return the newest snapshot, reading only the commits after ``snapshot``; itself if there are none."""
    files = list_commits_after(store, snapshot.version, snapshot.catalog)
    if files is None:
        return load_snapshot(store, catalog=snapshot.catalog)
    if not files:
        return snapshot
    return extend_snapshot(store, snapshot, load_commits(store, files), files[-1].modified_ms)


def extend_snapshot(
    store: Store, snapshot: Snapshot, commits: Sequence[Commit], modified_ms: int
) -> Snapshot:
    """Return the snapshot after ``commits``, all that follow ``snapshot``; ``modified_ms`` dates the last one."""
    state = replay_state(snapshot.state, commits)
    after = snapshot.advance(tuple(commits), state, snapshot.version + len(commits), modified_ms)
    if after.partition_keys != snapshot.partition_keys:
        # The columns of the file list themselves change.
        return load_snapshot(store, after.version, snapshot.catalog)
    return after


def load_commits_after(store: Store, version: int) -> tuple[list[Commit], int] | None:
    """Read the commits newer than ``version`` and when the last was written, milliseconds since the epoch (0 if none).

    None where the log no longer holds ``version``. Where requests cost next to nothing the names are tried one after
    the other: a listing costs what the whole log is long, and whoever asks has just lost a race against a few commits.

    Raises:
        CorruptTableError: a commit cannot be read, or one is missing in between.
    """
    if not store.requests_are_cheap:
        files = list_commits_after(store, version)
        if files is None:
            return None
        return load_commits(store, files), files[-1].modified_ms if files else 0
    commits: list[Commit] = []
    while True:
        last = version + len(commits)
        key = commit_key(last + 1)
        try:
            data = store.read(key)
        except ObjectNotFoundError:
            break
        commits.append(decode_commit(data, table=store.uri, version=last + 1, path=key))
    try:
        # Looked at after the name that was free: a log is cleaned from its beginning, so while this one is there the
        # next was free because nobody had committed it.
        modified_ms = store.info(commit_key(last)).modified_ms
    except ObjectNotFoundError:
        return None
    return commits, modified_ms if commits else 0


def load_commits(store: Store, files: Sequence[LogFile]) -> list[Commit]:
    """Read and decode commit files, several at a time, in the order given."""

    def load(file: LogFile) -> Commit:
        return decode_commit(
            read_commit_bytes(store, file), table=store.uri, version=file.version, path=file.key
        )

    if len(files) <= _READ_IN_LINE or store.local_path(files[0].key) is not None:
        return [load(file) for file in files]
    with ThreadPoolExecutor(_READ_THREADS, thread_name_prefix="lakefmt-log") as pool:
        return list(pool.map(load, files))
