"""Data files as read: the table's columns whatever the file's, by every reader, and what is wrong said clearly."""

from __future__ import annotations

import datetime as dt
import math
import threading
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakefmt.engine import (
    ReadSpec,
    ReadTask,
    ThreadExecutor,
    WriteSpec,
    count_footer_rows,
    count_matching,
    read_batches,
    read_table,
    write_files,
)
from lakefmt.engine import read as read_module
from lakefmt.engine.footers import forget_footers, load_footer
from lakefmt.engine.row_groups import choose_row_groups
from lakefmt.errors import CorruptTableError, InvalidInputError
from lakefmt.expressions import parse_predicate
from lakefmt.schema import Schema
from lakefmt.store import Store, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    forget_footers()
    if request.param == "local":
        return open_store(tmp_path / "table", {"fsync": False})
    return open_store(f"memory://{tmp_path.name}-{id(request)}")


@pytest.fixture
def local_store(tmp_path: Path) -> Store:
    forget_footers()
    return open_store(tmp_path / "table", {"fsync": False})


def put(store: Store, table: pa.Table, key: str = "file.parquet", **options: Any) -> ReadTask:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    store.put(key, sink.getvalue().to_pybytes())
    return ReadTask(key, sink.getvalue().size)


def spec_of(schema: pa.Schema, where: str | None = None, **options: Any) -> ReadSpec:
    predicate = None if where is None else parse_predicate(where, Schema.from_arrow(schema))
    return ReadSpec(schema, options.pop("physical", schema), predicate=predicate, **options)


TRIPS = pa.table(
    {
        "id": range(1_000),
        "city": [f"city-{i % 7}" for i in range(1_000)],
        "fare": [i / 4 for i in range(1_000)],
    }
)


# --- columns ------------------------------------------------------------------------------------------------------


def test_all_columns_come_back_in_the_tables_order_and_types(store: Store) -> None:
    task = put(store, TRIPS, row_group_size=100)
    spec = spec_of(TRIPS.schema)
    assert read_table(store, [task], spec).equals(TRIPS)
    assert pa.Table.from_batches(read_batches(store, [task], spec)).equals(TRIPS)


def test_projection_gives_the_columns_asked_for_in_that_order(store: Store) -> None:
    task = put(store, TRIPS)
    found = read_table(store, [task], spec_of(TRIPS.schema, "city = 'city-1'", columns=("fare", "id")))
    assert found.column_names == ["fare", "id"]
    assert found["id"].to_pylist() == [i for i in range(1_000) if i % 7 == 1]


def test_no_tasks_and_no_rows_give_an_empty_table_of_the_right_types(store: Store) -> None:
    spec = spec_of(TRIPS.schema, "id < 0", columns=("city",))
    assert read_table(store, [], spec).schema == pa.schema([("city", pa.string())])
    assert read_table(store, [put(store, TRIPS)], spec).schema == pa.schema([("city", pa.string())])
    assert list(read_batches(store, [put(store, TRIPS)], spec)) == []


def test_partition_values_come_from_the_task_never_from_the_file(store: Store) -> None:
    schema = pa.schema([("id", pa.int64()), ("month", pa.int32())])
    task = put(store, pa.table({"id": [1, 2], "month": [99, 99]}, schema=schema))
    tasks = [ReadTask(task.key, task.size_bytes, (pa.scalar(value, pa.int32()),)) for value in (1, None)]
    spec = spec_of(schema, partition_columns=("month",))
    assert read_table(store, tasks, spec).to_pydict() == {"id": [1, 2, 1, 2], "month": [1, 1, None, None]}
    where = spec_of(schema, "month = 1 and id > 1", partition_columns=("month",))
    assert read_table(store, tasks, where).to_pylist() == [{"id": 2, "month": 1}]


def test_column_the_file_lacks_is_null(store: Store) -> None:
    schema = pa.schema([("id", pa.int64()), ("note", pa.string())])
    task = put(store, pa.table({"id": [1, 2]}))
    assert read_table(store, [task], spec_of(schema)).to_pydict() == {"id": [1, 2], "note": [None, None]}
    assert read_table(store, [task], spec_of(schema, "note is null")).num_rows == 2
    assert read_table(store, [task], spec_of(schema, "note = 'x'")).num_rows == 0


