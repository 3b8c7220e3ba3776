"""Which versions a read of row changes is about: from versions or times to the commits in between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakefmt.errors import InvalidInputError, VersionNotFoundError
from lakefmt.log import CommitTimes
from lakefmt.log.listing import CommitGoneError, check_contiguous, list_commits
from lakefmt.log.timestamps import format_timestamp, parse_timestamp
from lakefmt.snapshot.load import load_commits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from lakefmt.log import Commit, CommitInfo
    from lakefmt.log.paths import LogFile
    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store

__all__ = ["ChangeBounds", "ChangeRange", "iterate_commits", "load_change_range"]

_COMMITS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class ChangeBounds:
    """The first and the last version as a caller gives them, each by number or by time, both included.

    Attributes:
        first: a version; or ``first_ms``, for the first version at or after a time; neither for version 0.
        last: a version; or ``last_ms``, for the last version at or before a time; neither for the handle's version.
    """

    first: int | None = None
    last: int | None = None
    first_ms: int | None = None
    last_ms: int | None = None

    @classmethod
    def parse(
        cls,
        from_version: int | None,
        to_version: int | None,
        from_timestamp: str | datetime | None,
        to_timestamp: str | datetime | None,
        *,
        table: str,
    ) -> ChangeBounds:
        """Check what a caller gave. Raises InvalidInputError."""
        for name, version, timestamp in (
            ("from", from_version, from_timestamp),
            ("to", to_version, to_timestamp),
        ):
            if version is not None and timestamp is not None:
                raise InvalidInputError(f"Give {name}_version or {name}_timestamp, not both", table=table)
            if version is not None and (type(version) is not int or version < 0):
                raise InvalidInputError(f"{name}_version is a number from 0 on, not {version!r}", table=table)
        if from_version is not None and to_version is not None and from_version > to_version:
            raise InvalidInputError(
                f"from_version {from_version} is after to_version {to_version}", table=table
            )
        return cls(
            from_version,
            to_version,
            None if from_timestamp is None else parse_timestamp(from_timestamp),
            None if to_timestamp is None else parse_timestamp(to_timestamp),
        )


@dataclass(frozen=True, slots=True)
class ChangeRange:
    """Neighbouring commits, oldest first; none where nothing has been committed since.

    Attributes:
        commits: their files.
        last: the version under whose schema rows are shown: that of the last commit, or the one before the range.
    """

    commits: tuple[LogFile, ...]
    last: int
    _times: CommitTimes
    _position: int

    def time_of(self, number: int, info: CommitInfo | None) -> int:
        """Return when the commit at ``number`` of the range was made, in milliseconds since the epoch."""
        return self._times.time_of(self._position + number, info)


def load_change_range(store: Store, newest: Snapshot, bounds: ChangeBounds) -> ChangeRange:
    """List the log and find the commits of a range.

    Args:
        store: the table's store.
        newest: the version a range ends with unless told otherwise.
        bounds: first and last version, or times. The first may be one past the last: then there is nothing yet.

    Raises:
        VersionNotFoundError: there is no such version, or commits of the range were cleaned away.
        InvalidInputError: the first is later than the last.
        CorruptTableError: a commit is missing in between, or has no time where it must have one.
    """
    commits = list_commits(store, newest.catalog)
    times = CommitTimes(store, commits, newest.in_commit_timestamps)
    last = _last_version(commits, times, newest, bounds)
    first = _first_version(commits, times, bounds, table=store.uri)
    if first > last + 1:
        raise InvalidInputError(
            f"The changes would begin with version {first}, after the last one, {last}",
            table=store.uri,
            hint=f"Begin with version {last + 1} at the latest: then there are none yet",
        )
    position = next((place for place, file in enumerate(commits) if file.version >= first), len(commits))
    chosen = [file for file in commits[position:] if file.version <= last]
    if first <= last and (not chosen or chosen[0].version != first):
        raise _cleaned(first, commits, table=store.uri)
    check_contiguous(chosen, first, table=store.uri, last=last)
    return ChangeRange(tuple(chosen), last, times, position)


def iterate_commits(store: Store, files: Sequence[LogFile]) -> Iterator[tuple[LogFile, Commit]]:
    """Read commits in their order, some at a time.

    Raises:
        VersionNotFoundError: one has been cleaned away since the range was chosen.
    """
    for start in range(0, len(files), _COMMITS_AT_ONCE):
        some = files[start : start + _COMMITS_AT_ONCE]
        try:
            commits = load_commits(store, some)
        except CommitGoneError as error:
            raise VersionNotFoundError(
                f"Version {error.version} is no longer in the log: it was cleaned away while changes were read",
                table=store.uri,
                version=error.version,
                hint="Begin with a later version; history() shows which are left",
            ) from error
        yield from zip(some, commits, strict=True)


def _last_version(commits: list[LogFile], times: CommitTimes, newest: Snapshot, bounds: ChangeBounds) -> int:
    if bounds.last is not None:
        known = max(newest.version, commits[-1].version if commits else 0)
        if bounds.last > known:
            raise VersionNotFoundError(
                f"There is no version {bounds.last} yet; the newest is {known}",
                table=newest.table_uri,
                version=bounds.last,
                hint=f"Choose a version up to {known}",
            )
        return bounds.last
    if bounds.last_ms is None or not commits or bounds.last_ms > times.time_of(len(commits) - 1):
        return newest.version if bounds.last_ms is None or not commits else commits[-1].version
    return times.version_at(bounds.last_ms)


def _first_version(commits: list[LogFile], times: CommitTimes, bounds: ChangeBounds, *, table: str) -> int:
    moment = bounds.first_ms
    if moment is None or not commits:
        return bounds.first or 0
    if moment > times.time_of(len(commits) - 1):
        return commits[-1].version + 1
    if moment <= times.time_of(0):
        if moment < times.time_of(0) and commits[0].version > 0:
            raise VersionNotFoundError(
                f"The commits of {format_timestamp(moment)} are no longer in the log; the first that is left is "
                f"version {commits[0].version} at {format_timestamp(times.time_of(0))}",
                table=table,
                hint=f"Begin with version {commits[0].version}",
            )
        return commits[0].version
    version = times.version_at(moment)
    position = next(place for place, file in enumerate(commits) if file.version == version)
    return version if times.time_of(position) == moment else version + 1


def _cleaned(first: int, commits: list[LogFile], *, table: str) -> VersionNotFoundError:
    left = f"; the first that is left is version {commits[0].version}" if commits else ""
    return VersionNotFoundError(
        f"The commit of version {first} is no longer in the log{left}",
        table=table,
        version=first,
        hint=f"Begin with version {commits[0].version}: from_version={commits[0].version}"
        if commits
        else None,
    )
