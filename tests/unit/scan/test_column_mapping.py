"""Mapped tables: columns by physical name or field id, at every depth, in rows, statistics and partition values."""

import json

import duckdb
import polars as pl
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import CorruptTableError
from lakefmt.testing.foreign_table import ForeignTable, array, column, map_of, mapped, struct

NAME = {"delta.columnMapping.mode": "name"}
ID = {"delta.columnMapping.mode": "id"}


def numbered(name, type_, number):
    return pa.field(name, type_, metadata={"PARQUET:field_id": str(number)})


def nested_table(folder, mode):
    """A table with a renamed column of every kind, and the same rows under logical names."""
    fields = [
        mapped("id", "long", "c1", 1),
        mapped("s", struct(mapped("x", "long", "c3", 3), mapped("late", "string", "c9", 9)), "c2", 2),
        mapped("l", array(struct(mapped("y", "string", "c5", 5))), "c4", 4),
        mapped("m", map_of("string", struct(mapped("z", "double", "c7", 7))), "c6", 6),
        mapped("c1", "string", "c8", 8),  # called as another column's file name is
    ]
    inner = pa.struct([numbered("c3", pa.int64(), 3)])
    item = pa.struct([numbered("c5", pa.string(), 5)])
    value = pa.struct([numbered("c7", pa.float64(), 7)])
    schema = pa.schema(
        [
            numbered("c0", pa.string(), 10),  # dropped since
            numbered("c8", pa.string(), 8),
            numbered("c2", inner, 2),
            numbered("c4", pa.list_(item), 4),
            numbered("c6", pa.map_(pa.string(), value), 6),
            numbered("c1", pa.int64(), 1),
        ]
    )
    rows = [
        {"c0": "old", "c8": "a", "c2": {"c3": 1}, "c4": [{"c5": "p"}, None], "c6": [("k", {"c7": 0.5})], "c1": 1},
        {"c0": None, "c8": "b", "c2": None, "c4": None, "c6": None, "c1": 2},
    ]  # fmt: skip
    if mode == "id":  # names in files mean nothing then
        schema = pa.schema([field.with_name(f"f{position}") for position, field in enumerate(schema)])
        rows = [dict(zip(schema.names, row.values(), strict=True)) for row in rows]
    properties = ID if mode == "id" else NAME
    table = ForeignTable(folder, fields, properties, ("columnMapping",))
    stats = {
        "numRecords": 2,
        "minValues": {"c1": 1, "c2": {"c3": 1}, "c8": "a"},
        "maxValues": {"c1": 2, "c2": {"c3": 1}, "c8": "b"},
        "nullCount": {"c1": 0, "c2": {"c3": 1}, "c8": 0},
    }
    table.add(pa.Table.from_pylist(rows, schema=schema), stats=stats)
    return lakefmt.open(folder)


ROWS = [
    {"id": 1, "s": {"x": 1, "late": None}, "l": [{"y": "p"}, None], "m": [("k", {"z": 0.5})], "c1": "a"},
    {"id": 2, "s": None, "l": None, "m": None, "c1": "b"},
]


@pytest.mark.parametrize("mode", ["name", "id"])
def test_renamed_and_late_columns_are_found_at_every_depth(tmp_path, mode):
    table = nested_table(tmp_path / "t", mode)
    found = table.to_arrow()
    assert found.to_pylist() == ROWS
    assert found.schema.equals(table.schema.to_arrow(), check_metadata=True)
    assert found.schema.metadata is None


@pytest.mark.parametrize("mode", ["name", "id"])
def test_predicates_projections_and_counts_use_the_tables_names(tmp_path, mode):
    table = nested_table(tmp_path / "t", mode)
    assert table.scan(columns=["c1"], where="s.x = 1").to_arrow().to_pylist() == [{"c1": "a"}]
    assert table.scan(columns=["id"], where="c1 = 'b' AND s IS NULL").to_arrow().to_pylist() == [{"id": 2}]
    for where, files, rows in [("id = 1", 1, 1), ("id = 3", 0, 0), ("s.x = 7", 0, 0), ("c1 > 'b'", 0, 0)]:
        scan = table.scan(where=where)
        assert (scan.files().num_rows, scan.count(), scan.to_arrow().num_rows) == (files, rows, rows), where
    assert table.count() == 2


