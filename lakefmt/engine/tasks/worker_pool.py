"""The process's worker processes, kept for its life.

Executors borrow them. They are started when they are first needed; those that wait, as many as there are cores, cost
nothing but the memory they have. A forked child has workers of its own, and none of its parent's. At the end of the
process, or when it is killed, they end.
"""

from __future__ import annotations

import os
import threading

from lakefmt.databases import available_cores
from lakefmt.engine.tasks.scratch import sweep_scratch
from lakefmt.engine.tasks.worker_process import WorkerProcess
from lakefmt.errors import WorkerStartError

__all__ = ["WorkerPool", "workers"]


class WorkerPool:
    """Worker processes that run nothing now, and the knowledge of those that do."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[WorkerProcess] = []
        self._all: set[WorkerProcess] = set()
        self._has_ended = False

    def take(self) -> WorkerProcess:
        """Return a worker for the caller alone: the one that waited shortest, or a new one.

        Raises:
            WorkerStartError: there is none and none can be started.
            WorkerDiedError: there was none, and the new one was killed as it began.
        """
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.is_alive:
                    return worker
                self._all.discard(worker)  # it died while nobody needed it
                worker.wait()
        with _forking:  # a child forked meanwhile would have the connection, and know nothing of it
            if self._has_ended:
                raise WorkerStartError(
                    "The process is ending: it starts no worker any more",
                    hint="Run tasks on threads in functions that are called at its end",
                )
            worker = WorkerProcess()
            self._all.add(worker)
        try:
            worker.greet()
        except BaseException:
            self.drop(worker)
            raise
        return worker

    def give_back(self, worker: WorkerProcess) -> None:
        """Keep a worker that runs nothing for the next who needs one."""
        with self._lock:
            if len(self._idle) < available_cores() and not self._has_ended:
                self._idle.append(worker)
                return
        self.drop(worker)

    def drop(self, worker: WorkerProcess) -> int:
        """End a worker, whatever it runs, and return its exit code; what it left in its scratch folders is deleted."""
        worker.kill()
        exit_code = worker.wait()
        self._all.discard(worker)
        sweep_scratch()
        return exit_code

    def end(self) -> None:
        """End all workers, and start no other."""
        with _forking, self._lock:
            self._has_ended = True
            ending, self._idle = list(self._all), []
        for worker in ending:
            worker.end()
        for worker in ending:
            worker.wait()
            self._all.discard(worker)
        if ending:
            sweep_scratch()  # of those that could not do so themselves

    def abandon(self) -> None:
        """Leave all workers to the parent."""
        for worker in self._all:
            worker.abandon()


def workers() -> WorkerPool:
    """Return this process's pool."""
    global _pool
    with _making:
        if _pool is None:
            _pool = WorkerPool()
            # Executors of concurrent.futures wait at the end for what runs; it is to end before.
            threading._register_atexit(_pool.end)  # type: ignore[attr-defined]  # noqa: SLF001 - as they do
            sweep_scratch()
        return _pool


def _leave_to_parent() -> None:
    global _pool, _making, _forking
    _making, _forking = threading.Lock(), threading.Lock()
    if _pool is not None:
        _pool.abandon()
        _pool = None


_pool: WorkerPool | None = None
_making = threading.Lock()
_forking = threading.Lock()


def _release() -> None:
    _forking.release()


def _acquire() -> None:
    _forking.acquire()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_acquire, after_in_parent=_release, after_in_child=_leave_to_parent)
