"""Columns whose type was changed: files of before and after give the values they hold, and bounds stay bounds."""

import datetime as dt
import json
from decimal import Decimal

import duckdb
import polars as pl
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import CorruptTableError, UnsupportedFeatureError
from lakefmt.testing.foreign_table import ForeignTable, array, column, map_of, struct

FEATURES = ("typeWidening", "timestampNtz")
CHANGES = [
    ("byte", "short", pa.int8(), [1, -128]),
    ("byte", "integer", pa.int8(), [1, 127]),
    ("short", "long", pa.int16(), [1, -32768]),
    ("integer", "long", pa.int32(), [1, 2**31 - 1]),
    ("byte", "double", pa.int8(), [1, -1]),
    ("integer", "double", pa.int32(), [1, 2**31 - 1]),
    ("float", "double", pa.float32(), [0.5, -2.25]),
    ("byte", "decimal(10,0)", pa.int8(), [1, -128]),
    ("byte", "decimal(4,1)", pa.int8(), [1, -128]),
    ("integer", "decimal(38,28)", pa.int32(), [1, 2**31 - 1]),
    ("long", "decimal(20,0)", pa.int64(), [1, 2**63 - 1]),
    ("long", "decimal(38,18)", pa.int64(), [1, -(2**63)]),
    ("decimal(6,2)", "decimal(10,4)", pa.decimal128(6, 2), [Decimal("1.25"), Decimal("-9999.99")]),
    ("decimal(6,2)", "decimal(38,34)", pa.decimal128(6, 2), [Decimal("1.25"), Decimal("-9999.99")]),
    ("date", "timestamp_ntz", pa.date32(), [dt.date(2026, 1, 2), dt.date(1, 1, 1)]),
]


def changed(name, before, after, **more):
    change = {"fromType": before, "toType": after, **more}
    return column(name, after, delta__typeChanges=[change])


def as_wide(value):
    return dt.datetime(value.year, value.month, value.day) if isinstance(value, dt.date) else value


@pytest.mark.parametrize(("before", "after", "narrow", "values"), CHANGES)
def test_files_from_before_the_change_give_their_values(tmp_path, before, after, narrow, values):
    table = ForeignTable(tmp_path / "t", [changed("c", before, after)], features=FEATURES)
    table.add(pa.table({"c": pa.array([*values, None], narrow)}))
    wide = lakefmt.open(table.folder).schema.to_arrow().field("c").type
    table.add(pa.table({"c": pa.array([as_wide(value) for value in values], pa.int64() if wide == pa.int64() else wide)}))  # fmt: skip
    opened = lakefmt.open(table.folder)
    found = opened.to_arrow()["c"]
    assert found.type == wide
    plain = [None if value is None else value for value in found.to_pylist()]
    assert plain == [*map(as_wide, values), None, *map(as_wide, values)]
    rows = sorted(opened.scan(where="c IS NOT NULL").to_arrow()["c"].to_pylist())
    assert rows == sorted([*map(as_wide, values), *map(as_wide, values)])


def test_rows_are_appended_under_the_wide_type(tmp_path):
    table = ForeignTable(tmp_path / "t", [changed("c", "integer", "long")], features=FEATURES)
    table.add(pa.table({"c": pa.array([1], pa.int32())}))
    opened = lakefmt.open(table.folder)
    before = opened.snapshot.metadata
    opened.append({"c": [2**40]})
    newest = lakefmt.open(table.folder)
    assert sorted(newest.to_arrow()["c"].to_pylist()) == [1, 2**40]
    assert newest.snapshot.metadata == before
    newest.overwrite({"c": [7]})
    assert lakefmt.open(table.folder).to_arrow()["c"].to_pylist() == [7]


def test_members_of_arrays_maps_and_structs_are_widened(tmp_path):
    changes = [
        {"fromType": "float", "toType": "double", "fieldPath": "key"},
        {"fromType": "decimal(6, 2)", "toType": "decimal(10, 4)", "fieldPath": "value.element"},
    ]
    fields = [
        column("m", map_of("double", array("decimal(10,4)")), delta__typeChanges=changes),
        column("s", struct(changed("x", "byte", "long"))),
    ]
    narrow = pa.schema(
        [
            ("m", pa.map_(pa.float32(), pa.list_(pa.decimal128(6, 2)))),
            ("s", pa.struct([("x", pa.int8())])),
        ]
    )
    rows = [{"m": [(0.5, [Decimal("1.25"), None])], "s": {"x": 5}}, {"m": None, "s": None}]
    table = ForeignTable(tmp_path / "t", fields, features=("typeWidening-preview",))
    table.add(pa.Table.from_pylist(rows, schema=narrow))
    opened = lakefmt.open(table.folder)
    assert opened.to_arrow().to_pylist() == rows
    assert opened.scan(columns=["s"], where="s.x = 5").to_arrow().to_pylist() == [{"s": {"x": 5}}]


@pytest.mark.parametrize("value", [0.7, 0.1, 0.3, 1e-40, 16777216.0])
def test_bounds_of_floats_written_as_text_bound_the_doubles_they_are_now(tmp_path, value):
    written = pa.scalar(value, pa.float32())
    exact = written.as_py()
    text = json.loads(
        written.cast(pa.string()).as_py()
    )  # as Spark and others write it: the shortest digits of the float
    stats = {"numRecords": 1, "minValues": {"c": text}, "maxValues": {"c": text}, "nullCount": {"c": 0}}
    table = ForeignTable(tmp_path / "t", [changed("c", "float", "double")], features=FEATURES)
    table.add(pa.table({"c": pa.array([exact], pa.float32())}), stats=stats)
    table.add(pa.table({"c": pa.array([float(text)], pa.float64())}), stats=stats)
    opened = lakefmt.open(table.folder)
    for wanted in (exact, float(text)):
        count = 2 if exact == float(text) else 1
        for where in ("c = ?", "c <= ? AND c >= ?"):
            scan = opened.scan(where=where, params=[wanted] * where.count("?"))
            assert scan.to_arrow()["c"].to_pylist() == [wanted] * count
        found = opened.scan().to_polars().filter(pl.col("c") <= wanted, pl.col("c") >= wanted).collect()
        assert found["c"].to_list() == [wanted] * count


