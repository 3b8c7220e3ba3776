from datetime import UTC, datetime, timedelta, timezone

import pytest

from lakefmt.errors import InvalidInputError
from lakefmt.log.timestamps import format_timestamp, parse_timestamp


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
