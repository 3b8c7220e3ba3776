"""Spark reads what lakefmt wrote, value for value, whole and filtered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from checkpoints import KINDS, write_checkpoint, write_checkpointed
from checkpoints import rows as checkpointed_rows
from interop.kinds_of_write import CASES
from interop.test_row_level_commits import STEPS, write_raced
from interop_spark.spark_process import SparkError

import lakefmt
from lakefmt.testing.deletion_vectors import delete_positions

if TYPE_CHECKING:
    from pathlib import Path

NOT_READ = {
    "in_folder_2": "Spark decodes the folder's name once too often",
}
SMALL = pa.table(
    {
        "id": pa.array([1, 2, 3, None], pa.int64()),
        "text": ["a", "Zürich", None, "x" * 100],
        "price": pa.array([1.5, -0.25, None, 1e300], pa.float64()),
        "part": [1, 1, 2, None],
    }
)
FILTERS = [
    "id = 2",
    "id > 1",
    "id IS NULL",
    "text = 'Zürich'",
    "text > 'x'",
    "price < 0",
    "part = 1",
    "part IS NULL",
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_same_rows_come_back(case, spark, tmp_path, assert_same_rows):
    if reason := NOT_READ.get(case.name):
        pytest.skip(reason)
    uri = str(tmp_path / case.folder)
    rows = case.write(uri, {})
    assert_same_rows(spark.read(uri), rows)


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoints_stand_for_the_log(kind, spark, tmp_path, assert_same_rows):
    """Sidecars that an earlier checkpoint wrote are among them, read with the columns of the first."""
    uri = str(tmp_path / "table")
    expected = write_checkpointed(uri, KINDS[kind])
    assert_same_rows(spark.read(uri), expected)
    some = spark.read(uri, "id < 120 AND day = DATE '2026-01-02'")
    assert sorted(some["id"].to_pylist()) == [
        i
        for i, day in zip(expected["id"].to_pylist(), expected["day"].to_pylist(), strict=True)
        if i < 120 and day.day == 2
    ]


@pytest.mark.parametrize("json", ["true", "false"])
def test_sidecars_of_three_checkpoints_are_read_together(
    json, spark, tmp_path, monkeypatch, assert_same_rows
):
    """Statistics are JSON and columns, or columns alone; of the last checkpoint most sidecars are the first one's."""
    monkeypatch.setattr("lakefmt.manifest.checkpoint.sidecars.SIDECAR_FILES", 7)
    uri = str(tmp_path / "table")
    properties = {
        "delta.checkpointPolicy": "v2",
        "delta.checkpointInterval": "1000000",
        "delta.checkpoint.writeStatsAsJson": json,
    }
    empty = checkpointed_rows(1, 1).schema
    table = lakefmt.create(uri, empty, partition_by=["day", "city"], properties=properties)
    for start in range(0, 400, 20):
        table.append(checkpointed_rows(start, 20))
    written = [write_checkpoint(uri)]
    for start in (1_000, 2_000):
        path = lakefmt.open(uri).files()["path"][0].as_py()
        delete_positions(uri, {path: [0, 2]}, storage_type="i" if start == 1_000 else "u")
        table.refresh().append(checkpointed_rows(start, 10))
        written.append(write_checkpoint(uri))
    first, _, last = ({sidecar.path for sidecar in each.sidecars} for each in written)
    assert len(first & last) >= 3
    assert last - first
    for commit in range(written[-1].version):
        (tmp_path / "table" / "_delta_log" / f"{commit:020}.json").unlink()
    for each in written[:-1]:
        (tmp_path / "table" / each.key).unlink()
    expected = lakefmt.open(uri).to_arrow()
    assert_same_rows(spark.read(uri), expected)
    some = spark.read(uri, "id BETWEEN 120 AND 1005 AND day = DATE '2026-01-02'")
    assert_same_rows(
        some, lakefmt.open(uri).scan(where="id BETWEEN 120 AND 1005 AND day = '2026-01-02'").to_arrow()
    )


def test_log_compaction_file_stands_for_its_commits(spark, tmp_path, assert_same_rows):
    uri = str(tmp_path / "table")
    table = lakefmt.create(uri, SMALL.schema, partition_by=["part"])
    for row in range(SMALL.num_rows):
        table.append(SMALL.slice(row, 1))
    table.overwrite(SMALL.slice(2, 1), where="part = 2")
    table.compact_log(1, 4)
    # Of two commits that it stands for the actions are gone: whoever reads those misses rows.
    for commit in (2, 3):
        file = tmp_path / "table" / "_delta_log" / f"{commit:020}.json"
        file.write_bytes(file.read_bytes().splitlines()[0] + b"\n")
    expected = lakefmt.open(uri).to_arrow()
    assert expected.num_rows == 4
    assert_same_rows(spark.read(uri), expected)


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_deletes_that_were_joined_and_carried_over_a_compaction(step, spark, tmp_path, assert_same_rows):
    uri = str(tmp_path / "table")
    rows = write_raced(uri, step)
    assert_same_rows(spark.read(uri), rows)
    assert spark.read(uri, "id < 100").num_rows == sum(i < 100 for i in rows["id"].to_pylist())


