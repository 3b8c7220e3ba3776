"""Data files as written: layout, encoding, values, and what is left after a failure."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakefmt.engine.write import DataFileWriter, WriteSpec, WrittenFile, discard_files, write_files
from lakefmt.errors import ConstraintViolationError, StoreError
from lakefmt.store.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path / "table"), fsync=False)


def schema_of(**types: pa.DataType) -> pa.Schema:
    return pa.schema(
        [
            pa.field(name, kind, metadata={"PARQUET:field_id": str(number)})
            for number, (name, kind) in enumerate(types.items(), start=1)
        ]
    )


def spec_of(schema: pa.Schema, **options: Any) -> WriteSpec:
    return WriteSpec(schema, lambda _, number: f"part/{number}.parquet", **options)


def read(store: LocalStore, file: WrittenFile | str) -> pa.Table:
    return pq.ParquetFile(store.local_path(file if isinstance(file, str) else file.key)).read()


def footer(store: LocalStore, file: WrittenFile) -> pq.FileMetaData:
    return pq.ParquetFile(store.local_path(file.key)).metadata


def leaves_with_statistics(store: LocalStore, file: WrittenFile) -> set[str]:
    groups = footer(store, file)
    columns = [
        groups.row_group(g).column(c) for g in range(groups.num_row_groups) for c in range(groups.num_columns)
    ]
    return {column.path_in_schema for column in columns if column.is_stats_set}


def stored_keys(store: LocalStore) -> list[str]:
    return [found.key for found in store.list("", recursive=True)]


def test_small_input_becomes_one_file_with_the_same_rows(store: LocalStore) -> None:
    schema = schema_of(id=pa.int64(), name=pa.string())
    batch = pa.RecordBatch.from_pydict({"id": [1, 2], "name": ["a", None]}, schema=schema)

    [file] = write_files([batch], spec_of(schema, statistics_columns=(("id",), ("name",))), store)

    assert read(store, file).to_pydict() == batch.to_pydict()
    assert (file.num_rows, file.size_bytes) == (2, Path(store.local_path(file.key)).stat().st_size)
    assert file.statistics.num_records == 2
    bounds = {c.path: (c.minimum.as_py(), c.maximum.as_py(), c.null_count) for c in file.statistics.columns}
    assert bounds == {("id",): (1, 2, 0), ("name",): ("a", "a", 1)}


def test_no_rows_write_no_file(store: LocalStore) -> None:
    schema = schema_of(id=pa.int64())
    empty = pa.RecordBatch.from_pydict({"id": []}, schema=schema)
    assert write_files([], spec_of(schema), store) == []
    assert write_files([empty, empty], spec_of(schema), store) == []
    assert stored_keys(store) == []


def test_every_field_carries_its_id_and_timestamps_are_int64_microseconds(store: LocalStore) -> None:
    element = pa.field("element", pa.int32(), metadata={"PARQUET:field_id": "12"})
    member = pa.field("x", pa.float64(), metadata={"PARQUET:field_id": "14"})
    schema = pa.schema(
        [
            pa.field("ts", pa.timestamp("us", "UTC"), metadata={"PARQUET:field_id": "10"}),
            pa.field("a", pa.list_(element), metadata={"PARQUET:field_id": "11"}),
            pa.field("s", pa.struct([member]), metadata={"PARQUET:field_id": "13"}),
        ]
    )
    batch = pa.RecordBatch.from_pydict({"ts": [1], "a": [[1]], "s": [{"x": 1.0}]}, schema=schema)

    [file] = write_files([batch], spec_of(schema), store)

    found = pq.ParquetFile(store.local_path(file.key))
    arrow = found.schema_arrow
    ids = [
        arrow.field("ts"),
        arrow.field("a"),
        arrow.field("a").type.field(0),
        arrow.field("s"),
        arrow.field("s").type.field(0),
    ]
    assert [field.metadata[b"PARQUET:field_id"] for field in ids] == [b"10", b"11", b"12", b"13", b"14"]
    stamp = found.schema.column(0)
    assert stamp.physical_type == "INT64"
    assert "timeUnit=microseconds" in str(stamp.logical_type)
    assert "isAdjustedToUTC=true" in str(stamp.logical_type)


def test_columns_are_found_by_source_name_in_any_order(store: LocalStore) -> None:
    schema = schema_of(**{"col-1": pa.int64(), "col-2": pa.string()})
    batch = pa.RecordBatch.from_pydict({"name": ["a"], "id": [1]})
    [file] = write_files([batch], spec_of(schema, source_columns=("id", "name")), store)
    assert read(store, file).to_pydict() == {"col-1": [1], "col-2": ["a"]}


def test_members_with_other_names_are_written_under_the_schemas(store: LocalStore) -> None:
    physical = pa.struct([pa.field("col-7", pa.list_(pa.field("element", pa.int64())))])
    logical = pa.array([{"x": [1, 2]}, None, {"x": None}], pa.struct([pa.field("x", pa.list_(pa.int64()))]))
    [file] = write_files(
        [pa.RecordBatch.from_arrays([logical], ["s"])], spec_of(schema_of(s=physical)), store
    )
    assert read(store, file)["s"].to_pylist() == [{"col-7": [1, 2]}, None, {"col-7": None}]


def test_rows_are_cut_by_partition_and_keep_their_order(store: LocalStore) -> None:
    schema = schema_of(id=pa.int64(), city=pa.string(), month=pa.int32())
    rows = [{"id": i, "city": "ab"[i % 2], "month": i % 3 if i % 5 else None} for i in range(60)]
    batches = pa.Table.from_pylist(rows, schema=schema).to_batches(max_chunksize=7)

    files = write_files(batches, spec_of(schema, partition_columns=("city", "month")), store)

    assert len(files) == 8
    for file in files:
        city, month = (value.as_py() for value in file.partition_values)
        expected = [row for row in rows if row["city"] == city and row["month"] == month]
        assert read(store, file).to_pylist() == expected
        assert leaves_with_statistics(store, file) == {"id"}


def test_partition_columns_can_be_left_out_of_the_files(store: LocalStore) -> None:
    schema = schema_of(id=pa.int64(), city=pa.string())
    batch = pa.RecordBatch.from_pydict({"id": [1, 2], "city": ["a", "b"]}, schema=schema)
    spec = spec_of(schema, partition_columns=("city",), write_partition_columns=False)
    files = write_files([batch], spec, store)
    assert [read(store, file).to_pydict() for file in files] == [{"id": [1]}, {"id": [2]}]
    assert [file.partition_values[0].as_py() for file in files] == ["a", "b"]


@pytest.mark.parametrize("rows", [1, 5])
def test_empty_string_in_a_partition_column_becomes_null_in_value_and_file(
    store: LocalStore, rows: int
) -> None:
    schema = schema_of(id=pa.int64(), city=pa.string())
    cities = ["", None, "", "x", "x"][:rows]
    batch = pa.RecordBatch.from_pydict({"id": list(range(rows)), "city": cities}, schema=schema)
    files = write_files([batch], spec_of(schema, partition_columns=("city",)), store)
    null_file = next(file for file in files if file.partition_values[0].as_py() is None)
    assert read(store, null_file)["city"].null_count == null_file.num_rows
    assert (
        sum(file.empty_strings_nulled for file in files) == null_file.empty_strings_nulled == cities.count("")
    )


def test_empty_string_in_a_not_null_partition_column_is_refused(store: LocalStore) -> None:
    schema = pa.schema([pa.field("id", pa.int64()), pa.field("city", pa.string(), nullable=False)])
    batch = pa.RecordBatch.from_pydict({"id": [1], "city": [""]}, schema=schema)
    with pytest.raises(ConstraintViolationError, match="'city' is a partition column and NOT NULL"):
        write_files([batch], spec_of(schema, partition_columns=("city",)), store)


def test_nan_is_one_partition_and_negative_zero_is_zero(store: LocalStore) -> None:
    schema = schema_of(id=pa.int64(), x=pa.float64())
    batches = [
        pa.RecordBatch.from_pydict({"id": [0, 1, 2, 3], "x": [math.nan, -0.0, 0.0, None]}, schema=schema),
        pa.RecordBatch.from_pydict({"id": [4, 5], "x": [-math.nan, -0.0]}, schema=schema),
    ]
    spec = spec_of(schema, partition_columns=("x",), row_group_rows=4)
    files = write_files(batches, spec, store)
    found = {str(file.partition_values[0].as_py()): read(store, file)["id"].to_pylist() for file in files}
    assert found == {"nan": [0, 4], "0.0": [1, 2, 5], "None": [3]}


def test_partition_values_beyond_pythons_dates_are_kept(store: LocalStore) -> None:
    schema = schema_of(id=pa.int64(), ts=pa.timestamp("us", "UTC"), day=pa.date32())
    far = pa.RecordBatch.from_arrays(
        [
            pa.array([1, 2]),
            pa.array([2**62, 2**62 + 1]).cast(schema.field("ts").type),
            pa.array([2**30, 2**30], pa.int32()).cast(pa.date32()),
        ],
        schema=schema,
    )
    files = write_files([far], spec_of(schema, partition_columns=("ts", "day")), store)
    assert sorted(file.partition_values[0].value for file in files) == [2**62, 2**62 + 1]


def test_file_with_nan_has_no_footer_statistics_on_that_column(store: LocalStore) -> None:
    schema = schema_of(x=pa.float64(), y=pa.float64())
    batch = pa.RecordBatch.from_pydict({"x": [1.0, math.nan, 3.0], "y": [1.0, 2.0, 3.0]}, schema=schema)
    [file] = write_files([batch], spec_of(schema, statistics_columns=(("x",), ("y",))), store)
    assert leaves_with_statistics(store, file) == {"y"}
    assert file.statistics.columns[0].has_nan
    assert file.statistics.columns[0].maximum is None


def test_nan_after_a_file_was_opened_begins_a_new_file(store: LocalStore) -> None:
    schema = schema_of(x=pa.float64())
    values = [float(i) for i in range(100)]
    values[55] = math.nan
    batches = pa.table({"x": values}, schema=schema).to_batches(max_chunksize=10)
    files = write_files(batches, spec_of(schema, row_group_rows=10), store)
    assert [file.num_rows for file in files] == [50, 50]
    assert [leaves_with_statistics(store, file) for file in files] == [{"x"}, set()]


def test_nan_in_another_partition_does_not_hide_nan_from_an_open_file(store: LocalStore) -> None:
    schema = schema_of(x=pa.float64(), p=pa.string())
    batches = [
        pa.RecordBatch.from_pydict({"x": x, "p": p}, schema=schema)
        for x, p in (([1.0, 2.0], ["a", "a"]), ([math.nan, 1.0], ["b", "b"]), ([math.nan, 5.0], ["a", "a"]))
    ]
    files = write_files(batches, spec_of(schema, partition_columns=("p",), row_group_rows=2), store)
    for file in files:
        holds_nan = any(math.isnan(value) for value in read(store, file)["x"].to_pylist())
        assert not (holds_nan and "x" in leaves_with_statistics(store, file))
    assert sum(file.num_rows for file in files) == 6


def test_nan_in_nested_leaves_takes_their_footer_statistics(store: LocalStore) -> None:
    point = pa.struct([pa.field("x", pa.float64()), pa.field("y", pa.float32())])
    schema = schema_of(
        s=point,
        a=pa.list_(pa.field("element", pa.float64())),
        m=pa.map_(pa.string(), pa.float64()),
        n=pa.list_(pa.field("element", point)),
    )
    plain = {"s": {"x": 1.0, "y": 1.0}, "a": [1.0], "m": [("k", 1.0)], "n": [{"x": 1.0, "y": 1.0}]}
    nans = {
        "s": {"x": math.nan, "y": 1.0},
        "a": [1.0, math.nan],
        "m": [("k", math.nan)],
        "n": [{"x": 1.0, "y": math.nan}],
    }
    batch = pa.RecordBatch.from_pylist([plain, nans, plain], schema=schema)

    [without] = write_files([batch.slice(0, 1), batch.slice(2)], spec_of(schema), store)
    assert len(leaves_with_statistics(store, without)) == 7
    [file] = write_files([batch.slice(1)], spec_of(schema), store)
    assert leaves_with_statistics(store, file) == {"s.y", "m.key_value.key", "n.list.element.x"}


def test_files_roll_at_the_target_size_the_same_way_each_time(store: LocalStore) -> None:
    schema = schema_of(x=pa.int64())
    table = pa.table({"x": [i * 2_654_435_761 % 2**40 for i in range(40_000)]}, schema=schema)
    spec = spec_of(schema, target_file_bytes=60_000, row_group_rows=1_000, threads=2)

    first = [(file.num_rows, file.size_bytes) for file in write_files(table.to_batches(), spec, store)]
    files = write_files(table.to_batches(max_chunksize=300), spec, store)

    assert [(file.num_rows, file.size_bytes) for file in files] == first
    assert len(files) > 2
    assert all(40_000 < file.size_bytes < 70_000 for file in files[:-1])
    assert pa.concat_tables([read(store, file) for file in files])["x"].to_pylist() == table["x"].to_pylist()
    groups = footer(store, files[0])
    assert {groups.row_group(i).num_rows for i in range(groups.num_row_groups)} == {1_000}


def test_more_partitions_than_files_may_be_open_loses_no_row(store: LocalStore) -> None:
    schema = schema_of(x=pa.int64(), p=pa.int64())
    table = pa.table({"x": range(2_000), "p": [i % 7 for i in range(2_000)]}, schema=schema)
    spec = spec_of(schema, partition_columns=("p",), row_group_rows=50, max_open_files=2, buffer_bytes=1_000)
    files = write_files(table.to_batches(max_chunksize=100), spec, store)
    rows = pa.concat_tables([read(store, file) for file in files])
    assert sorted(rows["x"].to_pylist()) == list(range(2_000))
    assert all(
        read(store, file)["p"].unique().to_pylist() == [file.partition_values[0].as_py()] for file in files
    )


def test_columns_of_distinct_values_have_no_dictionary(store: LocalStore) -> None:
    schema = schema_of(id=pa.int64(), kind=pa.string(), flag=pa.bool_())
    rows = 20_000
    table = pa.table(
        {
            "id": range(rows),
            "kind": ["abcd"[i % 4] * 9 for i in range(rows)],
            "flag": [i % 3 == 0 for i in range(rows)],
        },
        schema=schema,
    )
    [file] = write_files(table.to_batches(), spec_of(schema), store)
    group = footer(store, file).row_group(0)
    assert [group.column(i).has_dictionary_page for i in range(3)] == [False, True, False]
    assert group.column(0).compression == "ZSTD"


@pytest.mark.parametrize("good_batches", [0, 1, 40])
def test_input_that_fails_leaves_no_file(store: LocalStore, good_batches: int) -> None:
    schema = schema_of(x=pa.int64())

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(good_batches):
            yield pa.RecordBatch.from_pydict({"x": range(start * 100, start * 100 + 100)}, schema=schema)
        raise ZeroDivisionError("the source broke")

    spec = spec_of(schema, row_group_rows=100, target_file_bytes=2_000)
    with pytest.raises(ZeroDivisionError, match="the source broke"):
        write_files(batches(), spec, store)
    assert stored_keys(store) == []


def test_storage_that_refuses_raises_and_leaves_no_thread_working(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "part").write_text("a file where the folder should be")
    schema = schema_of(x=pa.int64())
    batches = pa.table({"x": range(10_000)}, schema=schema).to_batches(max_chunksize=100)
    with pytest.raises(StoreError):
        write_files(batches, spec_of(schema, row_group_rows=100), store)
    assert stored_keys(store) == ["part"]


def test_writer_left_without_finish_deletes_what_it_wrote(store: LocalStore) -> None:
    schema = schema_of(x=pa.int64())
    with DataFileWriter(spec_of(schema, row_group_rows=10, target_file_bytes=100), store) as writer:
        writer.write(pa.RecordBatch.from_pydict({"x": range(1_000)}, schema=schema))
    assert stored_keys(store) == []


def test_discarded_files_are_gone_and_a_second_discard_is_no_error(store: LocalStore) -> None:
    schema = schema_of(x=pa.int64())
    files = write_files([pa.RecordBatch.from_pydict({"x": [1]}, schema=schema)], spec_of(schema), store)
    discard_files(files, store)
    discard_files(files, store)
    assert stored_keys(store) == []


def test_every_type_of_a_table_can_be_written_and_be_cut_by(store: LocalStore) -> None:
    import datetime as dt
    from decimal import Decimal

    values: dict[pa.DataType, list[Any]] = {
        pa.int8(): [1, 2], pa.int16(): [1, 2], pa.int32(): [1, 2], pa.int64(): [1, 2],
        pa.float32(): [1.0, 2.0], pa.float64(): [1.0, 2.0], pa.bool_(): [True, False],
        pa.string(): ["a", "b"], pa.binary(): [b"", b"\xff"], pa.date32(): [dt.date(2026, 1, 1), dt.date(1, 1, 1)],
        pa.timestamp("us"): [dt.datetime(2026, 1, 1), dt.datetime(1, 1, 1)],
        pa.decimal128(38, 2): [Decimal("1.10"), Decimal(-9)],
    }  # fmt: skip
    for kind, two in values.items():
        schema = schema_of(x=kind, p=kind)
        column = [*two, None] * 2_000
        table = pa.table({"x": column, "p": column}, schema=schema)
        files = write_files(table.to_batches(), spec_of(schema, partition_columns=("p",)), store)
        assert [file.num_rows for file in files] == [2_000] * 3, kind
        assert {file.partition_values[0].as_py() for file in files} == {*two, None}
        for file in files:
            assert set(read(store, file)["x"].to_pylist()) == {file.partition_values[0].as_py()}


def test_columns_that_zstd_does_not_shrink_are_stored_as_they_are(store: LocalStore) -> None:
    import random

    draw = random.Random(1)
    rows = 70_000
    schema = schema_of(id=pa.int64(), noise=pa.float64(), s=pa.struct([pa.field("noise", pa.float64())]))
    noise = [draw.random() for _ in range(rows)]
    table = pa.table({"id": range(rows), "noise": noise, "s": [{"noise": x} for x in noise]}, schema=schema)
    batches = table.to_batches()

    [file] = write_files([*batches, *batches], spec_of(schema, row_group_rows=rows), store)

    groups = footer(store, file)
    codecs = [[groups.row_group(g).column(c).compression for c in range(3)] for g in range(2)]
    assert codecs == [["ZSTD", "UNCOMPRESSED", "UNCOMPRESSED"]] * 2
    assert read(store, file).equals(pa.concat_tables([table, table]))
