"""A lock that is given in the order in which it was asked for, within a time."""

from __future__ import annotations

import threading
from collections import deque

__all__ = ["Turns"]


class Turns:
    """Threads come one at a time, first come, first served: ``threading.Lock`` may let one starve."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._taken = False
        # One locked lock for each thread that waits; unlocking it is giving it the turn.
        self._waiting: deque[threading.Lock] = deque()

    def take(self, timeout_s: float | None = None) -> bool:
        """Wait for the turn; False if it did not come within ``timeout_s`` (None: for ever)."""
        with self._mutex:
            if not self._taken:
                self._taken = True
                return True
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        wait_s = -1 if timeout_s is None else min(max(timeout_s, 0), threading.TIMEOUT_MAX)
        try:
            if mine.acquire(timeout=wait_s):
                return True
        except BaseException:
            # Interrupted, perhaps just after the turn was given: it must not be lost with this thread.
            if not self._leave(mine):
                self.give()
            raise
        return not self._leave(mine)

    def give(self) -> None:
        """Pass the turn on to who has waited longest."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False

    def _leave(self, mine: threading.Lock) -> bool:
        """Stop waiting; False where the turn had been given meanwhile."""
        with self._mutex:
            if mine not in self._waiting:
                return False
            self._waiting.remove(mine)
            return True
