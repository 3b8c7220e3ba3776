"""From a log on a store to a snapshot, and from one snapshot to a newer one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from lakefmt.log import decode_commit, list_commits_after, load_segment
from lakefmt.log.listing import read_commit_bytes
from lakefmt.manifest.checkpoint import read_checkpoint_state
from lakefmt.snapshot.replay import TableState, replay_state
from lakefmt.snapshot.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.log import Catalog, Commit
    from lakefmt.log.paths import LogFile
    from lakefmt.store import Store

__all__ = ["advance_snapshot", "load_commits", "load_snapshot"]

_READ_THREADS = 16
# Below this many bytes a local read costs less than handing it to a thread.
_READ_IN_LINE = 4


def load_snapshot(store: Store, version: int | None = None, catalog: Catalog | None = None) -> Snapshot:
    """Load ``version`` (None: the newest) from the log, or from what ``catalog`` says of it.

    Raises:
        TableNotFoundError, VersionNotFoundError, CorruptTableError, UnsupportedFeatureError: as
            ``log.load_segment``, ``log.decode_commit`` and ``manifest.read_checkpoint_state`` say.
    """
    segment = load_segment(store, version, catalog)
    state = TableState(None, None, {}, {})
    if segment.checkpoint:
        found = read_checkpoint_state(store, segment.checkpoint)
        state = TableState(
            found.protocol,
            found.metadata,
            {txn.app_id: txn for txn in found.transactions},
            {d.domain: d for d in found.domains if not d.removed},
        )
    commits = load_commits(store, segment.commits)
    return Snapshot(
        store,
        replay_state(state, commits),
        version=segment.version,
        written_ms=segment.written_ms,
        segment=segment,
        base=None,
        commits=tuple(commits),
        catalog=catalog,
    )


def advance_snapshot(store: Store, snapshot: Snapshot) -> Snapshot:
    """Return the newest snapshot, reading only the commits after ``snapshot``; itself if there are none."""
    files = list_commits_after(store, snapshot.version, snapshot.catalog)
    if files is None:
        return load_snapshot(store, catalog=snapshot.catalog)
    if not files:
        return snapshot
    commits = load_commits(store, files)
    state = replay_state(snapshot.state, commits)
    after = snapshot.advance(tuple(commits), state, files[-1].version, files[-1].modified_ms)
    if after.partition_keys != snapshot.partition_keys:
        return load_snapshot(
            store, catalog=snapshot.catalog
        )  # the columns of the file list themselves change
    return after


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
