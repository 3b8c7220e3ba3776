"""Variants as files keep them: in two binaries, or shredded into typed columns, at any depth of a table."""

import datetime as dt
import json
import uuid
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import CorruptTableError, InvalidInputError
from lakefmt.expressions import parse_predicate
from lakefmt.schema import parse_schema
from lakefmt.testing.foreign_table import ForeignTable, array, column, map_of, mapped, struct

FEATURES = ("variantType", "variantShredding")
KEYS = b"\x11\x04\x00\x01\x02\x03\x04abcd"  # names a, b, c, d
ONE, TWO = b"\x0c\x01", b"\x0c\x02"
NULL = b"\0"


def variant_table(folder, rows, typed=None, **options):
    """A table of one variant column whose file has these rows of (value, typed_value)."""
    members = [pa.field("metadata", pa.binary(), nullable=False), pa.field("value", pa.binary())]
    if typed is not None:
        members.append(pa.field("typed_value", typed))
    values = [
        None if row is None else dict(zip(["metadata", "value", "typed_value"], [KEYS, *row], strict=False))
        for row in rows
    ]
    table = ForeignTable(folder, [column("v", "variant")], features=FEATURES)
    return table.add(pa.table({"v": pa.array(values, pa.struct(members))}), **options)


def texts_of(table):
    rows = lakefmt.open(table.folder).to_arrow()
    rows.validate(full=True)
    assert rows.schema == lakefmt.open(table.folder).schema.to_arrow()
    return lakefmt.variant_to_json(rows["v"]).to_pylist()


def group(typed):
    return pa.struct([pa.field("value", pa.binary()), pa.field("typed_value", typed)])


def test_unshredded_variants_are_their_two_binaries(tmp_path):
    table = variant_table(tmp_path / "t", [(ONE,), None, (NULL,)])
    found = lakefmt.open(table.folder).to_arrow()["v"].to_pylist()
    assert found == [{"metadata": KEYS, "value": ONE}, None, {"metadata": KEYS, "value": NULL}]


def test_order_of_the_binaries_in_the_file_does_not_matter(tmp_path):
    table = ForeignTable(tmp_path / "t", [column("v", "variant")], features=("variantType-preview",))
    type_ = pa.struct([pa.field("value", pa.binary()), pa.field("metadata", pa.large_binary())])
    table.add(pa.table({"v": pa.array([{"value": ONE, "metadata": KEYS}, None], type_)}))
    assert texts_of(table) == ["1", None]


def test_a_struct_with_the_members_of_a_variant_is_a_struct(tmp_path):
    fields = struct(column("metadata", "binary"), column("value", "binary"), column("typed_value", "long"))
    table = ForeignTable(tmp_path / "t", [column("v", fields)], features=FEATURES)
    rows = [{"metadata": b"m", "value": None, "typed_value": 5}, None]
    table.add(pa.table({"v": rows}))
    assert lakefmt.open(table.folder).to_arrow()["v"].to_pylist() == rows


ID = uuid.UUID("00010203-0405-0607-0809-0a0b0c0d0e0f")


@pytest.mark.parametrize(
    ("typed", "shredded", "expected"),
    [
        (pa.bool_(), [True, False], ["true", "false"]),
        (pa.int8(), [-1], ["-1"]),
        (pa.int16(), [-300], ["-300"]),
        (pa.int32(), [2**31 - 1], ["2147483647"]),
        (pa.int64(), [-(2**63)], ["-9223372036854775808"]),
        (pa.float32(), [0.5], ["0.5"]),
        (pa.float64(), [0.1], ["0.1"]),
        (pa.decimal128(9, 2), [Decimal("-1.25")], ["-1.25"]),
        (pa.decimal128(18, 0), [Decimal(10**17)], ["1" + "0" * 17]),
        (pa.decimal128(38, 38), [Decimal("0." + "9" * 38)], ["0." + "9" * 38]),
        (pa.date32(), [dt.date(2026, 1, 2)], ['"2026-01-02"']),
        (pa.timestamp("us", "UTC"), [dt.datetime(2026, 1, 2, tzinfo=dt.UTC)], ['"2026-01-02 00:00:00+00:00"']),
        (pa.timestamp("us"), [dt.datetime(2026, 1, 2)], ['"2026-01-02 00:00:00"']),
        (pa.timestamp("ns"), [1], ['"1970-01-01 00:00:00.000000001"']),
        (pa.time64("us"), [dt.time(1, 2, 3)], ['"01:02:03"']),
        (pa.binary(), [b"\x00\xff"], ['"AP8="']),
        (pa.binary(16), [ID.bytes], [f'"{ID}"']),
        (pa.string(), ["", "ü" * 31, "x" * 64], ['""', '"' + "ü" * 31 + '"', '"' + "x" * 64 + '"']),
    ],
)  # fmt: skip
def test_values_shredded_by_every_type(tmp_path, typed, shredded, expected):
    rows = [*((None, value) for value in shredded), (ONE, None), (NULL, None), (None, None), None]
    table = variant_table(tmp_path / "t", rows, typed)
    assert texts_of(table) == [*expected, "1", "null", "null", None]


