"""TPC-H data and queries, by DuckDB's own extension."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    import duckdb

    from lakefmt import Table

__all__ = ["generate_tpch", "write_tpch"]

ROWS_PER_BATCH = 122_880
PARTS = 8
SMALL_TABLES = ("nation", "region", "supplier")


def generate_tpch(scale: float) -> tuple[duckdb.DuckDBPyConnection, list[str]]:
    """Return a connection to a database with the eight tables, and the texts of the 22 queries."""
    connection = _connect_with_extension()
    connection.execute(f"CALL dbgen(sf = {scale})")
    return connection, _queries(connection)


def write_tpch(folder: Path, scale: float) -> tuple[dict[str, Table], list[str]]:
    """Write the eight tables to a new folder; return them and the texts of the 22 queries.

    Nation, region and supplier are one file each, the others eight: an eighth of the data is generated at a time,
    as scale 10 does not fit in memory, and takes three times as long by way of a database file.
    """
    import lakefmt

    small: dict[str, list[pa.Table]] = {name: [] for name in SMALL_TABLES}
    for part in range(PARTS):
        with _connect_with_extension() as source:
            source.execute(f"CALL dbgen(sf = {scale}, children = {PARTS}, step = {part})")
            for (name,) in source.sql("SELECT table_name FROM duckdb_tables()").fetchall():
                if name in small:
                    small[name].append(source.sql(f"FROM {name}").to_arrow_table())
                else:
                    rows = source.sql(f"FROM {name}").to_arrow_reader(ROWS_PER_BATCH)
                    lakefmt.write(folder / name, rows, mode="append", storage_options={"fsync": False})
    for name, parts in small.items():
        lakefmt.write(folder / name, pa.concat_tables(parts), storage_options={"fsync": False})
    with _connect_with_extension() as source:
        return {place.name: lakefmt.open(place) for place in sorted(folder.iterdir())}, _queries(source)


def _connect_with_extension() -> duckdb.DuckDBPyConnection:
    import duckdb

    found = importlib.util.find_spec("duckdb_extension_tpch")
    assert found is not None
    assert found.origin is not None
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    folder = Path(found.origin).parent / "extensions" / f"v{duckdb.__version__}"
    connection.execute(f"LOAD '{folder / 'tpch'}.duckdb_extension'")
    connection.execute("SET enable_progress_bar = false")
    return connection


def _queries(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return [text for (text,) in connection.sql("SELECT query FROM tpch_queries()").fetchall()]
