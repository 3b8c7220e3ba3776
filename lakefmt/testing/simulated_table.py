"""A table under many writers, all of whose promises are checked: one seed is one run.

A run lets writers append, overwrite, change properties and read by turns that the seed decides (``Scheduler``), over
stores whose faults the seed decides (``FaultStore``); whoever is killed comes back as another process would. In the
end ``check`` compares what everybody was told and has seen with what is in the log:

- every acknowledged commit is there exactly once, at the version it was told, and none that was refused;
- what died or was told of an error of storage is there wholly or not at all;
- the rows of every version are those that a ``TableModel`` gives, and all readers saw them;
- no commit file was ever replaced; no file that a readable version names is missing;
- the newest version and some older ones load, through whatever checkpoint there is, as they replay from JSON.
"""

from __future__ import annotations

import contextlib
import random
import re
import uuid
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.errors import (
    CommitConflictError,
    CorruptTableError,
    InvalidInputError,
    LakefmtError,
    StoreError,
    VersionNotFoundError,
)
from lakefmt.manifest.logical_files import vector_ids
from lakefmt.scan import Scan
from lakefmt.snapshot import Snapshot, advance_snapshot, load_snapshot
from lakefmt.store.memory import MemoryStore
from lakefmt.testing.fault_store import FaultStore, LateWrites, SeededFaults, WriterKilledError
from lakefmt.testing.log_replay import RowReader, replay_commits
from lakefmt.testing.scheduler import Scheduler, label_of
from lakefmt.testing.table_model import Attempt, ModelViolationError, TableModel
from lakefmt.txn.changes import Changes
from lakefmt.txn.commit import commit
from lakefmt.txn.operations.append import append
from lakefmt.txn.operations.create import create, plan_create
from lakefmt.txn.operations.overwrite import overwrite
from lakefmt.txn.writer import Writer
from lakefmt.upkeep import clean_log, compact_log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lakefmt.testing.fault_store import Fault
    from lakefmt.testing.log_replay import LogicalFile, ReplayedVersion
    from lakefmt.txn.environment import Environment

__all__ = ["OPERATIONS", "JournalingStore", "SimulatedTable", "SimulatedWriter", "simulate"]

_COMMIT = re.compile(r"_delta_log/(\d{20})\.json")
_SCHEMA = pa.schema([pa.field("id", pa.int64())])
_LONGEST_SKEW_MS = 5_000
_LONGEST_JUMP_DAYS = 40  # past the 30 days that logs are kept
_DAY_MS = 86_400_000
_VERSIONS_LOADED = 3  # of all, beside the newest: loading takes most of a run's time


class JournalingStore(MemoryStore):
    """Objects in memory that keep the time of a simulation and remember all contents that any file of the log ever had."""

    def __init__(self, uri: str, now_ms: Callable[[], float]) -> None:
        super().__init__(uri)
        self._now_ms = now_ms
        self.log_writes: dict[str, list[bytes]] = {}

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole, replacing what was there."""
        super().put(key, data)
        self._wrote(key, data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object if there is none, atomically."""
        won = super().put_if_absent(key, data)
        if won:
            self._wrote(key, data)
        return won

    def clear(self) -> None:
        """Give the memory back."""
        self.delete([found.key for found in self.list("", recursive=True)])

    def _wrote(self, key: str, data: bytes) -> None:
        if key.startswith("_delta_log/") and data not in self.log_writes.setdefault(key, []):
            self.log_writes[key].append(data)

    def _file(self, path: str, data: bytes) -> Any:
        file = super()._file(path, data)
        file.modified = datetime.fromtimestamp(self._now_ms() / 1000, UTC)
        return file


