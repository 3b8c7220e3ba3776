"""A stream as parts of a job: many of a short one, not too many of a long one."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lakefmt.engine.sources import StreamedRows

SCHEMA = pa.schema({"n": pa.int64()})


def stream_of(rows: int, part_rows: int, batch_rows: int = 1_000) -> StreamedRows:
    def batches():
        for start in range(0, rows, batch_rows):
            yield pa.record_batch({"n": range(start, min(start + batch_rows, rows))}, schema=SCHEMA)

    return StreamedRows(SCHEMA, batches, part_rows, "numbers")


@pytest.mark.parametrize("is_kept", [True, False])
def test_all_rows_are_in_parts_in_their_order(tmp_path, is_kept):
    source = stream_of(10_123, 70)
    parts = list(source.parts(2, str(tmp_path) if is_kept else None))
    tables = [part.read() if is_kept else part for part in parts]
    assert pa.concat_tables(tables)["n"].to_pylist() == list(range(10_123))


def test_a_short_stream_has_parts_for_all_workers():
    parts = list(stream_of(3_200, 200).parts(4))
    assert [part.num_rows for part in parts] == [200] * 16


def test_a_long_stream_has_few_parts_and_none_is_a_large_share_of_it():
    parallelism = 2
    sizes = [part.num_rows for part in stream_of(400_000, 200).parts(parallelism)]
    assert len(sizes) < 120, "there are 2,000 times two hundred rows"
    passed = 0
    for size in sizes:
        assert size <= max(200, passed / 8 / parallelism)
        passed += size


def test_parts_do_not_grow_past_a_size_in_bytes():
    wide = pa.table({"n": range(2_000), "text": ["x" * 10_000] * 2_000})
    batches = wide.to_batches(max_chunksize=20)
    source = StreamedRows(wide.schema, lambda: (batch for _ in range(20) for batch in batches), 20, "texts")
    sizes = [part.nbytes for part in source.parts(1)]
    assert len(sizes) > 400_000_000 / 17_000_000
    assert max(sizes) < 17_000_000