def test_not_null_column_the_file_lacks_is_corruption(store: Store) -> None:
    schema = pa.schema([pa.field("id", pa.int64()), pa.field("note", pa.string(), nullable=False)])
    task = put(store, pa.table({"id": [1]}))
    with pytest.raises(CorruptTableError, match=r"lacks column 'note', which is NOT NULL.*file.parquet"):
        read_table(store, [task], spec_of(schema))


def test_columns_are_found_whatever_their_case(store: Store) -> None:
    task = put(store, pa.table({"ID": [1], "Id2": [2]}))
    schema = pa.schema([("id", pa.int64()), ("id2", pa.int64())])
    assert read_table(store, [task], spec_of(schema, "id2 = 2")).to_pydict() == {"id": [1], "id2": [2]}


def test_columns_are_found_by_field_id_only_when_asked(store: Store) -> None:
    def field(name: str, number: int) -> pa.Field:
        return pa.field(name, pa.int64(), metadata={"PARQUET:field_id": str(number)})

    task = put(store, pa.table({"a": [1], "b": [2]}, schema=pa.schema([field("a", 1), field("b", 2)])))
    logical = pa.schema([("x", pa.int64()), ("y", pa.int64())])
    by_id = ReadSpec(logical, pa.schema([field("b", 1), field("a", 2)]), match_by_id=True)
    by_name = ReadSpec(logical, pa.schema([field("b", 1), field("a", 2)]))
    assert read_table(store, [task], by_id).to_pydict() == {"x": [1], "y": [2]}
    assert read_table(store, [task], by_name).to_pydict() == {"x": [2], "y": [1]}


def test_physical_names_are_mapped_to_the_tables_also_below_the_top(store: Store) -> None:
    physical = pa.schema([("c1", pa.struct([("c2", pa.int64())])), ("c3", pa.int64())])
    logical = pa.schema([("s", pa.struct([("x", pa.int64())])), ("n", pa.int64())])
    task = put(store, pa.table({"c1": [{"c2": 5}, None], "c3": [1, 2]}, schema=physical))
    found = read_table(store, [task], ReadSpec(logical, physical))
    assert found.to_pylist() == [{"s": {"x": 5}, "n": 1}, {"s": None, "n": 2}]
    assert found.schema == logical


def test_names_with_dots_are_not_paths(store: Store) -> None:
    table = pa.table({"a": [{"b": 1}], "a.b": [2]})
    task = put(store, table)
    assert read_table(store, [task], spec_of(table.schema, columns=("a.b",))).to_pydict() == {"a.b": [2]}
    assert read_table(store, [task], spec_of(table.schema)).to_pylist() == table.to_pylist()


@pytest.mark.parametrize(
    ("written", "wanted", "expected"),
    [
        (pa.array([1, None], pa.int8()), pa.int64(), [1, None]),
        (pa.array([1, -2], pa.int32()), pa.int8(), [1, -2]),
        (pa.array([1, -2], pa.int32()), pa.float64(), [1.0, -2.0]),
        (pa.array([7], pa.int32()), pa.decimal128(12, 2), [Decimal("7.00")]),
        (pa.array([1.5], pa.float32()), pa.float64(), [1.5]),
        (pa.array([Decimal("1.5")], pa.decimal128(3, 1)), pa.decimal128(10, 3), [Decimal("1.500")]),
        (pa.array([dt.date(2026, 1, 2)]), pa.timestamp("us"), [dt.datetime(2026, 1, 2)]),
        (pa.array([1_500], pa.timestamp("ms", "UTC")), pa.timestamp("us", "UTC"), [dt.datetime(1970, 1, 1, 0, 0, 1, 500_000, dt.UTC)]),
        (pa.array(["a", None], pa.large_string()), pa.string(), ["a", None]),
        (pa.array(["a", None, "a"]).dictionary_encode(), pa.string(), ["a", None, "a"]),
        (pa.array([b"a"], pa.large_binary()), pa.binary(), [b"a"]),
        (pa.nulls(2), pa.string(), [None, None]),
    ],
)  # fmt: skip
def test_narrower_types_of_old_and_foreign_files_are_widened(
    store: Store, written: pa.Array, wanted: pa.DataType, expected: list[Any]
) -> None:
    task = put(store, pa.table({"x": written}))
    found = read_table(store, [task], spec_of(pa.schema([("x", wanted)])))
    assert found.schema.field("x").type == wanted
    assert found["x"].to_pylist() == expected