@pytest.mark.parametrize("mode", ["name", "id"])
def test_polars_and_duckdb_see_the_tables_names(tmp_path, mode):
    scan = nested_table(tmp_path / "t", mode).scan()
    assert scan.to_polars().filter(pl.col("id") == 2).select("c1").collect().to_dicts() == [{"c1": "b"}]
    con = duckdb.connect()
    scan.to_duckdb(con, "v")
    assert con.sql("SELECT id, s.x, c1 FROM v ORDER BY id").fetchall() == [(1, 1, "a"), (2, None, "b")]


def test_row_groups_are_chosen_by_nested_physical_names(tmp_path):
    # Were the members' own names looked up, x's bounds would be y's.
    fields = [mapped("s", struct(mapped("x", "long", "y", 2), mapped("y", "long", "x", 3)), "c", 1)]
    values = [{"x": 1000 + i, "y": i} for i in range(100)]
    table = ForeignTable(tmp_path / "t", fields, NAME, ("columnMapping",))
    table.add(pa.table({"c": values}), row_group_size=10)
    found = lakefmt.open(table.folder).scan(where="s.x = 42").to_arrow().to_pylist()
    assert found == [{"s": {"x": 42, "y": 1042}}]


def test_large_scans_with_scattered_matches_use_the_tables_names(tmp_path):
    # Enough rows for DuckDB to be asked.
    fields = [mapped("a", "long", "b", 1), mapped("b", "long", "a", 2)]
    table = ForeignTable(tmp_path / "t", fields, NAME, ("columnMapping",))
    rows = pa.table({"b": pa.array(range(700_000), pa.int64()), "a": pa.array([7] * 700_000, pa.int64())})
    table.add(rows, row_group_size=100_000)
    found = lakefmt.open(table.folder).scan(where="a % 100000 = 5").to_arrow()
    assert sorted(found["a"].to_pylist()) == [5 + 100_000 * i for i in range(7)]
    assert set(found["b"].to_pylist()) == {7}


@pytest.mark.parametrize("mode", [NAME, ID])
def test_partition_values_are_kept_under_physical_names(tmp_path, mode):
    fields = [mapped("id", "long", "c1", 1), mapped("month", "integer", "c2", 2)]
    rows = pa.table([[1]], schema=pa.schema([numbered("c1", pa.int64(), 1)]))
    table = ForeignTable(tmp_path / "t", fields, mode, ("columnMapping",), ("month",))
    table.add(rows, partition_values={"c2": "3"}).add(rows, partition_values={"c2": None, "month": "9"})
    opened = lakefmt.open(table.folder)
    assert sorted(opened.to_arrow()["month"].to_pylist(), key=str) == [3, None]
    assert opened.scan(where="month = 3").count() == 1
    assert opened.scan(where="month = 9").count() == 0
    assert opened.files()["partition_values"].to_pylist() == [{"month": 3}, {"month": None}]


def test_column_dropped_and_added_again_does_not_come_back(tmp_path):
    # Mapping was switched on later, so the first column is called in files as the new one is in the table.
    fields = [mapped("id", "long", "id", 1), mapped("note", "string", "col-new", 3)]
    table = ForeignTable(tmp_path / "t", fields, NAME, ("columnMapping",))
    table.add(pa.table({"id": [1], "note": ["dropped"]}))
    table.add(pa.table({"id": [2], "col-new": ["kept"]}))
    found = lakefmt.open(table.folder).to_arrow().sort_by("id").to_pylist()
    assert found == [{"id": 1, "note": None}, {"id": 2, "note": "kept"}]


def test_file_without_field_ids_is_refused_in_mode_id(tmp_path):
    table = ForeignTable(tmp_path / "t", [mapped("id", "long", "c1", 1)], ID, ("columnMapping",))
    table.add(pa.table({"c1": [1]}))
    with pytest.raises(
        CorruptTableError, match=r"found by field id, and a data file has none.*part-0.parquet"
    ):
        lakefmt.open(table.folder).to_arrow()


