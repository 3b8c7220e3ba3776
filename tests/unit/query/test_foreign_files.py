"""Files of other writers: bounds that leave NaN out, columns that are missing, renamed, widened, or DuckDB's in another type."""

from __future__ import annotations

import datetime as dt

import duckdb
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import CorruptTableError
from lakefmt.testing.foreign_table import ForeignTable, array, column, mapped, struct

NAN = float("nan")


def read(text, table):
    return lakefmt.sql(text, {"t": table}).to_arrow().to_pylist()


def own_files(table):
    return lakefmt.sql("FROM t", {"t": table}).explain().tables[0].own_files


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
def test_nan_that_bounds_leave_out_is_found(tmp_path, kind):
    fields = [column("id", "long"), column("x", "float" if kind == pa.float32() else "double")]
    rows = pa.table({"id": [1, 2, 3], "x": pa.array([1.0, 2.0, NAN], kind)})
    bounds = {"numRecords": 3, "minValues": {"x": 1.0}, "maxValues": {"x": 2.0}, "nullCount": {"x": 0}}
    ForeignTable(tmp_path / "t", fields).add(rows, stats=bounds)
    table = lakefmt.open(tmp_path / "t")
    assert own_files(table) == 0
    assert read("SELECT id FROM t WHERE x > 5", table) == [{"id": 3}]
    assert read("SELECT count(*) AS n FROM t WHERE x <= 2", table) == [{"n": 2}]
    assert str(read("SELECT max(x) AS high, min(x) AS low FROM t", table)) == "[{'high': nan, 'low': 1.0}]"
    assert read("SELECT id FROM t WHERE isnan(x)", table) == [{"id": 3}]
    assert read("SELECT id FROM t ORDER BY x DESC LIMIT 1", table) == [{"id": 3}]


def test_nan_in_a_struct_is_found(tmp_path):
    fields = [column("id", "long"), column("s", struct(column("x", "double")))]
    rows = pa.table({"id": [1, 2], "s": [{"x": 1.0}, {"x": NAN}]})
    ForeignTable(tmp_path / "t", fields).add(rows)
    assert read("SELECT id FROM t WHERE s.x > 5", lakefmt.open(tmp_path / "t")) == [{"id": 2}]


def test_columns_that_came_later_are_null_in_earlier_files(tmp_path):
    fields = [column("id", "long"), column("late", "string"), column("l", array("long"))]
    table = ForeignTable(tmp_path / "t", fields)
    table.add(pa.table({"id": [1]})).add(pa.table({"late": ["x"], "id": [2], "l": [[1]], "dropped": [0.5]}))
    opened = lakefmt.open(tmp_path / "t")
    assert read("SELECT * FROM t ORDER BY id", opened) == [
        {"id": 1, "late": None, "l": None},
        {"id": 2, "late": "x", "l": [1]},
    ]
    assert read("SELECT id FROM t WHERE late IS NULL", opened) == [{"id": 1}]
    # A list that is missing has no name of DuckDB's here: the file comes through this library.
    assert own_files(opened) == 1


def test_partition_values_stand_in_the_log(tmp_path):
    fields = [column("id", "long"), column("day", "date"), column("p", "double")]
    table = ForeignTable(tmp_path / "t", fields, partition_columns=("day", "p"))
    for number, (day, p) in enumerate(
        [("2026-01-01", "0.5"), ("2026-01-02", None), (None, "NaN"), ("9999-12-31", "1")]
    ):
        table.add(pa.table({"id": [number, number + 10]}), partition_values={"day": day, "p": p})
    opened = lakefmt.open(tmp_path / "t")
    assert own_files(opened) == 0
    assert read("SELECT id, day FROM t WHERE id < 3 ORDER BY id", opened) == [
        {"id": 0, "day": dt.date(2026, 1, 1)},
        {"id": 1, "day": dt.date(2026, 1, 2)},
        {"id": 2, "day": None},
    ]
    assert read("SELECT id FROM t WHERE p > 1 ORDER BY id", opened) == [{"id": 2}, {"id": 12}]
    assert read(
        "SELECT day, count(*) AS n FROM t WHERE day > '2026-01-01' GROUP BY day ORDER BY day", opened
    ) == [
        {"day": dt.date(2026, 1, 2), "n": 2},
        {"day": dt.date(9999, 12, 31), "n": 2},
    ]


def test_hundreds_of_files_are_listed_once(tmp_path):
    table = ForeignTable(
        tmp_path / "t", [column("id", "long"), column("p", "long")], partition_columns=("p",)
    )
    for number in range(70):
        table.add(pa.table({"id": [number]}), partition_values={"p": str(number * 2)})
    opened = lakefmt.open(tmp_path / "t")
    assert read(
        "SELECT count(*) AS n, sum(id) AS i, sum(p) AS p, max(p - 2 * id) AS d FROM t WHERE id + p >= 0",
        opened,
    ) == [{"n": 70, "i": 2415, "p": 4830, "d": 0}]


