"""Which files of the log make up a version: a checkpoint, if there is one, and the commits after it.

Pure choosing over one ordered listing (``choose_segment``), with the I/O around it (``load_segment``): the hint of
``_last_checkpoint`` says where to start listing, and is never trusted for more than that.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from lakefmt.errors import (
    CorruptTableError,
    ObjectNotFoundError,
    TableNotFoundError,
    VersionNotFoundError,
)
from lakefmt.log.paths import (
    LAST_CHECKPOINT,
    LOG_FOLDER,
    LogFile,
    LogFileKind,
    format_version,
    parse_log_file,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lakefmt.store import Store

__all__ = ["LogSegment", "choose_segment", "is_table", "list_commits_after", "list_log", "load_segment"]

_log = logging.getLogger("lakefmt.log")

_CHECKPOINT_KINDS = (
    LogFileKind.CHECKPOINT,
    LogFileKind.MULTI_PART_CHECKPOINT,
    LogFileKind.UUID_CHECKPOINT,
)


@dataclass(frozen=True, slots=True)
class LogSegment:
    """The files that make up one version.

    Invariant: ``commits`` are contiguous, the first follows the checkpoint (or is version 0), the last is ``version``
    (or there are none and the checkpoint is).

    Attributes:
        version: the version.
        checkpoint: the files of the newest complete checkpoint at or before it, in part order; empty for none.
        commits: the commit files after that checkpoint, oldest first.
    """

    version: int
    checkpoint: tuple[LogFile, ...]
    commits: tuple[LogFile, ...]

    @property
    def checkpoint_version(self) -> int:
        """Version of the checkpoint, -1 for none."""
        return self.checkpoint[0].version if self.checkpoint else -1


def load_segment(store: Store, version: int | None = None) -> LogSegment:
    """List the log and choose the files of ``version`` (None: the newest).

    Raises:
        TableNotFoundError: there is no log; the message tells a plain Parquet folder from an empty one.
        VersionNotFoundError: the version is past the newest, or was cleaned away.
        CorruptTableError: a commit is missing in between.
    """
    hint = _read_checkpoint_hint(store)
    start = hint if hint is not None and (version is None or hint <= version) else None
    if start is not None:
        files = list_log(store, after_version=start)
        if start in _complete_checkpoints(files):
            return choose_segment(files, version, table=store.uri)
        _log.debug(
            "%s: _last_checkpoint names version %d, which has no checkpoint; listing all", store.uri, start
        )
    files = list_log(store)
    if not any(f.kind is LogFileKind.COMMIT or f.kind in _CHECKPOINT_KINDS for f in files):
        raise _no_table(store)
    return choose_segment(files, version, table=store.uri)


def list_log(store: Store, after_version: int = -1) -> list[LogFile]:
    """List the log's files from version ``after_version`` (inclusive) on, ordered by name."""
    # "after" the bare 20 digits is before every name that begins with them and goes on.
    after = format_version(after_version) if after_version >= 0 else ""
    parsed = (parse_log_file(info) for info in store.list(LOG_FOLDER, after))
    return [file for file in parsed if file is not None]


def list_commits_after(store: Store, version: int) -> list[LogFile] | None:
    """List the commits newer than ``version``; they are contiguous, or CorruptTableError.

    None where the log no longer holds ``version`` itself: it has been cleaned past it, or is another table's now, and
    what comes later says nothing of what came in between.
    """
    commits = [f for f in list_log(store, version) if f.kind is LogFileKind.COMMIT]
    if not commits or commits[0].version != version:
        return None
    _check_contiguous(commits, version, table=store.uri)
    return commits[1:]


def is_table(store: Store) -> bool:
    """Tell whether the store's root holds a log with at least one commit or checkpoint."""
    return any(
        file is not None and (file.kind is LogFileKind.COMMIT or file.kind in _CHECKPOINT_KINDS)
        for file in map(parse_log_file, store.list(LOG_FOLDER))
    )


