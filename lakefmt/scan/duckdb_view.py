"""A scan as a view of somebody's DuckDB connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakefmt.expressions import quote_identifier

if TYPE_CHECKING:
    import duckdb

    from lakefmt.scan.scan import Scan

__all__ = ["scan_to_duckdb"]


def scan_to_duckdb(scan: Scan, con: duckdb.DuckDBPyConnection, name: str) -> duckdb.DuckDBPyRelation:
    """Register the scan as view ``name``, replacing one of that name, and return it as a relation.

    The connection holds the scan: queries may run at any time, and always see its version.
    """
    source: Any = scan
    con.register(name, source)
    return con.sql(f"FROM {quote_identifier(name)}")