def test_int96_timestamps_are_instants_in_microseconds(store: Store) -> None:
    moments = pa.array([dt.datetime(2026, 1, 2, 3, 4, 5, 678_901)], pa.timestamp("us"))
    task = put(store, pa.table({"x": moments}), use_deprecated_int96_timestamps=True)
    found = read_table(store, [task], spec_of(pa.schema([("x", pa.timestamp("us", "UTC"))])))
    assert found["x"].to_pylist() == [dt.datetime(2026, 1, 2, 3, 4, 5, 678_901, dt.UTC)]


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (pa.array(["1"]), pa.int64()),
        (pa.array([1.5]), pa.int64()),
        (pa.array([300]), pa.int8()),
        (pa.array([1]), pa.string()),
        (pa.array([1.5], pa.float64()), pa.float32()),
        (pa.array([1], pa.timestamp("us", "UTC")), pa.timestamp("us")),
        (pa.array([Decimal("1.25")]), pa.decimal128(10, 1)),
        (pa.array([[1]]), pa.int64()),
        (pa.array([{"a": ["x"]}]), pa.struct([("a", pa.list_(pa.int64()))])),
    ],
)  # fmt: skip
def test_file_with_another_type_than_the_log_says_is_named(
    store: Store, written: pa.Array, wanted: pa.DataType
) -> None:
    task = put(store, pa.table({"x": written}), key="part/strange.parquet")
    with pytest.raises(
        CorruptTableError,
        match=r"column 'x.*' of a data file is .*(, but by the log it is|and holds what is no)",
    ) as caught:
        read_table(store, [task], spec_of(pa.schema([("x", wanted)])))
    assert caught.value.path == "part/strange.parquet"
    assert caught.value.hint


def test_nested_columns_gain_members_and_width(store: Store) -> None:
    old = pa.struct(
        [
            ("a", pa.int32()),
            ("l", pa.list_(pa.struct([("p", pa.int32())]))),
            ("m", pa.map_(pa.string(), pa.int32())),
        ]
    )
    new = pa.struct(
        [
            ("l", pa.list_(pa.struct([("q", pa.string()), ("p", pa.int64())]))),
            ("a", pa.int64()),
            ("m", pa.map_(pa.string(), pa.int64())),
            ("z", pa.string()),
        ]
    )
    rows = [
        {"a": 1, "l": [{"p": 1}, None, {"p": 3}], "m": [("k", 1)]},
        None,
        {"a": None, "l": None, "m": []},
    ] * 5
    task = put(store, pa.table({"x": pa.array(rows, old)}), row_group_size=4)
    found = read_table(store, [task], spec_of(pa.schema([("x", new)])))
    first = {"l": [{"q": None, "p": 1}, None, {"q": None, "p": 3}], "a": 1, "m": [("k", 1)], "z": None}
    third = {"l": None, "a": None, "m": [], "z": None}
    found.validate(full=True)
    assert found["x"].to_pylist() == [first, None, third] * 5


# --- predicates ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=["by pyarrow", "by duckdb"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    rows = 0 if request.param == "by duckdb" else 1 << 60
    monkeypatch.setattr(read_module, "_DUCKDB_ROWS", rows)
    return str(request.param)


@pytest.mark.parametrize(
    "where",
    [
        "id >= 300 and id < 305",
        "city = 'city-3'",
        "fare * 2 > 490",
        "id = 3 or city is null",
        "id < 0",
        "true",
    ],
)
def test_readers_agree_on_the_rows(local_store: Store, reader: str, where: str) -> None:
    tasks = [
        put(local_store, TRIPS.slice(start, 500), f"{start}.parquet", row_group_size=100)
        for start in (0, 500)
    ]
    found = read_table(local_store, tasks, spec_of(TRIPS.schema, where)).sort_by("id")
    import duckdb

    trips = TRIPS  # noqa: F841 - read by DuckDB
    expected = pa.table(duckdb.sql(f"select * from trips where {where} order by id"))
    assert found.cast(expected.schema).equals(expected)
    streamed = list(read_batches(local_store, tasks, spec_of(TRIPS.schema, where)))
    assert sum(batch.num_rows for batch in streamed) == expected.num_rows
    assert count_matching(local_store, tasks, spec_of(TRIPS.schema, where)) == expected.num_rows


