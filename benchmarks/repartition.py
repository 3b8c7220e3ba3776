"""40 million rows (2.3 GB as Arrow, 32 Parquet files) brought together by a key into 32 partitions, on two worker processes.

The key is one of a million integers in no order. Each engine reads the files, sends the rows, and looks at every partition:
how many rows, the sum of their ids, how many keys. The sums over partitions must agree, and that of the keys shows that none
is in two partitions. The clock runs from the first call that reads to the last partition's answer; clusters are up before,
lakefmt's workers start within. The peers are Dask's P2P shuffle and Ray Data's hash shuffle, each with two workers of one
thread, with their own choices for the rest; they run in an environment of their own (`make .venv-peers/.ready`).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from benchmarks.engine_jobs import PEERS_PYTHON, TreeJob, peak_memory
from benchmarks.results import Bar, Comparison, Counts, compare_with_each

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.registry import Settings

__all__ = ["measure"]

KEYS = 1_000_000
FILES = 32
PARTITIONS = 32
MEMORY_BYTES = 640 << 20  # of both workers' tasks together
LAKEFMT, DASK, RAY = "lakefmt", "Dask P2P", "Ray Data"


def measure(settings: Settings) -> tuple[Comparison | Counts, ...]:
    """Compare the times, and the memory of those runs."""
    if not PEERS_PYTHON.exists():
        reason = "Dask and Ray are not installed: make .venv-peers/.ready"
        return (Counts("Repartition", ("",), ((f"not run: {reason}",),)),)
    folder = settings.folder / "rows"
    write_rows(folder, settings.scaled(full=40_000_000, quick=320_000))
    peer = str(Path(__file__).with_name("repartition_peers.py"))
    jobs = (
        TreeJob(LAKEFMT, (sys.executable, "-m", "benchmarks.repartition", str(folder)), "subject"),
        TreeJob(DASK, (str(PEERS_PYTHON), peer, "dask", str(folder), str(KEYS), str(PARTITIONS))),
        TreeJob(RAY, (str(PEERS_PYTHON), peer, "ray", str(folder), str(KEYS), str(PARTITIONS))),
    )
    times = compare_with_each(
        f"Repartition into {PARTITIONS}",
        [job.contender() for job in jobs],
        bars={DASK: Bar(ratio=0.4), RAY: Bar(ratio=0.3)},
        rounds=settings.fresh_rounds,
        warm_up_rounds=1,
    )
    return (*times, peak_memory("Memory of the same runs", jobs, most_mb=1_000))


def write_rows(folder: Path, rows: int) -> None:
    """Write the files."""
    import numpy as np
    import pyarrow.parquet as pq

    folder.mkdir()
    names = pa.array([f"name {number:04d}" for number in range(10_000)])
    each = rows // FILES
    for number in range(FILES):
        draw = np.random.default_rng(number)
        ids = np.arange(number * each, (number + 1) * each)
        table = pa.table(
            {
                "key": draw.integers(0, KEYS, each),
                "id": ids,
                "at": pa.array(ids * 1_000_000).cast(pa.timestamp("us")),
                "amount": draw.random(each),
                "price": np.round(draw.gamma(2, 8, each), 2),
                "name": names.take(pa.array(draw.integers(0, len(names), each))),
            }
        )
        pq.write_table(table, folder / f"{number:02d}.parquet", row_group_size=320_000)


def look_at_partition(_: int, batches: Iterator[pa.RecordBatch], __: Any) -> tuple[int, int, int]:
    """Return rows, the sum of ids, and how many keys."""
    import numpy as np

    seen = np.zeros(KEYS, bool)
    rows = ids = 0
    for batch in batches:
        rows += batch.num_rows
        ids += int(batch.column("id").to_numpy().sum())
        seen[batch.column("key").to_numpy()] = True
    return rows, ids, int(seen.sum())


def _repartition(folder: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    from lakefmt.engine import ReadSpec, ReadTask
    from lakefmt.engine.exchange import HashKey
    from lakefmt.engine.jobs import job_folder, run_job
    from lakefmt.engine.repartition import repartition_job
    from lakefmt.engine.sources import DataFileRows
    from lakefmt.engine.tasks.processes import ProcessExecutor
    from lakefmt.store import open_store

    started = time.perf_counter()
    tasks = [ReadTask(path.name, path.stat().st_size) for path in sorted(folder.iterdir())]
    schema = pq.read_schema(folder / tasks[0].key)
    size_bytes = sum(task.size_bytes for task in tasks)
    source = DataFileRows(
        open_store(folder), ReadSpec(schema, schema), str(folder), 0, size_bytes, lambda: tasks
    )
    executor = ProcessExecutor(2, MEMORY_BYTES)
    job = repartition_job(source, (HashKey("key"),), PARTITIONS, look_at_partition, parallelism=2)
    # The rows wait where the benchmark's own data are: on the same disk for every contender.
    with job_folder(folder.parent) as place:
        found = [each.value for results in run_job(job, executor, folder=place) for each in results]
    seconds = time.perf_counter() - started
    executor.close()
    return {"seconds": seconds, "answer": [sum(column) for column in zip(*found, strict=True)]}


if __name__ == "__main__":
    print(json.dumps(_repartition(Path(sys.argv[1]))), flush=True)
