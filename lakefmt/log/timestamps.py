"""From a point in time to a version ("In-Commit Timestamps", and file modification times elsewhere)."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING

from lakefmt.errors import InvalidInputError, VersionNotFoundError
from lakefmt.log.commit_file import decode_commit
from lakefmt.log.paths import LogFile, LogFileKind
from lakefmt.log.segment import list_log

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lakefmt.store import Store

__all__ = ["format_timestamp", "load_commit_times", "monotonic_times", "parse_timestamp", "resolve_timestamp"]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_timestamp(value: str | datetime) -> int:
    """Return milliseconds since the epoch; a time without a zone is UTC. Raises InvalidInputError."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError as error:
            raise InvalidInputError(
                f"{value!r} is not a timestamp", hint="Write it as 2026-11-01T00:00:00Z"
            ) from error
    if not isinstance(value, datetime):
        raise InvalidInputError(
            f"A timestamp is a datetime or an ISO 8601 string, not {type(value).__name__}",
            hint="Write it as 2026-11-01T00:00:00Z",
        )
    if value != value:  # noqa: PLR0124 - pandas' NaT is a datetime, and no moment
        raise InvalidInputError(
            "timestamp is NaT, which is no moment", hint="Write it as 2026-11-01T00:00:00Z"
        )
    aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    try:
        since = aware.astimezone(UTC) - _EPOCH
    except OverflowError as error:
        raise InvalidInputError(
            f"timestamp {value.isoformat()} is outside the years 1 to 9999 in UTC",
            hint="Choose a time from the table's history",
        ) from error
    return since // timedelta(milliseconds=1)  # whole numbers: a float of seconds loses milliseconds


def format_timestamp(milliseconds: int) -> str:
    """Return a time as people and ``parse_timestamp`` read it: ISO 8601, UTC, milliseconds."""
    return (
        (_EPOCH + timedelta(milliseconds=milliseconds))
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def load_commit_times(store: Store, *, in_commit: bool) -> list[tuple[int, int]]:
    """Return (version, milliseconds since the epoch) of every commit whose file is still there, oldest first.

    Args:
        store: the table's store.
        in_commit: the table has in-commit timestamps enabled: commits that carry one are dated by it, those from
            before it was enabled by their file.

    Times never go back: a commit dated before its predecessor counts one millisecond after it, as the reference
    implementation does, so that a time always means one version.
    """
    commits = [file for file in list_log(store) if file.kind is LogFileKind.COMMIT]
    times = [_time_of(store, file, in_commit=in_commit) for file in commits]
    return [(file.version, time) for file, time in zip(commits, monotonic_times(times), strict=True)]


def monotonic_times(times: Iterable[int]) -> list[int]:
    """Return times of commits, oldest first, none before or at its predecessor."""
    return list(accumulate(times, lambda before, now: max(now, before + 1)))


def resolve_timestamp(times: list[tuple[int, int]], moment_ms: int, *, table: str) -> int:
    """Return the version that was the newest at ``moment_ms`` (pure).

    Raises:
        VersionNotFoundError: before the first commit that is left, or after the last one.
    """
    if not times:
        raise VersionNotFoundError("No commit is left in the log to date a version by", table=table)
    first, last = times[0], times[-1]
    if moment_ms < first[1]:
        raise VersionNotFoundError(
            f"{format_timestamp(moment_ms)} is before the first commit that is left: "
            f"version {first[0]} at {format_timestamp(first[1])}",
            table=table,
            hint=f"Choose a time from {format_timestamp(first[1])} on",
        )
    if moment_ms > last[1]:
        raise VersionNotFoundError(
            f"{format_timestamp(moment_ms)} is after the last commit: "
            f"version {last[0]} at {format_timestamp(last[1])}",
            table=table,
            hint="Open the table without a timestamp for the newest version",
        )
    return times[bisect_right([time for _, time in times], moment_ms) - 1][0]


def _time_of(store: Store, file: LogFile, *, in_commit: bool) -> int:
    if not in_commit:
        return file.modified_ms
    commit = decode_commit(store.read(file.key), table=store.uri, version=file.version, path=file.key)
    dated = None if commit.info is None else commit.info.in_commit_timestamp_ms
    return file.modified_ms if dated is None else dated