def test_partitioned_files_are_read_alike(local_store: Store, reader: str) -> None:
    schema = pa.schema([*TRIPS.schema, ("p", pa.string()), ("d", pa.date32()), ("x", pa.float64())])
    values = [("it's", dt.date(2026, 1, 1), math.nan), (None, None, None), ("b", dt.date(1, 1, 1), -0.0)]
    tasks = []
    for number, partition in enumerate(values):
        task = put(local_store, TRIPS.slice(number * 100, 100), f"p={number}/a b.parquet")
        scalars = tuple(pa.scalar(v, schema.field(n).type) for n, v in zip("pdx", partition, strict=True))
        tasks.append(ReadTask(task.key, task.size_bytes, scalars))
    for where, ids in [
        ("p = 'it''s' and id < 5", range(5)),
        ("p is null and id % 50 = 0", [100, 150]),
        ("x = 0 and d < DATE '2000-01-01' and id >= 298", [298, 299]),
        ("x > 5 and id = 7", [7]),
    ]:
        spec = spec_of(schema, where, columns=("id", "x", "p"), partition_columns=("p", "d", "x"))
        found = read_table(local_store, tasks, spec)
        assert sorted(found["id"].to_pylist()) == list(ids), where
        assert found.schema.names == ["id", "x", "p"]


@pytest.mark.parametrize("key", ["a[1].parquet", "a*.parquet", "it's %20 ä?.parquet"])
def test_any_file_name_is_read_by_any_reader(local_store: Store, reader: str, key: str) -> None:
    put(local_store, TRIPS.slice(0, 10), "a1.parquet")
    task = put(local_store, TRIPS, key)
    assert read_table(local_store, [task], spec_of(TRIPS.schema, "id > 989")).num_rows == 10


@pytest.mark.parametrize("column", ["x", "s.x"])
def test_nan_rows_of_foreign_files_are_not_pruned_away(local_store: Store, reader: str, column: str) -> None:
    values = [1.0, math.nan, 3.0]
    table = pa.table({"x": values, "s": [{"x": value} for value in values]})
    task = put(local_store, table)
    assert (
        pq.ParquetFile(local_store.local_path(task.key)).metadata.row_group(0).column(0).statistics.max == 3.0
    )
    for where, rows in [
        (f"{column} > 5", 1),
        (f"{column} = 'NaN'::DOUBLE", 1),
        (f"{column} <> 1", 2),
        (f"{column} < 5", 2),
    ]:
        assert read_table(local_store, [task], spec_of(table.schema, where)).num_rows == rows, where


def test_files_we_wrote_keep_their_nan_rows_in_duckdb(local_store: Store) -> None:
    import duckdb

    schema = pa.schema([("x", pa.float64())])
    table = pa.table({"x": [1.0, 2.0, math.nan, 4.0]}, schema=schema)
    spec = WriteSpec(schema, lambda _, n: f"{n}.parquet", row_group_rows=1)
    files = write_files(table.to_batches(max_chunksize=1), spec, local_store)
    paths = [local_store.local_path(file.key) for file in files]
    assert duckdb.sql(f"select count(*) from read_parquet({paths}) where x > 3").fetchall() == [(2,)]


def test_row_groups_are_pruned_by_footer_statistics(local_store: Store) -> None:
    moments = pa.array(
        [dt.datetime(2026, 1, 1) + dt.timedelta(hours=i) for i in range(1_000)], pa.timestamp("us")
    )
    point = pa.StructArray.from_arrays(
        [TRIPS["id"].combine_chunks(), TRIPS["fare"].combine_chunks()], ["i", "f"]
    )
    table = TRIPS.append_column("moment", moments).append_column("s", point)
    task = put(local_store, table, row_group_size=100)
    footer = load_footer(local_store, task.key, task.size_bytes)

    def chosen(where: str, **options: Any) -> tuple[tuple[int, ...], frozenset[int]]:
        groups = choose_row_groups(
            footer, ReadTask(task.key, task.size_bytes, **options), spec_of(table.schema, where)
        )
        return groups.chosen, groups.covered

    assert chosen("id = 250") == ((2,), frozenset())
    assert chosen("id >= 750") == ((7, 8, 9), frozenset({8, 9}))
    assert chosen("id >= 750", row_groups=range(9)) == ((7, 8), frozenset({8}))
    assert chosen("s.i between 120 and 130") == ((1,), frozenset())
    assert chosen("moment < TIMESTAMP '2026-01-02'") == ((0,), frozenset())
    assert chosen("city > 'd'") == ((), frozenset())
    assert chosen("fare < 10") == ((0,), frozenset())
    assert chosen("fare > 240") == (tuple(range(10)), frozenset())  # any row group may hold a NaN
    assert chosen("fare > 240", float_bounds_hold=True) == ((9,), frozenset())
    assert chosen("id is null") == ((), frozenset())


