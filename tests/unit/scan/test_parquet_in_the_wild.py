"""Files as other writers make them: odd encodings of types, lists and maps, columns that came later."""

import datetime as dt
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakefmt
from lakefmt.errors import CorruptTableError
from lakefmt.testing.foreign_table import ForeignTable, array, column, map_of, struct
from lakefmt.testing.parquet_footer import (
    CONVERTED_TYPE,
    LOGICAL_TYPE,
    NAME,
    REPETITION,
    drop,
    rewrite_schema,
)

REPEATED = (5, 4)  # a thrift i32, zigzag of 2
I32 = 5


def file_of(table, rows, change=None, **options):
    """Add a file whose footer's schema is changed after it was written."""
    path = f"file-{len(table.adds)}.parquet"
    table.folder.mkdir(exist_ok=True)
    pq.write_table(rows, table.folder / path, store_schema=False, **options)
    if change is not None:
        rewrite_schema(table.folder / path, change)
    return table.add_file(path)


def rows_of(table):
    """The rows by every way there is to read them, which agree."""
    opened = lakefmt.open(table.folder)
    found = opened.to_arrow()
    found.validate(full=True)
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    opened.scan().to_duckdb(con, "v")
    assert con.sql("FROM v").to_arrow_table().to_pylist() == found.to_pylist()
    return found.to_pylist()


FAR = [
    dt.datetime(1, 1, 1),
    dt.datetime(1969, 12, 31, 23, 59, 59, 999_999),
    dt.datetime(9999, 12, 31, 23, 59, 59, 1),
]


