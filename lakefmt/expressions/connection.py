"""The process's own DuckDB, which parses and binds predicates and evaluates constants: it reads no files.

One in-memory database per process, made when first needed (8 ms), a cursor per use (4 us). External access and the
loading of extensions are off, so that a predicate cannot reach a file or a Python variable, and the session's time
zone is UTC. Queries over data run on the engine's connection, not on this one.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

__all__ = ["cursor", "evaluate"]

_CONFIG = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "enable_external_access": "false",
    "python_enable_replacements": "false",
    "threads": "1",
}
_lock = threading.Lock()
_database: tuple[int, duckdb.DuckDBPyConnection] | None = None
_abandoned: list[duckdb.DuckDBPyConnection] = []


def cursor() -> duckdb.DuckDBPyConnection:
    """Return a connection of its own to the process's database; close it, or let it go, after use."""
    global _database
    found = _database
    if found is None or found[0] != os.getpid():
        with _lock:
            found = _database
            if found is None or found[0] != os.getpid():
                if found is not None:
                    # Inherited through fork: its threads live in the parent alone, so closing it could wait for ever.
                    _abandoned.append(found[1])
                found = _database = (os.getpid(), _connect())
    return found[1].cursor()


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
    connection = cursor()
    for name, table in tables.items():
        connection.register(name, table)
    # A relation's Arrow stream is the one way that neither warns nor is missing between DuckDB 1.4 and 2.0.
    return pa.table(cast("Any", connection.sql(sql, params=parameters)))


def _connect() -> duckdb.DuckDBPyConnection:
    import duckdb

    connection = duckdb.connect(config=dict(_CONFIG))
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    return connection


def _forget_lock() -> None:
    # A thread of the parent may have held it at the fork; nobody in the child would ever release it.
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_lock)