def test_objects_and_arrays_are_put_together_from_what_is_shredded_and_what_is_not(tmp_path):
    typed = pa.struct(
        [
            ("d", group(pa.string())),
            ("a", group(pa.list_(pa.field("element", group(pa.int64()))))),
            ("b", group(pa.struct([("c", group(pa.int32()))]))),
        ]
    )
    only_c = b"\x02\x01\x02\x00\x02" + ONE

    def member(typed_value=None, value=None):
        return {"value": value, "typed_value": typed_value}

    elements = [member(5), member(value=NULL), member(), None]
    rows = [
        (None, {"d": member("x"), "a": member(elements), "b": member({"c": member(7)})}),
        (only_c, {"d": member(value=NULL), "a": member(value=ONE), "b": member({"c": member()}, only_c[:0] or None)}),
        (None, {"d": member(), "a": member([]), "b": member()}),
        (None, {"d": None, "a": None, "b": None}),
        (TWO, None),
        None,
    ]  # fmt: skip
    table = variant_table(tmp_path / "t", rows, typed)
    assert texts_of(table) == [
        '{"a":[5,null,null,null],"b":{"c":7},"d":"x"}',
        '{"a":1,"b":{},"c":1,"d":null}',
        '{"a":[]}',
        "{}",
        "2",
        None,
    ]


def test_large_arrays_and_objects_keep_all_members(tmp_path):
    count = 300
    typed = pa.list_(pa.field("element", group(pa.int64())))
    elements = [{"value": None, "typed_value": 2**40 + i} for i in range(count)]
    table = variant_table(tmp_path / "t", [(None, elements)], typed)
    assert json.loads(texts_of(table)[0]) == [2**40 + i for i in range(count)]


def test_variants_within_arrays_maps_and_structs_of_a_mapped_table(tmp_path):
    shredded = pa.struct([("metadata", pa.binary()), ("value", pa.binary()), ("typed_value", pa.int64())])
    fields = [
        mapped("l", array("variant"), "c1", 1),
        mapped("m", map_of("string", "variant"), "c2", 2),
        mapped("s", struct(mapped("x", "variant", "c4", 4)), "c3", 3),
    ]
    five = {"metadata": KEYS, "value": None, "typed_value": 5}
    plain = {"metadata": KEYS, "value": b"\x18" + (5).to_bytes(8, "little")}

    def numbered(name, type_, number):
        return pa.field(name, type_, metadata={"PARQUET:field_id": str(number)})

    schema = pa.schema(
        [
            numbered("x1", pa.list_(shredded), 1),
            numbered("x2", pa.map_(pa.string(), shredded), 2),
            numbered("x3", pa.struct([numbered("x4", shredded, 4)]), 3),
        ]
    )
    rows = [{"x1": [five, None], "x2": [("k", five)], "x3": {"x4": five}}]
    properties = {"delta.columnMapping.mode": "id"}
    table = ForeignTable(tmp_path / "t", fields, properties, ("columnMapping", *FEATURES))
    table.add(pa.Table.from_pylist(rows, schema=schema))
    found = lakefmt.open(table.folder).to_arrow().to_pylist()
    assert found == [{"l": [plain, None], "m": [("k", plain)], "s": {"x": plain}}]


def test_predicates_on_null_variants_and_other_forms_of_reading(tmp_path):
    stats = {
        "numRecords": 3,
        "nullCount": {"v": 1},
        "minValues": {"v": "0S&u501fk+"},
        "maxValues": {"v": "x"},
    }
    rows = [(None, 5), (ONE, None), None]
    table = variant_table(tmp_path / "t", rows, pa.int64(), stats=stats, row_group_size=1)
    opened = lakefmt.open(table.folder)
    assert opened.scan(where="v IS NULL").count() == 1
    assert opened.scan(where="v IS NOT NULL").to_arrow().num_rows == 2
    con = duckdb.connect()
    opened.scan().to_duckdb(con, "view_of_variants")
    kinds = con.sql("SELECT DISTINCT typeof(v) FROM view_of_variants").fetchall()
    assert kinds == [('STRUCT(metadata BLOB, "value" BLOB)',)]
    assert opened.scan().to_polars().collect().height == 3


