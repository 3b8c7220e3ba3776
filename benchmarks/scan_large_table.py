"""Scans of a table of 10 million rows, six columns, four files, to an Arrow table of the table's own types.

lakefmt writes the table once, without deletion vectors, so that every peer's quickest path reads it. All columns are
returned; where a reader gives other types (large strings, string views) its cast back is part of its time. Whatever
can be kept open between scans is: lakefmt's and delta-rs's handles, DuckDB's connection with its metadata cache on.
The other readers get the list of files, so they open no log. Nobody promises an order of rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from benchmarks.answers import answer_of_rows, live_files
from benchmarks.generated_data import TRIP_SCHEMA, trip_batches
from benchmarks.results import Bar, Comparison, compare
from benchmarks.rounds import Contender, Run

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.registry import Settings

__all__ = ["measure"]

FILES = 4


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows a scan returns: of ``column``, those from ``low`` up to but without ``high``; all where None."""

    title: str
    bar: Bar
    column: str | None = None
    low: int = 0
    high: int = 0

    @property
    def sql(self) -> str | None:
        """The predicate as SQL that all the SQL readers agree on."""
        if self.column is None:
            return None
        if self.high == self.low + 1:
            return f"{self.column} = {self.low}"
        return f"{self.column} >= {self.low} AND {self.column} < {self.high}"

    def expression(self, column: Callable[[str], Any]) -> Any:
        """The predicate as an expression of a library whose columns are made by ``column``."""
        if self.column is None:
            return None
        if self.high == self.low + 1:
            return column(self.column) == self.low
        return (column(self.column) >= self.low) & (column(self.column) < self.high)


Scan = Callable[[Selection], pa.Table]


def measure(settings: Settings) -> tuple[Comparison, ...]:
    """Compare a full scan, a range, scattered rows and a single row."""
    rows = settings.scaled(full=10_000_000, quick=200_000)
    path = settings.folder / "trips"
    _write_table(path, rows)
    files = live_files(path)
    assert len(files) == FILES
    scans: dict[str, Scan] = {
        "lakefmt": _open_lakefmt(path),
        "DuckDB": _open_duckdb(files),
        "pyarrow": _open_pyarrow(files),
        "polars": _open_polars(files),
        "delta-rs DataFusion": _open_delta_rs(path),
        "delta-rs pyarrow": _open_delta_rs_dataset(path),
    }
    middle = rows // 2
    selections = (
        Selection(f"All of {rows:,} rows", Bar(ratio=1.15)),
        Selection("1 %, one range", Bar(ratio=1.3), "id", middle, middle + rows // 100),
        Selection("1 %, scattered", Bar(ratio=1.3), "zone", 7, 8),
        Selection("One row", Bar(ratio=1.5, median_ms=10), "id", rows * 3 // 4 + 7, rows * 3 // 4 + 8),
    )
    return tuple(
        compare(
            selection.title,
            [_contender(name, scan, selection) for name, scan in scans.items()],
            bar=selection.bar,
            # The short ones are noisier, and cheap.
            rounds=settings.rounds * (1 if selection.column is None else 3),
        )
        for selection in selections
    )


def _contender(name: str, scan: Scan, selection: Selection) -> Contender:
    run = Run(call=lambda: scan(selection).cast(TRIP_SCHEMA), answer=answer_of_rows)
    return Contender(name, lambda: run, "subject" if name == "lakefmt" else "peer")


def _write_table(path: Path, rows: int) -> None:
    import lakefmt

    table = lakefmt.create(str(path), TRIP_SCHEMA, properties={"delta.enableDeletionVectors": "false"})
    each = rows // FILES
    for number in range(FILES):
        batches = trip_batches(number * each, each)
        table.append(pa.RecordBatchReader.from_batches(TRIP_SCHEMA, batches))


def _open_lakefmt(path: Path) -> Scan:
    import lakefmt

    table = lakefmt.open(str(path))
    return lambda selection: table.scan(where=selection.sql).to_arrow()


def _open_duckdb(files: list[str]) -> Scan:
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET parquet_metadata_cache = true")
    # Without order it hands over batches as they come: a third quicker on whole scans.
    connection.execute("SET preserve_insertion_order = false")
    source = f"read_parquet([{', '.join(repr(file) for file in files)}])"

    def scan(selection: Selection) -> pa.Table:
        where = f" WHERE {selection.sql}" if selection.sql else ""
        # A relation: what `execute` has run is copied once more on its way to Arrow, at nearly twice the time.
        return connection.sql(f"SELECT * FROM {source}{where}").to_arrow_table()

    return scan


def _open_pyarrow(files: list[str]) -> Scan:
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    # A data set made anew each time was never slower than one kept (which holds on to its footers), and up to 3 x
    # quicker on whole scans.
    return lambda selection: ds.dataset(files).to_table(filter=selection.expression(pc.field))


def _open_polars(files: list[str]) -> Scan:
    import polars as pl
    from polars.interchange import CompatLevel

    def scan(selection: Selection) -> pa.Table:
        frame = pl.scan_parquet(files)
        predicate = selection.expression(pl.col)
        found = (frame if predicate is None else frame.filter(predicate)).collect()
        # String views cast to strings by pyarrow beat polars' own way to large strings.
        return found.to_arrow(compat_level=CompatLevel.newest())

    return scan


def _open_delta_rs(path: Path) -> Scan:
    from deltalake import DeltaTable, QueryBuilder

    session = QueryBuilder().register("trips", DeltaTable(str(path)))

    def scan(selection: Selection) -> pa.Table:
        where = f" WHERE {selection.sql}" if selection.sql else ""
        return pa.table(session.execute(f"SELECT * FROM trips{where}"))

    return scan


def _open_delta_rs_dataset(path: Path) -> Scan:
    import pyarrow.compute as pc
    from deltalake import DeltaTable

    table = DeltaTable(str(path))
    return lambda selection: table.to_pyarrow_dataset().to_table(filter=selection.expression(pc.field))
