"""Exchanges whose files lie on an object store: few requests, some at once, and the rows of every partition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from lakefmt.engine.exchange import (
    Exchange,
    HashKey,
    HashPartitioning,
    ShuffleInput,
    SortKey,
    fetch_shuffle,
    read_shuffle,
    write_shuffle_file,
)
from lakefmt.engine.jobs import run_job
from lakefmt.engine.repartition import repartition_job
from lakefmt.engine.shuffle_tasks import single_partitions
from lakefmt.engine.sort import sort_job
from lakefmt.engine.sources import StreamedRows
from lakefmt.engine.tasks import ThreadExecutor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakefmt.engine.exchange import ShuffleFile
    from lakefmt.testing.servers import S3Server

PARTITIONS, TASKS, ROWS = 8, 5, 30_000
EXCHANGE = Exchange(
    pa.schema({"id": pa.int64(), "x": pa.float64()}), HashPartitioning((HashKey("id"),), PARTITIONS)
)


@pytest.fixture
def folder(s3_bucket: str, s3_options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder on S3 that whoever knows its URI can open, as on a machine with a role."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_options["endpoint_url"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_options["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_options["secret"])
    return f"{s3_bucket}/job"


def batch_of(number: int) -> pa.RecordBatch:
    ids = np.arange(number * ROWS, (number + 1) * ROWS)
    values = np.random.default_rng(number).random(ROWS)  # which no codec makes smaller
    return pa.record_batch({"id": ids, "x": values})


@pytest.fixture
def files(folder: str, context_of: Any) -> list[ShuffleFile]:
    return [
        write_shuffle_file(EXCHANGE, [batch_of(number)], context_of(number, folder=folder))
        for number in range(TASKS)
    ]


def test_partitions_of_a_task_are_one_request_a_file(files, folder, s3_server: S3Server, context_of):
    rows = ShuffleInput.of(EXCHANGE, files, 1, 6)
    s3_server.gate.forget()
    found = {
        number: sum(batch.num_rows for batch in read_shuffle(partition, context_of()))
        for number, partition in single_partitions(rows, context_of(folder=folder))
    }
    gets = [request for request in s3_server.gate.requests() if request.method == "GET"]
    assert len(gets) == TASKS
    assert found == {
        number: sum(int(file.partition_rows[number]) for file in files) for number in range(1, 6)
    }


def test_partitions_that_do_not_fit_together_are_fetched_as_many_at_a_time_as_do(
    files, folder, s3_server: S3Server, context_of
):
    rows = ShuffleInput.of(EXCHANGE, files, 0, PARTITIONS)
    each = rows.message_bytes / PARTITIONS
    context = context_of(folder=folder, memory_bytes=int(each * 4 * 2.5))  # a quarter of it for fetched bytes
    pieces = list(fetch_shuffle(rows, context))
    assert [len(set(piece.ranges.partitions.tolist())) for piece in pieces] == [2, 2, 2, 2]
    batches = [batch for piece in pieces for batch in read_shuffle(piece, context)]
    ids = pa.Table.from_batches(batches)["id"].to_numpy()
    assert sorted(ids.tolist()) == list(range(TASKS * ROWS))


def test_a_partition_larger_than_its_share_of_memory_is_read_ahead_file_by_file(files, folder, context_of):
    rows = ShuffleInput.of(EXCHANGE, files, 0, PARTITIONS)
    context = context_of(folder=folder, memory_bytes=1_000)
    pieces = list(fetch_shuffle(rows, context))
    assert len(pieces) == PARTITIONS
    assert all(piece.inline == b"" for piece in pieces), "nothing was fetched"
    ids = pa.Table.from_batches(batch for piece in pieces for batch in read_shuffle(piece, context))["id"]
    assert sorted(ids.to_pylist()) == list(range(TASKS * ROWS))


def all_rows(batches: Iterator[pa.RecordBatch], _: Any) -> pa.Table:
    return pa.Table.from_batches(batches, EXCHANGE.schema)


def rows_of_partition(_: int, batches: Iterator[pa.RecordBatch], context: Any) -> pa.Table:
    return all_rows(batches, context)


@pytest.mark.parametrize("kind", ["sort", "repartition"])
def test_jobs_run_over_a_folder_on_an_object_store(kind, folder, s3_server: S3Server):
    stream = StreamedRows(EXCHANGE.schema, lambda: (batch_of(number) for number in range(3)), 20_000, "rows")
    if kind == "sort":
        job = sort_job(
            stream, (SortKey("id", descending=True),), all_rows, parallelism=2, target_bytes=200_000
        )
    else:
        job = repartition_job(stream, (HashKey("id"),), 6, rows_of_partition, parallelism=2)
    executor = ThreadExecutor(2)
    found = list(run_job(job, executor, folder=folder))
    executor.close()
    written = [request for request in s3_server.gate.requests() if request.method == "PUT"]
    assert len(written) >= 3
    if kind == "sort":
        assert pa.concat_tables(found)["id"].to_pylist() == list(range(3 * ROWS))[::-1]
    else:
        ids = pa.concat_tables(result.value for results in found for result in results)["id"]
        assert sorted(ids.to_pylist()) == list(range(3 * ROWS))