def test_renamed_columns_and_members(tmp_path):
    fields = [
        mapped("id", "long", "c1", 1),
        mapped("s", struct(mapped("x", "long", "c3", 3)), "c2", 2),
        mapped("c1", "string", "c4", 4),
    ]
    properties = {"delta.columnMapping.mode": "name"}
    table = ForeignTable(tmp_path / "t", fields, properties, ("columnMapping",))
    table.add(pa.table({"c4": ["a"], "c1": [1], "c2": [{"c3": 7}]}))
    assert read("SELECT id, c1, s.x AS x FROM t WHERE s.x = 7", lakefmt.open(tmp_path / "t")) == [
        {"id": 1, "c1": "a", "x": 7}
    ]
    plain = ForeignTable(tmp_path / "u", [fields[0], fields[2]], properties, ("columnMapping",))
    plain.add(pa.table({"c4": ["a"], "c1": [1]}))
    opened = lakefmt.open(tmp_path / "u")
    assert read("SELECT id, c1 FROM t WHERE c1 = 'a' AND id = 1", opened) == [{"id": 1, "c1": "a"}]
    assert own_files(opened) == 0


@pytest.mark.parametrize(
    ("before", "after", "narrow", "wide"),
    [
        ("integer", "long", pa.int32(), pa.int64()),
        ("float", "double", pa.float32(), pa.float64()),
        ("integer", "double", pa.int32(), pa.float64()),
        ("decimal(6,2)", "decimal(10,4)", pa.decimal128(6, 2), pa.decimal128(10, 4)),
    ],
)
def test_widened_columns(tmp_path, before, after, narrow, wide):
    change = {"fromType": before, "toType": after}
    table = ForeignTable(
        tmp_path / "t", [column("c", after, delta__typeChanges=[change])], features=("typeWidening",)
    )
    table.add(pa.table({"c": pa.array([1, None, 3], pa.int8()).cast(narrow)})).add(
        pa.table({"c": pa.array([2], pa.int8()).cast(wide)})
    )
    opened = lakefmt.open(tmp_path / "t")
    rows = lakefmt.sql("SELECT c FROM t ORDER BY c", {"t": opened}).to_arrow()
    assert rows["c"].type == wide
    assert rows["c"].to_pylist() == [1, 2, 3, None]
    assert read("SELECT c FROM t WHERE c > 1.5 AND c < 2.5", opened) == [{"c": 2}]
    assert own_files(opened) == 0


def test_what_duckdb_reads_as_another_type_comes_through_this_library(tmp_path):
    fields = [column("id", "long"), column("t", "timestamp")]
    moments = pa.array([dt.datetime(2026, 1, 1, tzinfo=dt.UTC)], pa.timestamp("ns", "UTC"))
    ForeignTable(tmp_path / "t", fields).add(
        pa.table({"id": [1], "t": moments}), use_deprecated_int96_timestamps=True
    )
    opened = lakefmt.open(tmp_path / "t")
    assert own_files(opened) == 1
    assert read("SELECT id FROM t WHERE t = TIMESTAMPTZ '2026-01-01 00:00:00+00'", opened) == [{"id": 1}]
    assert read("SELECT count(*) AS n FROM t a JOIN t b USING (t)", opened) == [{"n": 1}]


def test_column_of_another_type_is_corrupt(tmp_path):
    ForeignTable(tmp_path / "t", [column("id", "long")]).add(pa.table({"id": ["x"]}))
    with pytest.raises(CorruptTableError):
        read("SELECT id FROM t", lakefmt.open(tmp_path / "t"))


def test_column_that_is_never_null_and_missing_is_corrupt(tmp_path):
    fields = [column("id", "long"), {**column("must", "long"), "nullable": False}]
    ForeignTable(tmp_path / "t", fields).add(pa.table({"id": [1]}))
    with pytest.raises(CorruptTableError):
        read("SELECT must FROM t", lakefmt.open(tmp_path / "t"))


def test_texts_that_a_writer_marked_as_json_stay_texts(tmp_path):
    marked = pa.array(['{"a": 1}', None], pa.string()).cast(pa.json_(pa.string()))
    table = ForeignTable(tmp_path / "t", [column("id", "long"), column("x", "string")])
    table.add(pa.table({"id": [1, 2], "x": marked})).add(pa.table({"id": [3], "x": ["no JSON"]}))
    opened = lakefmt.open(tmp_path / "t")
    result = lakefmt.sql("SELECT typeof(x) AS kind, x FROM t ORDER BY id", {"t": opened}).to_arrow()
    assert result["x"].type == pa.string()
    assert result.to_pylist() == [
        {"kind": "VARCHAR", "x": '{"a": 1}'},
        {"kind": "VARCHAR", "x": None},
        {"kind": "VARCHAR", "x": "no JSON"},
    ]
    assert own_files(opened) == 1
    assert opened.to_duckdb(duckdb.connect(), "t").order("id").types == ["BIGINT", "VARCHAR"]


def test_binaries_that_a_writer_marked_as_shapes_stay_binaries(tmp_path):
    shape = bytes.fromhex("0101000000000000000000f03f0000000000000040")  # POINT (1 2)
    rows = pa.table({"x": [shape]})
    geo = '{"version":"1.0.0","primary_column":"x","columns":{"x":{"encoding":"WKB","geometry_types":["Point"]}}}'
    ForeignTable(tmp_path / "t", [column("x", "binary")]).add(rows).add(
        rows.replace_schema_metadata({"geo": geo})
    )
    result = lakefmt.sql("SELECT typeof(x) AS kind, x FROM t", {"t": lakefmt.open(tmp_path / "t")}).to_arrow()
    assert result.to_pylist() == [{"kind": "BLOB", "x": shape}] * 2
