"""A scan as a view of somebody's DuckDB connection.

Where DuckDB, left alone with the Parquet files, sees the very rows of the scan, the view is over the files, and
queries push their columns and filters down into them. Everywhere else it draws the scan's Arrow stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakefmt.expressions import quote_identifier, quote_literal
from lakefmt.scan.duckdb_files import group_files
from lakefmt.scan.duckdb_source import stream_column
from lakefmt.scan.prune import covers

if TYPE_CHECKING:
    import duckdb

    from lakefmt.scan.duckdb_files import FileGroup
    from lakefmt.scan.plan import ScanPlan
    from lakefmt.scan.scan import Scan
    from lakefmt.schema import Schema

__all__ = ["scan_to_duckdb", "stream_to_duckdb"]

_MOST_FILES = 10_000  # whose paths a view's text lists, and whose footers are looked at


def scan_to_duckdb(scan: Scan, con: duckdb.DuckDBPyConnection, name: str) -> duckdb.DuckDBPyRelation:
    """Make the scan temporary view ``name``, replacing one of that name, and return it as a relation.

    Queries may run at any time and always see the scan's version.
    """
    import duckdb

    view = quote_identifier(name)
    query = _query_over_files(scan)
    if query is not None:
        try:
            con.execute(f"CREATE OR REPLACE TEMPORARY VIEW {view} AS {query}")
            return con.sql(f"FROM {view}")
        except duckdb.Error:
            pass  # this connection may not open files, say; the stream does not ask it to
    return stream_to_duckdb(scan, scan.schema, con, name)


def stream_to_duckdb(
    source: Any, schema: Schema, con: duckdb.DuckDBPyConnection, name: str
) -> duckdb.DuckDBPyRelation:
    """Make what exports an Arrow stream, anew each time, of that schema a temporary view, and return it."""
    view, stream = quote_identifier(name), f"rows of {name}"
    con.register(stream, source)
    con.execute(f"CREATE OR REPLACE TEMPORARY VIEW {view} AS {_query_over_stream(schema, stream)}")
    return con.sql(f"FROM {view}")


def _query_over_stream(schema: Schema, name: str) -> str:
    columns = [stream_column(name) for name in schema.names]
    return f"SELECT {', '.join(columns) or '*'} FROM temp.main.{quote_identifier(name)}"


def _query_over_files(scan: Scan) -> str | None:
    """Return a query of the Parquet files that gives the scan's rows, None where none does for certain."""
    store, plan = scan._store, scan.plan  # noqa: SLF001 - a scan's own form
    if scan._limit is not None or not 0 < plan.files.num_files <= _MOST_FILES or not _means_whole_files(plan):  # noqa: SLF001
        return None
    found = group_files(store, plan)
    # What is in variables of a session elsewhere has no place in somebody's own.
    if found.others.num_files or any(
        group.has_vectors or None in group.layout.expressions for group in found.groups
    ):
        return None
    return " UNION ALL ".join(_select(group, plan.schema) for group in found.groups)


def _select(group: FileGroup, schema: Schema) -> str:
    columns = [
        f"{expression} AS {quote_identifier(name)}"
        for name, expression in zip(schema.names, group.layout.expressions, strict=True)
    ]
    files = ", ".join(map(quote_literal, group.paths.to_pylist()))
    return f"SELECT {', '.join(columns)} FROM read_parquet([{files}], hive_partitioning = false, union_by_name = false)"


def _means_whole_files(plan: ScanPlan) -> bool:
    """Whether no row of the files is left out: a view's filter would depend on the settings of whoever queries it."""
    if plan.predicate is None:
        return True
    whole = covers(plan.files, plan.predicate, plan.snapshot.schema, plan.snapshot.partition_columns)
    return whole.false_count == 0
