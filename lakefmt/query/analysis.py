"""How a query is run, and what a run of it took: rows, time, memory, bytes read and spilled.

A run that is analyzed has a database of its own, so that nothing of other queries is counted. DuckDB's log of its file
system tells the bytes, of every version alike; its profile does not. Footers are read anew in that database, as in a
fresh process.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lakefmt.databases import available_cores
from lakefmt.query.explanation import Explanation, TableRead
from lakefmt.query.operators import parse_operators

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import duckdb

    from lakefmt.query.limits import MemoryLimits
    from lakefmt.query.session import Session, TablePlan

__all__ = ["explain_log_answer", "explain_run"]

_LOOKS_APART_S = 0.005


def explain_log_answer(limits: MemoryLimits, seconds: float, *, analyze: bool) -> Explanation:
    """Return the explanation of a query that the log has answered in so many seconds."""
    return Explanation(
        tables=(),
        operators=None,
        planning_seconds=seconds,
        memory_limit=limits.memory_bytes,
        executor="log",
        reason="counts and bounds in the log answer it; no data file is read",
        seconds=seconds if analyze else None,
        rows=1 if analyze else None,
    )


def explain_run(session: Session, start: float, *, analyze: bool) -> Explanation:
    """Return how a query is run; and what it takes, where it is to be run.

    Args:
        session: the query's; in a database that nothing else uses, where it is to be run.
        start: when planning began, by ``time.perf_counter``.
        analyze: run it.
    """
    planned = time.perf_counter() - start
    folders = _folders(session.tables)
    run = _analyze(session, list(folders)) if analyze else None
    operators = parse_operators(session.explain(analyze=False) if run is None else run.plan, folders)
    return Explanation(
        tables=tuple(
            TableRead.of(table, None if run is None else _read_bytes(table, run, folders))
            for table in session.tables
        ),
        operators=operators,
        planning_seconds=planned,
        memory_limit=session.limits.memory_bytes,
        executor="in-process",
        reason=f"SQL runs in this process: DuckDB, {available_cores()} threads, spilling to disk what does not fit",
        seconds=None if run is None else planned + run.seconds,
        rows=None if run is None or operators is None else operators.rows,
        peak_memory_bytes=None if run is None else run.peak_memory_bytes,
        spilled_bytes=None if run is None else run.spilled_bytes,
    )


def _folders(tables: Sequence[TablePlan]) -> dict[str, str]:
    """Return the folders that one table alone has its files in, and what the query calls it."""
    owners: dict[str, list[str]] = {}
    for table in tables:
        for folder in table.folders:
            owners.setdefault(folder, []).append(table.name)
    return {folder: names[0] for folder, names in owners.items() if len(names) == 1}


def _read_bytes(table: TablePlan, run: _Run, folders: Mapping[str, str]) -> int | None:
    if table.own_files or not all(folder in folders for folder in table.folders):
        return None
    return sum(run.read_bytes.get(folder, 0) for folder in table.folders)


@dataclass(slots=True)
class _Run:
    """What a run took.

    Attributes:
        plan: DuckDB's, as JSON, with rows and times.
        seconds: of the run.
        peak_memory_bytes: the most that DuckDB held when it was looked at.
        spilled_bytes: written to temporary files.
        read_bytes: by folder: read of files below it.
    """

    plan: str = ""
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    spilled_bytes: int = 0
    read_bytes: dict[str, int] = field(default_factory=dict)


def _analyze(session: Session, folders: Sequence[str]) -> _Run:
    """Run a query and return what it took.

    Args:
        session: in a database that nothing else uses.
        folders: whose files' bytes are told apart.
    """
    found = _Run()
    cursor = session.cursor
    cursor.execute("CALL enable_logging('FileSystem')")
    with _looking(cursor, found):
        start = time.perf_counter()
        found.plan = session.explain(analyze=True)
        found.seconds = time.perf_counter() - start
    # Of folders within others the innermost.
    ordered = sorted(folders, key=len, reverse=True)
    cases = "".join(f" WHEN starts_with(path, ${place}) THEN {place}" for place in range(1, len(ordered) + 1))
    place_of = f"CASE{cases} END" if cases else "NULL::INTEGER"
    rows = cursor.execute(
        f"SELECT {place_of} AS place, op, coalesce(sum(bytes), 0)::BIGINT FROM duckdb_logs_parsed('FileSystem') "
        "WHERE op IN ('READ', 'WRITE') GROUP BY ALL",
        ordered,
    ).fetchall()
    for place, operation, size in rows:
        if place is not None and operation == "READ":
            found.read_bytes[ordered[place - 1]] = size
        elif place is None and operation == "WRITE":
            found.spilled_bytes += size
    return found


@contextlib.contextmanager
def _looking(cursor: duckdb.DuckDBPyConnection, found: _Run) -> Iterator[None]:
    """Look again and again, from a thread, at what the database holds."""
    over = threading.Event()
    own = cursor.cursor()

    def look() -> None:
        while True:
            row = own.execute("SELECT sum(memory_usage_bytes)::BIGINT FROM duckdb_memory()").fetchone()
            found.peak_memory_bytes = max(found.peak_memory_bytes, row[0] or 0 if row else 0)
            if over.wait(_LOOKS_APART_S):
                return

    thread = threading.Thread(target=look, name="lakefmt-analysis", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        own.close()
