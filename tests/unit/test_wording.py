import decimal

import pytest

from lakefmt.wording import format_age, format_count, format_size, format_value, plural, printable


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "?"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (150 * 1024, "150 KiB"),
        (6_400_000, "6.1 MiB"),
        (3 << 50, "3.0 PiB"),
        (3 << 62, "12288 PiB"),
    ],
)
def test_size_reads_in_the_unit_that_fits(size, text):
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (-5_000, "just now"),
        (59_999, "just now"),
        (60_000, "1 minute ago"),
        (7_200_000, "2 hours ago"),
        (86_400_000 * 400, "400 days ago"),
    ],
)
def test_age_reads_in_its_largest_unit(milliseconds, text):
    assert format_age(milliseconds) == text


def test_unknown_count_is_a_question_mark():
    assert format_count(None) == "?"
    assert format_count(336_776) == "336,776"


def test_one_of_a_kind_is_singular():
    assert (plural(1, "file"), plural(0, "file"), plural(1200, "file")) == (
        "1 file",
        "0 files",
        "1,200 files",
    )


def test_text_that_would_steer_a_terminal_is_escaped():
    assert printable("a\x1b[31mred\nb\tc") == "a\\x1b[31mred\\nb\\tc"
    assert printable("Zürich 東京 ok") == "Zürich 東京 ok"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"),
        (True, "true"),
        (1.5, "1.5"),
        (decimal.Decimal("1.20"), "1.20"),
        (b"\x00\xff", "x'00ff'"),
        ("two\nlines", "two\\nlines"),
        ({"x": [1, None]}, '{"x":[1,null]}'),
        ({"x": b"\x01"}, '{"x":"x\'01\'"}'),
    ],
)
def test_value_reads_on_one_line(value, text):
    assert format_value(value) == text
