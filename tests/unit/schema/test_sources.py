"""What append takes, opened as batches."""

import datetime as dt
import pathlib
from decimal import Decimal

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import lakefmt
from lakefmt.errors import CorruptTableError, InvalidInputError, SchemaMismatchError
from lakefmt.schema import Schema, conform_batches, open_source
from lakefmt.testing.parquet_footer import NAME, rewrite_footer, rewrite_schema

ROWS = [{"id": 1, "city": "Bern"}, {"id": 2, "city": None}]
TABLE = pa.Table.from_pylist(ROWS)
SCHEMA = Schema.from_arrow({"id": "long", "city": "string"})


class StreamOnly:
    def __arrow_c_stream__(self, requested_schema=None):
        return TABLE.__arrow_c_stream__(requested_schema)


class ArrayOnly:
    def __arrow_c_array__(self, requested_schema=None):
        return TABLE.combine_chunks().to_batches()[0].__arrow_c_array__(requested_schema)


def parquet(tmp_path: pathlib.Path, name: str = "a.parquet") -> pathlib.Path:
    pq.write_table(TABLE, tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize(
    "make",
    [
        lambda _: TABLE,
        lambda _: TABLE.to_batches()[0],
        lambda _: TABLE.to_reader(),
        lambda _: ds.dataset(TABLE),
        lambda _: ds.dataset(TABLE).scanner(),
        lambda _: pd.DataFrame(ROWS),
        lambda _: pl.DataFrame(ROWS),
        lambda _: pl.DataFrame(ROWS).lazy(),
        lambda _: duckdb.sql("SELECT * FROM (VALUES (1, 'Bern'), (2, NULL)) AS t(id, city)"),
        lambda _: StreamOnly(),
        lambda _: ArrayOnly(),
        lambda _: ROWS,
        lambda _: TABLE.to_pydict(),
        lambda _: iter(TABLE.to_batches()),
        lambda _: (batch for batch in TABLE.to_batches()),
        lambda _: [TABLE.slice(0, 1), TABLE.slice(1)],
        lambda _: iter([pl.DataFrame(ROWS)]),
        parquet,
        lambda tmp: str(parquet(tmp)),
        lambda tmp: f"file://{parquet(tmp)}",
        lambda tmp: [parquet(tmp)],
    ],
)
def test_everything_with_rows_is_taken(make, tmp_path):
    batches = list(conform_batches(make(tmp_path), SCHEMA))
    assert pa.Table.from_batches(batches).to_pylist() == ROWS


def test_an_open_source_is_taken_as_it_is():
    source = open_source(TABLE)
    assert open_source(source) is source
    assert source.schema == TABLE.schema


def test_several_parquet_files_are_read_one_after_the_other(tmp_path):
    paths = [parquet(tmp_path, "a.parquet"), str(parquet(tmp_path, "b.parquet"))]
    assert sum(batch.num_rows for batch in open_source(paths).batches) == 4


def test_int96_times_are_read_as_microseconds(tmp_path):
    times = pa.table({"t": pa.array([dt.datetime(2500, 1, 1)], pa.timestamp("us"))})
    pq.write_table(times, tmp_path / "t.parquet", use_deprecated_int96_timestamps=True)
    [batch] = conform_batches(tmp_path / "t.parquet", Schema.from_arrow({"t": "timestamp_ntz"}))
    assert batch.to_pylist() == [{"t": dt.datetime(2500, 1, 1)}]


def test_an_iterator_is_drawn_as_its_batches_are_asked_for():
    drawn = []

    def batches():
        for number in range(3):
            drawn.append(number)
            yield pa.record_batch({"id": [number]})

    source = open_source(batches())
    assert drawn == [0]
    next(source.batches)
    assert drawn == [0]
    next(source.batches)
    assert drawn == [0, 1]


def test_rows_with_other_keys_make_columns_of_all_of_them():
    source = open_source([{"a": 1}, {"b": 2}])
    assert source.schema.names == ["a", "b"]
    assert [row for batch in source.batches for row in batch.to_pylist()] == [
        {"a": 1, "b": None},
        {"a": None, "b": 2},
    ]


def test_plain_values_are_never_bent_to_the_tables_type():
    naive = dt.datetime(2020, 1, 1)
    with pytest.raises(SchemaMismatchError, match="Say which time zone"):
        list(conform_batches([{"t": naive}], Schema.from_arrow({"t": "timestamp"})))
    with pytest.raises(SchemaMismatchError, match="column n, row 1, has 300"):
        list(conform_batches({"n": [1, 300]}, Schema.from_arrow({"n": "byte"})))
    with pytest.raises(SchemaMismatchError, match="column n"):
        list(conform_batches({"n": [1, "x"]}, Schema.from_arrow({"n": "long"})))


def test_plain_values_of_every_type_fit():
    row = {
        "d": Decimal("1.10"),
        "day": dt.date(2020, 1, 1),
        "at": dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
        "raw": b"x",
        "m": {"k": 1},
        "l": [1, None],
        "s": {"x": 1.5},
        "big": 2**64 - 1,
    }
    schema = Schema.from_arrow(
        {
            "d": "decimal(10,2)",
            "day": "date",
            "at": "timestamp",
            "raw": "binary",
            "m": pa.map_(pa.string(), pa.int64()),
            "l": pa.list_(pa.int8()),
            "s": pa.struct([("x", pa.float64())]),
            "big": "decimal(20,0)",
        }
    )
    [batch] = conform_batches([row], schema)
    assert batch.to_pylist() == [{**row, "m": [("k", 1)], "big": Decimal(2**64 - 1)}]


def test_a_pandas_index_is_a_column_only_if_it_has_a_name():
    frame = pd.DataFrame(ROWS)
    assert open_source(frame[frame["id"] > 1]).schema.names == ["id", "city"]
    assert sorted(open_source(frame.set_index("city")).schema.names) == ["city", "id"]


def test_pandas_nan_is_null():
    [batch] = conform_batches(pd.DataFrame({"n": [1, None]}), Schema.from_arrow({"n": "long"}))
    assert batch["n"].to_pylist() == [1, None]


def test_a_pandas_column_of_many_types_is_refused():
    with pytest.raises(SchemaMismatchError, match="no table"):
        open_source(pd.DataFrame({"c": [1, "x"]}))


def test_an_empty_lazy_frame_has_its_columns():
    source = open_source(pl.DataFrame(ROWS).lazy().filter(pl.col("id") > 5))
    assert source.schema.names == ["id", "city"]
    assert sum(batch.num_rows for batch in source.batches) == 0


@pytest.mark.parametrize(
    "data", [None, 5, b"bytes", object(), [1, 2], iter([{"a": 1}]), {"a": 5}, {"a": "text"}]
)
def test_what_has_no_rows_is_refused(data):
    with pytest.raises(InvalidInputError):
        open_source(data)


def test_columns_of_unequal_length_are_refused():
    with pytest.raises(InvalidInputError, match="do not make a table"):
        open_source({"a": [1], "b": [1, 2]})


def test_a_single_column_is_no_table():
    with pytest.raises(InvalidInputError, match="columns with names"):
        open_source(pa.chunked_array([[1]]))


def test_files_that_are_not_there_or_not_parquet_are_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="there is no file"):
        open_source(tmp_path / "none.parquet")
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InvalidInputError, match="not a Parquet file"):
        open_source(tmp_path / "a.csv")
    with pytest.raises(InvalidInputError, match="is a folder"):
        open_source(tmp_path)
    with pytest.raises(InvalidInputError, match="cannot be opened"):
        open_source("nonsense://x/y.parquet")


