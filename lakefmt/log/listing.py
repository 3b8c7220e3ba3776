"""What is in a log: one ordered listing, with what a catalog adds to it, and the bytes of a commit found there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lakefmt.errors import CorruptTableError, ObjectNotFoundError, TableNotFoundError
from lakefmt.log.catalog import merge_ratified
from lakefmt.log.paths import (
    LOG_FOLDER,
    LogFile,
    LogFileKind,
    commit_key,
    format_version,
    parse_log_file,
)

if TYPE_CHECKING:
    from lakefmt.log.catalog import Catalog, RatifiedCommits
    from lakefmt.store import Store

__all__ = [
    "CHECKPOINT_KINDS",
    "CommitGoneError",
    "check_contiguous",
    "find_commit_file",
    "is_table",
    "list_commits",
    "list_commits_from",
    "list_log",
    "no_table_error",
    "read_commit_bytes",
]

_log = logging.getLogger("lakefmt.log")

CHECKPOINT_KINDS = (
    LogFileKind.CHECKPOINT,
    LogFileKind.MULTI_PART_CHECKPOINT,
    LogFileKind.UUID_CHECKPOINT,
)


def list_log(store: Store, after_version: int = -1, ratified: RatifiedCommits | None = None) -> list[LogFile]:
    """List the log's files from version ``after_version`` (inclusive) on, ordered by name.

    Args:
        store: the table's store.
        after_version: where to start; what starts there costs one request as long as there are under 1,000 files.
        ratified: what the table's catalog said, asked before.
    """
    # "after" the bare 20 digits is before every name that begins with them and goes on.
    after = format_version(after_version) if after_version >= 0 else ""
    parsed = (parse_log_file(info) for info in store.list(LOG_FOLDER, after))
    files = [file for file in parsed if file is not None]
    if ratified is None:
        return files
    merged = merge_ratified(files, ratified, table=store.uri)
    return [file for file in merged if file.version >= after_version]


def list_commits(store: Store, catalog: Catalog | None = None) -> list[LogFile]:
    """List all commits that are left, oldest first."""
    ratified = None if catalog is None else catalog.ratified_commits(store.uri)
    return [file for file in list_log(store, ratified=ratified) if file.kind is LogFileKind.COMMIT]


def list_commits_from(store: Store, version: int, catalog: Catalog | None = None) -> list[LogFile] | None:
    """List the commits from ``version`` on, itself included; they are contiguous, or CorruptTableError.

    None where the log no longer holds ``version`` itself: it has been cleaned past it, or is another table's now, and
    what comes later says nothing of what came in between.
    """
    ratified = None if catalog is None else catalog.ratified_commits(store.uri)
    commits = [f for f in list_log(store, version, ratified) if f.kind is LogFileKind.COMMIT]
    if not commits or commits[0].version != version:
        return None
    check_contiguous(commits, version, table=store.uri)
    return commits


def find_commit_file(store: Store, version: int) -> LogFile | None:
    """Return the published commit of ``version`` as the store shows it, None where it is not there."""
    try:
        return parse_log_file(store.info(commit_key(version)))
    except ObjectNotFoundError:
        return None


class CommitGoneError(CorruptTableError):
    """A commit that a listing shows is not there: it was cleaned away since then, or is missing in another way."""


def read_commit_bytes(store: Store, file: LogFile) -> bytes:
    """Return the bytes of a commit or log compaction file, wherever they are kept. Raises CommitGoneError."""
    if file.content is not None:
        return file.content
    try:
        return store.read(file.key)
    except ObjectNotFoundError as error:
        raise CommitGoneError(
            "A commit is gone since the log was listed",
            table=store.uri,
            version=file.version,
            path=file.key,
            hint="Open the table again; if it stays away, restore the file from a backup",
        ) from error


def is_table(store: Store) -> bool:
    """Tell whether the store's root holds a log with at least one commit or checkpoint."""
    return any(
        file is not None and (file.kind is LogFileKind.COMMIT or file.kind in CHECKPOINT_KINDS)
        for file in map(parse_log_file, store.list(LOG_FOLDER))
    )


def check_contiguous(commits: list[LogFile], first: int, *, table: str, last: int | None = None) -> None:
    """Raise CorruptTableError, naming the version, unless ``commits`` are ``first`` to ``last`` (None: any number)."""
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


def no_table_error(store: Store) -> TableNotFoundError:
    """Return the error that tells what is there instead of a log."""
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
