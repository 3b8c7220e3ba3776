"""One worker process, as its driver has it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from lakefmt.engine.tasks.frames import receive_message, send_message
from lakefmt.engine.tasks.pickling import decode, encode
from lakefmt.engine.tasks.surroundings import Surroundings, Versions, check_versions
from lakefmt.errors import WorkerStartError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lakefmt.engine.tasks.answers import Answer
    from lakefmt.engine.tasks.executor import Resources
    from lakefmt.engine.tasks.frames import Part

__all__ = ["WorkerDiedError", "WorkerProcess"]

_START_S = 120.0  # a loaded machine takes its time to import
_DEATH_S = 30.0  # of a process whose end of the socket is closed: the kernel may be writing out a large core


class WorkerDiedError(Exception):
    """The process is dead.

    Attributes:
        exit_code: the process's; negative for the signal that ended it.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class WorkerProcess:
    """A child process that runs one task at a time, and dies with this one; it is started, and to be greeted.

    Raises:
        WorkerStartError: it cannot be started.
    """

    def __init__(self) -> None:
        self._surroundings = Surroundings.here()
        self._connection, theirs = socket.socketpair()
        # The worker ends when this end is closed, whatever it does then, and whoever closes it.
        lifeline, ours = os.pipe()
        self._lifeline: int | None = ours
        try:
            with theirs:
                self._process = _start([theirs.fileno(), lifeline], self._surroundings)
        except BaseException:
            self._close()
            raise
        finally:
            os.close(lifeline)
        self._lock = threading.Lock()  # held while something is sent, which is whole or not at all
        self._running: int | None = None

    def greet(self) -> None:
        """Wait until the process is ready.

        Raises:
            WorkerStartError: it does not get ready, or runs other versions.
            WorkerDiedError: a signal ended it, which says nothing of the next.
        """
        self._connection.settimeout(_START_S)
        try:
            send_message(self._connection, encode(self._surroundings))
            greeting: Versions = decode(receive_message(self._connection))
        except TimeoutError as error:
            raise WorkerStartError(
                f"A worker process said nothing for {_START_S:.0f} s after its start"
            ) from error
        except (EOFError, OSError) as error:
            exit_code = self.wait()
            if exit_code < 0:
                raise WorkerDiedError(exit_code) from error
            raise WorkerStartError(
                f"A worker process ended as it began, with exit code {exit_code}",
                hint=f"Standard error has the reason; it is started as {sys.executable} -m lakefmt.engine.worker",
            ) from error
        self._connection.settimeout(None)
        check_versions(Versions.here(), greeting)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process has not ended, as far as is known."""
        return self._process.poll() is None

    def run(
        self,
        number: int,
        resources: Resources,
        task: Sequence[Part],
        is_cancelled: Callable[[], bool],
        report_rows: Callable[[int], None],
    ) -> Answer | None:
        """Have a task run, wait for it, and return its answer; None where it was cancelled before it was sent.

        Args:
            number: of this run, unlike that of any other.
            resources: of the executor.
            task: encoded.
            is_cancelled: whether the task is not wanted any more. Whoever makes it so then calls ``ask_to_end``.
            report_rows: is told of the rows that the task has read so far.

        Raises:
            WorkerDiedError: it died before the answer was whole.
        """
        surroundings = Surroundings.here()
        changed = None if surroundings == self._surroundings else surroundings
        try:
            with self._lock:
                if is_cancelled():
                    return None
                self._running = number
                send_message(self._connection, [*encode(("run", number, changed, resources)), *task])
            self._surroundings = surroundings
            while True:
                first, *parts = receive_message(self._connection)
                kind, value = decode([first])
                if kind != "rows":
                    return kind, parts
                report_rows(value)
        except (EOFError, OSError) as error:
            raise WorkerDiedError(self.wait()) from error
        finally:
            with self._lock:
                self._running = None

    def ask_to_end(self, number: int) -> None:
        """Tell the process that the task of a run should end, if that is what it runs."""
        with self._lock, contextlib.suppress(OSError):
            if self._running == number:
                send_message(self._connection, encode(("cancel", number)))

    def kill_if_running(self, number: int) -> None:
        """Kill the process if it still runs the task of a run."""
        with self._lock:
            if self._running == number:
                self._process.kill()

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()

    def end(self) -> None:
        """Have the process end: what it runs is lost."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def wait(self) -> int:
        """Wait for the end of a process that was killed or told to end, and return its exit code."""
        try:
            return self._process.wait(_DEATH_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            self._close()

    def abandon(self) -> None:
        """Forget a process that is the parent's, in a child that was forked: the connection must end with the parent."""
        self._close()
        self._process.returncode = 0  # it is not this process's child: nobody waits for it here

    def _close(self) -> None:
        self._connection.close()
        lifeline, self._lifeline = self._lifeline, None
        if lifeline is not None:
            os.close(lifeline)


def _start(descriptors: Sequence[int], surroundings: Surroundings) -> subprocess.Popen[bytes]:
    # It finds modules as this process does, from the first on; -P keeps `-m` from looking in the current folder first.
    path = [entry or os.curdir for entry in surroundings.path if os.pathsep not in entry]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    options = ["-P", *["-O"] * sys.flags.optimize, *(["-X", "utf8"] if sys.flags.utf8_mode else [])]
    command = [sys.executable, *options, "-m", "lakefmt.engine.worker", *map(str, descriptors)]
    # Ctrl-C at a terminal reaches all processes of the group. Until the worker can leave it to the driver it is blocked,
    # which is inherited, and of this thread alone.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(  # noqa: S603 - this interpreter, this library
            command, stdin=subprocess.DEVNULL, pass_fds=descriptors, env=environment
        )
    except OSError as error:
        raise WorkerStartError(
            f"A worker process cannot be started: {error}",
            hint="sys.executable must be a Python interpreter; executor='threads' needs no process",
        ) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
