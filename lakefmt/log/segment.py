"""Which files of the log make up a version: a checkpoint, if there is one, and the commits after it.

Pure choosing over one ordered listing (``choose_segment``), with the I/O around it (``load_segment``): the hint of
``_last_checkpoint`` says where to start listing, and is never trusted for more than that.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakefmt.errors import CorruptTableError, VersionNotFoundError
from lakefmt.log.last_checkpoint import read_checkpoint_hint
from lakefmt.log.listing import (
    CHECKPOINT_KINDS,
    check_contiguous,
    list_log,
    no_table_error,
)
from lakefmt.log.paths import LogFile, LogFileKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lakefmt.log.catalog import Catalog
    from lakefmt.store import Store

__all__ = ["LogSegment", "choose_segment", "complete_checkpoints", "load_segment"]

_log = logging.getLogger("lakefmt.log")


@dataclass(frozen=True, slots=True)
class LogSegment:
    """The files that make up one version.

    Invariant: the versions of ``commits`` are contiguous, the first follows the checkpoint (or is version 0), the last
    is ``version`` (or there are none and the checkpoint is).

    Attributes:
        version: the version.
        checkpoint: the files of the newest complete checkpoint at or before it, in part order; empty for none.
        commits: the commit files after that checkpoint, oldest first; a log compaction file stands for those it
            holds, where that makes fewer files.
        last_commit: the commit file of ``version`` itself, None where it is not left; it dates the version.
        checksum: the version's checksum file, where the listing showed one.
    """

    version: int
    checkpoint: tuple[LogFile, ...]
    commits: tuple[LogFile, ...]
    last_commit: LogFile | None = None
    checksum: LogFile | None = None

    @property
    def checkpoint_version(self) -> int:
        """Version of the checkpoint, -1 for none."""
        return self.checkpoint[0].version if self.checkpoint else -1

    @property
    def written_ms(self) -> int:
        """When the version's commit was written, or what stands for it, in milliseconds since the epoch."""
        if self.last_commit is not None:
            return self.last_commit.modified_ms
        return (self.commits or self.checkpoint)[-1].modified_ms


def load_segment(
    store: Store,
    version: int | None = None,
    catalog: Catalog | None = None,
    without: frozenset[str] = frozenset(),
) -> LogSegment:
    """List the log and choose the files of ``version`` (None: the newest).

    Args:
        store: the table's store.
        version: the version.
        catalog: the catalog that manages the table.
        without: keys of checkpoint files that were found to be unreadable.

    Raises:
        TableNotFoundError: there is no log; the message tells a plain Parquet folder from an empty one.
        VersionNotFoundError: the version is past the newest, or was cleaned away.
        CorruptTableError: a commit is missing in between.
    """
    ratified = None if catalog is None else catalog.ratified_commits(store.uri)
    hint = None if without else read_checkpoint_hint(store)
    start = hint if hint is not None and (version is None or hint <= version) else None
    if start is not None and (ratified is None or start <= ratified.latest_version):
        files = list_log(store, start, ratified)
        if start in complete_checkpoints(files):
            return choose_segment(files, version, table=store.uri)
        _log.debug(
            "%s: _last_checkpoint names version %d, which has no checkpoint; listing all", store.uri, start
        )
    files = list_log(store, ratified=ratified)
    if not any(f.kind is LogFileKind.COMMIT or f.kind in CHECKPOINT_KINDS for f in files):
        raise no_table_error(store)
    return choose_segment([f for f in files if f.key not in without], version, table=store.uri)


