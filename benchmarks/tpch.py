"""TPC-H data and queries, by DuckDB's own extension."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

    from lakefmt import Table

__all__ = ["generate_tpch", "write_tpch"]

ROWS_PER_BATCH = 122_880
LARGE_TABLES = ("orders", "lineitem")
FILES_OF_LARGE_TABLES = 8


def generate_tpch(
    scale: float, database: str | Path = ":memory:"
) -> tuple[duckdb.DuckDBPyConnection, list[str]]:
    """Return a connection to a database with the eight tables, and the texts of the 22 queries."""
    import duckdb

    found = importlib.util.find_spec("duckdb_extension_tpch")
    assert found is not None
    assert found.origin is not None
    connection = duckdb.connect(str(database), config={"allow_unsigned_extensions": "true"})
    folder = Path(found.origin).parent / "extensions" / f"v{duckdb.__version__}"
    connection.execute(f"LOAD '{folder / 'tpch'}.duckdb_extension'")
    connection.execute("SET enable_progress_bar = false")
    connection.execute(f"CALL dbgen(sf = {scale})")
    return connection, [text for (text,) in connection.sql("SELECT query FROM tpch_queries()").fetchall()]


def write_tpch(folder: Path, scale: float) -> tuple[dict[str, Table], list[str]]:
    """Write the eight tables as a user would, orders and lineitem in eight appends; return them and the 22 queries.

    The database that they come from is a file in ``folder`` until they are written: scale 10 does not fit in memory.
    """
    import lakefmt

    folder.mkdir(parents=True)
    database = folder / "generated.duckdb"
    source, queries = generate_tpch(scale, database)
    tables: dict[str, Table] = {}
    for (name,) in source.sql("SELECT table_name FROM duckdb_tables()").fetchall():
        counted = source.sql(f"SELECT count(*) FROM {name}").fetchone()
        assert counted is not None
        parts = FILES_OF_LARGE_TABLES if name in LARGE_TABLES else 1
        rows = -(-counted[0] // parts)
        for part in range(parts):
            # Ranges of rowid are row groups that DuckDB need not read; OFFSET would read them.
            wanted = f"FROM {name} WHERE rowid BETWEEN {part * rows} AND {(part + 1) * rows - 1}"
            lakefmt.write(
                folder / name,
                source.sql(wanted).to_arrow_reader(ROWS_PER_BATCH),
                mode="append",
                storage_options={"fsync": False},
            )
        tables[name] = lakefmt.open(folder / name)
    source.close()
    database.unlink()
    return tables, queries