@pytest.mark.parametrize(
    ("typed", "row", "reason"),
    [
        (pa.int64(), (ONE, 5), "shredded and whole"),
        (pa.uint8(), (None, 5), "none of the types"),
        (pa.int64(), (b"\x0c", None), None),  # which is found where the value is looked at
        (pa.struct([("a", group(pa.int64()))]), (ONE, {"a": {"typed_value": 1}}), "and is none"),
        (
            pa.struct([("a", group(pa.int64()))]),
            (b"\x02\x01\x00\x00\x02" + ONE, {"a": {"typed_value": 1}}),
            "shredded and whole",
        ),
        (pa.struct([("z", group(pa.int64()))]), (None, {"z": {"typed_value": 1}}), "lacks the name"),
        (pa.struct([("a", pa.int64())]), (None, {"a": 1}), "a shredded part of it is int64"),
        (pa.struct([("a", group(pa.int64()))]), (b"\x02\xff", {"a": {"typed_value": 1}}), "too early"),
    ],
)
def test_variants_that_contradict_themselves_are_corruption_of_a_named_file(tmp_path, typed, row, reason):
    table = variant_table(tmp_path / "t", [row], typed)
    with pytest.raises(CorruptTableError, match=reason) as caught:
        texts_of(table)
    assert reason is None or caught.value.path == "part-0.parquet"


def test_column_that_is_no_variant_is_corruption(tmp_path):
    table = ForeignTable(tmp_path / "t", [column("v", "variant")], features=FEATURES)
    table.add(pa.table({"v": [{"x": 1}]}))
    with pytest.raises(CorruptTableError, match="a variant cannot be read: its column is struct"):
        lakefmt.open(table.folder).to_arrow()


@pytest.mark.parametrize(
    "shape",
    [None, "STRUCT(a INTEGER, b VARCHAR, c STRUCT(d DECIMAL(12,1), e INTEGER[]))", "STRUCT(a BIGINT, f DATE)", "BIGINT[]"],
)  # fmt: skip
def test_variants_that_duckdb_shreds_are_what_it_wrote(tmp_path, shape):
    con = duckdb.connect()
    options = "" if shape is None else f"(SHREDDING {{v: '{shape}'}})"
    try:
        con.execute(
            """CREATE TABLE written AS SELECT i, CASE WHEN i % 7 = 6 THEN 'none'::VARIANT WHEN i % 7 = 5 THEN [i, i + 1]::VARIANT
               ELSE {'a': i, 'b': 't' || i, 'c': {'d': i + 0.5, 'e': [i]}, 'f': DATE '2026-01-01' + i::INTEGER, 'n': NULL}::VARIANT
               END AS v FROM range(50) AS numbers(i)"""
        )
        (tmp_path / "t").mkdir()
        con.execute(f"COPY written TO '{tmp_path / 't' / 'f.parquet'}' {options}")
    except duckdb.Error:
        pytest.skip("this release of DuckDB does not write variants to Parquet")
    table = ForeignTable(tmp_path / "t", [column("i", "long"), column("v", "variant")], features=FEATURES)
    table.add_file("f.parquet")
    rows = lakefmt.open(table.folder).to_arrow().sort_by("i")
    expected = con.sql("SELECT v::JSON::VARCHAR FROM written ORDER BY i").fetchall()
    found = lakefmt.variant_to_json(rows["v"]).to_pylist()
    assert [json.loads(text) for text in found] == [json.loads(text) for (text,) in expected]


@pytest.mark.parametrize(
    "where",
    [
        "v.a = 1",
        "v['a'] = 1",
        "v->>'a' = '1'",
        "json_extract(v, '$.a') = 1",
        "v::VARCHAR = '1'",
        "v = v",
        "v.metadata IS NULL",
        "coalesce(v) IS NULL",
        "id = 1 AND len(vs) > 0",
        "nested = nested",
    ],
)
def test_predicates_that_look_into_variants_are_refused_with_the_way_out(where):
    variant = {"type": "struct", "fields": [column("v", "variant"), column("x", "long")]}
    listed = {"type": "array", "elementType": "variant", "containsNull": True}
    fields = [column("id", "long"), column("v", "variant"), column("vs", listed), column("nested", variant)]
    schema = parse_schema(json.dumps({"type": "struct", "fields": fields}))
    with pytest.raises(InvalidInputError, match="holds variants") as caught:
        parse_predicate(where, schema)
    assert "lakefmt.variant_to_json(rows[" in caught.value.hint
    for right in ("v IS NULL", "nested.v IS NOT NULL", "nested.x = 1 AND vs IS NULL", "NOT (nested IS NULL)"):
        assert parse_predicate(right, schema)