def choose_segment(files: Iterable[LogFile], version: int | None, *, table: str) -> LogSegment:
    """Choose checkpoint and commits of a version from a listing (pure). Raises as ``load_segment``."""
    files = list(files)
    commits = [f for f in files if f.kind is LogFileKind.COMMIT]
    checkpoints = complete_checkpoints(files)
    if not commits and not checkpoints:
        raise CorruptTableError(
            "The log holds no commit and no complete checkpoint",
            table=table,
            hint="Restore the missing commits, or the missing parts of the checkpoint, from a backup",
        )
    newest = max(commits[-1].version if commits else -1, max(checkpoints, default=-1))
    if version is not None and version > newest:
        raise VersionNotFoundError(
            f"There is no version {version}; the newest is {newest}",
            table=table,
            version=version,
            hint=f"Choose a version up to {newest}, or open the table without one for the newest",
        )
    target = newest if version is None else version
    usable = [v for v in checkpoints if v <= target]
    checkpoint = checkpoints[max(usable)] if usable else ()
    first = checkpoint[0].version + 1 if checkpoint else 0
    wanted = [f for f in commits if first <= f.version <= target]
    cover = _shortest_cover(wanted, files, first, target)
    if cover is None:
        if not checkpoint and (not wanted or wanted[0].version > 0):
            raise _earlier_log_is_gone(commits, checkpoints, target, version, table)
        if commits and first < commits[0].version and max(checkpoints, default=-1) > target:
            # A clean-up that was broken off: commits go before the checkpoint that they follow.
            raise _earlier_log_is_gone(commits, checkpoints, target, version, table)
        check_contiguous(wanted, first, table=table, last=target)
        cover = wanted
    return LogSegment(
        target,
        checkpoint,
        tuple(cover),
        last_commit=next((f for f in reversed(commits) if f.version == target), None),
        checksum=next((f for f in files if f.kind is LogFileKind.CHECKSUM and f.version == target), None),
    )


def _shortest_cover(
    commits: list[LogFile], files: list[LogFile], first: int, last: int
) -> list[LogFile] | None:
    """Return the fewest commits and log compaction files that make up versions ``first`` to ``last``.

    A compaction stands for exactly the commits of its range ("Log Compaction Files"), so only one that begins after
    the checkpoint and ends at or before ``last`` is of use: one that reaches into the checkpoint holds removes and adds
    that the checkpoint has outlived. None where no compaction helps, or the versions cannot be made up.
    """
    compactions = [
        f for f in files if f.kind is LogFileKind.COMPACTED and first <= f.version < f.end_version <= last
    ]
    if not compactions:
        return None
    # The fewest files from a version on to the last, from the last version to the first: (how many, the first of them).
    best: dict[int, tuple[int, LogFile | None]] = {last + 1: (0, None)}
    for file in sorted(commits + compactions, key=lambda f: f.version, reverse=True):
        rest = best.get(_end(file) + 1)
        if rest is not None and (file.version not in best or rest[0] + 1 < best[file.version][0]):
            best[file.version] = (rest[0] + 1, file)
    if first not in best:
        return None
    cover = []
    file_from = best[first][1]
    while file_from is not None:
        cover.append(file_from)
        file_from = best[_end(file_from) + 1][1]
    return cover


def _end(file: LogFile) -> int:
    return file.end_version if file.kind is LogFileKind.COMPACTED else file.version


def complete_checkpoints(files: Iterable[LogFile]) -> dict[int, tuple[LogFile, ...]]:
    """Return one complete checkpoint of each version.

    Any of several is right ("Multiple checkpoints could exist for the same table version"): a classic one before a
    UUID-named one before parts, of which all must be there.
    """
    found: dict[int, tuple[LogFile, ...]] = {}
    parts: dict[tuple[int, int], list[LogFile]] = {}
    for file in files:
        if file.kind is LogFileKind.MULTI_PART_CHECKPOINT:
            parts.setdefault((file.version, file.parts), []).append(file)
    for (version, count), members in parts.items():
        ordered = sorted(members, key=lambda f: f.part)
        # The count is a stranger's number: it is compared before anything is made of that size.
        if len(ordered) == count and all(f.part == i for i, f in enumerate(ordered, 1)):
            found[version] = tuple(ordered)
    for kind in (LogFileKind.UUID_CHECKPOINT, LogFileKind.CHECKPOINT):
        found.update({f.version: (f,) for f in files if f.kind is kind})
    return found


def _earlier_log_is_gone(
    commits: list[LogFile],
    checkpoints: dict[int, tuple[LogFile, ...]],
    target: int,
    asked: int | None,
    table: str,
) -> VersionNotFoundError | CorruptTableError:
    oldest = min((version for version in checkpoints if version > target), default=None)
    if asked is None or oldest is None:
        first = commits[0].version if commits else target
        return CorruptTableError(
            f"The log begins at version {first}, without the checkpoint that would stand for what came before",
            table=table,
            version=first,
            hint="Restore the missing commits or the checkpoint from a backup",
        )
    return VersionNotFoundError(
        f"Version {target} can no longer be rebuilt: its part of the log has been cleaned; "
        f"the oldest version left is {oldest}",
        table=table,
        version=target,
        hint=f"Choose version {oldest} or a later one",
    )
