"""What footers say of column chunks, beside what pyarrow says of those that it survives."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakefmt.parquet_bounds import decode_bounds
from lakefmt.parquet_chunks import ColumnChunks
from lakefmt.testing.parquet_footer import rewrite_footer

ROWS = pa.table(
    {
        "id": pa.array([1, None, -(2**62)] * 40, pa.int64()),
        "small": pa.array([-3, 4, 0] * 40, pa.int32()),
        "ratio": pa.array([0.5, None, -1.5] * 40),
        "text": pa.array(["a" * 200, "ä", None] * 40),
        "day": pa.array([dt.date(1960, 1, 1), None, dt.date(2030, 1, 1)] * 40),
        "at": pa.array([dt.datetime(1960, 1, 1), None, dt.datetime(2030, 1, 1)] * 40, pa.timestamp("us")),
        "price": pa.array([Decimal("-1.25"), None, Decimal("70.5")] * 40, pa.decimal128(30, 2)),
        "flag": pa.array([True, None, False] * 40),
        "nothing": pa.array([None] * 120, pa.int64()),
        "nested": pa.array([{"x": 1, "list": [1, 2]}, None, {"x": 7, "list": []}] * 40),
    }
)
LONG_PATH = pa.table({"a": pa.array([{"b" * 300: 1}])})


def by_pyarrow(**options):
    def write(path, rows):
        pq.write_table(rows, path, **options)

    return write


def by_duckdb(path, rows):
    duckdb.sql("SELECT * FROM rows").write_parquet(str(path), row_group_size=40)


def by_polars(path, rows):
    pl.from_arrow(rows).write_parquet(path, row_group_size=40)


WRITERS = {
    "pyarrow": by_pyarrow(row_group_size=40),
    "plain": by_pyarrow(use_dictionary=False, compression="none"),
    "no statistics": by_pyarrow(write_statistics=False),
    "page index": by_pyarrow(write_page_index=True, bloom_filter_options={"id": True}, row_group_size=30),
    "duckdb": by_duckdb,
    "polars": by_polars,
}


@pytest.fixture(params=[0, 1_000], ids=["many leaves asked for", "few"], autouse=True)
def few_searches(request, monkeypatch):
    """Each leaf is searched for, or all are found in one walk."""
    monkeypatch.setattr("lakefmt.parquet_chunks._FEW_SEARCHES", request.param)


def read(path):
    metadata = pq.read_metadata(path)
    return metadata, ColumnChunks(metadata)


@pytest.mark.parametrize("rows", [ROWS, LONG_PATH], ids=["many types", "long path"])
@pytest.mark.parametrize("writer", WRITERS)
def test_chunks_are_as_pyarrow_has_them(tmp_path, writer, rows):
    path = tmp_path / "x.parquet"
    WRITERS[writer](path, rows)
    metadata, chunks = read(path)
    schema = metadata.schema.to_arrow_schema()
    for leaf in range(metadata.num_columns):
        theirs = [metadata.row_group(group).column(leaf) for group in range(metadata.num_row_groups)]
        pages = chunks.pages(leaf)
        assert pages.num_values == tuple(chunk.num_values for chunk in theirs)
        assert pages.uncompressed_bytes == tuple(chunk.total_uncompressed_size for chunk in theirs)
        assert pages.has_dictionary == tuple(chunk.has_dictionary_page for chunk in theirs)
        ours = chunks.statistics(leaf)
        assert ours.present == tuple(chunk.is_stats_set for chunk in theirs)
        statistics = [chunk.statistics for chunk in theirs]
        assert ours.null_counts == tuple(
            each.null_count if each is not None and each.has_null_count else None for each in statistics
        )
        if "." in theirs[0].path_in_schema:
            continue
        kind = schema.field(theirs[0].path_in_schema).type
        for encoded, end in ((ours.least, "min"), (ours.greatest, "max")):
            bounds = decode_bounds(encoded, theirs[0].physical_type, kind).to_pylist()
            expected = [
                getattr(each, end) if each is not None and each.has_min_max else None for each in statistics
            ]
            assert bounds == expected


def test_many_leaves_are_found_in_one_walk(tmp_path, monkeypatch):
    monkeypatch.undo()
    path = tmp_path / "x.parquet"
    names = [f"{number}" * 40 for number in range(100)]
    pq.write_table(pa.table({name: [number, -number] for number, name in enumerate(names)}), path)
    _, chunks = read(path)
    found = [chunks.statistics(leaf).greatest for leaf in range(100)]
    assert found == [(number.to_bytes(8, "little"),) for number in range(100)]
    assert [len(chunks._starts), *map(len, chunks._starts.values())] == [100] + [1] * 100


def test_names_with_dots_are_told_from_members(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a.b": [1, 2], "c": [{"d.e": 3}, {"d.e": 4}]}), path)
    _, chunks = read(path)
    assert chunks.statistics(0).least == ((1).to_bytes(8, "little"),)
    assert chunks.statistics(1).greatest == ((4).to_bytes(8, "little"),)


def test_nothing_is_known_of_columns_that_a_dot_makes_alike(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a.b": [1, 2], "a": [{"b": 3}, {"b": 4}]}), path)
    _, chunks = read(path)
    assert chunks.statistics(0) is None
    assert chunks.pages(1) is None


def forge_chunk(footer, forged):
    """Put the bytes of a chunk into the greatest text of another column; the other bounds stay."""
    _, (_, (group, *_)) = footer[4]
    _, (_, (chunk, *_)) = group[1]
    chunk[3][1][12] = (12, {3: (6, 0), 5: (8, b"z" + forged), 6: (8, b"a")})


@pytest.mark.parametrize(("name", "imitated"), [("id", {"id": [10**9]}), ("a.b", {"a": [{"b": 10**9}]})])
def test_bound_that_looks_like_a_chunk_is_taken_for_none(tmp_path, name, imitated):
    """Who can write a text into a table must not choose the bounds of another column."""
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table(imitated), path)
    data = path.read_bytes()
    start = data.index(b"b\x15" if name == "a.b" else b"id\x15") - (5 if name == "a.b" else 3)
    assert data[start] == 0x19
    forged = data[start : start + 110]
    pq.write_table(pa.table({"text": ["m"], name: [7]}), path)
    _, chunks = read(path)
    assert chunks.statistics(1).least == ((7).to_bytes(8, "little"),)
    rewrite_footer(path, lambda footer: forge_chunk(footer, forged))
    _, chunks = read(path)
    assert chunks.statistics(1) is None
    assert chunks.statistics(0).greatest == (b"z" + forged,)


def test_columns_in_byte_stream_split_are_found(tmp_path):
    path = tmp_path / "x.parquet"
    rows = pa.table({"x": [1.5, 2.5], "y": [1, 2], "a.b": [1, 2], "a": [{"b": 3}, {"b": 4}]})
    pq.write_table(rows, path, use_dictionary=False, use_byte_stream_split=["x"])
    _, chunks = read(path)
    assert chunks.may_split_bytes([0])
    assert not chunks.may_split_bytes([1])
    assert chunks.may_split_bytes([1, 2])  # as nothing is known of it
    pq.write_table(rows, path)
    _, chunks = read(path)
    assert not chunks.may_split_bytes([0, 1, 2, 3])


def column_metadata(footer):
    _, (_, (group, *_)) = footer[4]
    _, (_, (chunk, *_)) = group[1]
    return chunk[3][1]


def other_type(footer):
    column_metadata(footer)[1] = (5, 12)


def short_bounds(footer):
    _, statistics = column_metadata(footer)[12]
    statistics.update(dict.fromkeys((1, 2, 5, 6), (8, b"\x01")))


def no_bounds(footer):
    _, statistics = column_metadata(footer)[12]
    for field in (1, 2, 5, 6):
        del statistics[field]


def long_histograms(footer):
    column_metadata(footer)[16] = (12, {2: (9, (6, [1, 2, 3, 4]))})


@pytest.mark.parametrize(
    ("change", "bounded"),
    [(other_type, True), (short_bounds, False), (no_bounds, False), (long_histograms, True)],
)
def test_chunks_over_which_pyarrow_ends_the_process_are_read(tmp_path, change, bounded):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"id": [1, 2], "text": ["a", "b"]}), path)
    rewrite_footer(path, change)
    metadata, chunks = read(path)
    assert chunks.statistics(0).null_counts == (0,)
    physical_type = metadata.schema.column(0).physical_type
    least = decode_bounds(chunks.statistics(0).least, physical_type, pa.int64())
    assert least.to_pylist() == [1 if bounded else None]
    assert chunks.statistics(1).least == (b"a",)


def test_without_column_orders_texts_have_no_bounds_and_numbers_the_old_ones(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"id": [1, 2], "text": ["a", "b"]}), path)

    def change(footer):
        del footer[7]
        _, statistics = column_metadata(footer)[12]
        statistics[2] = (8, (-5).to_bytes(8, "little", signed=True))

    rewrite_footer(path, change)
    _, chunks = read(path)
    assert chunks.statistics(0).least == ((-5).to_bytes(8, "little", signed=True),)
    assert chunks.statistics(1).least == (None,)
    assert chunks.statistics(1).null_counts == (0,)


@pytest.mark.parametrize(
    ("encoded", "physical_type", "kind", "value"),
    [
        (b"\xff\xff\xff\xff", "INT32", pa.int8(), -1),
        (b"\xff\xff\x00\x00", "INT32", pa.int8(), None),
        (b"\xff\xff\xff\xff", "INT32", pa.uint32(), None),
        (b"\x00", "INT64", pa.int64(), None),
        (b"\x00\x00\xc0\x7f", "FLOAT", pa.float32(), None),
        (b"\x00\x00\x80\x3f", "FLOAT", pa.float32(), 1.0),
        (b"\xff\x83", "FIXED_LEN_BYTE_ARRAY", pa.decimal128(9, 2), Decimal("-1.25")),
        (b"\x7f" * 33, "BYTE_ARRAY", pa.decimal128(9, 2), None),
        (b"\x7f" * 16, "BYTE_ARRAY", pa.decimal128(9, 2), None),
        (b"", "BYTE_ARRAY", pa.decimal128(9, 2), None),
        (b"\x83\xff\xff\xff", "INT32", pa.decimal128(9, 2), Decimal("-1.25")),
        (b"\xc3", "BYTE_ARRAY", pa.string(), None),
        (b"", "BYTE_ARRAY", pa.string(), ""),
        (b"a", "BYTE_ARRAY", pa.binary(), None),
        (b"\x02", "BOOLEAN", pa.bool_(), None),
        (b"\x00" * 12, "INT96", pa.timestamp("us"), None),
    ],
)
def test_bounds_are_values_of_the_type_or_unknown(encoded, physical_type, kind, value):
    found = decode_bounds([None, encoded], physical_type, kind)
    assert found.type == kind
    assert found.to_pylist() == [None, value]
