"""When versions were committed, and which version was the newest at a time ("In-Commit Timestamps").

A commit says its time itself where the table has in-commit timestamps, from the version on that switched them on;
before, and elsewhere, its file's time is its time.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from lakefmt.errors import CorruptTableError, VersionNotFoundError
from lakefmt.log.commit_file import decode_commit
from lakefmt.log.listing import read_commit_bytes
from lakefmt.log.timestamps import format_timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.log.actions import CommitInfo, Metadata, Protocol
    from lakefmt.log.paths import LogFile
    from lakefmt.store import Store

__all__ = ["CommitTimes", "InCommitTimestamps", "load_commit_info"]

_FEATURES: Final = frozenset({"inCommitTimestamp", "inCommitTimestamp-preview"})
# The provenance is a commit's first line, almost always; a commit may be hundreds of megabytes.
_HEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class InCommitTimestamps:
    """Since when the commits of a table say their time themselves.

    Attributes:
        first_version: the first version that does (``delta.inCommitTimestampEnablementVersion``).
        first_ms: its time (``delta.inCommitTimestampEnablementTimestamp``); None where it is not told, which is right
            for a table that has had them from the start.
    """

    first_version: int = 0
    first_ms: int | None = None

    @classmethod
    def of(
        cls, protocol: Protocol, metadata: Metadata, *, table: str, version: int
    ) -> InCommitTimestamps | None:
        """Return what protocol and properties say; None where in-commit timestamps are off.

        Raises:
            CorruptTableError: a property that says since when is no number.
        """
        properties = metadata.configuration
        if properties.get("delta.enableInCommitTimestamps", "false").lower() != "true":
            return None
        if protocol.writer_features is None or not protocol.writer_features & _FEATURES:
            return None
        numbers: list[int | None] = []
        for name in ("Version", "Timestamp"):
            text = properties.get(f"delta.inCommitTimestampEnablement{name}")
            if text is not None and not (text.isascii() and text.isdigit() and len(text) < 19):
                raise CorruptTableError(
                    f"The table property delta.inCommitTimestampEnablement{name} is {text!r}, no number",
                    table=table,
                    version=version,
                    hint="Choose versions by number, or set the property right with the engine that wrote it",
                )
            numbers.append(None if text is None else int(text))
        return cls(numbers[0] or 0, numbers[1])

    def date(self, info: CommitInfo | None, file: LogFile, *, table: str) -> int:
        """Return the time a commit of ``first_version`` or later says. Raises CorruptTableError where it says none."""
        if info is None or info.in_commit_timestamp_ms is None:
            raise CorruptTableError(
                "The commit has no inCommitTimestamp, which every commit of this table has "
                f"from version {self.first_version} on",
                table=table,
                version=file.version,
                path=file.key,
                hint="Choose versions by number; the rows of the table can be read as they are",
            )
        return info.in_commit_timestamp_ms


class CommitTimes:
    """The times of the commits that are left, each read when it is asked for: a search reads a few of thousands.

    Args:
        store: the table's store.
        commits: commit files, oldest first.
        in_commit: since when commits say their time, None if they do not.

    Times of files never go back: a commit dated before its predecessor counts one millisecond after it, as in the
    reference implementation, so that a time always means one version.
    """

    def __init__(
        self, store: Store, commits: Sequence[LogFile], in_commit: InCommitTimestamps | None
    ) -> None:
        self._store = store
        self._commits = commits
        self._in_commit = in_commit
        self._first_dated = (
            len(commits)
            if in_commit is None
            else bisect_left(commits, in_commit.first_version, key=lambda f: f.version)
        )
        self._written: list[int] = list(
            accumulate(
                [file.modified_ms for file in commits[: self._first_dated]],
                lambda before, now: max(now, before + 1),
            )
        )
        self._read: dict[int, int] = {}

    def time_of(self, position: int, info: CommitInfo | None = None) -> int:
        """Return the time of the commit at ``position``, milliseconds since the epoch; ``info`` saves reading it.

        Raises:
            CorruptTableError: the commit must say its time and does not, or cannot be read.
        """
        if self._in_commit is None or position < self._first_dated:
            return self._written[position]
        if position not in self._read:
            file = self._commits[position]
            said = load_commit_info(self._store, file) if info is None else info
            self._read[position] = self._in_commit.date(said, file, table=self._store.uri)
        return self._read[position]

    def version_at(self, moment_ms: int) -> int:
        """Return the version that was the newest at ``moment_ms``, reading about as many commits as the number has bits.

        Raises:
            VersionNotFoundError: before the first commit that is left, or after the last one.
            CorruptTableError: as ``time_of``.
        """
        if not self._commits:
            raise VersionNotFoundError(
                "No commit is left in the log to date a version by", table=self._store.uri
            )
        begin, end = self._side_of_enablement(moment_ms)
        if begin == end or moment_ms < self.time_of(begin):
            raise self._out_of_range("is before the first commit that is left", moment_ms, begin)
        if end == len(self._commits) and moment_ms > self.time_of(end - 1):
            raise self._out_of_range("is after the last commit", moment_ms, end - 1)
        found = bisect_right(range(len(self._commits)), moment_ms, begin, end, key=self.time_of)
        return self._commits[found - 1].version

    def newest_until(self, moment_ms: int) -> int | None:
        """Return the newest version of a time not after ``moment_ms``; None where none is left. Raises as ``time_of``."""
        if not self._commits:
            return None
        begin, end = self._side_of_enablement(moment_ms)
        found = bisect_right(range(len(self._commits)), moment_ms, begin, end, key=self.time_of)
        return self._commits[found - 1].version if found else None

    def _side_of_enablement(self, moment_ms: int) -> tuple[int, int]:
        """Return the positions to search: all before in-commit timestamps were enabled, or all since.

        "Recommendations for Readers of Tables with In-Commit Timestamps": files may have been touched later, so their
        times say nothing against the time of the enablement.
        """
        first, count = self._first_dated, len(self._commits)
        if self._in_commit is None or first == count:
            return 0, count
        enabled_ms = self._in_commit.first_ms
        if enabled_ms is None:
            enabled_ms = self.time_of(first)
        return (first, count) if first == 0 or moment_ms >= enabled_ms else (0, first)

    def _out_of_range(self, where: str, moment_ms: int, position: int) -> VersionNotFoundError:
        position = min(position, len(self._commits) - 1)
        version, limit = self._commits[position].version, format_timestamp(self.time_of(position))
        return VersionNotFoundError(
            f"{format_timestamp(moment_ms)} {where}: version {version} at {limit}",
            table=self._store.uri,
            hint=f"Choose a time from {limit} on"
            if "before" in where
            else "Open the table without a timestamp for the newest version",
        )


def load_commit_info(store: Store, file: LogFile) -> CommitInfo | None:
    """Read who did what from a commit file; of a large one, its beginning, where it stands."""
    if file.content is None and file.size_bytes > 2 * _HEAD_BYTES:
        head = store.read_ranges(file.key, [(0, _HEAD_BYTES)])[0]
        line, separator, _ = head.partition(b"\n")
        if separator and line.lstrip().startswith(b'{"commitInfo"'):
            return decode_commit(line, table=store.uri, version=file.version, path=file.key).info
    data = read_commit_bytes(store, file)
    return decode_commit(data, table=store.uri, version=file.version, path=file.key).info