@dataclass(slots=True)
class SimulatedTable:
    """A table in a simulation, and all that was tried with it.

    Attributes:
        draw: where all chance comes from.
        scheduler: whose turn it is.
        store: the storage, without faults.
        attempts: what everybody tried, by label.
        sightings: (version, logical files) of every read.
        writers: the writers' stores, for their traces.
    """

    draw: random.Random
    scheduler: Scheduler
    store: JournalingStore
    schedule: Callable[[int], Any]
    attempts: dict[int, Attempt] = field(default_factory=dict)
    sightings: list[tuple[int, frozenset[LogicalFile]]] = field(default_factory=list)
    stores: list[FaultStore] = field(default_factory=list)
    late: LateWrites = field(default_factory=LateWrites)

    @classmethod
    def create(
        cls,
        seed: int,
        *,
        schedule: Callable[[int], Any] = lambda _: None,
        properties: Mapping[str, Any] | None = None,
    ) -> SimulatedTable:
        """Create a table for a run.

        Args:
            seed: decides the run.
            schedule: gives the faults of the store of a number; stores are numbered as writers begin, anew after
                each death.
            properties: of the table.
        """
        draw = random.Random(seed)  # noqa: S311 - no secret
        scheduler = Scheduler(draw)
        store = JournalingStore(f"memory://{uuid.uuid4().hex}", lambda: scheduler.now_ms)
        store.requests_are_cheap = draw.random() < 0.5
        environment = scheduler.environment(0)
        plan = plan_create(_SCHEMA, environment, properties=properties, table=store.uri)
        create(Writer(store, environment), plan)
        return cls(draw, scheduler, store, schedule)

    def open_store(self) -> FaultStore:
        """Return the store of a new process."""
        number = len(self.stores)
        store = FaultStore(
            self.store,
            self.schedule(number),
            name=f"writer {number}",
            before=lambda _: self.scheduler.step(),
            sleep=self.scheduler.sleep,
            late=self.late,
        )
        self.stores.append(store)
        return store

    def begin(self, kind: Any, base: int, *, adds: int = 0) -> Attempt:
        """Note that somebody begins an operation that brings so many new rows."""
        label = len(self.attempts) + 1
        attempt = Attempt(label, kind, base, frozenset(range(label * 100, label * 100 + adds)))
        self.attempts[label] = attempt
        return attempt

    def check(self) -> TableModel:
        """Compare all that was tried and seen with what is there, and return the model. Raises ModelViolationError."""
        self.late.deliver()
        versions = replay_commits(self._commits())
        model = TableModel()
        for version in versions[1:]:
            label = label_of(version.info["txnId"])
            if label not in self.attempts:
                raise ModelViolationError(f"version {model.newest + 1} is by nobody: {version.info}")
            model.commit(self.attempts[label])
        model.check_outcomes(self.attempts.values())
        reader = RowReader(self.store)
        for number, version in enumerate(versions):
            rows = [row for file, add in version.files.items() for row in reader.rows(file, add)]
            model.check_rows(number, rows)
        for number, files in self.sightings:
            if files != versions[number].files.keys():
                raise ModelViolationError(f"a reader saw other files at version {number} than it has")
        self._check_loading(versions, model)
        return model

    def format_trace(self) -> str:
        """Return what every writer did."""
        return "\n".join(store.format_trace() for store in self.stores)

    def _commits(self) -> dict[int, bytes]:
        commits = {}
        for key, contents in self.store.log_writes.items():
            found = _COMMIT.fullmatch(key)
            if found is None:
                continue
            if len(contents) > 1:
                raise ModelViolationError(f"{key} was replaced")
            commits[int(found[1])] = contents[0]
        if set(commits) != set(range(len(commits))):
            raise ModelViolationError(f"the log has a gap: {sorted(commits)}")
        return commits

    def _check_loading(self, versions: Sequence[ReplayedVersion], model: TableModel) -> None:
        """Load the newest version and a few others as a user would."""
        some = self.draw.sample(range(len(versions)), min(_VERSIONS_LOADED, len(versions)))
        for number in {model.newest, *some}:
            version = versions[number]
            try:
                snapshot = load_snapshot(self.store, number)
            except VersionNotFoundError:
                if number == model.newest:
                    raise
                continue  # cleaned away
            if logical_files(snapshot) != version.files.keys():
                raise ModelViolationError(f"version {number} does not load as it replays from JSON")
            if dict(snapshot.metadata.configuration) != version.configuration:
                raise ModelViolationError(f"version {number} has other properties than JSON says")
        newest = load_snapshot(self.store)
        if newest.version != model.newest:
            raise ModelViolationError(f"the newest version is {model.newest}, not {newest.version}")
        rows: list[Any] = Scan(self.store, newest).to_arrow()["id"].to_pylist()
        model.check_rows(newest.version, rows)


class SimulatedWriter:
    """One writer: a process with a store, a clock that is wrong and a snapshot that is old; it dies and comes back."""

    def __init__(self, table: SimulatedTable) -> None:
        self.table = table
        self._skew_ms = table.draw.randrange(-_LONGEST_SKEW_MS, _LONGEST_SKEW_MS)
        self.store = table.open_store()
        self._snapshot: Snapshot | None = None

    def run(self, operations: Sequence[Callable[[SimulatedWriter], None]]) -> None:
        """Do one operation after the other, whatever becomes of each."""
        for operation in operations:
            try:
                operation(self)
            except WriterKilledError:
                self.store = self.table.open_store()
                self._snapshot = None
            except StoreError:
                continue

    def refresh(self) -> Snapshot:
        """Advance to the newest version and note what is there."""
        if self._snapshot is None:
            self._snapshot = load_snapshot(self.store)
        else:
            self._snapshot = advance_snapshot(self.store, self._snapshot)
        self.table.sightings.append((self._snapshot.version, logical_files(self._snapshot)))
        return self._snapshot

    def snapshot(self) -> Snapshot:
        """Return a snapshot to write on, which may be old."""
        if self._snapshot is None or self.table.draw.random() < 0.5:
            return self.refresh()
        return self._snapshot

    def environment(self, label: int) -> Environment:
        """Return clock, chance and ids for the operation of a label."""
        return self.table.scheduler.environment(label, skew_ms=self._skew_ms)

    def attempt(self, attempt: Attempt, work: Callable[[Writer], tuple[Snapshot, int]]) -> None:
        """Do one operation and note what came of it.

        Args:
            attempt: the operation.
            work: carries it out and returns the snapshot after it, and its version, -1 if nothing was committed.
        """
        attempt.outcome = "unknown"
        try:
            self._snapshot, attempt.version = work(Writer(self.store, self.environment(attempt.label)))
        except CommitConflictError:
            attempt.outcome = "refused"
        except StoreError:
            raise
        except LakefmtError as error:
            raise ModelViolationError(f"{attempt.kind} ended in {error!r}") from error
        else:
            attempt.outcome = "acknowledged"


