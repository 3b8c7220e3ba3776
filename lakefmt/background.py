"""Work that follows a commit without anybody waiting for it: a few threads, one job at a time for each place.

What is submitted runs soon, in a thread of this process. Of the jobs for one place (a table) and one kind (its
checkpoints) one runs at a time and one waits: a later one takes the place of the one that waits, so that only the
newest is done. A place rests after each job, so that a table that is written to without a pause spends a quarter of
the time on such work at most. Threads end when there is nothing to do.

When the process ends, what is due is still done, for ten seconds at most. Threads do not survive a fork: a forked child
begins with nothing to do, and what waited is left to the parent.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

__all__ = ["BackgroundWork", "flush", "in_line", "submit"]

_log = logging.getLogger("lakefmt.background")

_MOST_THREADS: Final = 4
_IDLE_S: Final = 1.0
_RESTS: Final = 3.0  # a place rests for so many times what its last job took
_EXIT_PATIENCE_S: Final = 10.0


def submit(place: Hashable, kind: str, job: Callable[[], object]) -> None:
    """Have ``job`` done for ``place`` (a store's identity), instead of an earlier one of its kind that still waits.

    What it raises is logged. Within ``in_line`` it is done before this returns.
    """
    if _in_line.get() or not _end_with_process():
        _run(kind, job)
    else:
        _work.submit(place, kind, job)


def flush(place: Hashable | None = None, timeout_s: float | None = None) -> bool:
    """Wait until nothing is left to do for ``place`` (None: for any); False if that took longer than ``timeout_s``."""
    return _work.flush(place, timeout_s)


@contextlib.contextmanager
def in_line() -> Iterator[None]:
    """Have what is submitted in this context done at once, in the caller's thread: for tests that replay a run."""
    before = _in_line.set(True)
    try:
        yield
    finally:
        _in_line.reset(before)


@dataclass(slots=True)
class _Slot:
    """The jobs of one place and kind."""

    kind: str
    waiting: Callable[[], object] | None = None
    runs_in: int | None = None  # the thread
    rests_until_s: float = 0.0


class BackgroundWork:
    """Jobs and the threads that do them.

    Args:
        most_threads: so many at once.
        idle_s: a thread without work ends after so many seconds.
        rests: a place rests for so many times what its last job took.
    """

    def __init__(
        self, most_threads: int = _MOST_THREADS, idle_s: float = _IDLE_S, rests: float = _RESTS
    ) -> None:
        self._most_threads = most_threads
        self._idle_s = idle_s
        self._rests = rests
        self._changed = threading.Condition()
        # All below is read and written with the condition held.
        self._slots: dict[tuple[Hashable, str], _Slot] = {}
        self._threads = 0
        self._idle = 0
        self._hurried: dict[object, Hashable | None] = {}  # places that somebody waits for; None for all

    def submit(self, place: Hashable, kind: str, job: Callable[[], object]) -> None:
        """Have ``job`` done; see the function of this name."""
        with self._changed:
            slot = self._slots.setdefault((place, kind), _Slot(kind))
            slot.waiting = job
            self._changed.notify_all()
            ready = sum(each.waiting is not None and each.runs_in is None for each in self._slots.values())
            if ready <= self._idle or self._threads >= self._most_threads:
                return
            self._threads += 1
        try:
            threading.Thread(target=self._serve, name="lakefmt-background", daemon=True).start()
        except RuntimeError:  # no thread can be started any more: at the end of the process, or at a limit
            with self._changed:
                self._threads -= 1
                found, slot.waiting = slot.waiting, None
            if found is not None:
                _run(kind, found)

    def flush(self, place: Hashable | None = None, timeout_s: float | None = None) -> bool:
        """Wait until nothing is left to do; see the function of this name."""
        waiter, me = object(), threading.get_ident()

        def done() -> bool:
            return all(
                slot.runs_in == me or (slot.waiting is None and slot.runs_in is None)
                for (where, _), slot in self._slots.items()
                if place is None or where == place
            )

        with self._changed:
            self._hurried[waiter] = place
            self._changed.notify_all()
            try:
                return self._changed.wait_for(done, timeout_s)
            finally:
                del self._hurried[waiter]

    def _serve(self) -> None:
        while (found := self._take()) is not None:
            slot, job = found
            began_s = time.monotonic()
            try:
                _run(slot.kind, job)
            except BaseException:
                with self._changed:
                    self._threads -= 1
                raise
            finally:
                del job, found  # a snapshot, which may be large, goes with it
                with self._changed:
                    ended_s = time.monotonic()
                    slot.runs_in = None
                    slot.rests_until_s = ended_s + self._rests * (ended_s - began_s)
                    self._changed.notify_all()

    def _take(self) -> tuple[_Slot, Callable[[], object]] | None:
        """Wait for a job that may be done now; None when there has been none for a while, and the thread ends."""
        with self._changed:
            patient_until_s = time.monotonic() + self._idle_s
            while True:
                now_s = time.monotonic()
                wakes_s = patient_until_s
                for (place, _), slot in self._slots.items():
                    if slot.waiting is None or slot.runs_in is not None:
                        continue
                    if slot.rests_until_s <= now_s or self._is_hurried(place):
                        job, slot.waiting, slot.runs_in = slot.waiting, None, threading.get_ident()
                        return slot, job
                    # Somebody has to be there when the rest is over.
                    patient_until_s = max(patient_until_s, slot.rests_until_s + self._idle_s)
                    wakes_s = min(wakes_s, slot.rests_until_s)
                if now_s >= patient_until_s:
                    self._threads -= 1
                    self._forget_rested(now_s)
                    return None
                self._idle += 1
                self._changed.wait(wakes_s - now_s)
                self._idle -= 1

    def _is_hurried(self, place: Hashable) -> bool:
        return any(which is None or which == place for which in self._hurried.values())

    def _forget_rested(self, now_s: float) -> None:
        for key, slot in list(self._slots.items()):
            if slot.waiting is None and slot.runs_in is None and slot.rests_until_s <= now_s:
                del self._slots[key]


def _run(kind: str, job: Callable[[], object]) -> None:
    try:
        job()
    except Exception:  # noqa: BLE001 - the commits stand whatever follows
        _log.exception("%s failed; the commits it was to follow stand", kind)


_work = BackgroundWork()
_in_line: ContextVar[bool] = ContextVar("lakefmt_background_in_line", default=False)
_ends_with_process: bool | None = None  # whether it will be finished then; None: not yet seen to


def _end_with_process() -> bool:
    """See to it that work is finished before the process ends; False where it is ending already."""
    global _ends_with_process
    if _ends_with_process is not None:
        return _ends_with_process
    # The executors of concurrent.futures refuse work from the moment their own end begins, and so does a child of
    # multiprocessing to call what ``atexit`` knows. What is registered last here runs first: before theirs.
    import concurrent.futures.thread  # noqa: F401 - registers itself

    try:
        threading._register_atexit(_finish)  # type: ignore[attr-defined]  # noqa: SLF001 - as concurrent.futures does
    except RuntimeError:
        _ends_with_process = False
    else:
        _ends_with_process = True
    return _ends_with_process


def _finish() -> None:
    global _ends_with_process
    _ends_with_process = False
    if not flush(timeout_s=_EXIT_PATIENCE_S):
        _log.warning("The process ends before all that was to follow its commits is done")


def _start_over_in_child() -> None:
    global _work
    _work = BackgroundWork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_over_in_child)
