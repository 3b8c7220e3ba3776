"""Queries over tables in hand, on the database that parses and binds predicates and reads no files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.arrow_layout import unslice_structs
from lakefmt.databases import isolated

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["evaluate"]


def evaluate(
    sql: str, parameters: Sequence[Any] | dict[str, Any] | None = None, **tables: pa.Table
) -> pa.Table:
    """Run one query and return its rows.

    Args:
        sql: a SELECT statement.
        parameters: values of its ``?`` or ``$name``.
        tables: what it may select from, by name.

    Raises:
        duckdb.Error: as DuckDB says it; the caller maps it.
    """
    connection = isolated.cursor()
    for name, table in tables.items():
        connection.register(name, unslice_structs(table))
    # A relation's Arrow stream is the one way that neither warns nor is missing between DuckDB 1.4 and 2.0.
    return pa.RecordBatchReader.from_stream(cast("Any", connection.sql(sql, params=parameters))).read_all()
