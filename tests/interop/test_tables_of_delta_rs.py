"""Tables that delta-rs wrote, and tables that delta-rs and lakefmt write by turns, or at once."""

from __future__ import annotations

import datetime as dt
import math
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

import lakefmt

deltalake: Any = pytest.importorskip("deltalake")
UTC = dt.UTC
NAN = math.nan

SHAPES = {
    "plain": (pa.table({"id": [1, 2, 3], "city": ["a", None, "ü"]}), []),
    "partitioned": (
        pa.table(
            {
                "id": range(6),
                "day": pa.array([dt.date(2026, 1, 1)] * 3 + [None] * 3, pa.date32()),
                "text": ["a/b", "ü %", None, "x=y", "%20", "it's"],
            }
        ),
        ["day", "text"],
    ),
    "partitioned_by_numbers": (
        pa.table(
            {
                "id": range(3),
                "n": pa.array([-1, None, 7], pa.int16()),
                "d": pa.array([Decimal("1.50"), Decimal("0.01"), None], pa.decimal128(5, 2)),
                "flag": [True, None, False],
            }
        ),
        ["n", "d", "flag"],
    ),
    "partitioned_by_moments": (
        pa.table(
            {
                "id": range(3),
                "at": pa.array(
                    [
                        dt.datetime(2026, 1, 1, 1, 2, 3, 456_789, UTC),
                        dt.datetime(1900, 1, 1, tzinfo=UTC),
                        None,
                    ],
                    pa.timestamp("us", "UTC"),
                ),
            }
        ),
        ["at"],
    ),
    "nested": (
        pa.table(
            {
                "list": pa.array([[1, None], [], None], pa.list_(pa.int64())),
                "struct": pa.array(
                    [{"x": 1.5, "y": ["a"]}, {"x": None, "y": None}, None],
                    pa.struct([("x", pa.float64()), ("y", pa.list_(pa.string()))]),
                ),
                "map": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int32())),
            }
        ),
        [],
    ),
    "primitives": (
        pa.table(
            {
                "byte": pa.array([-128, 127, None], pa.int8()),
                "short": pa.array([-(2**15), 1, None], pa.int16()),
                "integer": pa.array([-(2**31), 1, None], pa.int32()),
                "long": pa.array([-(2**63), 2**53 + 1, None], pa.int64()),
                "float": pa.array([1.5, NAN, None], pa.float32()),
                "double": pa.array([math.inf, -0.0, None], pa.float64()),
                "price": pa.array(
                    [Decimal("-99999999999999999999.9999999999"), Decimal("1e-10"), None],
                    pa.decimal128(30, 10),
                ),
                "raw": pa.array([b"", b"\x00\xff", None], pa.binary()),
                "day": pa.array([dt.date(1, 1, 1), dt.date(9999, 12, 31), None], pa.date32()),
                "at": pa.array(
                    [
                        dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
                        dt.datetime(2026, 1, 1, tzinfo=UTC),
                        None,
                    ],
                    pa.timestamp("us", "UTC"),
                ),
                "local": pa.array(
                    [dt.datetime(2026, 3, 29, 2, 30), dt.datetime(1900, 1, 1), None], pa.timestamp("us")
                ),
            }
        ),
        [],
    ),
    "empty": (pa.table({"id": pa.array([], pa.int64())}), []),
}


@pytest.fixture
def uri(tmp_path):
    return str(tmp_path / "table")


def rows(*ids):
    return pa.table({"id": list(ids), "city": [f"city {i % 3}" for i in ids]})


def their_rows(uri):
    table = deltalake.DeltaTable(uri)
    found = deltalake.QueryBuilder().register("t", table).execute("SELECT * FROM t").read_all()
    return pa.table(found)


def ids_of(table):
    return sorted(table["id"].to_pylist())


@pytest.mark.parametrize("checkpoint", [False, True], ids=["log", "checkpoint"])
@pytest.mark.parametrize("shape", SHAPES)
def test_their_tables_read_value_for_value(uri, shape, checkpoint, assert_same_rows):
    data, partition_by = SHAPES[shape]
    deltalake.write_deltalake(uri, data, partition_by=partition_by or None)
    deltalake.write_deltalake(uri, data, mode="append")
    if checkpoint:
        deltalake.DeltaTable(uri).create_checkpoint()
    table = lakefmt.open(uri)
    assert table.partition_columns == tuple(partition_by)
    assert_same_rows(table.to_arrow(), pa.concat_tables([data, data]))
    assert table.count() == 2 * data.num_rows


@pytest.mark.parametrize("shape", SHAPES)
def test_their_tables_take_our_appends_and_both_read_them(uri, shape, assert_same_rows):
    data, partition_by = SHAPES[shape]
    deltalake.write_deltalake(uri, data, partition_by=partition_by or None)
    lakefmt.open(uri).append(data)
    expected = pa.concat_tables([data, data])
    assert_same_rows(lakefmt.open(uri).to_arrow(), expected)
    assert_same_rows(their_rows(uri), expected)


