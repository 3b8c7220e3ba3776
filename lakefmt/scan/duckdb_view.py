"""A scan as a view of somebody's DuckDB connection.

Where DuckDB, left alone with the Parquet files, sees the very rows of the scan, the view is over the files, and
queries push their columns and filters down into them. Everywhere else it draws the scan's Arrow stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.engine.footers import load_footer
from lakefmt.engine.projection import find_column, holds_variants
from lakefmt.expressions import quote_identifier, quote_literal
from lakefmt.scan.prune import covers
from lakefmt.scan.read import plan_tasks, read_spec

if TYPE_CHECKING:
    import duckdb

    from lakefmt.engine import ReadSpec, ReadTask
    from lakefmt.engine.footers import Footer
    from lakefmt.scan.plan import ScanPlan
    from lakefmt.scan.scan import Scan
    from lakefmt.schema import Schema
    from lakefmt.store import Store

__all__ = ["scan_to_duckdb", "stream_to_duckdb"]

_MOST_FILES = 10_000  # whose paths a view's text lists, and whose footers are looked at
_GLOB_CHARACTERS = frozenset("*?[")


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
    """Return a query of the registered stream under which filters on floats stay with DuckDB.

    DuckDB 1.5 has pyarrow filter what it reads from Arrow, to which NaN is greater than no number; 2.0 minds NaN.
    """
    columns = []
    for field in schema.to_arrow():
        column = quote_identifier(field.name)
        columns.append(f"coalesce({column}, NULL) AS {column}" if _holds_floats(field.type) else column)
    return f"SELECT {', '.join(columns) or '*'} FROM temp.main.{quote_identifier(name)}"


def _query_over_files(scan: Scan) -> str | None:
    """Return a query of the Parquet files that gives the scan's rows, None where none does for certain."""
    store, plan = scan._store, scan.plan  # noqa: SLF001 - a scan's own form
    if scan._limit is not None or not scan.schema.names:  # noqa: SLF001
        return None
    if store.local_path("any") is None or not 0 < plan.files.num_files <= _MOST_FILES:
        return None
    if not _means_whole_files(plan):
        return None
    spec, tasks = read_spec(plan), list(plan_tasks(store, plan))
    paths = [_readable_path(store, task, spec) for task in tasks]
    if None in paths:
        return None
    columns = ", ".join(map(quote_identifier, spec.result_schema.names))
    files = ", ".join(map(quote_literal, paths))
    return f"SELECT {columns} FROM read_parquet([{files}], hive_partitioning = false, union_by_name = false)"


def _means_whole_files(plan: ScanPlan) -> bool:
    """Whether no row of the files is left out: a view's filter would depend on the settings of whoever queries it."""
    if plan.predicate is None:
        return True
    whole = covers(plan.files, plan.predicate, plan.snapshot.schema, plan.snapshot.partition_columns)
    return whole.false_count == 0


def _readable_path(store: Store, task: ReadTask, spec: ReadSpec) -> str | None:
    """Return the file's path if DuckDB reads all columns from it as they are in the table, else None."""
    path = store.local_path(task.key)
    if path is None or set(path) & _GLOB_CHARACTERS or task.rows is not None:
        return None
    footer = load_footer(store, task.key, task.size_bytes)
    if footer.splits_integers or footer.old_calendar:
        return None
    if not task.float_bounds_hold and _bounds_floats(footer):
        return None
    # Partition columns too: this library writes them into the file, with the value that the log has.
    for name in spec.result_schema.names:
        field = spec.physical_field(name)
        column = find_column(footer, field, by_id=spec.match_by_id)
        if column is None or not column.is_plain or column.name != name or not _is_kept_exactly(field.type):
            return None
        if holds_variants(field):
            return None  # which DuckDB reads as such where they are annotated so
    return path


def _bounds_floats(footer: Footer) -> bool:
    """Whether the footer bounds a column of floats, by which DuckDB would miss a NaN that the bounds leave out."""
    columns = footer.metadata.schema
    floats = [
        leaf for leaf in range(len(columns)) if columns.column(leaf).physical_type in ("FLOAT", "DOUBLE")
    ]
    groups = range(footer.metadata.num_row_groups)
    return any(
        footer.metadata.row_group(group).column(leaf).is_stats_set for group in groups for leaf in floats
    )


def _is_kept_exactly(kind: pa.DataType) -> bool:
    """Whether DuckDB has the type, and the same one whether it comes from Parquet or through Arrow."""
    kinds, nested = pa.types, kind
    if kinds.is_struct(kind) or kinds.is_list(kind) or kinds.is_map(kind):
        members: Any = nested
        return all(_is_kept_exactly(members.field(i).type) for i in range(members.num_fields))
    return not kinds.is_null(kind)


def _holds_floats(kind: pa.DataType) -> bool:
    members: Any = kind
    if pa.types.is_struct(kind):
        return any(_holds_floats(members.field(i).type) for i in range(members.num_fields))
    return pa.types.is_floating(kind)