def test_error_of_a_scan_is_its_own_for_who_writes_its_rows(tmp_path):
    lakefmt.write(tmp_path / "t", TABLE)
    table = lakefmt.open(tmp_path / "t")
    for file in (tmp_path / "t").glob("*.parquet"):
        file.unlink()
    for rows in (table, table.scan(), lakefmt.sql("SELECT * FROM t", {"t": table})):
        with pytest.raises(CorruptTableError, match="missing"):
            list(open_source(rows).batches)


def shorten(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


def overwrite_pages(path: pathlib.Path) -> None:
    data = bytearray(path.read_bytes())
    data[4:40] = b"\xff" * 36
    path.write_bytes(data)


def contradict_the_schema(path: pathlib.Path) -> None:
    def change(footer):
        _, (_, (group, *_)) = footer[4]
        _, (_, (chunk, *_)) = group[1]
        chunk[3][1][1] = (5, 12)

    rewrite_footer(path, change)


def name_a_column_by_no_text(path: pathlib.Path) -> None:
    def change(elements):
        elements[1][NAME] = (8, b"\xff\xfe")
        return elements

    rewrite_schema(path, change)


@pytest.mark.parametrize(
    "damage", [shorten, overwrite_pages, contradict_the_schema, name_a_column_by_no_text]
)
def test_damaged_parquet_files_are_refused_by_name(tmp_path, damage):
    path = parquet(tmp_path)
    assert lakefmt.write(tmp_path / "whole", path).count() == TABLE.num_rows
    damage(path)
    with pytest.raises(InvalidInputError, match=r"a\.parquet"):
        lakefmt.write(tmp_path / "t", path)
    assert not lakefmt.is_table(tmp_path / "t")