@pytest.mark.parametrize("type_", ["timestamp", "timestamp_ntz"])
def test_int96_holds_any_year(tmp_path, type_):
    fields = [column("t", type_), column("l", array(type_))]
    table = ForeignTable(tmp_path / "t", fields, features=("timestampNtz",))
    micros = pa.timestamp("us")
    rows = pa.table({"t": pa.array(FAR, micros), "l": pa.array([[each] for each in FAR], pa.list_(micros))})
    file_of(table, rows, use_deprecated_int96_timestamps=True)
    zone = dt.UTC if type_ == "timestamp" else None
    expected = [each.replace(tzinfo=zone) for each in FAR]
    assert rows_of(table) == [{"t": each, "l": [each]} for each in expected]
    where = "t < TIMESTAMP '1677-01-01'" if zone is None else "t < TIMESTAMPTZ '1677-01-01 00:00:00+00'"
    assert lakefmt.open(table.folder).scan(where=where).count() == 1


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", None])
def test_timestamps_of_every_unit(tmp_path, unit, zone):
    table = ForeignTable(tmp_path / "t", [column("t", "timestamp")])
    values = {"ms": [-1, 1001], "us": [-1, 1001], "ns": [-1, 1001]}[unit]
    file_of(table, pa.table({"t": pa.array(values, pa.timestamp(unit, zone))}), row_group_size=1)
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    step = {"ms": 1000, "us": 1, "ns": 0.001}[unit]
    expected = [epoch + dt.timedelta(microseconds=int(value * step // 1)) for value in values]
    assert [row["t"] for row in rows_of(table)] == expected
    for wanted in expected:
        found = lakefmt.open(table.folder).scan(where="t = ?", params=[wanted]).to_arrow()
        assert found["t"].to_pylist() == [wanted]


def test_timestamp_out_of_range_is_corruption_not_another_time(tmp_path):
    table = ForeignTable(tmp_path / "t", [column("t", "timestamp")])
    file_of(table, pa.table({"t": pa.array([2**62], pa.timestamp("ms", "UTC"))}))
    with pytest.raises(CorruptTableError, match=r"column 't' of a data file is timestamp\[ms.*out of bounds"):
        lakefmt.open(table.folder).to_arrow()


def without_annotation(elements):
    return [elements[0], *(drop(each, CONVERTED_TYPE, LOGICAL_TYPE) for each in elements[1:])]


def test_strings_that_are_not_annotated(tmp_path):
    table = ForeignTable(tmp_path / "t", [column("s", "string"), column("b", "binary")])
    rows = pa.table({"s": ["Zürich", None, ""], "b": ["x", "y", "z"]})
    file_of(table, rows, without_annotation)
    file_of(table, rows)  # and bytes that are annotated as strings
    expected = [{"s": s, "b": b} for s, b in [("Zürich", b"x"), (None, b"y"), ("", b"z")]]
    assert rows_of(table) == expected * 2
    assert lakefmt.open(table.folder).scan(where="s = 'Zürich'").count() == 2


def test_bytes_that_are_no_text_are_corruption(tmp_path):
    table = ForeignTable(tmp_path / "t", [column("s", "string")])
    file_of(table, pa.table({"s": [b"\xff\xfe"]}))
    with pytest.raises(
        CorruptTableError, match=r"column 's' of a data file is binary and holds what is no string"
    ):
        lakefmt.open(table.folder).to_arrow()


@pytest.mark.parametrize(
    ("written", "type_", "expected"),
    [
        (pa.array([0, 200], pa.uint8()), "short", [0, 200]),
        (pa.array([0, 40_000], pa.uint16()), "integer", [0, 40_000]),
        (pa.array([0, 2**32 - 1], pa.uint32()), "long", [0, 2**32 - 1]),
        (pa.array([0, 2**64 - 1], pa.uint64()), "decimal(20,0)", [Decimal(0), Decimal(2**64 - 1)]),
        (pa.array([1, -2], pa.int32()), "byte", [1, -2]),
        (pa.array([1, -2], pa.int64()), "integer", [1, -2]),
    ],
)
def test_integers_of_other_widths_and_signs(tmp_path, written, type_, expected):
    table = ForeignTable(tmp_path / "t", [column("n", type_)])
    file_of(table, pa.table({"n": written}), row_group_size=1)
    assert [row["n"] for row in rows_of(table)] == expected
    assert lakefmt.open(table.folder).scan(where=f"n = {expected[1]}").count() == 1


@pytest.mark.parametrize("as_integer", [True, False])
@pytest.mark.parametrize("precision", [5, 15, 30])
def test_decimals_in_integers_and_bytes(tmp_path, as_integer, precision):
    values = [Decimal("-99.99"), None, Decimal("123.45")]
    table = ForeignTable(tmp_path / "t", [column("d", f"decimal({precision},2)")])
    rows = pa.table({"d": pa.array(values, pa.decimal128(precision, 2))})
    file_of(table, rows, store_decimal_as_integer=as_integer, row_group_size=1)
    assert [row["d"] for row in rows_of(table)] == values
    assert lakefmt.open(table.folder).scan(where="d < 0").count() == 1


@pytest.mark.parametrize(
    "options",
    [
        {"use_dictionary": False},
        {"data_page_version": "2.0"},
        {"use_dictionary": False, "column_encoding": {"n": "DELTA_BINARY_PACKED", "s": "DELTA_BYTE_ARRAY"}},
        {
            "use_dictionary": False,
            "column_encoding": {"n": "BYTE_STREAM_SPLIT", "s": "DELTA_LENGTH_BYTE_ARRAY"},
        },
        *({"compression": codec} for codec in ("none", "gzip", "lz4", "brotli", "zstd")),
    ],
    ids=str,
)
def test_every_page_encoding_and_codec(tmp_path, options):
    rows = pa.table({"n": [1, None, 3] * 500, "s": ["a", "b", None] * 500})
    table = ForeignTable(tmp_path / "t", [column("n", "long"), column("s", "string")])
    file_of(table, rows, **options)
    assert rows_of(table) == rows.to_pylist()


def renamed(name, element):
    return element | {NAME: (8, name)}


def list_of_two(elements):
    """``repeated int32 array`` right below the annotated group, as Hive, Avro and Thrift writers have it."""
    root, group, _, element = elements
    return [root, group, renamed(b"array", drop(element, REPETITION) | {REPETITION: REPEATED})]


def list_of_tuples(elements):
    root, group, _, element, *members = elements
    return [root, group, renamed(b"l_tuple", element | {REPETITION: REPEATED}), *members]


def list_in_a_bag(elements):
    root, group, repeated, element, *members = elements
    return [root, group, renamed(b"bag", repeated), renamed(b"array_element", element), *members]


def list_without_annotation(elements):
    root, _, _, element = elements
    return [root, renamed(b"l", element | {REPETITION: REPEATED})]


NUMBERS = pa.field("element", pa.int32(), nullable=False)
STRUCTS = pa.struct([pa.field("x", pa.int32())])


@pytest.mark.parametrize(
    ("field", "values", "element", "change"),
    [
        (pa.field("l", pa.list_(NUMBERS)), [[1, 2], None, []], "integer", list_of_two),
        (pa.field("l", pa.list_(pa.int32())), [[1, None], None, []], "integer", list_in_a_bag),
        (
            pa.field("l", pa.list_(NUMBERS), nullable=False),
            [[1, 2], [], [3]],
            "integer",
            list_without_annotation,
        ),
        (
            pa.field("l", pa.list_(pa.field("element", STRUCTS, nullable=False))),
            [[{"x": 1}, {"x": None}], None, []],
            struct(column("x", "integer")),
            list_of_tuples,
        ),
        (
            pa.field("l", pa.list_(STRUCTS)),
            [[{"x": 1}, None], None, []],
            struct(column("x", "integer")),
            list_in_a_bag,
        ),
    ],
)
def test_lists_in_old_forms(tmp_path, field, values, element, change):
    table = ForeignTable(tmp_path / "t", [column("l", array(element))])
    file_of(table, pa.table([values], schema=pa.schema([field])), change)
    assert rows_of(table) == [{"l": each} for each in values]


@pytest.mark.parametrize("converted", [1, 2])  # MAP, MAP_KEY_VALUE
@pytest.mark.parametrize("inner", [b"map", b"entries"])
def test_maps_in_old_forms(tmp_path, converted, inner):
    def change(elements):
        root, group, entries, key, value = elements
        group = drop(group, LOGICAL_TYPE) | {CONVERTED_TYPE: (I32, converted << 1)}
        return [root, group, renamed(inner, entries), key, value]

    table = ForeignTable(tmp_path / "t", [column("m", map_of("string", "long"))])
    values = [[("a", 1), ("b", None)], None, []]
    file_of(table, pa.table({"m": pa.array(values, pa.map_(pa.string(), pa.int64()))}), change)
    assert rows_of(table) == [{"m": each} for each in values]


def test_members_that_came_later_are_null_at_every_depth(tmp_path):
    member = struct(column("old", "long"), column("new", array("string")))
    fields = [column("s", member), column("l", array(member)), column("m", map_of("string", member))]
    inner = pa.struct([("OLD", pa.int32())])
    schema = pa.schema([("M", pa.map_(pa.string(), inner)), ("l", pa.list_(inner)), ("s", inner)])
    rows = [
        {"M": [("k", {"OLD": 1}), ("n", None)], "l": [{"OLD": 2}, None], "s": {"OLD": 3}},
        {"M": None, "l": None, "s": None},
    ]
    table = ForeignTable(tmp_path / "t", fields)
    table.add(pa.Table.from_pylist(rows, schema=schema))
    assert rows_of(table) == [
        {
            "s": {"old": 3, "new": None},
            "l": [{"old": 2, "new": None}, None],
            "m": [("k", {"old": 1, "new": None}), ("n", None)],
        },
        {"s": None, "l": None, "m": None},
    ]


def test_member_that_is_never_null_and_not_there_is_corruption(tmp_path):
    never_null = column("new", "long") | {"nullable": False}
    table = ForeignTable(tmp_path / "t", [column("s", struct(column("old", "long"), never_null))])
    table.add(pa.table({"s": [{"old": 1}]}))
    with pytest.raises(CorruptTableError, match=r"lacks column 's\.new', which is NOT NULL"):
        lakefmt.open(table.folder).to_arrow()


def test_one_column_twice_in_a_file_is_corruption(tmp_path):
    table = ForeignTable(tmp_path / "t", [column("a", "long")])
    table.add(pa.table([[1], [2]], names=["a", "a"]))
    with pytest.raises(CorruptTableError, match=r"a data file has column 'a' twice.*part-0"):
        lakefmt.open(table.folder).to_arrow()


def test_layouts_of_arrow_writers_are_plain_columns(tmp_path):
    table = ForeignTable(tmp_path / "t", [column("l", array("integer")), column("s", "string")])
    fixed = pa.array([[1, 2], None], pa.list_(pa.int32(), 2))
    table.add(pa.table({"l": fixed, "s": pa.array(["a", None], pa.string_view())}))
    table.add(
        pa.table({"l": fixed.cast(pa.large_list(pa.int32())), "s": pa.array(["a", None], pa.large_string())})
    )
    assert rows_of(table) == [{"l": [1, 2], "s": "a"}, {"l": None, "s": None}] * 2


@pytest.mark.parametrize("nested", [False, True])
def test_rows_of_text_views_are_filtered(tmp_path, nested):
    kind = array("string") if nested else "string"
    table = ForeignTable(tmp_path / "t", [column("n", "long"), column("s", kind)])
    texts = [["a"], ["b", None], None, ["c"]] if nested else ["a", "b", None, "c"]
    views = pa.list_(pa.string_view()) if nested else pa.string_view()
    table.add(pa.table({"n": [1, 2, 3, 4], "s": pa.array(texts, views)}))
    found = lakefmt.open(table.folder).scan(where="n IN (2, 4)").to_arrow()
    assert found["s"].to_pylist() == [texts[1], texts[3]]


def test_scattered_matches_are_found_in_encodings_that_duckdb_lacks(tmp_path):
    # Enough rows for DuckDB to be asked, were it not for the encoding.
    table = ForeignTable(tmp_path / "t", [column("n", "long")])
    rows = pa.table({"n": pa.array(range(700_000), pa.int64())})
    file_of(table, rows, use_dictionary=False, column_encoding="BYTE_STREAM_SPLIT", row_group_size=100_000)
    found = lakefmt.open(table.folder).scan(where="n % 100000 = 5").to_arrow()
    assert sorted(found["n"].to_pylist()) == [5 + 100_000 * i for i in range(7)]
