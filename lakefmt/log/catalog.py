"""Catalogs that decide what is committed ("Catalog-managed tables"): what this library asks of one, and what it makes of the answer.

A catalog knows which commits of a table are ratified before they are published as files of the log. Reading such a
table asks the catalog first and lists the log then, so that a commit that is published in between is in one of the two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lakefmt.errors import CorruptTableError
from lakefmt.log.paths import LOG_FOLDER, LogFile, LogFileKind, commit_key, format_version, path_to_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["STAGED_FOLDER", "Catalog", "RatifiedCommit", "RatifiedCommits", "merge_ratified"]

STAGED_FOLDER = f"{LOG_FOLDER}/_staged_commits"

_STAGED_NAME = re.compile(r"([0-9]{20})\.[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\.json\Z")


@dataclass(frozen=True, slots=True)
class RatifiedCommit:
    """A commit that a catalog has accepted and still keeps: staged as a file, or inline.

    Attributes:
        version: the version it makes.
        path: of a staged commit: the file's name, or its path below the table, or its URI.
        content: of an inline commit: the bytes that its file would hold.
    """

    version: int
    path: str | None = None
    content: bytes | None = None

    def __post_init__(self) -> None:
        if (self.path is None) == (self.content is None):
            raise ValueError("a ratified commit is staged (path) or inline (content), one of them")


@dataclass(frozen=True, slots=True)
class RatifiedCommits:
    """What a catalog says of a table.

    Attributes:
        latest_version: the newest ratified version; whatever is newer in storage does not count.
        commits: the commits that the catalog still keeps, in order of version, without a gap; some may be published.
    """

    latest_version: int
    commits: Sequence[RatifiedCommit] = ()


class Catalog(Protocol):
    """What ``lakefmt.open(uri, catalog=...)`` needs of a catalog client; any object with this method is one."""

    def ratified_commits(self, table_uri: str) -> RatifiedCommits:
        """Return the newest ratified version of the table and the commits that are kept for it, as of one moment.

        Errors of its own (no such table, no permission, no network) pass through to the caller.
        """


def merge_ratified(files: Iterable[LogFile], ratified: RatifiedCommits, *, table: str) -> list[LogFile]:
    """Return the log as the catalog has it, from what is published and what it keeps (pure).

    "Reading Catalog-managed Tables": its commit counts where there is a published one too, and files of versions that
    it has not ratified are ignored.

    Raises:
        CorruptTableError: its commits have a gap, or name what is no staged commit of this table and version, or its
            newest version is nowhere.
    """
    latest = ratified.latest_version
    kept = [file for file in files if max(file.version, file.end_version) <= latest]
    commits = {file.version: file for file in kept if file.kind is LogFileKind.COMMIT}
    others = [file for file in kept if file.kind is not LogFileKind.COMMIT]
    expected: int | None = None
    for commit in ratified.commits:
        if commit.version > latest or expected not in (None, commit.version):
            raise CorruptTableError(
                f"The catalog keeps version {commit.version} "
                + (f"where {expected} follows" if expected not in (None, commit.version) else "")
                + (f"past its newest version {latest}" if commit.version > latest else ""),
                table=table,
                version=commit.version,
                hint="Ask who runs the catalog; commits it keeps have no gap and end at its newest version",
            )
        commits[commit.version] = _log_file(commit, table)
        expected = commit.version + 1
    if latest not in commits and all(file.version != latest for file in others):
        raise CorruptTableError(
            f"The catalog's newest version is {latest}, but neither the catalog nor the log has that commit",
            table=table,
            version=latest,
            hint="Ask who runs the catalog, or restore the published commit from a backup",
        )
    return others + [commits[version] for version in sorted(commits)]


def _log_file(commit: RatifiedCommit, table: str) -> LogFile:
    if commit.content is not None:
        key = commit_key(commit.version)
        return LogFile(
            LogFileKind.COMMIT, commit.version, key, len(commit.content), 0, content=commit.content
        )
    path = commit.path or ""
    folder, _, name = path.removeprefix(f"{table.rstrip('/')}/").rpartition("/")
    try:
        match = _STAGED_NAME.match(path_to_key(name))
    except UnicodeDecodeError:
        match = None
    if match is None or int(match[1]) != commit.version or folder not in ("", STAGED_FOLDER):
        raise CorruptTableError(
            "The catalog names a file that is no staged commit of this table and version",
            table=table,
            version=commit.version,
            path=path,
            hint=f"Staged commits are {STAGED_FOLDER}/{format_version(commit.version)}.<uuid>.json",
        )
    # Its length and time are not asked for: a table with a catalog dates its commits itself.
    return LogFile(LogFileKind.COMMIT, commit.version, f"{STAGED_FOLDER}/{path_to_key(name)}", 0, 0)
