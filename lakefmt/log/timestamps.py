"""Points in time as people write them, and as the log does: milliseconds since the epoch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lakefmt.errors import InvalidInputError

__all__ = ["format_timestamp", "parse_timestamp"]


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
