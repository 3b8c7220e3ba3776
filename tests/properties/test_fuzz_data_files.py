"""Data files of strangers: any columns of any types, any bytes; reading ends in rows or in a typed error.

Bytes of a page that decode to other values of the column's type are rows: Parquet has no word against them.
"""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import lakefmt
from lakefmt.engine import read as engine_read
from lakefmt.engine.footers import forget_footers
from lakefmt.testing.foreign_table import ForeignTable, array, column, map_of, struct
from lakefmt.testing.mutations import mutate_bytes, mutate_table

fuzz = settings.get_profile("fuzz")
draws = st.randoms(use_true_random=False)

FIELDS = [
    column("id", "long"),
    column("small", "short"),
    column("day", "date"),
    column("at", "timestamp"),
    column("price", "decimal(9,2)"),
    column("ratio", "double"),
    column("text", "string"),
    column("raw", "binary"),
    column("flag", "boolean"),
    column("nested", struct(column("x", "double"), column("list", array("integer")))),
    column("pairs", map_of("string", "long")),
]
ROWS = pa.table(
    {
        "id": pa.array(range(300), pa.int64()),
        "small": pa.array([n % 7 for n in range(300)], pa.int16()),
        "day": pa.array([dt.date(2020, 1, 1 + n % 28) for n in range(300)]),
        "at": pa.array([n * 10**9 for n in range(300)], pa.timestamp("us", "UTC")),
        "price": pa.array([Decimal(n) / 4 for n in range(300)], pa.decimal128(9, 2)),
        "ratio": [n / 7 for n in range(300)],
        "text": [None if n % 5 == 0 else f"text {n % 11}" for n in range(300)],
        "raw": [bytes([n % 256]) * (n % 4) for n in range(300)],
        "flag": [n % 3 == 0 for n in range(300)],
        "nested": [None if n % 9 == 0 else {"x": n / 2, "list": [n] * (n % 3)} for n in range(300)],
        "pairs": pa.array([[(f"k{n}", n)] * (n % 2) for n in range(300)], pa.map_(pa.string(), pa.int64())),
    }
)
LAYOUTS = [
    {},
    {"compression": "zstd", "row_group_size": 50},
    {"use_dictionary": False, "data_page_version": "2.0", "compression": "gzip"},
    {"use_deprecated_int96_timestamps": True, "store_schema": False, "write_page_index": True},
    {"compression": "none", "data_page_size": 64, "write_batch_size": 16, "store_decimal_as_integer": True},
]
STATISTICS = [
    None,
    {"numRecords": 300},
    {"numRecords": 300, "minValues": {"id": 0}, "maxValues": {"id": 299}},
]
WHERES = ["id % 97 = 5", "text = 'text 3' AND nested.x > 10", "day = DATE '2020-01-05'", '"at" IS NULL']


def parquet(rows, layout):
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, **layout)
    return sink.getvalue().to_pybytes()


def mutate_footer(data, draw):
    """Change bytes of the footer alone, which says where everything is and how much there is of it."""
    length = int.from_bytes(data[-8:-4], "little")
    start = len(data) - 8 - length
    return data[:start] + mutate_bytes(data[start:-8], draw) + data[-8:]


def overwrite(data, draw):
    """Change some bytes in place."""
    changed = bytearray(data)
    for _ in range(draw.choice([1, 1, 4, 40])):
        changed[draw.randrange(4, len(data) - 8)] = draw.randrange(256)
    return bytes(changed)


@pytest.fixture(scope="module")
def read_in_both_ways(read_in_every_way):
    """A function that reads a table of one data file of these bytes in every way, by either reader."""

    def read(folder, data, draw):
        folder.mkdir(exist_ok=True)
        (folder / "part-0.parquet").write_bytes(data)
        ForeignTable(folder, FIELDS).add_file("part-0.parquet", stats=draw.choice(STATISTICS))
        forget_footers()
        found = read_in_every_way(folder)
        table = lakefmt.open(folder)
        for where in WHERES:
            for by_duckdb in (True, False):
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(engine_read, "_DUCKDB_ROWS", 1 if by_duckdb else 10**9)
                    try:
                        found.append(table.scan(where=where).to_arrow())
                    except lakefmt.LakefmtError as error:
                        found.append(error)
        return found

    return read


@fuzz
@given(draw=draws)
def test_damaged_bytes_of_a_data_file_end_in_rows_or_typed_errors(tmp_path_factory, read_in_both_ways, draw):
    data = parquet(ROWS, draw.choice(LAYOUTS))
    data = draw.choice([mutate_bytes, mutate_footer, overwrite])(data, draw)
    read_in_both_ways(tmp_path_factory.getbasetemp() / "bytes", data, draw)


@fuzz
@given(draw=draws)
def test_data_files_of_other_shapes_end_in_rows_or_typed_errors(tmp_path_factory, read_in_both_ways, draw):
    try:
        data = parquet(mutate_table(ROWS, draw), draw.choice(LAYOUTS))
    except (pa.ArrowException, UnicodeError):
        assume(False)  # no Parquet file is like that
    read_in_both_ways(tmp_path_factory.getbasetemp() / "shapes", data, draw)


@pytest.mark.parametrize("layout", LAYOUTS, ids=json.dumps)
def test_undamaged_files_are_read_whole(tmp_path, read_in_both_ways, layout):
    class First:
        choice = staticmethod(lambda options: options[0])

    found = read_in_both_ways(tmp_path / "t", parquet(ROWS, layout), First)
    assert not [each for each in found if isinstance(each, Exception)]
    rows = lakefmt.open(tmp_path / "t").to_arrow()
    assert rows.equals(ROWS.cast(rows.schema))
    texts = [n for n in range(21, 300) if n % 5 and n % 11 == 3 and n % 9]
    counts = [each.num_rows for each in found[-8:]]
    assert counts == [4, 4, len(texts), len(texts), 11, 11, 0, 0]
