"""Partition values as texts of the log, and the folders named by them."""

import datetime as dt
import math
from decimal import Decimal

import pyarrow as pa
import pytest

from lakefmt.errors import CorruptTableError, InvalidInputError
from lakefmt.manifest.partition_values import format_partition_value, parse_partition_values, partition_folder
from lakefmt.manifest.text_values import parse_texts
from lakefmt.schema import DecimalType, PrimitiveType

UTC = pa.timestamp("us", "UTC")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (pa.scalar("a b%20c"), "a b%20c"),
        (pa.scalar(""), None),
        (pa.scalar(None, pa.int64()), None),
        (pa.scalar(value=True), "true"),
        (pa.scalar(-(2**63)), str(-(2**63))),
        (pa.scalar(0.1, pa.float32()), "0.1"),
        (pa.scalar(123456.0), "123456.0"),
        (pa.scalar(1e10), "1.0E10"),
        (pa.scalar(-1.25e-5), "-1.25E-5"),
        (pa.scalar(-0.0), "0.0"),
        (pa.scalar(float("nan")), "NaN"),
        (pa.scalar(float("-inf")), "-Infinity"),
        (pa.scalar(Decimal("-0.50"), pa.decimal128(10, 2)), "-0.50"),
        (pa.scalar(Decimal("1E-7"), pa.decimal128(10, 7)), "0.0000001"),
        (pa.scalar(dt.date(1, 1, 1)), "0001-01-01"),
        (pa.scalar(0, UTC), "1970-01-01T00:00:00.000000Z"),
        (pa.scalar(-1, UTC), "1969-12-31T23:59:59.999999Z"),
        (pa.scalar(123456, pa.timestamp("us")), "1970-01-01 00:00:00.123456"),
        (pa.scalar("é".encode()), "é"),
        (pa.scalar(b""), None),
    ],
)
def test_values_are_written_as_spark_does(value, text):
    assert format_partition_value(value) == text


@pytest.mark.parametrize(
    "value",
    [
        pa.scalar(b"\xff"),
        pa.scalar(2**62, UTC),
        pa.scalar(10**7, pa.date32()),
        pa.scalar([1]),
        pa.scalar({"a": 1}),
    ],
)
def test_values_without_a_text_are_refused(value):
    with pytest.raises(InvalidInputError):
        format_partition_value(value)


@pytest.mark.parametrize(
    ("type_", "texts", "expected"),
    [
        ("string", ["a", "", None], ["a", None, None]),
        ("integer", ["5", "", "-7"], [5, None, -7]),
        ("boolean", ["true", "FALSE", ""], [True, False, None]),
        ("double", ["1.5", "1.0E10", "Infinity", ""], [1.5, 1e10, float("inf"), None]),
        ("date", ["2020-01-01", "1970-1-2", ""], [dt.date(2020, 1, 1), dt.date(1970, 1, 2), None]),
        ("binary", ["é", ""], ["é".encode(), None]),
        (
            "timestamp_ntz",
            ["1970-01-01 00:00:00", "1970-01-01 00:00:00.5", ""],
            [dt.datetime(1970, 1, 1), dt.datetime(1970, 1, 1, 0, 0, 0, 500_000), None],
        ),
        (
            "timestamp",
            [
                "1970-01-01 00:00:01",
                "1970-01-01T00:00:01Z",
                "1970-01-01T00:00:01.000000Z",
                "1970-01-01T02:00:01+02:00",
                "1969-12-31 23:30:01 -0030",
            ],
            [dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC)] * 5,
        ),
    ],
)
def test_every_form_is_read(type_, texts, expected):
    for given in (pa.array(texts, pa.string()), pa.chunked_array([texts[:1], texts[1:]], pa.string())):
        values = parse_partition_values(given, PrimitiveType(type_))
        assert isinstance(values, pa.ChunkedArray) == isinstance(given, pa.ChunkedArray)
        assert values.to_pylist() == expected


def test_decimals_are_exact():
    texts = pa.array(["12345678901234567890.12", "5", "-0.10"])
    values = parse_partition_values(texts, DecimalType(38, 2))
    assert values.to_pylist() == [Decimal("12345678901234567890.12"), Decimal("5.00"), Decimal("-0.10")]


def test_years_that_python_does_not_know_are_read():
    values = parse_partition_values(
        pa.array(["10000-01-01", "+10000-01-01", "-0001-12-31"]), PrimitiveType("date")
    )
    assert values.cast(pa.int32()).to_pylist() == [2_932_897, 2_932_897, -719_529]


def test_nan_is_read():
    [value] = parse_partition_values(pa.array(["NaN"]), PrimitiveType("float")).to_pylist()
    assert math.isnan(value)


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("300", "byte"),
        ("x", "long"),
        ("2020-13-01", "date"),
        ("noon", "timestamp"),
        ("maybe", "boolean"),
        ("1.5", "long"),
    ],
)
def test_a_text_of_another_type_is_a_corrupt_table_and_named(text, type_):
    with pytest.raises(CorruptTableError, match=rf"'{text}' in the log is no {type_}"):
        parse_partition_values(pa.array([None, text]), PrimitiveType(type_))


def test_folders_are_escaped_as_spark_does():
    assert partition_folder(["month", "day"], ["1", "2"]) == "month=1/day=2"
    assert partition_folder(["a=b"], ["x/y:1%"]) == "a%3Db=x%2Fy%3A1%25"
    assert partition_folder(["c"], ["\x01\"#'*?\\\x7f{[]^"]) == "c=%01%22%23%27%2A%3F%5C%7F%7B%5B%5D%5E"
    assert partition_folder(["c"], ["Zürich, 8 }é+&~$"]) == "c=Zürich, 8 }é+&~$"
    assert partition_folder(["c", "d"], [None, "__HIVE"]) == "c=__HIVE_DEFAULT_PARTITION__/d=__HIVE"


@pytest.mark.parametrize(
    "text", ["2020-02-30", "2021-02-29", "2020-04-31", "2020-01-01T00:00:00ZZ", "1900-02-29"]
)
def test_days_that_there_are_not_are_no_values(text):
    assert parse_texts(pa.array([text, "2020-02-29"]), pa.timestamp("us")).null_count == 1
