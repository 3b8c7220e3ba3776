"""Which data files readers open, and how many bytes they read: five rows of a table of 10,000 files, and filtered scans.

The kernel counts: opened files by inotify, bytes by the process's own account (the log's are among them). Each reader
has a new process, so nothing is known beforehand but what the imports brought. The first table's files are one file
of 1,000 rows under 10,000 names. The second is lakefmt's: 5,000,000 trips in 20 files, ids in order.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from benchmarks.fresh_process import FreshJob
from benchmarks.generated_data import TRIP_SCHEMA, trip_batches
from benchmarks.planners import connect_duckdb_with_delta, import_lakefmt, import_what_pyarrow_imports
from benchmarks.results import Counts
from benchmarks.synthetic_logs import write_linked_files
from benchmarks.touched import can_watch, watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.registry import Settings

__all__ = ["measure"]

FILES = 20
FEW_ROWS = 5


def measure(settings: Settings) -> tuple[Counts, ...]:
    """Count for lakefmt and its peers; nothing where the kernel does not count."""
    if not can_watch():
        return ()
    return (_five_rows(settings), *_filtered(settings))


def _five_rows(settings: Settings) -> Counts:
    files = settings.scaled(full=10_000, quick=100)
    path = settings.folder / "links"
    write_linked_files(path, files)
    jobs = [
        FreshJob("lakefmt", head_with_lakefmt, (str(path),)),
        FreshJob("DuckDB delta extension", head_with_duckdb, (str(path),)),
        FreshJob("delta-rs pyarrow", head_with_delta_rs, (str(path),)),
        FreshJob("polars", head_with_polars, (str(path),)),
    ]
    found = [_run(job, FEW_ROWS) for job in jobs]
    return Counts(
        title=f"{FEW_ROWS} rows of a table of {files:,} files",
        columns=("", "data files opened, files"),
        rows=tuple((job.name, f"{opened:,}") for job, (opened, _) in zip(jobs, found, strict=True)),
        bar="1 file",
        verdict="met" if found[0][0] == 1 else "missed",
    )


def _filtered(settings: Settings) -> tuple[Counts, ...]:
    rows = settings.scaled(full=5_000_000, quick=200_000)
    path = settings.folder / "trips"
    _write_trips(path, rows)
    total_mb = sum(file.stat().st_size for file in path.glob("*.parquet")) / 1e6
    selections = {
        "One row": (f"id = {rows // 2 + 7}", 1),
        "1 %, one range": (f"id >= {rows // 2} AND id < {rows // 2 + rows // 100}", rows // 100),
        "No row, by bounds": ("id < 0", 0),
    }
    tables = []
    for title, (where, expected) in selections.items():
        jobs = [
            FreshJob("lakefmt", scan_with_lakefmt, (str(path), where)),
            FreshJob("DuckDB delta extension", scan_with_duckdb, (str(path), where)),
            FreshJob("delta-rs DataFusion", scan_with_delta_rs, (str(path), where)),
        ]
        found = [(job.name, *_run(job, expected)) for job in jobs]
        tables.append(
            Counts(
                title=f"{title}, of {FILES} files with {total_mb:,.1f} MB",
                columns=("", "bytes read, MB", "data files opened"),
                rows=tuple((name, f"{read_mb:,.2f}", f"{opened}") for name, opened, read_mb in found),
            )
        )
    return tuple(tables)


def _run(job: FreshJob, expected_rows: int) -> tuple[int, float]:
    """Return the opened files and the MB read."""
    rows, files, read_bytes = job.measure().answer
    if rows != expected_rows:
        raise AssertionError(f"{job.name} found {rows} rows, not {expected_rows}")
    return files, read_bytes / 1e6


def _write_trips(path: Path, rows: int) -> None:
    import lakefmt

    table = lakefmt.create(str(path), TRIP_SCHEMA)
    each = rows // FILES
    for number in range(FILES):
        table.append(pa.RecordBatchReader.from_batches(TRIP_SCHEMA, trip_batches(number * each, each)))


def head_with_lakefmt(path: str) -> Callable[[], tuple[int, ...]]:
    lakefmt = import_lakefmt()
    return _watched(path, lambda: lakefmt.open(path).head(FEW_ROWS).num_rows)


def head_with_duckdb(path: str) -> Callable[[], tuple[int, ...]]:
    connection = connect_duckdb_with_delta()
    query = f"SELECT * FROM delta_scan('{path}') LIMIT {FEW_ROWS}"
    return _watched(path, lambda: connection.sql(query).to_arrow_table().num_rows)


def head_with_delta_rs(path: str) -> Callable[[], tuple[int, ...]]:
    import pyarrow.dataset  # noqa: F401  (its reads are not the scan's)
    from deltalake import DeltaTable

    return _watched(path, lambda: DeltaTable(path).to_pyarrow_dataset().head(FEW_ROWS).num_rows)


def head_with_polars(path: str) -> Callable[[], tuple[int, ...]]:
    import polars as pl

    return _watched(path, lambda: pl.scan_delta(path).head(FEW_ROWS).collect().height)


def scan_with_lakefmt(path: str, where: str) -> Callable[[], tuple[int, ...]]:
    lakefmt = import_lakefmt()
    return _watched(path, lambda: lakefmt.open(path).scan(where=where).to_arrow().num_rows)


def scan_with_duckdb(path: str, where: str) -> Callable[[], tuple[int, ...]]:
    connection = connect_duckdb_with_delta()
    query = f"SELECT * FROM delta_scan('{path}') WHERE {where}"
    return _watched(path, lambda: connection.sql(query).to_arrow_table().num_rows)


def scan_with_delta_rs(path: str, where: str) -> Callable[[], tuple[int, ...]]:
    from deltalake import DeltaTable, QueryBuilder

    query = f"SELECT * FROM trips WHERE {where}"
    return _watched(
        path,
        lambda: pa.table(QueryBuilder().register("trips", DeltaTable(path)).execute(query)).num_rows,
    )


def _watched(path: str, scan: Callable[[], int]) -> Callable[[], tuple[int, ...]]:
    """Return a job's call, whose answer is the rows, the data files opened and the bytes read."""
    import_what_pyarrow_imports()

    def call() -> tuple[int, ...]:
        with watch(Path(path)) as touched:
            rows = scan()
        return rows, touched.files, touched.read_bytes

    return call
