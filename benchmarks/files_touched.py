"""Which data files readers open and how many bytes they read: five rows of 10,000 files, and filtered scans on S3.

Each reader has a new process, so nothing is known beforehand. The first table's files are one file of 1,000 rows under
10,000 names, on local disk; the kernel says which are opened (inotify; nothing is measured where it does not). The
second is lakefmt's, 2,000,000 trips in 20 files with ids in order; moto's S3 server counts what it was asked for and what
it sent, the log included.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from benchmarks.fresh_process import FreshJob
from benchmarks.generated_data import TRIP_SCHEMA, trip_batches
from benchmarks.planners import connect_duckdb_with_delta
from benchmarks.results import Counts
from benchmarks.s3_requests import delta_rs_names
from benchmarks.synthetic_logs import write_linked_files
from benchmarks.touched import can_watch, watch_opened
from lakefmt.testing.servers import S3Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.registry import Settings

__all__ = ["measure"]

FILES = 20
FEW_ROWS = 5


def measure(settings: Settings) -> tuple[Counts, ...]:
    """Count for lakefmt and its peers."""
    few = (_five_rows(settings),) if can_watch() else ()
    return (*few, *_filtered(settings))


def _five_rows(settings: Settings) -> Counts:
    files = settings.scaled(full=10_000, quick=100)
    path = settings.folder / "links"
    write_linked_files(path, files)
    readers = {
        "lakefmt": head_with_lakefmt,
        "DuckDB delta extension": head_with_duckdb,
        "delta-rs DataFusion": head_with_delta_rs,
        "polars": head_with_polars,
    }
    opened: dict[str, int] = {}
    for name, reader in readers.items():
        with watch_opened(path) as names:
            rows = FreshJob(name, reader, (str(path),)).measure().answer
        assert rows == FEW_ROWS
        opened[name] = sum(file.endswith(".parquet") for file in names)
    return Counts(
        title=f"{FEW_ROWS} rows of a table of {files:,} files",
        columns=("", "data files opened, files"),
        rows=tuple((name, f"{count:,}") for name, count in opened.items()),
        bar="1 file",
        verdict="met" if opened["lakefmt"] == 1 else "missed",
    )


def _filtered(settings: Settings) -> tuple[Counts, ...]:
    rows = settings.scaled(full=2_000_000, quick=20_000)
    selections = {
        "One row on S3": (f"id = {rows // 2 + 7}", 1),
        "1 %, one range, on S3": (f"id >= {rows // 2} AND id < {rows // 2 + rows // 100}", rows // 100),
        "No row, by bounds, on S3": ("id < 0", 0),
    }
    readers = {
        "lakefmt": scan_with_lakefmt,
        "DuckDB delta extension": scan_with_duckdb,
        "delta-rs DataFusion": scan_with_delta_rs,
    }
    tables = []
    with S3Server() as server:
        uri = f"{server.create_bucket()}/trips"
        total_mb = _write_trips(uri, rows, server) / 1e6
        for title, (where, expected) in selections.items():
            counted = []
            for name, reader in readers.items():
                server.gate.forget()
                found = FreshJob(name, reader, (uri, server.url, where)).measure().answer
                assert found == expected
                requests = server.gate.requests()
                read_mb = sum(request.body_bytes for request in requests if request.method == "GET") / 1e6
                files = {request.path for request in requests if request.path.endswith(".parquet")}
                counted.append((name, f"{read_mb:,.2f}", f"{len(requests)}", f"{len(files)}"))
            tables.append(
                Counts(
                    title=f"{title}: {FILES} files, {total_mb:,.1f} MB",
                    columns=("", "read, MB", "requests", "data files opened"),
                    rows=tuple(counted),
                )
            )
    return tuple(tables)


def _write_trips(uri: str, rows: int, server: S3Server) -> int:
    """Write the table and return the bytes of its data files."""
    import lakefmt

    table = lakefmt.create(uri, TRIP_SCHEMA, storage_options=server.storage_options())
    each = rows // FILES
    for number in range(FILES):
        table.append(pa.RecordBatchReader.from_batches(TRIP_SCHEMA, trip_batches(number * each, each)))
    return sum(table.files()["size_bytes"].to_pylist())


def head_with_lakefmt(path: str) -> Callable[[], int]:
    import lakefmt

    return lambda: lakefmt.open(path).head(FEW_ROWS).num_rows


def head_with_duckdb(path: str) -> Callable[[], int]:
    connection = connect_duckdb_with_delta()
    query = f"SELECT * FROM delta_scan('{path}') LIMIT {FEW_ROWS}"
    return lambda: connection.sql(query).to_arrow_table().num_rows


def head_with_delta_rs(path: str) -> Callable[[], int]:
    from deltalake import DeltaTable, QueryBuilder

    query = f"SELECT * FROM trips LIMIT {FEW_ROWS}"
    return lambda: pa.table(QueryBuilder().register("trips", DeltaTable(path)).execute(query)).num_rows


def head_with_polars(path: str) -> Callable[[], int]:
    import polars as pl

    return lambda: pl.scan_delta(path).head(FEW_ROWS).collect().height


def scan_with_lakefmt(uri: str, endpoint: str, where: str) -> Callable[[], int]:
    import lakefmt

    options = S3Server.options_at(endpoint)
    return lambda: lakefmt.open(uri, storage_options=options).scan(where=where).to_arrow().num_rows


def scan_with_duckdb(uri: str, endpoint: str, where: str) -> Callable[[], int]:
    options = delta_rs_names(S3Server.options_at(endpoint))
    connection = connect_duckdb_with_delta()
    connection.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID '{options['AWS_ACCESS_KEY_ID']}', SECRET '{options['AWS_SECRET_ACCESS_KEY']}', "
        f"REGION '{options['AWS_REGION']}', ENDPOINT '{Path(endpoint).name}', URL_STYLE 'path', USE_SSL false)"
    )
    query = f"SELECT * FROM delta_scan('{uri}') WHERE {where}"
    return lambda: connection.sql(query).to_arrow_table().num_rows


def scan_with_delta_rs(uri: str, endpoint: str, where: str) -> Callable[[], int]:
    from deltalake import DeltaTable, QueryBuilder

    options = delta_rs_names(S3Server.options_at(endpoint))
    query = f"SELECT * FROM trips WHERE {where}"

    def scan() -> int:
        session = QueryBuilder().register("trips", DeltaTable(uri, storage_options=options))
        return pa.table(session.execute(query)).num_rows

    return scan
