"""A worker process: ``python -m lakefmt.engine.worker <socket> <pipe>``, descriptors both.

It runs one task at a time in its main thread, while another thread listens to the driver: for the wish that the task end,
and for the end of the driver, which is the end of the worker. Where a task holds the interpreter's lock and no thread of
Python's runs, the system itself ends the process as the driver's end of the pipe is closed (on Linux). Its ``__main__`` is this module: the
user's is never run. What a task prints goes where the driver's standard output and error went when the worker began.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import queue
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from lakefmt.engine.tasks.answers import decode_task, encode_error, encode_result
from lakefmt.engine.tasks.failures import explain_failure
from lakefmt.engine.tasks.frames import receive_message, send_message
from lakefmt.engine.tasks.pickling import decode, encode
from lakefmt.engine.tasks.run import run_task
from lakefmt.engine.tasks.scratch import delete_own_scratch
from lakefmt.engine.tasks.surroundings import Versions
from lakefmt.process_folders import delete_own_folders

if TYPE_CHECKING:
    from lakefmt.engine.tasks.answers import Answer
    from lakefmt.engine.tasks.executor import Resources
    from lakefmt.engine.tasks.frames import Part

__all__ = ["Worker", "main"]

_IDLE_S = 0.5
_REPORT_S = 0.2


def main() -> None:
    """Be a worker of the process at the other end of the socket."""
    signal.signal(signal.SIGINT, _go_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # as the driver blocked it until here
    with contextlib.suppress(Exception):  # standard error may be closed
        faulthandler.enable()
    with contextlib.suppress(OSError):
        # Where the system has to kill somebody for want of memory, a task can be run again; a driver cannot.
        Path("/proc/self/oom_score_adj").write_text("500")
    own, lifeline = map(int, sys.argv[1:])
    del sys.argv[1:]  # no business of what tasks import
    connection = socket.socket(fileno=own)
    connection.set_inheritable(False)
    _die_with(lifeline)
    # A child that a task forks must not hold the connection open when this process is dead.
    os.register_at_fork(after_in_child=connection.close)
    Worker(connection).run()


def _die_with(lifeline: int) -> None:
    """Have the system send SIGIO, whose default action is the end of the process, when the pipe's other end is closed."""
    os.set_inheritable(lifeline, False)
    if sys.platform == "linux":  # elsewhere SIGIO is ignored by default
        import fcntl

        signal.signal(signal.SIGIO, signal.SIG_DFL)
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _go_on(_: int, __: object) -> None:
    """Leave Ctrl-C to the driver; a handler, unlike SIG_IGN, is not inherited by programs that a task starts."""


class Worker:
    """The tasks of one connection.

    Args:
        connection: to the driver.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._tasks: queue.SimpleQueue[tuple[int, Resources, list[Part]]] = queue.SimpleQueue()
        self._cancelled: dict[int, threading.Event] = {}

    def run(self) -> None:
        """Greet the driver and run its tasks until it is gone."""
        decode(receive_message(self._connection)).take_on()
        send_message(self._connection, encode(Versions.here()))
        threading.Thread(target=self._listen, name="lakefmt-listener", daemon=True).start()
        while True:
            number, resources, parts = self._next()
            kind, answer = self._answer(number, resources, parts)
            self._cancelled.pop(number, None)
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):  # closed, or its reader is gone: no fault of the task
                    stream.flush()
            try:
                send_message(self._connection, [*encode((kind, number))[:1], *answer])
            except OSError:
                _leave()
            del parts, answer

    def _next(self) -> tuple[int, Resources, list[Part]]:
        """Wait for a task; when none comes for a while, Arrow's memory that is not in use goes back to the system."""
        with contextlib.suppress(queue.Empty):
            return self._tasks.get(timeout=_IDLE_S)
        pa.default_memory_pool().release_unused()
        return self._tasks.get()

    def _answer(self, number: int, resources: Resources, parts: list[Part]) -> Answer:
        name = "a task"
        try:
            if pa.cpu_count() != resources.threads:
                pa.set_cpu_count(resources.threads)
            task = decode_task(parts)
            name = str(task)
            result = run_task(task, resources, self._cancelled[number].is_set, _Reports(self._connection))
            try:
                return "done", encode_result(result, task)
            except MemoryError as error:
                raise explain_failure(error, task) or error from error
        except BaseException as error:  # noqa: BLE001 - all of them are the driver's to raise
            return "failed", encode_error(error, name)

    def _listen(self) -> None:
        try:
            while True:
                first, *parts = receive_message(self._connection)
                kind, number, *rest = decode([first])
                if kind == "cancel":
                    if (event := self._cancelled.get(number)) is not None:
                        event.set()
                    continue
                surroundings, resources = rest
                if surroundings is not None:
                    surroundings.take_on()
                self._cancelled[number] = threading.Event()
                self._tasks.put((number, resources, parts))
        finally:
            _leave()


class _Reports:
    """Tells the driver how many rows a task has read, a few times a second."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._next_s = time.monotonic() + _REPORT_S

    def __call__(self, rows: int) -> None:
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + _REPORT_S
        with contextlib.suppress(OSError):  # nobody is there: the end of this process is near
            send_message(self._connection, encode(("rows", rows)))


def _leave() -> None:
    """End at once: nobody is there any more to say anything to."""
    delete_own_scratch()
    delete_own_folders()
    os._exit(0)


if __name__ == "__main__":
    main()
