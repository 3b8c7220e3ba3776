"""A scan's rows are the same values in whatever form they are asked for, on every store."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from decimal import Decimal

import duckdb
import polars as pl
import pyarrow as pa
import pytest

import lakefmt

UTC = dt.UTC
STRUCT = pa.struct([("x", pa.float64()), ("tags", pa.list_(pa.string()))])
SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("small", pa.int8()),
        pa.field("price", pa.decimal128(12, 2)),
        pa.field("x", pa.float64()),
        pa.field("text", pa.string()),
        pa.field("raw", pa.binary()),
        pa.field("flag", pa.bool_()),
        pa.field("moment", pa.timestamp("us", "UTC")),
        pa.field("local", pa.timestamp("us")),
        pa.field("nested", STRUCT),
        pa.field("pairs", pa.map_(pa.string(), pa.int64())),
        pa.field("day", pa.date32()),
    ]
)


def row(number):
    """Row ``number``: every third value of each column is null, one x is NaN."""
    some = number % 3 != 2
    return {
        "id": number,
        "small": number if some else None,
        "price": Decimal(number) / 4 if some else None,
        "x": (math.nan if number == 4 else number / 2) if some else None,
        "text": f"größe {number}" if some else None,
        "raw": bytes([number]) if some else None,
        "flag": number % 2 == 0 if some else None,
        "moment": dt.datetime(2026, 3, 29, number, 30, 0, 123_456, UTC) if some else None,
        "local": dt.datetime(2026, 3, 29, number, 30) if some else None,
        "nested": {"x": number / 2, "tags": ["a", None]} if some else None,
        "pairs": [("k", number), ("none", None)] if some else None,
        "day": dt.date(2026, 11, 1 + number % 2),
    }


EXPECTED = pa.Table.from_pylist([row(number) for number in range(12)], schema=SCHEMA)


def make(uri, options, partition_by):
    table = lakefmt.create(uri, SCHEMA, partition_by=partition_by, storage_options=options)
    table.append(EXPECTED.slice(0, 5))
    table.append(EXPECTED.slice(5))
    return table


@pytest.fixture(params=[(), ("day",)], ids=["whole", "partitioned"])
def table(request, table_uri):
    """A table on each kind of storage."""
    return make(*table_uri, request.param)


@pytest.fixture(scope="module", params=["local-whole", "local-partitioned", "memory-partitioned"])
def shared(request, tmp_path_factory):
    """A table that no test changes; DuckDB reads those on disk itself."""
    place, _, partitioned = request.param.partition("-")
    uri = str(tmp_path_factory.mktemp("forms")) if place == "local" else f"memory://{uuid.uuid4().hex}"
    return make(f"{uri}/table", {}, ("day",) if partitioned == "partitioned" else ())


@pytest.fixture
def connection():
    with duckdb.connect() as connection:
        yield connection


def plain(table):
    """Rows as values, NaN equal to itself."""
    return [repr(each) for each in table.sort_by("id").to_pylist()]


def from_duckdb(relation):
    return pa.table(relation)


def test_arrow_forms_are_equal(table):
    forms = [
        table.to_arrow(),
        pa.Table.from_batches(table.to_batches(), SCHEMA),
        table.scan().to_reader().read_all(),
        pa.table(table),
        pa.table(table.scan()),
    ]
    for form in forms:
        assert form.schema.equals(SCHEMA)
        assert plain(form) == plain(EXPECTED)


def test_scan_exports_its_schema(shared):
    assert pa.schema(shared.scan(columns=["day", "id"])).equals(
        pa.schema([SCHEMA.field("day"), SCHEMA.field("id")])
    )


def test_pandas_has_the_values(table):
    frame = table.to_pandas().sort_values("id", ignore_index=True)
    expected = EXPECTED.to_pandas()
    assert list(frame.dtypes) == list(expected.dtypes)
    assert repr(frame.to_dict("records")) == repr(expected.to_dict("records"))


def test_polars_has_the_values(table):
    frame = table.to_polars()
    assert isinstance(frame, pl.LazyFrame)
    expected = pl.from_arrow(EXPECTED)
    assert dict(frame.collect_schema()) == dict(expected.schema)
    assert frame.sort("id").collect().equals(expected)
    assert frame.sort("id").collect(engine="streaming").equals(expected)
    assert frame.sort("id").collect().equals(expected)  # again


def test_duckdb_has_the_values_and_types(table, connection):
    connection.execute("SET TimeZone = 'UTC'")
    found = from_duckdb(table.to_duckdb(connection, "t"))
    connection.register("expected", EXPECTED)
    of_expected = from_duckdb(connection.sql("FROM expected"))
    assert found.schema.equals(of_expected.schema)
    assert plain(found) == plain(of_expected)


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ("id >= 4 AND id < 8", [4, 5, 6, 7]),
        ("x > 5", [4]),
        ("x IS NULL", [2, 5, 8, 11]),
        ("day = DATE '2026-11-02'", [1, 3, 5, 7, 9, 11]),
        ("text LIKE 'größe 1%'", [1, 10]),
        ("moment > TIMESTAMPTZ '2026-03-29 08:00:00+00'", [9, 10]),
        ("nested.x > 4", [9, 10]),
        ("flag", [0, 4, 6, 10]),
        ("id < 0", []),
    ],
)
def test_a_filter_means_the_same_in_every_form(shared, connection, where, ids):
    connection.execute("SET TimeZone = 'America/New_York'")
    scan = shared.scan(columns=["text", "id"], where=where)
    assert sorted(scan.to_arrow()["id"].to_pylist()) == ids
    assert sorted(each for batch in scan.to_batches() for each in batch["id"].to_pylist()) == ids
    assert sorted(scan.to_pandas()["id"]) == ids
    assert sorted(scan.to_polars().collect()["id"].to_list()) == ids
    assert sorted(number for (number,) in scan.to_duckdb(connection, "t").select("id").fetchall()) == ids
    assert scan.count() == len(ids)
    whole = shared.to_duckdb(connection, "all_rows")
    assert sorted(number for (number,) in whole.filter(where).select("id").fetchall()) == ids


@pytest.mark.parametrize(
    "predicate",
    [
        pl.col("id").is_between(4, 7),
        pl.col("x") > 5,
        pl.col("x").is_nan(),
        pl.col("x") <= 1,
        pl.col("x").is_null(),
        pl.col("day") == dt.date(2026, 11, 2),
        pl.col("day").is_null(),
        pl.col("text").str.starts_with("größe 1"),
        pl.col("moment") > dt.datetime(2026, 3, 29, 8, 30, 0, 123_455, tzinfo=UTC),
        pl.col("price").is_in([Decimal("1.00"), Decimal("2.50")]),
        ~pl.col("flag"),
        pl.col("nested").struct.field("x") > 4,
        (pl.col("id") < 2) | (pl.col("day") == dt.date(2026, 11, 2)),
        pl.col("id") > 1_000,
        pl.lit(value=True),
    ],
    ids=str,
)
def test_polars_pushes_filters_down_and_gets_the_same_rows(shared, predicate):
    frame = shared.to_polars()
    expected = frame.collect().filter(predicate).sort("id")
    assert frame.filter(predicate).sort("id").collect().equals(expected)
    assert (
        frame.filter(predicate)
        .select("text", "id")
        .sort("id")
        .collect(engine="streaming")
        .equals(expected.select("text", "id"))
    )
    assert frame.filter(predicate).select(pl.len()).collect().item() == expected.height


def test_polars_takes_first_rows_before_or_after_a_filter(shared):
    frame = shared.to_polars()
    assert frame.head(3).collect().height == 3
    assert frame.filter(pl.col("id") > 8).head(2).collect().height == 2
    assert frame.head(100).filter(pl.col("id") > 8).collect().height == 3
    assert shared.scan(limit=4).to_polars().filter(pl.col("id") >= 0).collect().height == 4
    assert frame.select(pl.len()).collect().item() == 12


def test_polars_reads_nothing_before_it_is_asked(table, table_uri):
    frame = table.to_polars()
    assert frame.select("id").collect_schema().names() == ["id"]
    table.overwrite(EXPECTED.slice(0, 1))
    assert frame.select(pl.len()).collect().item() == 12  # the version it was made on


def test_duckdb_view_stays_at_its_version_and_may_be_replaced(table, connection):
    table.to_duckdb(connection, 'odd "name"')
    table.append(EXPECTED.slice(0, 1))
    assert connection.sql('SELECT count(*) FROM "odd ""name"""').fetchall() == [(12,)]
    for where, expected in (
        ("id > 10", 1),
        (None, 13),
        ("id > 9", 2),
        ("day = DATE '2026-11-02'", 6),
        (None, 13),
    ):
        table.scan(where=where).to_duckdb(connection, 'odd "name"')
        assert connection.sql('SELECT count(*) FROM "odd ""name"""').fetchall() == [(expected,)]


def test_duckdb_without_access_to_files_draws_the_stream(shared):
    with duckdb.connect(config={"enable_external_access": "false"}) as connection:
        assert from_duckdb(shared.to_duckdb(connection, "t").select("id")).num_rows == 12


def test_empty_table_in_every_form(table_uri, connection):
    uri, options = table_uri
    table = lakefmt.create(uri, SCHEMA, storage_options=options)
    assert table.to_arrow().equals(SCHEMA.empty_table())
    assert list(table.to_batches()) == []
    assert pa.table(table).schema.equals(SCHEMA)
    assert list(table.to_pandas().columns) == SCHEMA.names
    assert table.to_polars().collect().schema == pl.from_arrow(SCHEMA.empty_table()).schema
    assert table.to_polars().filter(pl.col("id") > 1).select(pl.len()).collect().item() == 0
    assert table.to_duckdb(connection, "t").fetchall() == []