def test_bounds_under_the_narrow_type_still_leave_files_out(tmp_path):
    fields = [changed("i", "integer", "decimal(12,2)"), changed("d", "date", "timestamp_ntz")]
    table = ForeignTable(tmp_path / "t", fields, features=FEATURES)
    stats = {
        "numRecords": 2,
        "minValues": {"i": 1, "d": "2026-01-01"},
        "maxValues": {"i": 7, "d": "2026-01-03"},
        "nullCount": {"i": 0, "d": 0},
    }
    days = [dt.date(2026, 1, 1), dt.date(2026, 1, 3)]
    table.add(pa.table({"i": pa.array([1, 7], pa.int32()), "d": pa.array(days)}), stats=stats)
    opened = lakefmt.open(table.folder)
    for where, files, rows in [
        ("i = 7", 1, 1),
        ("i > 7", 0, 0),
        ("i < 1", 0, 0),
        ("d = TIMESTAMP '2026-01-03'", 1, 1),
        ("d > TIMESTAMP '2026-01-03 00:00:01'", 0, 0),
    ]:
        scan = opened.scan(where=where)
        assert (scan.files().num_rows, scan.to_arrow().num_rows) == (files, rows), where


def test_partition_values_written_under_the_narrow_type_are_read_as_the_wide(tmp_path):
    fields = [
        column("id", "long"),
        changed("i", "byte", "decimal(10,2)"),
        changed("d", "date", "timestamp_ntz"),
        changed("f", "integer", "double"),
    ]
    table = ForeignTable(tmp_path / "t", fields, {}, FEATURES, ("i", "d", "f"))
    table.add(pa.table({"id": [1]}), partition_values={"i": "5", "d": "2026-01-02", "f": "7"})
    table.add(pa.table({"id": [2]}), partition_values={"i": "", "d": None, "f": ""})
    found = lakefmt.open(table.folder).to_arrow().sort_by("id").to_pylist()
    assert found == [
        {"id": 1, "i": Decimal("5.00"), "d": dt.datetime(2026, 1, 2), "f": 7.0},
        {"id": 2, "i": None, "d": None, "f": None},
    ]
    assert lakefmt.open(table.folder).scan(where="i = 5 AND f = 7").count() == 1


def test_row_groups_and_duckdb_views_do_not_take_narrow_bounds_for_wide_ones(tmp_path):
    table = ForeignTable(tmp_path / "t", [changed("c", "integer", "double")], features=FEATURES)
    table.add(pa.table({"c": pa.array(range(1000), pa.int32())}), row_group_size=100)
    scan = lakefmt.open(table.folder).scan()
    assert lakefmt.open(table.folder).scan(where="c >= 250 AND c < 252").to_arrow()["c"].to_pylist() == [
        250,
        251,
    ]
    con = duckdb.connect()
    assert scan.to_duckdb(con, "v").filter("c = 250").fetchall() == [(250.0,)]
    assert con.sql("SELECT typeof(c) FROM v LIMIT 1").fetchall() == [("DOUBLE",)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("long", "integer"),
        ("long", "double"),
        ("double", "float"),
        ("integer", "string"),
        ("date", "timestamp"),
        ("decimal(10,2)", "decimal(11,4)"),
        ("integer", "decimal(10,2)"),
        ("geometry", "double"),
    ],
)
def test_changes_that_are_no_widening_are_refused_by_name(tmp_path, before, after):
    field = column("s", struct(changed("x", before, after)))
    table = ForeignTable(tmp_path / "t", [field], features=FEATURES).write_log()
    with pytest.raises(UnsupportedFeatureError) as caught:
        _ = lakefmt.open(table.folder).schema
    assert f"column s.x was changed from {before} to {after}" in caught.value.message
    assert caught.value.table is not None


def test_refusal_names_the_member_that_was_changed(tmp_path):
    change = {"fromType": "string", "toType": "long", "fieldPath": "element.value"}
    field = column("e", array(map_of("string", "long")), delta__typeChanges=[change])
    table = ForeignTable(tmp_path / "t", [field], features=FEATURES).write_log()
    with pytest.raises(UnsupportedFeatureError, match=r"column e\.element\.value was changed"):
        _ = lakefmt.open(table.folder).schema


@pytest.mark.parametrize(
    "changes", [{}, [1], [{"fromType": "byte"}], [{"fromType": "byte", "toType": 1}], "x"]
)
def test_garbage_for_type_changes_is_corruption(tmp_path, changes):
    table = ForeignTable(tmp_path / "t", [column("c", "long", delta__typeChanges=changes)], features=FEATURES)
    with pytest.raises(CorruptTableError, match=r"delta\.typeChanges of column c"):
        _ = lakefmt.open(table.write_log().folder).schema


def test_length_of_texts_may_change(tmp_path):
    table = ForeignTable(tmp_path / "t", [changed("c", "varchar(5)", "string")], features=FEATURES)
    assert lakefmt.open(table.add(pa.table({"c": ["a"]})).folder).to_arrow()["c"].to_pylist() == ["a"]
