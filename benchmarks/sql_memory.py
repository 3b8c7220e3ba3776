"""How much memory queries take: results that are larger than it, and TPC-H under a limit.

Each run is a process of its own. Its memory, and that of what it starts, is looked at from outside every 10 ms: proportional
set sizes of what is its own and of what is shared in memory; pages of files are left out. The result of 2.3 GB is a whole
table, trips of 40 million rows, by `Query.to_arrow`: mapped from a file with `result_memory_limit="128MB"`, held in memory without a
limit; DuckDB's `to_arrow_table` of the same files stands beside. The queries of TPC-H run one after the other.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from benchmarks.generated_data import TRIP_SCHEMA, trip_batches
from benchmarks.process_tree import TreePeak
from benchmarks.results import Counts
from benchmarks.tpch import write_tpch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.registry import Settings

__all__ = ["measure"]

ROOT = Path(__file__).parents[1]
_RESULT_LIMIT_MB = 300
_RESULT_RATIO = 1.2
_TPCH_PEAK_MB = 3000


def measure(settings: Settings) -> tuple[Counts, ...]:
    """Measure a large result and the 22 queries."""
    return _large_result(settings), _tpch(settings)


def _large_result(settings: Settings) -> Counts:
    import lakefmt

    size_mb = settings.scaled(full=2300, quick=60)
    folder = settings.folder / "trips"
    table = lakefmt.create(folder, TRIP_SCHEMA, storage_options={"fsync": False})
    table.append(pa.RecordBatchReader.from_batches(TRIP_SCHEMA, _batches(size_mb)))
    runs: dict[str, tuple[float, float, int]] = {}
    for name in ("mapped", "held", "plain DuckDB"):
        # The first run of each warms the system's cache of files; the quickest of three counts.
        found = [_run_child("result", name, str(folder)) for _ in range(settings.scaled(full=3, quick=1))]
        seconds, _, rows = min(found)
        runs[name] = seconds, max(each[1] for each in found), rows
    if len({rows for _, _, rows in runs.values()}) != 1:
        raise AssertionError(f"the results differ: {runs}")
    seconds, peak_mb, rows = runs["mapped"]
    met = peak_mb <= _RESULT_LIMIT_MB and seconds <= _RESULT_RATIO * runs["plain DuckDB"][0]
    return Counts(
        title=f"A result of {size_mb:,} MB to Arrow ({rows:,} rows)",
        columns=("", "peak over the start, MB", "seconds"),
        rows=tuple((name, f"{peak:,.0f}", f"{took:.2f}") for name, (took, peak, _) in runs.items()),
        bar=f"mapped: at most {_RESULT_LIMIT_MB} MB, and {_RESULT_RATIO} times the seconds of plain DuckDB",
        verdict="met" if met else "missed",
    )


def _tpch(settings: Settings) -> Counts:
    scale, limit = (0.05, "300MB") if settings.quick else (10, "2GB")
    tables = settings.folder / "tpch"
    _, texts = write_tpch(tables, scale)
    (tables / "queries.sql").write_text("\n--\n".join(texts))
    seconds, peak_mb, done = _run_child("tpch", limit, str(tables))
    met = done == len(texts) and peak_mb <= _TPCH_PEAK_MB
    return Counts(
        title=f"The 22 queries of TPC-H at scale {scale} with memory_limit={limit!r}",
        columns=("", "finished", "peak over the start, MB", "seconds"),
        rows=(("lakefmt", str(done), f"{peak_mb:,.0f}", f"{seconds:.1f}"),),
        bar=f"all finish, at most {_TPCH_PEAK_MB:,} MB",
        verdict="met" if met else "missed",
    )


def _batches(size_mb: int) -> Iterator[pa.RecordBatch]:
    left_bytes = size_mb * 1_000_000
    for batch in trip_batches(0, sys.maxsize):
        if left_bytes <= 0:
            return
        left_bytes -= batch.nbytes
        yield batch


def _run_child(*arguments: str) -> tuple[float, float, int]:
    """Return the seconds of a run in a process of its own, its peak over the start in MB, and what it counted."""
    command = [sys.executable, "-m", "benchmarks.sql_memory", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()  # it is ready
        with TreePeak(child.pid) as peak:
            child.stdin.write("go\n")
            child.stdin.flush()
            answer = child.stdout.readline().split()
        child.stdin.close()
    return float(answer[0]), (peak.peak_bytes - peak.start_bytes) / 1e6, int(answer[1])


def _child(kind: str, what: str, place: str) -> None:
    """Make ready, wait for the word, run, tell seconds and a count; runs in the child."""
    run = {"result": _ready_result, "tpch": _ready_tpch}[kind](what, place)
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    count = run()
    print(time.perf_counter() - start, count, flush=True)
    sys.stdin.readline()


def _ready_result(name: str, place: str) -> Any:
    import lakefmt

    table = lakefmt.open(place)
    if name == "plain DuckDB":
        import duckdb

        from lakefmt.databases import available_cores

        connection = duckdb.connect(config={"threads": str(available_cores())})
        connection.execute("SET enable_progress_bar = false")
        return lambda: connection.sql(f"FROM read_parquet('{place}/*.parquet')").to_arrow_table().num_rows
    limit = "128MB" if name == "mapped" else "100%"
    query = lakefmt.sql("FROM t", {"t": table}, result_memory_limit=limit)
    return lambda: query.to_arrow().num_rows


def _ready_tpch(limit: str, place: str) -> Any:
    import lakefmt

    texts = Path(place, "queries.sql").read_text().split("\n--\n")
    tables = {path.name: lakefmt.open(path) for path in Path(place).iterdir() if path.is_dir()}

    def run() -> int:
        return sum(lakefmt.sql(text, tables, memory_limit=limit).to_arrow().num_columns > 0 for text in texts)

    return run


if __name__ == "__main__":
    _child(*sys.argv[1:])
