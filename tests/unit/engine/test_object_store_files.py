"""Data files on an object store over HTTP: few requests, and errors that keep their meaning on the way through Arrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from lakefmt.engine import ReadSpec, ReadTask, WriteSpec, count_footer_rows, read_table, write_files
from lakefmt.engine.footers import forget_footers
from lakefmt.errors import CorruptTableError
from lakefmt.expressions import parse_predicate
from lakefmt.schema import Schema
from lakefmt.store import Store, open_store

if TYPE_CHECKING:
    from lakefmt.testing.servers import S3Server

SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string())])
ROWS = pa.table({"id": range(1_000), "name": [f"name-{i}" for i in range(1_000)]}, schema=SCHEMA)


@pytest.fixture
def bucket(s3_bucket: str, s3_options: dict[str, Any]) -> Store:
    forget_footers()
    return open_store(f"{s3_bucket}/table", s3_options)


def write(bucket: Store, **options: Any) -> list[ReadTask]:
    spec = WriteSpec(SCHEMA, lambda _, number: f"part {number}.parquet", **options)
    files = write_files(ROWS.to_batches(max_chunksize=100), spec, bucket)
    return [ReadTask(file.key, file.size_bytes) for file in files]


def test_small_file_is_one_put_and_comes_back(bucket: Store, s3_server: S3Server) -> None:
    s3_server.gate.forget()
    tasks = write(bucket)
    assert [request.method for request in s3_server.gate.requests()] == ["PUT"]
    spec = ReadSpec(SCHEMA, SCHEMA, predicate=parse_predicate("id = 5", Schema.from_arrow(SCHEMA)))
    assert read_table(bucket, tasks, spec).to_pylist() == [{"id": 5, "name": "name-5"}]
    assert read_table(bucket, tasks, ReadSpec(SCHEMA, SCHEMA)).equals(ROWS)


def test_several_files_stream_and_come_back_in_order(bucket: Store) -> None:
    tasks = write(bucket, row_group_rows=100, target_file_bytes=4_000)
    assert len(tasks) > 2
    assert read_table(bucket, tasks, ReadSpec(SCHEMA, SCHEMA)).equals(ROWS)
    assert count_footer_rows(bucket, tasks) == 1_000


def test_known_footer_saves_its_requests(bucket: Store, s3_server: S3Server) -> None:
    tasks = write(bucket)
    assert count_footer_rows(bucket, tasks) == 1_000
    s3_server.gate.forget()
    assert count_footer_rows(bucket, tasks) == 1_000
    assert s3_server.gate.requests() == []
    assert read_table(bucket, tasks, ReadSpec(SCHEMA, SCHEMA, columns=("id",))).num_rows == 1_000
    assert len(s3_server.gate.requests()) == 1


def test_missing_object_is_a_missing_data_file(bucket: Store) -> None:
    tasks = write(bucket)
    for known in (False, True):
        if known:
            count_footer_rows(bucket, tasks)
        bucket.delete([task.key for task in tasks])
        with pytest.raises(CorruptTableError, match="data file that the log names is missing"):
            read_table(bucket, tasks, ReadSpec(SCHEMA, SCHEMA))
        tasks = write(bucket)
