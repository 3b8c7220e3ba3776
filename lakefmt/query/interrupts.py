"""Calls into DuckDB that Ctrl-C ends.

A signal is heard by the main thread, and by Python alone: while that thread is inside DuckDB, which looks for signals now
and then and in some calls never, Ctrl-C does nothing. So the main thread has another one call DuckDB, and waits.
"""

from __future__ import annotations

import threading
from concurrent.futures import wait
from typing import TYPE_CHECKING, TypeVar

from lakefmt.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb

__all__ = ["InterruptibleCalls"]

_T = TypeVar("_T")
_PATIENCE_S = 0.05


class InterruptibleCalls:
    """Calls into one connection of DuckDB's, one after the other.

    Args:
        cursor: the connection, whose query an interrupted call ends.
    """

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor
        self._threads: Threads | None = None

    def run(self, call: Callable[[], _T]) -> _T:
        """Return what ``call`` returns; KeyboardInterrupt ends it first."""
        if threading.current_thread() is not threading.main_thread():
            return call()
        if self._threads is None:
            self._threads = Threads(1, "lakefmt-query")
        future = self._threads.submit(call)
        try:
            return future.result()
        except BaseException:
            # Its own error, or an interrupt; one that comes before DuckDB has begun the query is lost on it.
            while not future.done():
                self._cursor.interrupt()
                wait([future], _PATIENCE_S)
            raise

    def close(self) -> None:
        """Let the thread go."""
        if self._threads is not None:
            self._threads.shutdown()