def choose_segment(files: Iterable[LogFile], version: int | None, *, table: str) -> LogSegment:
    """Choose checkpoint and commits of a version from a listing (pure). Raises as ``load_segment``."""
    files = list(files)
    commits = [f for f in files if f.kind is LogFileKind.COMMIT]
    checkpoints = _complete_checkpoints(files)
    known = [f.version for f in commits] + list(checkpoints)
    if not known:
        raise CorruptTableError(
            "The log holds no commit and no complete checkpoint",
            table=table,
            hint="Restore the missing commits, or the missing parts of the checkpoint, from a backup",
        )
    newest = max(known)
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
    if not checkpoint and (not wanted or wanted[0].version > 0):
        raise _earlier_log_is_gone(commits, checkpoints, target, version, table)
    _check_contiguous(wanted, first, table=table, last=target)
    return LogSegment(target, checkpoint, tuple(wanted))


def _complete_checkpoints(files: list[LogFile]) -> dict[int, tuple[LogFile, ...]]:
    """Return the readable checkpoint of each version: a single file before parts; parts only when all are there."""
    found: dict[int, tuple[LogFile, ...]] = {}
    parts: dict[tuple[int, int], list[LogFile]] = {}
    for file in files:
        if file.kind is LogFileKind.MULTI_PART_CHECKPOINT:
            parts.setdefault((file.version, file.parts), []).append(file)
    for (version, count), members in parts.items():
        ordered = sorted(members, key=lambda f: f.part)
        if [f.part for f in ordered] == list(range(1, count + 1)):
            found[version] = tuple(ordered)
    for kind in (LogFileKind.UUID_CHECKPOINT, LogFileKind.CHECKPOINT):
        found.update({f.version: (f,) for f in files if f.kind is kind})
    return found


def _check_contiguous(commits: list[LogFile], first: int, *, table: str, last: int | None = None) -> None:
    expected = first
    for commit in commits:
        if commit.version != expected:
            break
        expected += 1
    else:
        if last is None or expected == last + 1:
            return
    raise CorruptTableError(
        f"The log has a gap: version {expected} is missing",
        table=table,
        version=expected,
        path=f"{LOG_FOLDER}/{format_version(expected)}.json",
        hint=f"Restore that commit file from a backup, or open version {expected - 1} or earlier"
        if expected > 0
        else "Restore that commit file from a backup",
    )


def _earlier_log_is_gone(
    commits: list[LogFile],
    checkpoints: dict[int, tuple[LogFile, ...]],
    target: int,
    asked: int | None,
    table: str,
) -> VersionNotFoundError | CorruptTableError:
    oldest = min(checkpoints, default=None)
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


def _read_checkpoint_hint(store: Store) -> int | None:
    """Return the version ``_last_checkpoint`` names; None where it is missing or makes no sense (it is a hint)."""
    try:
        value = orjson.loads(store.read(LAST_CHECKPOINT))
        version = value["version"]
    except ObjectNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        _log.debug("%s: _last_checkpoint is not readable; listing the whole log", store.uri)
        return None
    return version if isinstance(version, int) and version >= 0 else None


def _no_table(store: Store) -> TableNotFoundError:
    names = [info.key for _, info in zip(range(1000), store.list("", recursive=True), strict=False)]
    if any(name.endswith(".parquet") for name in names):
        return TableNotFoundError(
            "There are Parquet files but no _delta_log here: a plain folder, not a table",
            table=store.uri,
            hint="Make a table of them: lakefmt.write(new_uri, [paths of the Parquet files])",
        )
    if any(name.startswith("metadata/") and name.endswith(".metadata.json") for name in names):
        return TableNotFoundError(
            "This is an Iceberg table without a Delta log",
            table=store.uri,
            hint="Read it with an Iceberg reader",
        )
    found = "The folder holds no _delta_log" if names else "There is nothing here"
    return TableNotFoundError(
        found,
        table=store.uri,
        hint="Check the location, or create the table with lakefmt.create or lakefmt.write",
    )
