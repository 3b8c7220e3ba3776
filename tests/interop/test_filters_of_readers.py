"""Filters pushed into every reader find every row: the statistics we write mislead nobody's pruning."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path

import pyarrow as pa
import pytest

import lakefmt

UTC = dt.UTC
NAN = math.nan
TEXTS = [
    "a" * 32,
    "a" * 32 + "tail",
    "a" * 31 + "\U0010ffff" * 4,
    "\U0010ffff" * 40,
    "é" * 40,
    "\ud7ff" * 40,
    "z" * 5_000,
    "",
]
MOMENTS = [
    dt.datetime(2026, 1, 1, 12, 0, 0, 0, UTC),
    dt.datetime(2026, 1, 1, 12, 0, 0, 1, UTC),
    dt.datetime(2026, 1, 1, 12, 0, 0, 999, UTC),
    dt.datetime(2026, 1, 1, 12, 0, 0, 1_001, UTC),
    dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A function that writes values of column x, a file for each list of them, and returns the table's place."""
    places: dict[str, str] = {}

    def write(name, kind, *files):
        if name not in places:
            places[name] = str(tmp_path_factory.mktemp("filters") / "table")
            table = lakefmt.create(places[name], pa.schema([("x", kind)]))
            for values in files:
                table.append(pa.table({"x": pa.array(values, kind)}))
        return places[name]

    return write


def found(reader, uri, where):
    return sorted(reader.read(uri, where)["x"].to_pylist(), key=str)


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()], ids=str)
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("x > 5", ["7.0", "nan", "nan"]),
        ("x >= 3", ["3.0", "7.0", "nan", "nan"]),
        ("x < 3", ["-0.0", "0.0", "1.0"]),
        ("x = 0", ["-0.0", "0.0"]),
        ("x >= 0 AND x <= 0", ["-0.0", "0.0"]),
        ("x IS NULL", ["None"]),
    ],
)
def test_nan_and_zero_are_found_among_floats(reader, place, kind, where, expected):
    uri = place(f"floats {kind}", kind, [1.0, NAN, 3.0], [NAN], [-0.0, 0.0], [7.0, None])
    assert [str(value) for value in found(reader, uri, where)] == expected


def test_nan_is_found_by_duckdb_in_our_files_themselves(place):
    import duckdb

    uri = place("floats double", pa.float64(), [1.0, NAN, 3.0], [NAN], [-0.0, 0.0], [7.0, None])
    files = [str(path) for path in Path(uri).glob("*.parquet")]
    assert len(files) == 4
    with duckdb.connect() as connection:
        for pattern in (files, f"{uri}/*.parquet"):
            rows = connection.execute(
                "SELECT x FROM read_parquet(?) WHERE x > 5 ORDER BY x", [pattern]
            ).fetchall()
            assert [str(x) for (x,) in rows] == ["7.0", "nan", "nan"]


@pytest.mark.parametrize("operator", ["=", ">=", "<="])
@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_texts_at_the_ends_of_truncated_bounds_are_found(reader, place, operator, number):
    text = TEXTS[number]
    uri = place("texts", pa.string(), *[[each] for each in TEXTS])
    expected = [each for each in TEXTS if compare(each.encode(), operator, text.encode())]
    assert found(reader, uri, f"x {operator} '{text}'") == sorted(expected)


@pytest.mark.parametrize("prefix", ["a", "a" * 32, "a" * 31 + "\U0010ffff", "\U0010ffff", "é" * 33, "z" * 40])
def test_texts_are_found_by_their_prefix(reader, place, prefix):
    uri = place("texts", pa.string(), *[[each] for each in TEXTS])
    expected = [each for each in TEXTS if each.startswith(prefix)]
    assert found(reader, uri, f"x LIKE '{prefix}%'") == sorted(expected)


@pytest.mark.parametrize("operator", ["=", ">=", "<=", ">", "<"])
@pytest.mark.parametrize("number", range(len(MOMENTS)))
def test_moments_are_found_at_the_ends_of_milliseconds(reader, place, operator, number):
    uri = place("moments", pa.timestamp("us", "UTC"), *[[each] for each in MOMENTS])
    moment = MOMENTS[number]
    expected = [each for each in MOMENTS if compare(each, operator, moment)]
    kind = "TIMESTAMPTZ" if reader.name in ("duckdb", "lakefmt") else "TIMESTAMP"
    if reader.name == "polars":
        pytest.skip("polars' SQL has no timestamps with a time zone; its own filters are below")
    rows = reader.read(uri, f"x {operator} {kind} '{moment:%Y-%m-%d %H:%M:%S.%f}+00:00'")
    assert sorted(rows["x"].cast(pa.int64()).to_pylist()) == sorted(map(microseconds, expected))


@pytest.mark.parametrize("number", range(len(MOMENTS)))
def test_polars_finds_moments_at_the_ends_of_milliseconds(place, number):
    import polars as pl

    uri = place("moments", pa.timestamp("us", "UTC"), *[[each] for each in MOMENTS])
    moment = MOMENTS[number]
    frame = pl.scan_delta(Path(uri).as_uri())
    assert sorted(frame.filter(pl.col("x") >= moment).collect()["x"]) == sorted(
        m for m in MOMENTS if m >= moment
    )
    assert sorted(frame.filter(pl.col("x") <= moment).collect()["x"]) == sorted(
        m for m in MOMENTS if m <= moment
    )
    assert frame.filter(pl.col("x") == moment).collect()["x"].to_list() == [moment]


@pytest.mark.parametrize("value", [-(2**63), -1, 2**53, 2**53 + 1, 2**63 - 1])
def test_integers_past_a_doubles_digits_are_found(reader, place, value):
    uri = place("integers", pa.int64(), [-(2**63)], [-1], [2**53, 2**53 + 1], [2**63 - 1])
    assert found(reader, uri, f"x = {value}") == [value]


def test_partitions_are_chosen_by_value(reader, tmp_path):
    rows = pa.table({"id": [1, 2, 3, 4], "p": ["a/b", "ü %", None, "x=y"]})
    uri = str(tmp_path / "table")
    lakefmt.write(uri, rows, partition_by="p")
    for number, value in enumerate(rows["p"].to_pylist(), 1):
        where = "p IS NULL" if value is None else f"p = '{value}'"
        assert reader.read(uri, where)["id"].to_pylist() == [number]


def compare(left, operator, right):
    match operator:
        case "=":
            return left == right
        case ">=":
            return left >= right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case _:
            return left < right


def microseconds(moment):
    return (moment - dt.datetime(1970, 1, 1, tzinfo=UTC)) // dt.timedelta(microseconds=1)
