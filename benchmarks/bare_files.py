"""The Parquet files of a lakefmt table, and DuckDB over them without the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from lakefmt import Table

__all__ = ["connect_to_files", "data_files"]


def data_files(table: Table) -> list[str]:
    """Return the paths of a local table's data files."""
    place = table.uri.removeprefix("file://")
    return [f"{place}/{path}" for path in table.files()["path"].to_pylist()]


def connect_to_files(files: Mapping[str, Sequence[str]]) -> duckdb.DuckDBPyConnection:
    """Return a connection set up as lakefmt's own is, with a view of each table's files."""
    import duckdb

    from lakefmt.databases import available_cores

    connection = duckdb.connect(config={"threads": str(available_cores())})
    connection.execute("SET GLOBAL parquet_metadata_cache = true")
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET TimeZone = 'UTC'")
    for name, paths in files.items():
        listed = ", ".join(f"'{path}'" for path in paths)
        connection.execute(f"CREATE VIEW {name} AS FROM read_parquet([{listed}])")
    return connection