def test_predicate_that_fails_on_a_value_says_so(local_store: Store, reader: str) -> None:
    task = put(local_store, TRIPS)
    with pytest.raises(InvalidInputError, match="city-0"):
        read_table(local_store, [task], spec_of(TRIPS.schema, "CAST(city AS INTEGER) > 3"))


# --- rows that are there --------------------------------------------------------------------------------------------


class EveryThird:
    """A selection that says itself which rows are there, and how often it was asked to find out."""

    def __init__(self) -> None:
        self.loaded: list[tuple[str, int]] = []

    def load(self, store: Store, key: str, num_rows: int) -> EveryThird:
        self.loaded.append((key, num_rows))
        return self

    def keep(self, start: int, length: int) -> pa.BooleanArray:
        return pa.array([position % 3 == 0 for position in range(start, start + length)])

    def count(self, start: int, length: int) -> int:
        return self.keep(start, length).true_count


def test_row_selection_is_by_physical_position_under_any_predicate(store: Store) -> None:
    task = put(store, TRIPS, row_group_size=70)
    selected = ReadTask(task.key, task.size_bytes, rows=EveryThird())
    assert read_table(store, [selected], spec_of(TRIPS.schema))["id"].to_pylist() == list(range(0, 1_000, 3))
    spec = spec_of(TRIPS.schema, "id >= 500", columns=("id",))
    assert read_table(store, [selected], spec)["id"].to_pylist() == list(range(501, 1_000, 3))
    assert count_matching(store, [selected], spec) == len(range(501, 1_000, 3))
    without_columns = spec_of(TRIPS.schema, columns=())
    assert read_table(store, [selected], without_columns).num_rows == len(range(0, 1_000, 3))
    assert count_matching(store, [selected], without_columns) == len(range(0, 1_000, 3))


def test_row_groups_that_are_no_neighbours_keep_their_places(store: Store) -> None:
    selected = replace(put(store, TRIPS, row_group_size=70), rows=EveryThird())
    spec = spec_of(TRIPS.schema, "id between 100 and 200 or id between 600 and 700", columns=("id",))
    expected = [i for i in [*range(100, 201), *range(600, 701)] if i % 3 == 0]
    assert read_table(store, [selected], spec)["id"].to_pylist() == expected
    assert count_matching(store, [selected], spec) == len(expected)


def test_selection_is_not_loaded_where_no_row_could_be_left(store: Store) -> None:
    rows = EveryThird()
    selected = replace(put(store, TRIPS, row_group_size=70), rows=rows)
    for where in ("id > 5000", "city = 'city-0' and id = 12", "id = 11"):
        matching = read_table(store, [selected], spec_of(TRIPS.schema, where)).num_rows
        assert (matching, bool(rows.loaded)) == (0, where == "id = 11")
    assert set(rows.loaded) == {(selected.key, 1_000)}


def test_predicate_may_fail_on_a_row_that_is_not_there(store: Store) -> None:
    texts = pa.table({"text": [str(i) if i % 3 == 0 else "no number" for i in range(100)]})
    selected = replace(put(store, texts, row_group_size=30), rows=EveryThird())
    spec = spec_of(texts.schema, "CAST(text AS INTEGER) >= 50")
    assert read_table(store, [selected], spec)["text"].to_pylist() == [str(i) for i in range(51, 100, 3)]
    assert count_matching(store, [selected], spec) == len(range(51, 100, 3))


