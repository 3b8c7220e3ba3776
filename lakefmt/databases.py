"""The process's own DuckDB databases: one that reads nothing from outside, one that reads files, one that users query.

Each is in memory, made when first needed (8 ms), with a cursor per use (4 us); the session's time zone is UTC and no
extension is loaded but where a query's caller names it. What users write is parsed and bound by the first, which can reach neither a file nor a
Python variable. Statements over data are this library's own on the second, built around what was validated there; on
the third they are users' whole queries, and DuckDB itself opens no file there but those of the tables they are over.
Of the third kind there is one for every memory limit and every set of allowances in use, as DuckDB's are of a whole database. What does not fit in
memory goes to a folder of the process (``process_folders.py``), each database's own: two would take each other's files.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakefmt.errors import InvalidInputError
from lakefmt.idle_cursors import IdleCursors

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import duckdb
    import pyarrow as pa

__all__ = [
    "Allowances",
    "ProcessDatabase",
    "QueryDatabase",
    "QueryDatabases",
    "available_cores",
    "binding_allowed",
    "is_before_duckdb_1_5",
    "isolated",
    "leave_to_parent",
    "querying",
    "reading_files",
    "register_once",
    "relation_to_reader",
    "relation_to_table",
]


_numbers = itertools.count()
_MOST_DATABASES = 4  # of other limits or allowances than these, used last, one is let go of


@dataclass(frozen=True, slots=True)
class Allowances:
    """What else than its tables a query may reach.

    Attributes:
        folders: paths, each with a slash at its end, below which the query may read files.
        extensions: names of DuckDB's extensions that are loaded for it; none is ever installed.
    """

    folders: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()


class ProcessDatabase:
    """An in-memory database that every thread of a process shares, and no child inherits.

    Args:
        settings: of the database, beside those that keep extensions and Python variables out.
        session: settings of every session.
    """

    def __init__(self, settings: Mapping[str, str], session: Mapping[str, str] | None = None) -> None:
        self._settings = dict(settings)
        self._session = {"TimeZone": "'UTC'", **(session or {})}
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        _alive.add(self)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a connection of its own to the database; close it, or let it go, after use."""
        found = self._connection
        if found is None:
            with self._lock:
                found = self._connection
                if found is None:
                    found = self._connection = self._connect()
        return found.cursor()

    def _connect(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        from lakefmt.process_folders import own_folder

        connection = duckdb.connect(
            config={
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "python_enable_replacements": "false",
                "threads": str(available_cores()),
                # DuckDB's own choice is a folder in whatever folder the process stands in.
                "temp_directory": str(own_folder("spill") / f"duckdb-{next(_numbers)}"),
                **self._settings,
            }
        )
        for name, value in self._session.items():
            connection.execute(f"SET GLOBAL {name} = {value}")
        return connection

    def forget_parent(self) -> None:
        """Begin anew in a forked child: with a lock that no thread of the parent holds, and no connection of its."""
        self._lock = threading.Lock()
        if self._connection is not None:
            leave_to_parent(self._connection)
            self._connection = None


_alive: weakref.WeakSet[ProcessDatabase] = weakref.WeakSet()


class QueryDatabase(ProcessDatabase):
    """A database whose files are those of some folders, and no others: what a query cannot name, it cannot read.

    DuckDB lets the folders be chosen once. A query over a folder that is new makes the database anew, with all the
    folders that were asked for before; the one it replaces ends with its last query.

    Args:
        memory_bytes: what DuckDB may hold for all of its queries.
        allowances: what its queries may reach beside their tables.

    Attributes:
        idle: connections that wait to be used again; ask for it before a new connection, which may be to a database that
            takes this one's place.
    """

    def __init__(self, memory_bytes: int, allowances: Allowances | None = None) -> None:
        super().__init__({"memory_limit": f"{memory_bytes}B"}, {"parquet_metadata_cache": "true"})
        self._allowances = allowances or Allowances()
        self._folders: frozenset[str] = frozenset(self._allowances.folders)
        self.idle = IdleCursors()

    def allow(self, folders: Collection[str]) -> None:
        """Let connections made from now on read files below these folders."""
        if not self._folders.issuperset(folders):
            with self._lock:
                # The folders last: who sees them, without the lock, must not find the connection that lacks them.
                self._connection = None
                self.idle = IdleCursors()
                self._folders = self._folders.union(folders)

    def forget_parent(self) -> None:
        """Begin anew in a forked child."""
        super().forget_parent()
        for cursor in self.idle.cursors():
            leave_to_parent(cursor)
        self.idle = IdleCursors()

    def _connect(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        connection = super()._connect()
        for extension in self._allowances.extensions:
            try:
                connection.execute(f"LOAD {extension}")
            except duckdb.Error as error:
                connection.close()
                raise InvalidInputError(
                    f"DuckDB's extension {extension!r} cannot be loaded: {str(error).partition(chr(10))[0].rstrip('.')}",
                    hint=f"Queries load what is installed: install it once by duckdb.sql('INSTALL {extension}')",
                ) from error
        folders = ", ".join("'" + folder.replace("'", "''") + "'" for folder in sorted(self._folders))
        connection.execute(f"SET allowed_directories = [{folders}]")
        connection.execute("SET enable_external_access = false")
        return connection


class QueryDatabases:
    """The databases that queries run in, one for each memory limit and set of allowances; the few used last are kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._databases: dict[tuple[int, Allowances], QueryDatabase] = {}

    def within(
        self, folders: Collection[str], memory_bytes: int, allowances: Allowances | None = None
    ) -> QueryDatabase:
        """Return the database of that limit; it may read files below these folders."""
        key = memory_bytes, allowances or Allowances()
        with self._lock:
            database = self._databases.pop(key, None) or QueryDatabase(*key)
            self._databases[key] = database
            if len(self._databases) > _MOST_DATABASES:
                del self._databases[next(iter(self._databases))]  # ends with its last query
        database.allow(folders)
        return database

    def forget_parent(self) -> None:
        """Take a new lock, after a fork."""
        self._lock = threading.Lock()


def leave_to_parent(inherited: Any) -> None:
    """Let a connection, or what it reads, that came through a fork be, for good: its threads live in the parent alone.

    To close it could wait for them for ever, and to destroy it, as at the end of the interpreter, ends the process.
    """
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))


def relation_to_table(relation: Any) -> pa.Table:
    """Return the rows of a query, gathered by all threads; its Arrow stream would be filled by one alone.

    Not of ``execute``, whose result copies the rows once more.
    """
    # DuckDB 1.4 has the older name only, 2.0 the newer.
    to_table = getattr(relation, "to_arrow_table", None) or relation.fetch_arrow_table
    table: pa.Table = to_table()
    return table


def relation_to_reader(relation: Any, batch_rows: int) -> pa.RecordBatchReader:
    """Return the rows of a query as they are made, so many at a time; DuckDB 1.4 makes all of them first.

    There a stream loses rows of a UNION ALL of UNION ALLs that keeps its order, as does what ``execute`` has run.
    """
    if is_before_duckdb_1_5():
        return relation_to_table(relation).to_reader(batch_rows)
    to_reader = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader
    reader: pa.RecordBatchReader = to_reader(batch_rows)
    return reader


def register_once(
    cursor: duckdb.DuckDBPyConnection, name: str, rows: pa.Table | pa.RecordBatchReader
) -> None:
    """Let the next statement of a connection read some rows, once, by a name.

    Of a table of Arrow's DuckDB (to 1.5) imports ``pyarrow.dataset``, which imports pandas; of a bare stream it imports
    nothing.
    """
    exported: Any = rows
    cursor.register(name, exported.__arrow_c_stream__())


def is_before_duckdb_1_5() -> bool:
    """Whether DuckDB is of the oldest series that this library runs on."""
    import duckdb

    return duckdb.__version__.startswith("1.4.")


def available_cores() -> int:
    """Return how many cores this process may use, which a container or an affinity mask may limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


isolated = ProcessDatabase({"enable_external_access": "false"})
"""Parses and binds predicates, evaluates expressions over rows that it is handed, which keep their order."""

reading_files = ProcessDatabase({"preserve_insertion_order": "false"}, {"parquet_metadata_cache": "true"})
"""Scans Parquet files and Arrow tables; rows come in no order."""

querying = QueryDatabases()
"""Run users' queries over the files of their tables; rows keep the order that DuckDB gives them."""

binding_allowed = QueryDatabases()
"""Bind queries that may reach more than tables, over what they may reach and no table's files, of any query."""


def _forget_parent() -> None:
    for database in list(_alive):
        database.forget_parent()
    querying.forget_parent()
    binding_allowed.forget_parent()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_parent)
