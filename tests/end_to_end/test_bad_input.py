"""What goes wrong for users: each a typed error that names the place and the way out, and nothing is written."""

import datetime as dt
import json
import os

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakefmt
from lakefmt.errors import (
    CommitConflictError,
    ConstraintViolationError,
    CorruptTableError,
    InvalidInputError,
    LakefmtError,
    SchemaMismatchError,
    StoreError,
    TableNotFoundError,
    UnsupportedFeatureError,
    VersionNotFoundError,
)

ROWS = pa.table({"id": [1, 2, 3], "city": ["a", "b", None], "day": [dt.date(2026, 11, 1)] * 3})


@pytest.fixture
def table(tmp_path):
    return lakefmt.write(tmp_path / "t", ROWS, partition_by="day")


@pytest.fixture
def folder(table, tmp_path):
    return tmp_path / "t"


def objects(folder):
    return sorted(os.fspath(path) for path in folder.rglob("*") if path.is_file())


def log_file(folder, version):
    return folder / "_delta_log" / f"{version:020d}.json"


@pytest.mark.parametrize("kind", ["absent", "empty", "parquet", "file"])
def test_what_is_no_table_says_so(tmp_path, kind):
    place = tmp_path / "x"
    if kind != "absent":
        place.mkdir()
    if kind == "parquet":
        pq.write_table(ROWS, place / "a.parquet")
    if kind == "file":
        (place / "notes.txt").write_text("hello")
    with pytest.raises(TableNotFoundError) as caught:
        lakefmt.open(place)
    assert "x" in str(caught.value)
    assert ("lakefmt.write" in str(caught.value)) == (kind != "file" or True)
    assert not lakefmt.is_table(place)


@pytest.mark.parametrize("version", [-1, 1.5, "1", True])
def test_a_version_is_a_number_from_zero(table, version):
    with pytest.raises(InvalidInputError, match="version"):
        table.at(version=version)


def test_version_that_never_existed_names_the_newest(table):
    with pytest.raises(VersionNotFoundError, match="newest is 1"):
        table.at(version=7)


@pytest.mark.parametrize(
    ("moment", "match"), [("1999-01-01", "before the first"), ("2999-01-01", "after the last")]
)
def test_timestamps_outside_the_history_name_its_ends(table, moment, match):
    with pytest.raises(VersionNotFoundError, match=match):
        table.at(timestamp=moment)


def test_version_and_timestamp_together_are_refused(table):
    with pytest.raises(InvalidInputError, match=r"both|one of"):
        lakefmt.open(table.uri, version=1, timestamp="2026-11-01")
    with pytest.raises(InvalidInputError):
        table.at()


def test_unknown_column_names_the_closest(table):
    with pytest.raises(InvalidInputError, match="'city'"):
        table.scan(columns=["citty"])
    with pytest.raises(InvalidInputError, match="city"):
        table.scan(where="citty = 'a'")


@pytest.mark.parametrize(
    "where",
    [
        "id >",
        "id = 1; DROP TABLE x",
        "id + 1",
        "city > DATE '2026-01-01' AND day = true",
        "sum(id) > 1",
        "id IN (SELECT 1)",
        "",
        5,
        pa.scalar(1),
    ],
)
def test_what_is_no_predicate_is_refused_before_anything_is_read(table, where):
    with pytest.raises(InvalidInputError) as caught:
        table.scan(where=where)
    assert caught.value.table == table.uri


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        ({"id": ["x"], "city": ["a"], "day": [dt.date(2026, 1, 1)]}, SchemaMismatchError, ["id"]),
        (
            {"id": [2.5], "city": ["a"], "day": [dt.date(2026, 1, 1)]},
            SchemaMismatchError,
            ["id", "2.5", "row 0"],
        ),
        ({"id": [1], "citty": ["a"], "day": [dt.date(2026, 1, 1)]}, SchemaMismatchError, ["citty", "city"]),
        (5, InvalidInputError, ["int"]),
        ("/nowhere/at-all.parquet", LakefmtError, ["at-all"]),
    ],
)
def test_rows_that_do_not_fit_are_refused_and_nothing_is_written(table, folder, data, error, words):
    before = objects(folder)
    with pytest.raises(error) as caught:
        table.append(data)
    for word in words:
        assert word in str(caught.value)
    assert objects(folder) == before
    assert table.version == 1


