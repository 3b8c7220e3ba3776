"""Connections of DuckDB that stand ready for what was asked before."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import duckdb

__all__ = ["IdleCursors", "Setup"]

_MOST_KEPT = 8
_MOST_VALUES = 100_000  # of all of them, some 200 bytes each in DuckDB


class Setup(Protocol):
    """What a connection has been given: equal ones answer every text alike.

    Attributes:
        values: how many values its variables hold.
    """

    @property
    def values(self) -> int: ...  # noqa: D102 - told above


class IdleCursors:
    """Connections to one database, with what they are set up for; the few used last are kept. Safe among threads.

    Nobody else holds a connection that is here, and who takes one has it alone.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[tuple[Setup, duckdb.DuckDBPyConnection]] = []

    def cursors(self) -> list[duckdb.DuckDBPyConnection]:
        """Return those that are kept, for a forked child, where no other thread is left and a lock may be held for ever."""
        return [cursor for _, cursor in self._kept]

    def take(self, setup: Setup) -> duckdb.DuckDBPyConnection | None:
        """Return a connection that is set up so, None where there is none."""
        with self._lock:
            for place in reversed(range(len(self._kept))):
                if self._kept[place][0] == setup:
                    return self._kept.pop(place)[1]
        return None

    def keep(self, setup: Setup, cursor: duckdb.DuckDBPyConnection) -> None:
        """Keep a connection on which nothing runs any more; those used longest ago are closed for it.

        One that would leave no room for others is closed itself.
        """
        if setup.values > _MOST_VALUES:
            cursor.close()
            return
        closed = []
        with self._lock:
            self._kept.append((setup, cursor))
            while len(self._kept) > _MOST_KEPT or sum(each.values for each, _ in self._kept) > _MOST_VALUES:
                closed.append(self._kept.pop(0)[1])
        for each in closed:
            each.close()
