"""2 GB of records of 100 bytes, ten of them the key, in 16 Parquet files, sorted into files, on two worker processes.

Bytes are random, so nothing compresses, and keys are hardly ever equal. lakefmt leaves Arrow files whose rows are in order
from the first to the last; DuckDB, in two threads and 4 GB, one Parquet file without a codec. Both read the same files, from
the page cache. The bar is 100 MB/s for each core: 10 seconds on two.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from benchmarks.engine_jobs import TreeJob, peak_memory
from benchmarks.results import Bar, Comparison, Counts, compare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.registry import Settings
    from lakefmt.engine.sources import DataFileRows
    from lakefmt.engine.tasks import TaskContext

__all__ = ["measure"]

FILES = 16
KEY_BYTES, VALUE_BYTES = 10, 90
MB_PER_CORE_SECOND = 100
CORES = 2
MEMORY_BYTES = 1 << 30


def measure(settings: Settings) -> tuple[Comparison | Counts, ...]:
    """Compare lakefmt's sort with DuckDB's."""
    records = settings.scaled(full=20_000_000, quick=160_000)
    folder = settings.folder / "records"
    write_records(folder, records)
    size_mb = records * (KEY_BYTES + VALUE_BYTES) / 1e6
    command = (sys.executable, "-m", "benchmarks.sort_records")
    jobs = (
        TreeJob("lakefmt", (*command, "lakefmt", str(folder)), "subject"),
        TreeJob("DuckDB, COPY of an ORDER BY", (*command, "duckdb", str(folder))),
    )
    times = compare(
        f"Sort of {size_mb:,.0f} MB of records",
        [job.contender() for job in jobs],
        bar=Bar(median_ms=size_mb / MB_PER_CORE_SECOND / CORES * 1_000),
        rounds=settings.fresh_rounds,
        warm_up_rounds=1,
    )
    return times, peak_memory("Memory of the same runs", jobs, most_mb=MEMORY_BYTES / 1e6 * 1.5)


def write_records(folder: Path, records: int) -> None:
    """Write the files."""
    import numpy as np
    import pyarrow.parquet as pq

    folder.mkdir()
    each = records // FILES
    for number in range(FILES):
        draw = np.random.default_rng(number)
        columns = {
            name: pa.Array.from_buffers(
                pa.binary(width), each, [None, pa.py_buffer(draw.bytes(each * width))]
            )
            for name, width in (("key", KEY_BYTES), ("value", VALUE_BYTES))
        }
        path = folder / f"{number:02d}.parquet"
        pq.write_table(
            pa.table(columns), path, compression="none", use_dictionary=False, row_group_size=160_000
        )


def leave_sorted(batches: Iterator[pa.RecordBatch], context: TaskContext) -> str | None:
    """Write rows in order to a file of the task's, and return its path."""
    path = Path(context.folder) / f"{context.stage}-{context.number}-{context.attempt}.sorted"
    first = next(batches, None)
    if first is None:
        return None
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, first.schema) as stream:
        stream.write_batch(first)
        for batch in batches:
            stream.write_batch(batch)
    return str(path)


def _sort_with_lakefmt(folder: Path) -> dict[str, Any]:
    from lakefmt.engine.exchange import SortKey
    from lakefmt.engine.jobs import job_folder, run_job
    from lakefmt.engine.sort import sort_job
    from lakefmt.engine.tasks.processes import ProcessExecutor

    started = time.perf_counter()
    source = _source(folder)
    executor = ProcessExecutor(CORES, MEMORY_BYTES)
    job = sort_job(
        source,
        (SortKey("key"),),
        leave_sorted,
        parallelism=CORES,
    )
    with job_folder(folder.parent) as place:
        paths = [path for path in run_job(job, executor, folder=place) if path is not None]
        seconds = time.perf_counter() - started
        answer = _answer(pa.ipc.open_stream(pa.memory_map(path)) for path in paths)
    executor.close()
    return {"seconds": seconds, "answer": answer}


def _sort_with_duckdb(folder: Path) -> dict[str, Any]:
    import duckdb
    import pyarrow.parquet as pq

    result = folder.parent / "sorted.parquet"
    started = time.perf_counter()
    with duckdb.connect(config={"threads": str(CORES), "memory_limit": "4GB"}) as connection:
        connection.execute(f"SET temp_directory = '{folder.parent / 'spill'}'")
        connection.execute(
            f"COPY (SELECT * FROM read_parquet('{folder}/*.parquet') ORDER BY key) "
            f"TO '{result}' (FORMAT parquet, COMPRESSION uncompressed)"
        )
    seconds = time.perf_counter() - started
    answer = _answer([pq.ParquetFile(result).iter_batches(columns=["key"])])
    result.unlink()
    return {"seconds": seconds, "answer": answer}


def _source(folder: Path) -> DataFileRows:
    import pyarrow.parquet as pq

    from lakefmt.engine import ReadSpec, ReadTask
    from lakefmt.engine.sources import DataFileRows
    from lakefmt.store import open_store

    tasks = [ReadTask(path.name, path.stat().st_size) for path in sorted(folder.iterdir())]
    schema = pq.read_schema(folder / tasks[0].key)
    size_bytes = sum(task.size_bytes for task in tasks)
    spec = ReadSpec(schema, schema)
    return DataFileRows(open_store(folder), spec, str(folder), 0, size_bytes, lambda: tasks)


def _answer(results: Any) -> list[Any]:
    """Return how many records there are, whether they are in order, and the sum of eight bytes of each key."""
    import numpy as np

    records, total, in_order, last = 0, 0, True, b""
    for batches in results:
        for batch in batches:
            # Fixed-size bytes, or what DuckDB makes of them; NumPy's own order of such leaves out zeros at the end.
            keys = batch.column("key").cast(pa.binary()).cast(pa.binary(KEY_BYTES))
            wide = np.frombuffer(keys.buffers()[1], np.uint8).reshape(-1, KEY_BYTES)[
                keys.offset : keys.offset + len(keys)
            ]
            upper = np.ascontiguousarray(wide[:, :8]).view(">u8")[:, 0].astype(np.uint64)
            lower = np.ascontiguousarray(wide[:, 8:]).view(">u2")[:, 0]
            steps = (upper[1:] > upper[:-1]) | ((upper[1:] == upper[:-1]) & (lower[1:] >= lower[:-1]))
            in_order = in_order and bool(steps.all()) and last <= wide[0].tobytes()
            last = wide[-1].tobytes()
            records += len(keys)
            total = (total + int(upper.sum(dtype=np.uint64))) % 2**64
    return [records, in_order, total]


if __name__ == "__main__":
    sort = {"lakefmt": _sort_with_lakefmt, "duckdb": _sort_with_duckdb}[sys.argv[1]]
    print(json.dumps(sort(Path(sys.argv[2]))), flush=True)
