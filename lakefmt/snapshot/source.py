"""From the log on a store to what a version follows from, around checkpoints that cannot be read."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakefmt.errors import CorruptTableError, VersionNotFoundError
from lakefmt.log import decode_commit, load_segment
from lakefmt.log.listing import CommitGoneError, read_commit_bytes
from lakefmt.manifest.checkpoint import Checkpoint
from lakefmt.snapshot.replay import TableState, replay_state
from lakefmt.threads import map_in_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.log import Catalog, Commit, LogSegment
    from lakefmt.log.paths import LogFile
    from lakefmt.store import Store

__all__ = ["VersionSource", "load_commits", "load_source"]

_log = logging.getLogger("lakefmt.log")

_READ_THREADS = 16
# Below this many bytes a local read costs less than handing it to a thread.
_READ_IN_LINE = 4


@dataclass(frozen=True, slots=True)
class VersionSource:
    """What a version follows from.

    Attributes:
        segment: the log files of it.
        state: all of the version but its files.
        checkpoint: what its files follow from, together with the commits; None where these begin at version 0.
        commits: those after the checkpoint, oldest first.
    """

    segment: LogSegment
    state: TableState
    checkpoint: Checkpoint | None
    commits: tuple[Commit, ...]


def load_source(
    store: Store,
    version: int | None = None,
    catalog: Catalog | None = None,
    without: frozenset[str] = frozenset(),
) -> VersionSource:
    """Load what ``version`` (None: the newest) follows from.

    A checkpoint only shortens the way: where one cannot be read, another one of its version, an older one or the
    commits from the start are taken instead, as far as they are still there.

    Args:
        store: the table's.
        version: the version.
        catalog: the catalog that manages the table.
        without: keys of checkpoint files that were found to be unreadable.

    Raises:
        TableNotFoundError, VersionNotFoundError, CorruptTableError, UnsupportedFeatureError: as
            ``log.load_segment``, ``log.decode_commit`` and ``manifest.Checkpoint`` say.
    """
    segment = load_segment(store, version, catalog, without)
    while True:
        try:
            return _read(store, segment)
        except CommitGoneError as error:
            # Cleaned away since the log was listed, after a checkpoint; or the version is no longer there at all.
            segment = load_segment(store, version, catalog, without)
            if any(file.key == error.path for file in segment.commits):
                raise
        except CorruptTableError as error:
            first_error, unreadable = error, _unreadable_checkpoint(segment, error)
            break
    while unreadable:
        without |= unreadable
        try:
            segment = load_segment(store, segment.version, catalog, without)
        except (CorruptTableError, VersionNotFoundError):
            break  # nothing is left to begin with
        try:
            source = _read(store, segment)
        except CorruptTableError as error:
            unreadable = _unreadable_checkpoint(segment, error)
            continue
        metadata = source.state.metadata
        if source.state.protocol is None or metadata is None or not metadata.schema_string:
            break  # these commits are no beginning of a table
        _log.warning("%s Version %d was read without it", first_error, segment.version)
        return source
    raise first_error


def _read(store: Store, segment: LogSegment) -> VersionSource:
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
    return VersionSource(segment, state, checkpoint, tuple(commits))


def _unreadable_checkpoint(segment: LogSegment, error: CorruptTableError) -> frozenset[str]:
    """Return the keys of the segment's checkpoint if ``error`` is about one of its files; else none."""
    keys = frozenset(file.key for file in segment.checkpoint)
    return keys if error.path in keys else frozenset()


def load_commits(store: Store, files: Sequence[LogFile]) -> list[Commit]:
    """Read and decode commit files, several at a time, in the order given."""

    def load(file: LogFile) -> Commit:
        return decode_commit(
            read_commit_bytes(store, file), table=store.uri, version=file.version, path=file.key
        )

    if len(files) <= _READ_IN_LINE or store.local_path(files[0].key) is not None:
        return [load(file) for file in files]
    return map_in_threads(load, files, _READ_THREADS, "lakefmt-log")