def test_annotations_of_an_unmapped_table_mean_nothing(tmp_path):
    table = ForeignTable(tmp_path / "t", [mapped("id", "long", "c1", 1)], {}, ())
    table.add(pa.table({"id": [1], "c1": [2]}))
    assert lakefmt.open(table.folder).to_arrow().to_pydict() == {"id": [1]}


@pytest.mark.parametrize("mode", [NAME, ID])
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ([column("id", "long", delta__columnMapping__id=1)], "column id has no usable .*physicalName"),
        ([column("id", "long", delta__columnMapping__id=1, delta__columnMapping__physicalName=5)], "physicalName"),
        ([mapped("s", struct(column("x", "long")), "c1", 1)], r"column s\.x has no usable"),
        ([mapped("s", array(struct(column("x", "long"))), "c1", 1)], r"column s\.element\.x has no usable"),
        ([mapped("a", "long", "c1", 1), mapped("b", "long", "c1", 2)], "columns a and b have the same"),
    ],
)  # fmt: skip
def test_mapping_that_does_not_tell_columns_apart_is_corruption(tmp_path, mode, fields, named):
    table = ForeignTable(tmp_path / "t", fields, mode, ("columnMapping",)).write_log()
    with pytest.raises(CorruptTableError, match=named) as caught:
        _ = lakefmt.open(table.folder).schema
    assert caught.value.table is not None


@pytest.mark.parametrize("number", [None, "1", 1.5, -1, 2**31, True])
def test_ids_matter_in_mode_id_alone(tmp_path, number):
    field = column("id", "long", delta__columnMapping__physicalName="c1", delta__columnMapping__id=number)
    by_id = ForeignTable(tmp_path / "id", [field], ID, ("columnMapping",)).write_log()
    with pytest.raises(CorruptTableError, match=r"column id has no usable delta\.columnMapping\.id"):
        _ = lakefmt.open(by_id.folder).schema
    by_name = ForeignTable(tmp_path / "name", [field], NAME, ("columnMapping",)).add(pa.table({"c1": [1]}))
    assert lakefmt.open(by_name.folder).to_arrow().to_pydict() == {"id": [1]}


def test_mapping_switched_on_by_a_later_protocol_is_seen_by_an_old_handle(tmp_path):
    fields = [mapped("id", "long", "id", 1)]
    table = ForeignTable(tmp_path / "t", fields, NAME, ()).add(pa.table({"id": [1]}))
    opened = lakefmt.open(table.folder)
    assert opened.snapshot.column_mapping == "none"
    upgraded = {
        "minReaderVersion": 3,
        "minWriterVersion": 7,
        "readerFeatures": ["columnMapping"],
        "writerFeatures": ["columnMapping"],
    }
    (table.folder / "_delta_log" / f"{1:020}.json").write_text(json.dumps({"protocol": upgraded}))
    opened.refresh()
    assert opened.snapshot.column_mapping == "name"


def test_view_of_duckdb_reads_files_of_earlier_schemas_itself(tmp_path):
    fields = [mapped("b", "long", "c1", 1), mapped("x", "double", "c2", 2), mapped("c", "string", "c3", 3)]
    table = ForeignTable(tmp_path / "t", fields, NAME, ("columnMapping",))
    table.add(pa.table({"c1": pa.array([1, 2], pa.int32()), "c2": [0.5, float("nan")]}))
    table.add(pa.table({"c1": [3], "c2": [1.5], "c3": ["new"]}))
    with duckdb.connect() as connection:
        view = lakefmt.open(tmp_path / "t").to_duckdb(connection, "t")
        assert view.order("b").fetchall()[2] == (3, 1.5, "new")
        assert connection.sql("SELECT b, c FROM t WHERE x > 5").fetchall() == [(2, None)]
        assert "READ_PARQUET" in view.explain().upper()
        assert "ARROW" not in view.explain().upper()
