from datetime import UTC, datetime, timedelta, timezone

import pytest

from lakefmt.errors import InvalidInputError, VersionNotFoundError
from lakefmt.log.timestamps import format_timestamp, parse_timestamp, resolve_timestamp

TIMES = [(3, 1_000), (4, 2_000), (5, 2_001)]


@pytest.mark.parametrize(("moment", "version"), [(1_000, 3), (1_999, 3), (2_000, 4), (2_001, 5)])
def test_a_moment_is_the_version_that_was_newest_then(moment, version):
    assert resolve_timestamp(TIMES, moment, table="t") == version


def test_before_the_first_commit_is_an_error_that_names_it():
    with pytest.raises(VersionNotFoundError, match="version 3 at 1970-01-01T00:00:01"):
        resolve_timestamp(TIMES, 999, table="t")


def test_after_the_last_commit_is_an_error_that_names_it():
    with pytest.raises(VersionNotFoundError, match=r"after the last commit: version 5"):
        resolve_timestamp(TIMES, 2_002, table="t")


def test_texts_and_datetimes_are_read_as_utc_unless_they_say_otherwise():
    expected = 1_793_491_200_000
    assert parse_timestamp("2026-11-01T00:00:00Z") == expected
    assert parse_timestamp("2026-11-01") == expected
    assert parse_timestamp("2026-11-01 01:00:00+01:00") == expected
    assert parse_timestamp(datetime(2026, 11, 1)) == expected
    assert parse_timestamp(datetime(2026, 11, 1, 2, tzinfo=timezone(timedelta(hours=2)))) == expected
    assert parse_timestamp(datetime(2026, 11, 1, tzinfo=UTC)) == expected


@pytest.mark.parametrize("value", ["yesterday", "", 5, None])
def test_what_is_no_timestamp_is_refused(value):
    with pytest.raises(InvalidInputError):
        parse_timestamp(value)


def test_format_survives_parse():
    assert parse_timestamp(format_timestamp(1_793_491_200_123)) == 1_793_491_200_123


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"])
def test_the_first_and_last_moment_are_shown_to_the_millisecond(text):
    assert format_timestamp(parse_timestamp(text)) == text