def test_files_with_a_selection_leave_the_others_to_duckdb(
    local_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_module, "_DUCKDB_ROWS", 1)
    asked: list[list[str]] = []
    read_with_duckdb = read_module.read_with_duckdb

    def listening(store: Store, tasks: Any, spec: ReadSpec, *, whole: bool) -> Any:
        asked.append([task.key for task in tasks])
        return read_with_duckdb(store, tasks, spec, whole=whole)

    monkeypatch.setattr(read_module, "read_with_duckdb", listening)
    plain = put(local_store, TRIPS, "plain.parquet")
    selected = replace(put(local_store, TRIPS, "selected.parquet"), rows=EveryThird())
    spec = spec_of(TRIPS.schema, "id % 7 = 0", columns=("id",))
    found = read_table(local_store, [plain, selected], spec)["id"].to_pylist()
    assert sorted(found) == sorted([*range(0, 1_000, 7), *range(0, 1_000, 21)])
    assert asked == [["plain.parquet"]]


def test_task_of_some_row_groups_reads_these(store: Store) -> None:
    task = put(store, TRIPS, row_group_size=100)
    part = ReadTask(task.key, task.size_bytes, row_groups=range(2, 4))
    assert read_table(store, [part], spec_of(TRIPS.schema))["id"].to_pylist() == list(range(200, 400))
    assert read_table(store, [part], spec_of(TRIPS.schema, "id > 390"))["id"].to_pylist() == list(
        range(391, 400)
    )
    assert count_footer_rows(store, [part]) == 200
    assert count_footer_rows(store, [task, part]) == 1_200


def test_large_files_are_split_and_come_back_in_order(
    local_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_module, "_UNIT_ROWS", 250)
    task = put(local_store, TRIPS, row_group_size=100)
    assert (
        read_table(local_store, [task, task], spec_of(TRIPS.schema))["id"].to_pylist() == [*range(1_000)] * 2
    )


# --- files that are not what the log says ---------------------------------------------------------------------------


@pytest.mark.parametrize("where", [None, "id = 3"])
def test_missing_file_is_named_even_if_its_footer_is_known(store: Store, where: str | None) -> None:
    task = put(store, TRIPS, "p=1/gone.parquet")
    spec = spec_of(TRIPS.schema, where)
    assert read_table(store, [task], spec).num_rows
    store.delete([task.key])
    for _ in range(2):
        with pytest.raises(CorruptTableError, match="data file that the log names is missing") as caught:
            read_table(store, [task], spec)
        assert (caught.value.path, caught.value.table) == ("p=1/gone.parquet", store.uri)
        assert "restore" in str(caught.value)
        forget_footers()


@pytest.mark.parametrize("damage", ["empty", "truncated", "no parquet", "pages"])
@pytest.mark.parametrize("where", [None, "id > 3"])
def test_damaged_file_is_named(store: Store, damage: str, where: str | None) -> None:
    task = put(store, TRIPS)
    data = store.read(task.key)
    damaged = {
        "empty": b"",
        "truncated": data[: len(data) // 2],
        "no parquet": b"PAR1" + b"\0" * 500,
        "pages": data[:4] + b"\xff" * 2_000 + data[2_004:],
    }[damage]
    store.put(task.key, damaged)
    with pytest.raises(CorruptTableError, match="data file is not what the log says") as caught:
        read_table(store, [ReadTask(task.key, len(damaged))], spec_of(TRIPS.schema, where))
    assert caught.value.path == task.key


# --- streams --------------------------------------------------------------------------------------------------------


def test_closed_stream_leaves_no_thread_and_no_open_file(local_store: Store, reader: str) -> None:
    tasks = [put(local_store, TRIPS, f"{n}.parquet") for n in range(30)]
    open_files = Path("/proc/self/fd")
    before = len(list(open_files.iterdir())) if open_files.exists() else 0
    for where in (None, "id > 10"):
        batches = read_batches(local_store, tasks, spec_of(TRIPS.schema, where))
        assert next(batches).num_rows
        batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lakefmt-task")]
    if open_files.exists() and reader == "by pyarrow":
        assert len(list(open_files.iterdir())) <= before


def test_one_thread_opens_no_file_before_it_is_needed(local_store: Store) -> None:
    good = put(local_store, TRIPS)

    def tasks() -> Iterator[ReadTask]:
        yield good
        raise AssertionError("drawn too early")

    for where in (None, "id < 10"):
        batches = read_batches(local_store, tasks(), spec_of(TRIPS.schema, where), executor=ThreadExecutor(1))
        assert next(batches).num_rows
        batches.close()
