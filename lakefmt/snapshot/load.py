"""From a log on a store to a snapshot, and from one snapshot to a newer one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.errors import ObjectNotFoundError
from lakefmt.log import decode_commit, list_commits_after
from lakefmt.log.paths import commit_key
from lakefmt.snapshot.replay import replay_state
from lakefmt.snapshot.snapshot import Snapshot
from lakefmt.snapshot.source import load_commits, load_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.log import Catalog, Commit
    from lakefmt.store import Store

__all__ = ["advance_snapshot", "extend_snapshot", "load_commits", "load_commits_after", "load_snapshot"]


def load_snapshot(store: Store, version: int | None = None, catalog: Catalog | None = None) -> Snapshot:
    """Load ``version`` (None: the newest) from the log, or from what ``catalog`` says of it.

    Raises:
        TableNotFoundError, VersionNotFoundError, CorruptTableError, UnsupportedFeatureError: as ``load_source``.
    """
    source = load_source(store, version, catalog)
    segment = source.segment
    return Snapshot(
        store,
        source.state,
        version=segment.version,
        written_ms=segment.written_ms,
        last_commit=segment.last_commit,
        checksum=segment.checksum,
        base=source.checkpoint,
        commits=source.commits,
        log_bytes=sum([commit.size_bytes for commit in source.commits]),
        catalog=catalog,
    )


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
