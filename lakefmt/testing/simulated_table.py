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

import json
import random
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.errors import CorruptTableError, VersionNotFoundError
from lakefmt.log.paths import commit_key
from lakefmt.scan import Scan
from lakefmt.scan.row_ids import ROW_COMMIT_VERSION, ROW_ID
from lakefmt.snapshot import load_snapshot
from lakefmt.store.memory import MemoryStore
from lakefmt.testing.fault_store import FaultStore, LateWrites
from lakefmt.testing.log_replay import RowReader, logical_files, replay_commits
from lakefmt.testing.scheduler import Scheduler, label_of
from lakefmt.testing.simulated_operations import APPLICATION
from lakefmt.testing.table_model import Attempt, ModelViolationError, TableModel
from lakefmt.txn.operations.create import create, plan_create
from lakefmt.txn.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store
    from lakefmt.testing.log_replay import LogicalFile, ReplayedVersion

__all__ = ["JournalingStore", "SimulatedTable", "check_order", "check_row_ids", "check_rows_are_known_again"]

_COMMIT = re.compile(r"_delta_log/(\d{20})\.json")
_SCHEMA = pa.schema([pa.field("id", pa.int64())])
_VERSIONS_LOADED = 3  # of all, beside the newest: loading takes most of a run's time


class JournalingStore(MemoryStore):
    """Objects in memory that keep the time of a simulation and remember what was there.

    Attributes:
        log_writes: all contents that each file of the log ever had, but for those written as streams.
        deleted: all keys ever deleted.
        replaced: all keys of the log that were written over with something else.
    """

    def __init__(self, uri: str, now_ms: Callable[[], float]) -> None:
        super().__init__(uri)
        self._now_ms = now_ms
        self.log_writes: dict[str, list[bytes]] = {}
        self.deleted: set[str] = set()
        self.replaced: set[str] = set()

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole, replacing what was there."""
        if self.log_writes.get(key, [data])[-1] != data and key not in self.deleted:
            self.replaced.add(key)
        super().put(key, data)
        self._wrote(key, data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object if there is none, atomically."""
        won = super().put_if_absent(key, data)
        if won:
            self._wrote(key, data)
        return won

    def delete(self, keys: Iterable[str]) -> None:
        """Delete the objects."""
        chosen = list(keys)
        super().delete(chosen)
        self.deleted.update(chosen)

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
        stores: the writers' stores, for their traces.
        late: writes that are still on their way.
        reader: of data files, without faults.
        upkeeps: operations so far that commit nothing.
        batches: how many an application has sent.
        told_done: (version, batch) of every write that was not made because the table had that batch.
    """

    draw: random.Random
    scheduler: Scheduler
    store: JournalingStore
    schedule: Callable[[int], Any]
    attempts: dict[int, Attempt] = field(default_factory=dict)
    sightings: list[tuple[int, frozenset[LogicalFile]]] = field(default_factory=list)
    stores: list[FaultStore] = field(default_factory=list)
    late: LateWrites = field(default_factory=LateWrites)
    reader: RowReader = field(init=False)
    upkeeps: int = 0
    batches: int = 0
    told_done: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = RowReader(self.store)

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
        serializable = versions[0].configuration.get("delta.isolationLevel") == "Serializable"
        model = TableModel(serializable=serializable)
        for version in versions[1:]:
            label = label_of(version.info["txnId"])
            if label not in self.attempts:
                raise ModelViolationError(f"version {model.newest + 1} is by nobody: {version.info}")
            model.commit(self.attempts[label])
        model.check_outcomes(self.attempts.values())
        for number, version in enumerate(versions):
            model.check_rows(number, self.reader.rows_of(version))
        for number, files in self.sightings:
            if files != versions[number].files.keys():
                raise ModelViolationError(f"a reader saw other files at version {number} than it has")
        check_order(versions)
        check_row_ids(versions)
        for number, batch in self.told_done:
            if versions[number].transactions.get(APPLICATION, -1) < batch:
                raise ModelViolationError(f"version {number} was said to have batch {batch} and has not")
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
            if key in self.store.replaced:
                raise ModelViolationError(f"{key} was replaced")
            commits[int(found[1])] = contents[0]
        if set(commits) != set(range(len(commits))):
            raise ModelViolationError(f"the log has a gap: {sorted(commits)}")
        return commits

    def _check_loading(self, versions: Sequence[ReplayedVersion], model: TableModel) -> None:
        """Load the newest version and a few others as a user would."""
        some = self.draw.sample(range(len(versions)), min(_VERSIONS_LOADED, len(versions)))
        tracked: dict[int, tuple[int, int]] = {}
        for number in {model.newest, *some}:
            version = versions[number]
            try:
                snapshot = load_snapshot(self.store, number)
            except (VersionNotFoundError, CorruptTableError):
                if commit_key(number) not in self.store.deleted or number == model.newest:
                    raise
                continue  # cleaned away
            if logical_files(snapshot) != version.files.keys():
                raise ModelViolationError(f"version {number} does not load as it replays from JSON")
            if snapshot.discrepancies:
                raise ModelViolationError(
                    f"version {number} has a wrong checksum file: {snapshot.discrepancies}"
                )
            if {app: txn.version for app, txn in snapshot.transactions.items()} != version.transactions:
                raise ModelViolationError(f"version {number} has other transaction ids than JSON says")
            if dict(snapshot.metadata.configuration) != version.configuration:
                raise ModelViolationError(f"version {number} has other properties than JSON says")
            if snapshot.row_tracking is not None:
                check_rows_are_known_again(self.store, snapshot, tracked)
        newest = load_snapshot(self.store)
        if newest.version != model.newest:
            raise ModelViolationError(f"the newest version is {model.newest}, not {newest.version}")
        rows: list[Any] = Scan(self.store, newest).to_arrow()["id"].to_pylist()
        model.check_rows(newest.version, rows)


def check_rows_are_known_again(store: Store, snapshot: Snapshot, tracked: dict[int, tuple[int, int]]) -> None:
    """Check that every row has the id and the commit version that it had in other versions, and no other row that id.

    Args:
        store: the table's.
        snapshot: a version.
        tracked: by the row's column ``id`` what it had; grows.

    Raises:
        ModelViolationError: it does not.
    """
    rows = Scan(store, snapshot, columns=["id", ROW_ID, ROW_COMMIT_VERSION]).to_arrow()
    columns: list[list[Any]] = [column.to_pylist() for column in rows.columns]
    if len(set(columns[1])) < rows.num_rows:
        raise ModelViolationError(f"two rows of version {snapshot.version} have one row id")
    for name, row_id, version in zip(*columns, strict=True):
        if tracked.setdefault(name, (row_id, version)) != (row_id, version):
            raise ModelViolationError(
                f"row {name} of version {snapshot.version} has id {row_id} and commit version {version}, and had "
                f"{tracked[name]} in another version"
            )


def check_order(versions: Sequence[ReplayedVersion]) -> None:
    """Check what must grow from version to version: in-commit timestamps and the versions of an application.

    Raises:
        ModelViolationError: it does not.
    """
    for number, (before, after) in enumerate(pairwise(versions), 1):
        old, new = (version.info.get("inCommitTimestamp") for version in (before, after))
        if old is not None and (new is None or new <= old):
            raise ModelViolationError(f"in-commit timestamp {new} of version {number} follows {old}")
        for app, reached in after.recorded.items():
            if reached <= before.transactions.get(app, -1):
                raise ModelViolationError(f"version {number} records write {reached} of {app} once more")


def check_row_ids(versions: Sequence[ReplayedVersion]) -> None:
    """Check that no two files ever had a row id in common ("Row Tracking"). Raises ModelViolationError."""
    first_rows: dict[int, tuple[str, int]] = {}
    for version in versions:
        for add in version.added:
            if "baseRowId" in add:
                length = json.loads(add["stats"])["numRecords"]
                if first_rows.setdefault(add["baseRowId"], (add["path"], length)) != (add["path"], length):
                    raise ModelViolationError(f"row id {add['baseRowId']} begins two files")
    ends = [(first, first + length, path) for first, (path, length) in sorted(first_rows.items())]
    for (_, end, path), (first, _, other) in pairwise(ends):
        if end > first:
            raise ModelViolationError(f"{path} and {other} have row id {first} in common")