def test_null_in_a_required_column_names_column_and_row(tmp_path):
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("x", pa.int64())])
    table = lakefmt.create(tmp_path / "t", schema)
    with pytest.raises(ConstraintViolationError, match=r"id.*1"):
        table.append({"id": [1, None], "x": [1, 1]})


def test_a_generator_that_fails_half_way_leaves_no_commit_and_no_file(table, folder):
    before = objects(folder)

    def batches():
        for number in range(20):
            if number == 15:
                raise RuntimeError("the source broke")
            yield pa.record_batch(
                {"id": list(range(1000)), "city": ["a"] * 1000, "day": [dt.date(2026, 11, number + 1)] * 1000}
            )

    with pytest.raises(RuntimeError, match="the source broke"):
        table.append(batches())
    assert objects(folder) == before
    with pytest.raises(RuntimeError, match="the source broke"):
        lakefmt.write(folder.parent / "new", batches(), partition_by="day")
    assert not lakefmt.is_table(folder.parent / "new")


@pytest.mark.parametrize(
    "data",
    [b"", b"garbage", b'{"add":{"path":"x"', b'{"commitInfo":{}}\n{"add":'],
)
def test_truncated_or_garbage_commit_names_the_file(table, folder, data):
    log_file(folder, 1).write_bytes(data)
    with pytest.raises(CorruptTableError, match=r"00000000000000000001\.json"):
        lakefmt.open(folder)
    assert lakefmt.open(folder, version=0).count() == 0


def test_gap_in_the_log_names_the_missing_version(table, folder):
    table.append(ROWS)
    log_file(folder, 1).unlink()
    with pytest.raises(CorruptTableError, match="version 1"):
        lakefmt.open(folder)


def test_missing_data_file_is_named(table, folder):
    data_file = next(folder.rglob("*.parquet"))
    data_file.unlink()
    with pytest.raises(CorruptTableError, match=data_file.name):
        lakefmt.open(folder).to_arrow()
    with pytest.raises(CorruptTableError, match=data_file.name):
        lakefmt.open(folder).scan(where="id > 1").to_arrow()


def test_data_file_with_another_schema_is_named(table, folder):
    data_file = next(folder.rglob("*.parquet"))
    pq.write_table(pa.table({"id": ["text"], "city": ["x"], "day": [dt.date(2026, 11, 1)]}), data_file)
    with pytest.raises(CorruptTableError, match=data_file.name):
        lakefmt.open(folder).to_arrow()


def test_truncated_data_file_is_named(table, folder):
    data_file = next(folder.rglob("*.parquet"))
    data_file.write_bytes(data_file.read_bytes()[:50])
    with pytest.raises(CorruptTableError, match=data_file.name):
        lakefmt.open(folder).to_arrow()


def edit_first_commit(folder, change):
    lines = [json.loads(line) for line in log_file(folder, 0).read_text().splitlines()]
    for line in lines:
        change(line)
    log_file(folder, 0).write_text("\n".join(map(json.dumps, lines)))


def test_unknown_reader_feature_is_refused_by_name(table, folder):
    def change(line):
        if "protocol" in line:
            line["protocol"]["readerFeatures"] = ["deletionVectors", "quantumRows"]

    edit_first_commit(folder, change)
    with pytest.raises(UnsupportedFeatureError, match="quantumRows"):
        lakefmt.open(folder)


def test_unknown_writer_feature_is_readable_and_refused_for_writing(table, folder):
    def change(line):
        if "protocol" in line:
            line["protocol"]["writerFeatures"] = ["deletionVectors", "quantumRows"]

    edit_first_commit(folder, change)
    again = lakefmt.open(folder)
    assert again.count() == 3
    before = objects(folder)
    with pytest.raises(UnsupportedFeatureError, match="quantumRows"):
        again.append(ROWS)
    assert objects(folder) == before


