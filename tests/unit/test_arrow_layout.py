"""Slices of nested structs come to DuckDB as they are: up to 1.5 it reads other rows' values in them."""

import duckdb
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.arrow_layout import unslice_structs
from lakefmt.expressions import parse_predicate
from lakefmt.schema import Schema

INNER = pa.struct([("x", pa.int64()), ("y", pa.string())])
ROWS = [None if i % 4 == 0 else {"n": i, "m": {"x": i, "y": str(i)}} for i in range(12)]
STRUCTS = pa.array(ROWS, pa.struct([("n", pa.int64()), ("m", INNER)]))
COLUMNS = {
    "struct": STRUCTS,
    "list": pa.array([None if row is None else [row, row] for row in ROWS], pa.list_(STRUCTS.type)),
    "list of structs": pa.array([row and [row["m"]] for row in ROWS], pa.list_(INNER)),
    "map": pa.array([row and [("k", row)] for row in ROWS], pa.map_(pa.string(), STRUCTS.type)),
    "inner slice": pa.StructArray.from_arrays([STRUCTS.slice(0)], names=["s"]),
    "plain": pa.array(range(12)),
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("start", [0, 1, 5])
def test_duckdb_reads_a_slice_as_it_is(name, start):
    table = pa.table({"c": COLUMNS[name]}).slice(start, 6)
    for rows in (unslice_structs(table), *map(unslice_structs, table.to_batches())):
        assert rows.column(0).to_pylist() == table["c"].to_pylist()
        source = rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])  # noqa: F841 - DuckDB finds it
        found = pa.table(duckdb.sql("SELECT c FROM source"))["c"].to_pylist()
        assert found == table["c"].to_pylist()


def test_flat_columns_are_not_copied():
    table = pa.table({"c": pa.array(range(12))}).slice(3)
    assert unslice_structs(table) is table


def test_rows_of_a_range_reach_duckdb_whole(tmp_path):
    rows = pa.table({"id": range(12), "s": STRUCTS})
    lakefmt.write(tmp_path / "t", rows)
    table = lakefmt.open(tmp_path / "t")
    connection = duckdb.connect()
    for scan in (table.scan(where="id >= 5"), table.scan(where="id BETWEEN 3 AND 9")):
        expected = scan.to_arrow().to_pylist()
        assert expected == [row for row in rows.to_pylist() if row["id"] in {each["id"] for each in expected}]
        found = scan.to_duckdb(connection, "rows").order("id")
        assert pa.table(found).to_pylist() == expected
        whole = scan.to_arrow()  # noqa: F841 - DuckDB finds it
        assert pa.table(connection.sql("SELECT * FROM whole ORDER BY id")).to_pylist() == expected


def test_a_predicate_means_the_rows_of_a_slice():
    schema = Schema.from_arrow({"s": STRUCTS.type})
    predicate = parse_predicate("s.m.x % 5 = 1", schema)
    table = pa.table({"s": STRUCTS}).slice(5)
    assert [row for row, kept in enumerate(predicate.matches(table).to_pylist(), 5) if kept] == [6, 11]
