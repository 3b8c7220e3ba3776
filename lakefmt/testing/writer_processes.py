"""Appends and reads by real processes, some of which are killed; what they did and saw becomes a history to check.

Every process notes what it is about to do and what came of it in a file of its own, so that a history is whole however
a process ends: killed from outside at any moment, or by itself in the middle of a store call (``FaultStore``).
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.errors import LakefmtError, StoreError
from lakefmt.opening import create
from lakefmt.snapshot import load_snapshot
from lakefmt.store import open_store
from lakefmt.table import Table
from lakefmt.testing.fault_store import FaultStore
from lakefmt.testing.faults import ERRORS, KILLS, SeededFaults, kill_process
from lakefmt.testing.history import Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Worker", "run_processes"]

_SCHEMA = pa.schema([pa.field("id", pa.int64())])
# Imported once, by the server that all workers are forked from.
_PRELOADED = [
    "lakefmt.testing.writer_processes",
    "lakefmt.properties",
    "pandas",
    "pyarrow.compute",
    "pyarrow.parquet",
    "s3fs",
]
_POLL_S = 0.005
_PATIENCE_S = 240.0  # for one worker: one that takes longer hangs
_DELAYS = 0.02  # of those that a simulation's clock has no trouble with
_VALUES_EACH = 10_000


@dataclass(frozen=True, slots=True)
class Worker:
    """What one process is to do.

    Attributes:
        name: unique among all of a run, also those that are dead.
        number: likewise.
        uri: the table's.
        storage_options: of its store.
        journal: where it notes what it does.
        seed: decides what it does.
        operations: how many.
        threads: how many share them.
        fault_rate: how many of its store calls fail, the process's death among the faults.
    """

    name: str
    number: int
    uri: str
    storage_options: Mapping[str, Any]
    journal: str
    seed: int
    operations: int
    threads: int = 1
    fault_rate: float = 0.0

    def run(self) -> None:
        """Do it; the body of the process."""
        threads = [threading.Thread(target=self._run_thread, args=(n,)) for n in range(self.threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _run_thread(self, thread: int) -> None:
        draw = random.Random(f"{self.seed} {self.number} {thread}")  # noqa: S311 - no secret
        schedule = (
            SeededFaults(draw.random().hex(), self.fault_rate, ERRORS + KILLS) if self.fault_rate else None
        )
        store = FaultStore(
            open_store(self.uri, self.storage_options),
            schedule,
            sleep=lambda seconds: time.sleep(seconds * _DELAYS),
            kill=kill_process,
            alone=False,
        )
        journal = os.open(self.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        table: Table | None = None
        for number in range(thread, self.operations, self.threads):
            kind = "append" if draw.random() < 0.7 else "read"
            values: list[Any] = [self.number * _VALUES_EACH + number] if kind == "append" else []
            entry: dict[str, Any] = {"process": f"{self.name}/{thread}", "id": number, "kind": kind}
            entry["values"] = values
            _note(journal, entry | {"began": time.monotonic_ns()})
            try:
                if table is None or (kind == "read" and draw.random() < 0.5):
                    table = Table(store, load_snapshot(store))
                elif kind == "read":
                    table.refresh()
                if kind == "append":
                    version = table.append(pa.table({"id": values}, schema=_SCHEMA)).version
                else:
                    version = table.version
                    values = table.to_arrow()["id"].to_pylist()
                outcome: dict[str, Any] = {"outcome": "ok", "version": version, "values": values}
            except StoreError:
                outcome = {"outcome": "unknown"}
            except LakefmtError as error:
                outcome = {"outcome": "failed", "error": repr(error)}
            _note(journal, entry | outcome | {"ended": time.monotonic_ns()})


@dataclass(slots=True)
class _Run:
    """The processes of a run, and their journals."""

    folder: Path
    make: Callable[[int], Worker]
    context: Any
    workers: list[tuple[Worker, Any]] = field(default_factory=list)
    started: int = 0
    killed: int = 0

    def start(self) -> None:
        worker = self.make(self.started)
        self.started += 1
        process = self.context.Process(target=worker.run, name=worker.name)
        process.start()
        self.workers.append((worker, process))

    def alive(self) -> list[tuple[Worker, Any]]:
        return [(worker, process) for worker, process in self.workers if process.is_alive()]

    def end(self) -> None:
        for _, process in self.workers:
            if process.is_alive():
                process.kill()
            process.join()
            process.close()


def run_processes(
    uri: str,
    folder: Path,
    *,
    seed: int,
    storage_options: Mapping[str, Any] | None = None,
    properties: Mapping[str, Any] | None = None,
    processes: int = 8,
    starts: int = 16,
    operations: int = 12,
    threads: int = 1,
    kill_share: float = 0.5,
    fault_rate: float = 0.0,
) -> list[Operation]:
    """Create a table, let processes append to it and read it, kill some of them, and return the history.

    The last operation is a read of this process, after all others have ended. It ends with its work, not with time.

    Args:
        uri: where there is no table yet.
        folder: for the journals.
        seed: decides what everybody does; in which order they come is the machine's affair.
        storage_options: of the table's store.
        properties: of the table.
        processes: how many run at once.
        starts: how many are started in all.
        operations: how many each does, if it lives.
        threads: how many threads of a process share them.
        kill_share: how many of the processes are killed from outside, at some moment of their work.
        fault_rate: how many store calls fail, in every second process; the process's death is among the faults.
    """
    draw = random.Random(seed)  # noqa: S311 - no secret
    options = dict(storage_options or {})
    create(uri, _SCHEMA, properties=properties, storage_options=options)

    def make(number: int) -> Worker:
        return Worker(
            name=f"process {number}",
            number=number,
            uri=uri,
            storage_options=options,
            journal=str(folder / f"{number}.jsonl"),
            seed=seed,
            operations=operations,
            threads=threads,
            fault_rate=fault_rate if number % 2 else 0.0,
        )

    run = _Run(folder, make, _context())
    doomed: dict[str, int] = {}  # the length of the journal at which a process is killed
    started_s = time.monotonic()
    try:
        while True:
            while run.started < starts and len(run.alive()) < processes:
                run.start()
                if draw.random() < kill_share:
                    doomed[run.workers[-1][0].name] = draw.randrange(1, 60 * operations)
            alive = run.alive()
            if not alive and run.started >= starts:
                break
            for worker, process in alive:
                if worker.name in doomed and _size(worker.journal) >= doomed[worker.name]:
                    process.kill()
                    run.killed += 1
            if time.monotonic() - started_s > _PATIENCE_S:
                raise AssertionError(f"seed {seed}: {', '.join(worker.name for worker, _ in alive)} hang")
            time.sleep(_POLL_S)
        history = [op for worker, _ in run.workers for op in _read_journal(worker.journal)]
    finally:
        run.end()
    return [*history, _read_all(uri, options)]


def _context() -> Any:
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def _note(journal: int, entry: Mapping[str, Any]) -> None:
    os.write(journal, json.dumps(entry).encode() + b"\n")


def _size(path: str) -> int:
    with contextlib.suppress(FileNotFoundError):
        return Path(path).stat().st_size
    return 0


def _read_journal(path: str) -> list[Operation]:
    """Return what a process did; of what has no answer, the outcome is unknown."""
    entries: dict[int, dict[str, Any]] = {}
    with contextlib.suppress(FileNotFoundError), Path(path).open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):  # else it died in the middle of it
                entry = json.loads(line)
                entries.setdefault(entry["id"], {}).update(entry)
    return [
        Operation(
            process=entry["process"],
            kind=entry["kind"],
            values=tuple(entry["values"]),
            began=entry["began"],
            ended=entry.get("ended"),
            outcome=entry.get("outcome", "unknown"),
            version=entry.get("version"),
        )
        for entry in entries.values()
    ]


def _read_all(uri: str, options: Mapping[str, Any]) -> Operation:
    began = time.monotonic_ns()
    store = open_store(uri, options)
    table = Table(store, load_snapshot(store))
    values: list[Any] = table.to_arrow()["id"].to_pylist()
    return Operation("last", "read", tuple(values), began, time.monotonic_ns(), "ok", table.version)
