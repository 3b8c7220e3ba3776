"""Four processes that append to one table at the same time, as four jobs of a night would.

Each is this module, run by ``python -m``: a spawned ``multiprocessing`` worker would import the caller's main module
first. They speak lines of JSON: the job goes in by stdin (a command line would show its secrets to the machine), the
commits come back by stdout. All are ready before the first of them begins.
"""

from __future__ import annotations

import contextlib
import importlib
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import orjson
import pyarrow as pa

from lakefmt.errors import LakefmtError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Append", "Writer", "append_months", "ready_writers"]

Writer: TypeAlias = "subprocess.Popen[bytes]"


@dataclass(frozen=True, slots=True)
class Append:
    """One commit of one writer.

    Attributes:
        writer: which of the processes, from 1.
        month: what it appended.
        version: the version that became of it.
        seconds: how long the append took, lost races included.
    """

    writer: int
    month: int
    version: int
    num_rows: int
    num_files: int
    size_bytes: int
    seconds: float


@contextlib.contextmanager
def ready_writers(
    uri: str, storage_options: Mapping[str, Any], months: Mapping[int, pa.Table], num_writers: int
) -> Iterator[Sequence[Writer]]:
    """Start processes that will append each month as one commit; inside the block all are ready, none has begun.

    They are stopped at the end of the block, whatever they are at.

    Raises:
        LakefmtError: one of them could not open the table.
    """
    with (
        tempfile.TemporaryDirectory(prefix="lakefmt-demo-months-") as folder,
        contextlib.ExitStack() as processes,
    ):
        paths = [
            (month, _write_arrow(Path(folder, f"{month:02d}.arrow"), rows)) for month, rows in months.items()
        ]
        jobs = [
            {
                "writer": number + 1,
                "uri": uri,
                "storage_options": dict(storage_options),
                "months": paths[number::num_writers],
            }
            for number in range(num_writers)
        ]
        writers = [processes.enter_context(_writer_process(job)) for job in jobs]
        for writer in writers:
            _read_report(writer)
        yield writers


def append_months(writers: Sequence[Writer]) -> Iterator[Append]:
    """Let the writers begin, all at once; yield their commits as they are told.

    Raises:
        LakefmtError: one of them failed; the others were stopped.
    """
    reports: SimpleQueue[Append | LakefmtError | None] = SimpleQueue()

    def listen(writer: Writer) -> None:
        try:
            while (report := _read_report(writer)) is not None:
                reports.put(Append(**report))
        except LakefmtError as error:
            reports.put(error)
        finally:
            reports.put(None)

    with ThreadPoolExecutor(len(writers)) as listeners, _stopped_at_end(writers):
        for writer in writers:
            listeners.submit(listen, writer)
        for writer in writers:
            _send(writer, {"go": True})
        running = len(writers)
        while running:
            match reports.get():
                case None:
                    running -= 1
                case LakefmtError() as error:
                    raise error
                case Append() as landed:
                    yield landed


@contextlib.contextmanager
def _writer_process(job: Mapping[str, Any]) -> Iterator[Writer]:
    command = [sys.executable, "-m", __name__]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer,  # noqa: S603 - our own module
        _stopped_at_end([writer]),
    ):
        _send(writer, job)
        yield writer


@contextlib.contextmanager
def _stopped_at_end(writers: Sequence[Writer]) -> Iterator[None]:
    try:
        yield
    finally:
        for writer in writers:
            writer.kill()


def _send(writer: Writer, message: Mapping[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # it is gone; what it said last is on its stdout
        stream = _pipe(writer.stdin)
        stream.write(orjson.dumps(message) + b"\n")
        stream.flush()


def _read_report(writer: Writer) -> dict[str, Any] | None:
    """Return the next thing a writer says, None at its end. Raises LakefmtError for what went wrong with it."""
    line = _pipe(writer.stdout).readline()
    if not line:
        if code := writer.wait():
            raise LakefmtError(
                f"A writer process of the demo ended with exit code {code}", hint="What it said is above"
            )
        return None
    report: dict[str, Any] = orjson.loads(line)
    if "error" in report:
        raise LakefmtError(f"A writer process of the demo failed: {report['error']}")
    return report


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101 - both ends are pipes
    return stream


def _write_arrow(path: Path, rows: pa.Table) -> str:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
        writer.write_table(rows)
    return str(path)


# --- in the writer process ------------------------------------------------------------------------------------


def _write_months() -> None:
    from lakefmt.opening import open_table

    # Loaded before the start, as in any writer that has run for a while: what is timed is appends.
    for module in ("lakefmt.properties", "pyarrow.compute", "pyarrow.parquet"):
        importlib.import_module(module)

    job = orjson.loads(sys.stdin.buffer.readline())
    try:
        table = open_table(job["uri"], storage_options=job["storage_options"])
        months = [(month, pa.ipc.open_file(pa.memory_map(path)).read_all()) for month, path in job["months"]]
        _report({"ready": True})
        sys.stdin.buffer.readline()
        for month, rows in months:
            start = time.perf_counter()
            result = table.append(rows)
            seconds = time.perf_counter() - start
            landed = Append(
                job["writer"],
                month,
                result.version,
                result.num_rows,
                result.num_files,
                result.size_bytes,
                seconds,
            )
            _report(asdict(landed))
    except LakefmtError as error:
        _report({"error": str(error)})


def _report(message: Mapping[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(message) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        _write_months()
