"""From a log on a store to a snapshot, and from one snapshot to a newer one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.errors import CorruptTableError, ObjectNotFoundError
from lakefmt.log import decode_commit, list_commits_from
from lakefmt.log.listing import CommitGoneError, find_commit_file
from lakefmt.log.paths import commit_key
from lakefmt.snapshot.replay import replay_state
from lakefmt.snapshot.snapshot import Snapshot
from lakefmt.snapshot.source import load_commits, load_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.log import Catalog, Commit
    from lakefmt.log.paths import LogFile
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
    """Return the newest snapshot, reading only the commits after ``snapshot``; itself if there are none.

    Where the log no longer holds the version of ``snapshot``, or holds another commit under its name, as it does once
    a table was replaced by another one, or has a gap, all is read anew. Raises as ``load_snapshot``.
    """
    files = _list_after(store, snapshot)
    if files is None or not snapshot.is_of(files[0]):
        return load_snapshot(store, catalog=snapshot.catalog)
    if len(files) == 1:
        return snapshot
    try:
        commits = load_commits(store, files[1:])
    except CommitGoneError:
        return load_snapshot(store, catalog=snapshot.catalog)  # the log was cleaned meanwhile
    return extend_snapshot(store, snapshot, commits, files[-1].modified_ms, last_commit=files[-1])


def extend_snapshot(
    store: Store,
    snapshot: Snapshot,
    commits: Sequence[Commit],
    written_ms: int,
    *,
    last_commit: LogFile | None = None,
) -> Snapshot:
    """Return the snapshot after ``commits``, all that follow ``snapshot``.

    Args:
        store: the table's.
        snapshot: what they follow.
        commits: oldest first.
        written_ms: when the last of them was written.
        last_commit: its file, as the store shows it; None where nobody has looked.
    """
    state = replay_state(snapshot.state, commits)
    version = snapshot.version + len(commits)
    after = snapshot.advance(tuple(commits), state, version, written_ms, last_commit=last_commit)
    if after.partition_keys != snapshot.partition_keys:
        # The columns of the file list themselves change.
        return load_snapshot(store, after.version, snapshot.catalog)
    return after


def load_commits_after(
    store: Store, snapshot: Snapshot, *, is_old: bool = False
) -> tuple[list[Commit], LogFile | None] | None:
    """Read the commits newer than ``snapshot``; return them and the file of the last, None if there are none.

    None where the log no longer holds the version of ``snapshot``, or another commit under its name, or has a gap. Where requests
    cost next to nothing the names are tried one after the other: a listing costs what the whole log is long, and
    whoever asks has just lost a race against a few commits.

    Args:
        store: the table's.
        snapshot: what they follow.
        is_old: whether the commit after it may have been cleaned away and its own not yet: then the log is listed, in
            which the later ones show.

    Raises:
        CorruptTableError: a commit cannot be read.
    """
    version = snapshot.version
    if is_old or not store.requests_are_cheap:
        files = _list_after(store, snapshot)
        if files is None or not snapshot.is_of(files[0]):
            return None
        try:
            return load_commits(store, files[1:]), files[-1] if len(files) > 1 else None
        except CommitGoneError:
            return None  # cleaned away meanwhile, ours before it
    commits: list[Commit] = []
    while True:
        last = version + len(commits)
        key = commit_key(last + 1)
        try:
            data = store.read(key)
        except ObjectNotFoundError:
            break
        commits.append(decode_commit(data, table=store.uri, version=last + 1, path=key))
    # Looked at after the name that was free: a log is cleaned from its beginning, so while ours is there the next was
    # free because nobody had committed it. One that is there although ours is gone may stand below what was cleaned.
    ours = find_commit_file(store, version)
    if ours is None or not snapshot.is_of(ours):
        return None
    newest = find_commit_file(store, last) if commits else None
    return None if commits and newest is None else (commits, newest)


def _list_after(store: Store, snapshot: Snapshot) -> list[LogFile] | None:
    """List the commits from the snapshot's on; None where they do not tell what came after it.

    A gap is what a clean-up shows at work: stores delete many files in any order, and a listing takes its time. If it
    is damage, reading the log anew says so.
    """
    try:
        return list_commits_from(store, snapshot.version, snapshot.catalog)
    except CorruptTableError:
        return None