@pytest.mark.parametrize("where", ["x > 5", "x >= 3", "x = 'nan'::DOUBLE", "NOT x < 100"])
def test_nan_that_their_statistics_leave_out_is_found(uri, where):
    deltalake.write_deltalake(uri, pa.table({"x": [1.0, NAN, 3.0], "id": [1, 2, 3]}))
    deltalake.write_deltalake(uri, pa.table({"x": [NAN, NAN], "id": [4, 5]}), mode="append")
    table = lakefmt.open(uri)
    found = table.scan(where=where).to_arrow()
    assert {2, 4, 5} <= set(found["id"].to_pylist())
    assert table.count(where) == found.num_rows


def test_nan_that_their_statistics_leave_out_is_found_through_duckdb_and_polars(uri):
    import duckdb
    import polars as pl

    deltalake.write_deltalake(uri, pa.table({"x": [1.0, NAN, 3.0], "id": [1, 2, 3]}))
    table = lakefmt.open(uri)
    with duckdb.connect() as connection:
        table.to_duckdb(connection, "t")
        assert connection.execute("SELECT id FROM t WHERE x > 5").fetchall() == [(2,)]
    assert table.to_polars().filter(pl.col("x") > 5).collect()["id"].to_list() == [2]


def test_writing_by_turns(uri):
    table = lakefmt.write(uri, rows(0), properties={"delta.enableDeletionVectors": "false"})
    for number in range(1, 9):
        if number % 2:
            deltalake.write_deltalake(uri, rows(number), mode="append")
        else:
            table.refresh().append(rows(number))
    assert ids_of(their_rows(uri)) == list(range(9))
    assert ids_of(table.refresh().to_arrow()) == list(range(9))
    assert deltalake.DeltaTable(uri).version() == table.version == 9


def test_a_stale_handle_rebases_on_their_appends(uri):
    table = lakefmt.write(uri, rows(0))
    deltalake.write_deltalake(uri, rows(1), mode="append")
    assert table.append(rows(2)).version == 3
    assert ids_of(table.to_arrow()) == [0, 1, 2]


def test_their_overwrite_and_delete_are_seen(uri):
    table = lakefmt.write(uri, rows(*range(10)), properties={"delta.enableDeletionVectors": "false"})
    deltalake.DeltaTable(uri).delete("id < 5")
    assert ids_of(table.refresh().to_arrow()) == [5, 6, 7, 8, 9]
    deltalake.write_deltalake(uri, rows(42), mode="overwrite")
    assert ids_of(table.refresh().to_arrow()) == [42]
    assert ids_of(table.at(version=1).to_arrow()) == list(range(10))


def test_our_overwrites_are_seen_by_them(uri):
    table = lakefmt.write(uri, rows(1, 2, 3), partition_by="city")
    table.overwrite(rows(4), where="city = 'city 1'")
    assert ids_of(their_rows(uri)) == [2, 3, 4]
    table.overwrite(rows(9))
    assert ids_of(their_rows(uri)) == [9]
    assert deltalake.DeltaTable(uri, version=1).count() == 3


def test_they_checkpoint_and_compact_our_table(uri):
    table = lakefmt.write(
        uri, rows(0), partition_by="city", properties={"delta.enableDeletionVectors": "false"}
    )
    for number in range(1, 6):
        table.append(rows(number))
    theirs = deltalake.DeltaTable(uri)
    theirs.create_checkpoint()
    assert ids_of(lakefmt.open(uri).to_arrow()) == list(range(6))
    theirs.optimize.compact()
    newest = lakefmt.open(uri)
    assert newest.files().num_rows == 3
    assert ids_of(newest.to_arrow()) == list(range(6))
    newest.append(rows(6))
    assert ids_of(their_rows(uri)) == list(range(7))


def test_history_is_told_both_ways(uri):
    table = lakefmt.write(uri, rows(0))
    deltalake.write_deltalake(uri, rows(1), mode="append")
    table.refresh()
    theirs = deltalake.DeltaTable(uri).history()
    ours = table.history()
    assert [entry.version for entry in ours] == [entry["version"] for entry in theirs] == [2, 1, 0]
    assert [entry.operation for entry in ours] == [entry["operation"] for entry in theirs]
    assert [entry.info.timestamp_ms for entry in ours] == [entry["timestamp"] for entry in theirs]


def test_tables_properties_and_schema_are_told_both_ways(uri):
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("s", pa.list_(pa.string()))])
    lakefmt.create(
        uri,
        schema,
        name="trips",
        description="a few",
        properties={"delta.logRetentionDuration": "interval 3 days"},
    )
    theirs = deltalake.DeltaTable(uri)
    assert (theirs.metadata().name, theirs.metadata().description) == ("trips", "a few")
    assert theirs.metadata().configuration["delta.logRetentionDuration"] == "interval 3 days"
    fields = theirs.schema().fields
    assert [(field.name, field.nullable) for field in fields] == [("id", False), ("s", True)]


def test_concurrent_appends_of_both_all_arrive(uri):
    lakefmt.write(uri, rows(0), properties={"delta.enableDeletionVectors": "false"})

    def append(number):
        if number % 2:
            lakefmt.open(uri).append(rows(number))
        else:
            deltalake.write_deltalake(uri, rows(number), mode="append")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append, range(1, 17)))
    assert ids_of(lakefmt.open(uri).to_arrow()) == list(range(17))
    assert ids_of(their_rows(uri)) == list(range(17))
    assert lakefmt.open(uri).version == 17