@pytest.mark.parametrize("storage_type", ["i", "u", "p"])
def test_rows_deleted_by_every_kind_of_vector_are_gone(storage_type, spark, tmp_path):
    uri = str(tmp_path / "table")
    table = lakefmt.write(uri, pa.table({"id": pa.array(range(1000), pa.int64())}))
    (path,) = table.files()["path"].to_pylist()
    delete_positions(uri, {path: range(0, 1000, 3)}, storage_type=storage_type)
    assert sorted(spark.read(uri)["id"].to_pylist()) == [i for i in range(1000) if i % 3]
    spark.sql("DELETE FROM {t} WHERE id = 1", uri)  # on top of ours
    assert lakefmt.open(uri).count() == spark.read(uri).num_rows == 665


def test_filters_keep_the_rows_that_match(spark, tmp_path, assert_same_rows):
    """Spark prunes by the statistics that lakefmt wrote."""
    uri = str(tmp_path / "table")
    table = lakefmt.create(uri, SMALL.schema, partition_by=["part"])
    for row in range(SMALL.num_rows):
        table.append(SMALL.slice(row, 1))
    for where in FILTERS:
        assert_same_rows(spark.read(uri, where), table.scan(where=where).to_arrow())


@pytest.mark.parametrize("encoding", ["DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"])
def test_newer_encodings_of_pages_are_read(encoding, spark, tmp_path, assert_same_rows):
    """What lakefmt may one day write for smaller files: is Spark's vectorised reader up to it?"""
    numbers = np.arange(50_000)
    columns: dict[str, Any]
    if encoding == "DELTA_BINARY_PACKED":
        prices = pa.array(numbers % 1000, pa.int64()).cast(pa.decimal128(19, 0)).cast(pa.decimal128(18, 0))
        columns = {
            "id": numbers,
            "small": pa.array(numbers % 1000 - 500, pa.int32()),
            "tiny": pa.array(numbers % 100, pa.int8()),
            "at": pa.array(numbers * 1_000_003, pa.timestamp("us", "UTC")),
            "day": pa.array(numbers.astype(np.int32) % 20_000, pa.date32()),
            "price": prices,
            "some": pa.array([None if n % 3 else int(n) for n in numbers], pa.int64()),
        }
    else:
        columns = {
            "id": numbers,
            "text": [f"row {n}" for n in numbers],
            "raw": [b"%d" % n for n in numbers],
        }
    rows = pa.table(columns)
    uri = tmp_path / "table"
    lakefmt.create(str(uri), rows.schema, properties={"delta.enableDeletionVectors": "false"}).append(rows)
    rewrite(
        uri,
        encoding,
        [name for name in rows.column_names if encoding == "DELTA_BINARY_PACKED" or name != "id"],
    )
    spark.sql("REFRESH TABLE {t}", uri)
    assert_same_rows(spark.read(uri), rows)
    assert spark.read(uri, "id BETWEEN 777 AND 778").num_rows == 2


def test_byte_stream_split_is_an_encoding_to_stay_away_from(spark, tmp_path):
    """Spark 4.2 refuses it; should that change, so may we."""
    uri = tmp_path / "table"
    rows = pa.table({"id": np.arange(50_000), "x": np.arange(50_000) / 7})
    lakefmt.create(str(uri), rows.schema, properties={"delta.enableDeletionVectors": "false"}).append(rows)
    rewrite(uri, "BYTE_STREAM_SPLIT", ["x"])
    with pytest.raises(SparkError):
        spark.read(uri)


def rewrite(uri: Path, encoding: str, columns: list[str]) -> None:
    """Write the table's one data file again with other encodings, under its own name and with its size in the log."""
    (file,) = uri.glob("*.parquet")
    old_size = file.stat().st_size
    pq.write_table(
        pq.read_table(file),
        file,
        use_dictionary=False,
        column_encoding=dict.fromkeys(columns, encoding),
        store_decimal_as_integer=True,
    )
    written = pq.ParquetFile(file).metadata.row_group(0)
    found = {
        encoding
        for index in range(written.num_columns)
        if written.column(index).path_in_schema in columns
        for encoding in written.column(index).encodings
    }
    assert encoding in found
    log = uri / "_delta_log" / f"{1:020}.json"
    text = log.read_text()
    assert f'"size":{old_size}' in text
    log.write_text(text.replace(f'"size":{old_size}', f'"size":{file.stat().st_size}'))
