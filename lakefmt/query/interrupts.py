"""Calls into DuckDB that Ctrl-C ends.

A signal is heard by the main thread, and by Python alone: while that thread is inside DuckDB, which looks for signals now
and then and in some calls never, Ctrl-C does nothing. So the main thread has another one call DuckDB, and waits.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any, TypeVar

from lakefmt.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    import duckdb

__all__ = ["InterruptibleCalls"]

_T = TypeVar("_T")
_PATIENCE_S = 0.05
_MOST_THREADS = 8  # one does, unless calls that were interrupted twice have not ended


class InterruptibleCalls:
    """Calls into one connection of DuckDB's, one after the other.

    Args:
        cursor: the connection, whose query an interrupted call ends.
    """

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor
        self._last: Future[Any] | None = None

    def run(self, call: Callable[[], _T]) -> _T:
        """Return what ``call`` returns; KeyboardInterrupt ends it first."""
        if threading.current_thread() is not threading.main_thread():
            return call()
        future: Future[_T] = _threads().submit(call)
        self._last = future
        try:
            return future.result()
        except BaseException:
            # Its own error, or an interrupt; one that comes before DuckDB has begun the query is lost on it.
            while not future.done():
                self._cursor.interrupt()
                wait([future], _PATIENCE_S)
            raise
        finally:
            del future  # which an error's traceback would keep, and it the error

    def close(self) -> None:
        """Wait for a call that goes on, though nobody waited for it any more."""
        if self._last is not None:
            wait([self._last])
            self._last = None


_lasting: tuple[int, Threads] | None = None


def _threads() -> Threads:
    """Return the threads that call for the main thread: they last, as starting one takes as long as a small query's planning."""
    global _lasting
    found = _lasting
    if found is None or found[0] != os.getpid():  # a forked child has none of its parent's threads
        found = _lasting = os.getpid(), Threads(_MOST_THREADS, "lakefmt-query")
    return found[1]