def test_file_with_a_broken_deletion_vector_is_listed_and_counted_but_not_read(table, folder):
    vector = {"storageType": "i", "pathOrInlineDv": "x", "sizeInBytes": 1, "cardinality": 1}
    lines = [json.loads(line) for line in log_file(folder, 1).read_text().splitlines()]
    for line in lines:
        if "add" in line:
            line["add"]["deletionVector"] = vector
    log_file(folder, 1).write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(CorruptTableError, match="deletion vector"):
        lakefmt.open(folder).to_arrow()
    assert lakefmt.open(folder).files().num_rows == 1
    assert lakefmt.open(folder).count() == 2


def test_append_only_table_refuses_overwrite(tmp_path):
    table = lakefmt.create(tmp_path / "t", ROWS.schema, properties={"delta.appendOnly": True})
    table.append(ROWS)
    with pytest.raises(InvalidInputError, match="append-only"):
        table.overwrite(ROWS)
    assert len(list((tmp_path / "t").rglob("*.parquet"))) == 1


def test_overwrite_by_other_columns_is_refused(table):
    with pytest.raises(InvalidInputError, match="partition columns"):
        table.overwrite(ROWS, where="id = 1")


def test_overwrite_with_rows_outside_its_predicate_is_refused(table, folder):
    before = objects(folder)
    with pytest.raises(ConstraintViolationError, match="2026-11-01"):
        table.overwrite(ROWS, where="day = DATE '2026-11-02'")
    assert objects(folder) == before


def test_overwrite_that_lost_to_another_overwrite_is_a_conflict_that_names_it(table, folder):
    other = lakefmt.open(folder)
    other.overwrite(ROWS)
    with pytest.raises(CommitConflictError) as caught:
        table.overwrite(ROWS)
    assert caught.value.kind == "removed"
    assert caught.value.retry_helps
    assert caught.value.version == 2
    assert "lakefmt/" in str(caught.value)
    assert len([path for path in objects(folder) if path.endswith(".parquet")]) == 2
    table.refresh().overwrite(ROWS)


def test_blind_append_in_between_does_not_disturb_an_overwrite(table, folder):
    lakefmt.open(folder).append(ROWS)
    table.overwrite(ROWS)
    assert lakefmt.open(folder).count() == 6


def test_store_without_an_atomic_put_is_read_only_and_says_why(table, folder):
    memory = fsspec.filesystem("memory")
    del memory
    again = lakefmt.open(f"simplecache::file://{folder}")
    assert again.count() == 3
    with pytest.raises(StoreError, match="committed here"):
        again.append(ROWS)


@pytest.mark.skipif(os.geteuid() == 0 and not hasattr(os, "setxattr"), reason="root writes everywhere")
def test_unwritable_target_names_the_place(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="file"):
        lakefmt.write(tmp_path / "file" / "t", ROWS)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"schema": {}}, "column"),
        ({"schema": {"a b": "long"}}, "a b"),
        ({"schema": {"a": "long", "A": "long"}}, "case"),
        ({"schema": {"a": "longg"}}, "long"),
        ({"schema": {"a": "long"}, "partition_by": "b"}, "'b'"),
        ({"schema": {"a": "long"}, "partition_by": ["a"]}, "column"),
        ({"schema": {"a": pa.list_(pa.int64()), "b": "long"}, "partition_by": ["a"]}, "partition"),
        ({"schema": {"a": pa.timestamp("ns")}}, "ns|nano"),
        ({"schema": {"a": pa.time64("us")}}, "time"),
        ({"schema": {"a": pa.null()}}, "null"),
        ({"schema": {"a": "long"}, "properties": {"delta.apendOnly": "true"}}, "appendOnly"),
    ],
)
def test_what_makes_no_table_is_refused_and_nothing_is_there(tmp_path, arguments, match):
    with pytest.raises(InvalidInputError, match=match) as caught:
        lakefmt.create(tmp_path / "t", **arguments)
    assert "t" in (caught.value.table or "")
    assert not (tmp_path / "t").exists()


def test_messages_and_reprs_hold_no_secret(tmp_path):
    options = {"key": "AKIASECRET", "secret": "verysecret", "endpoint_url": "http://127.0.0.1:9"}
    with pytest.raises(LakefmtError) as caught:
        lakefmt.open("s3://bucket/t", storage_options=options)
    assert "verysecret" not in str(caught.value)
    assert "AKIASECRET" not in repr(caught.value)
