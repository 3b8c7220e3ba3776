"""TPC-H data and queries, by DuckDB's own extension."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

__all__ = ["generate_tpch"]


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
