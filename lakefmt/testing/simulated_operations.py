"""What writers of a simulated table do: each operation picks its base and its rows, does it, and notes what came of it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from lakefmt.errors import CorruptTableError, InvalidInputError
from lakefmt.txn.changes import Changes
from lakefmt.txn.commit import commit
from lakefmt.txn.once import parse_txn
from lakefmt.txn.operations.append import append
from lakefmt.txn.operations.overwrite import overwrite
from lakefmt.upkeep import clean_log, compact_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefmt.snapshot import Snapshot
    from lakefmt.testing.simulated_writer import SimulatedWriter
    from lakefmt.testing.table_model import Attempt
    from lakefmt.txn.writer import Writer

__all__ = ["APPLICATION", "OPERATIONS"]

APPLICATION: Final = "the ingest job"
_LONGEST_JUMP_DAYS = 40  # past the 30 days that logs are kept
_DAY_MS = 86_400_000
_FIRST_BATCH_ROW = 1_000_000
_SCHEMA = pa.schema([pa.field("id", pa.int64())])


def append_rows(writer: SimulatedWriter) -> None:
    """Append one to three rows."""
    base = writer.snapshot()
    attempt = writer.table.begin("append", base.version, adds=writer.table.draw.randint(1, 3))

    def work(to: Writer) -> tuple[Snapshot, int]:
        after, result = append(to, base, _rows(attempt))
        return after, result.version

    writer.attempt(attempt, work)


def ingest_batch(writer: SimulatedWriter) -> None:
    """Append the next batch of an application, or the last one once more: somebody thinks that it failed."""
    table, base = writer.table, writer.snapshot()
    if table.draw.random() < 0.5:
        table.batches += 1
    batch = table.batches
    attempt = table.begin("append", base.version)
    attempt.adds = frozenset({_FIRST_BATCH_ROW + batch})

    def work(to: Writer) -> tuple[Snapshot, int]:
        txn = parse_txn((APPLICATION, batch), to.environment, table=to.store.uri)
        after, result = append(to, base, _rows(attempt), txn=txn)
        if not result.committed:
            table.told_done.append((result.version, batch))
        return after, result.version if result.committed else -1

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
    ingest_batch: 2,
    overwrite_all: 2,
    set_property: 1,
    read_rows: 2,
    compact_commits: 1,
    clean_old_log: 1,
    let_days_pass: 1,
}
"""What writers do, and how often."""


def _rows(attempt: Attempt) -> pa.Table:
    return pa.table({"id": sorted(attempt.adds)}, schema=_SCHEMA)