def append_rows(writer: SimulatedWriter) -> None:
    """Append one to three rows."""
    base = writer.snapshot()
    attempt = writer.table.begin("append", base.version, adds=writer.table.draw.randint(1, 3))

    def work(to: Writer) -> tuple[Snapshot, int]:
        after, result = append(to, base, _rows(attempt))
        return after, result.version

    writer.attempt(attempt, work)


def overwrite_all(writer: SimulatedWriter) -> None:
    """Replace all rows by one."""
    base = writer.snapshot()
    attempt = writer.table.begin("overwrite", base.version, adds=1)

    def work(to: Writer) -> tuple[Snapshot, int]:
        after, result = overwrite(to, base, _rows(attempt))
        return after, result.version

    writer.attempt(attempt, work)


def set_property(writer: SimulatedWriter) -> None:
    """Set a property that says who set it."""
    base = writer.snapshot()
    attempt = writer.table.begin("metadata", base.version)
    configuration = {**base.metadata.configuration, "simulation.label": str(attempt.label)}
    changes = Changes("SET TBLPROPERTIES", metadata=replace(base.metadata, configuration=configuration))

    def work(to: Writer) -> tuple[Snapshot, int]:
        after = commit(to, base, changes)
        return after, after.version

    writer.attempt(attempt, work)


def read_rows(writer: SimulatedWriter) -> None:
    """Look at the newest version."""
    writer.refresh()


def compact_commits(writer: SimulatedWriter) -> None:
    """Write a log compaction file over the commits since the last checkpoint, or some of them."""
    snapshot = writer.snapshot()
    first = writer.table.draw.randint(0, snapshot.version)
    with contextlib.suppress(InvalidInputError, CorruptTableError):  # fewer than two commits, or cleaned away
        compact_log(writer.store, snapshot, first)


def clean_old_log(writer: SimulatedWriter) -> None:
    """Delete what has expired of the log."""
    clean_log(writer.store, writer.snapshot(), writer.environment(0))


def let_days_pass(writer: SimulatedWriter) -> None:
    """Let the clock jump, in the middle of whatever the others are doing."""
    writer.table.scheduler.now_ms += writer.table.draw.randint(1, _LONGEST_JUMP_DAYS) * _DAY_MS


OPERATIONS: dict[Callable[[SimulatedWriter], None], int] = {
    append_rows: 6,
    overwrite_all: 2,
    set_property: 1,
    read_rows: 2,
    compact_commits: 1,
    clean_old_log: 1,
    let_days_pass: 1,
}
"""What writers do, and how often."""


def simulate(
    seed: int,
    *,
    writers: int = 3,
    operations: int = 4,
    rate: float = 0.0,
    faults: tuple[Fault, ...] = (),
    weights: Mapping[Callable[[SimulatedWriter], None], int] | None = None,
    properties: Mapping[str, Any] | None = None,
) -> Counter[str]:
    """Run and check what a seed decides; return how often each outcome came.

    Args:
        seed: decides all.
        writers: how many work at once.
        operations: how many each does.
        rate: how many of all store calls fail.
        faults: how they fail.
        weights: what writers do, and how often; None for ``OPERATIONS``.
        properties: of the table.

    Raises:
        AssertionError: a promise was broken; the message has the seed and every call.
    """
    weights = OPERATIONS if weights is None else weights
    table = SimulatedTable.create(
        seed,
        schedule=lambda number: SeededFaults(f"{seed} {number}", rate, faults) if rate else None,
        properties=properties,
    )
    for number in range(writers):
        chosen = table.draw.choices(list(weights), list(weights.values()), k=operations)
        writer = SimulatedWriter(table)
        table.scheduler.spawn(f"writer {number}", lambda writer=writer, chosen=chosen: writer.run(chosen))  # type: ignore[misc]
    try:
        table.scheduler.run()
        table.check()
    except Exception as error:
        raise AssertionError(f"seed {seed}: {error!r}\n{table.format_trace()}") from error
    finally:
        table.store.clear()
    return Counter(f"{attempt.kind} {attempt.outcome}" for attempt in table.attempts.values())


def logical_files(snapshot: Snapshot) -> frozenset[LogicalFile]:
    """Return the primary keys of a snapshot's files."""
    files = snapshot.files.table
    paths: list[Any] = files["path"].to_pylist()
    return frozenset(zip(paths, vector_ids(files["deletion_vector"]).to_pylist(), strict=True))


def _rows(attempt: Attempt) -> pa.Table:
    return pa.table({"id": sorted(attempt.adds)}, schema=_SCHEMA)
