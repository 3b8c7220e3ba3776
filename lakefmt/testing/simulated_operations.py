"""What writers of a simulated table do: each operation picks its base and its rows, does it, and notes what came of it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from lakefmt.errors import CorruptTableError, InvalidInputError, VersionNotFoundError
from lakefmt.expressions import parse_predicate
from lakefmt.testing.rewriter import rewrite_table
from lakefmt.testing.scheduler import label_of
from lakefmt.txn.changes import Changes
from lakefmt.txn.commit import commit
from lakefmt.txn.once import parse_txn
from lakefmt.txn.operations.append import append
from lakefmt.txn.operations.overwrite import overwrite
from lakefmt.txn.statement import run_statement
from lakefmt.txn.transaction import Transaction
from lakefmt.upkeep import clean_log, compact_log
from lakefmt.upkeep.checkpoint import write_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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


def delete_positions(writer: SimulatedWriter) -> None:
    """Delete some rows by where they are: who moved or deleted one of them meanwhile is in the way."""
    table, base = writer.table, writer.snapshot()
    places = _places(writer, base)
    chosen = table.draw.sample(sorted(places), min(len(places), table.draw.randint(1, 2)))
    if not chosen or not base.properties.enable_deletion_vectors:
        return
    attempt = table.begin("delete", base.version)
    attempt.removes = frozenset(chosen)

    def work(to: Writer) -> tuple[Snapshot, int]:
        transaction = Transaction(to, base, "DELETE")
        transaction.stage_delete(_positions(places, chosen))
        after = transaction.commit()
        return after, after.version

    writer.attempt(attempt, work)


def delete_matches(writer: SimulatedWriter) -> None:
    """Delete the rows of a statement, which is run again where others were in its way."""
    table, base = writer.table, writer.snapshot()
    modulus = table.draw.randint(2, 4)
    if not base.properties.enable_deletion_vectors:
        return
    attempt = table.begin("delete", base.version)

    def work(to: Writer) -> tuple[Snapshot, int]:
        def statement(snapshot: Snapshot) -> Transaction | None:
            places = _places(writer, snapshot)
            chosen = [row for row in places if row % modulus == 0]
            attempt.base, attempt.removes = snapshot.version, frozenset(chosen)
            if not chosen:
                return None
            transaction = Transaction(to, snapshot, "DELETE")
            transaction.read(parse_predicate(f"id % {modulus} = 0", snapshot.schema), only_written=True)
            transaction.stage_delete(_positions(places, chosen))
            return transaction

        after = run_statement(to, base, statement)
        return after, after.version if attempt.removes else -1

    writer.attempt(attempt, work)


def rewrite_files(writer: SimulatedWriter) -> None:
    """Move all rows to other files, in order or not."""
    table, base = writer.table, writer.snapshot()
    sort_by = table.draw.choice((None, "id"))
    num_outputs = table.draw.randint(1, 2)
    if not base.files.num_files:
        return
    attempt = table.begin("rewrite", base.version)

    def work(to: Writer) -> tuple[Snapshot, int]:
        after = rewrite_table(to, base, sort_by=sort_by, num_outputs=num_outputs)
        return after, after.version if _is_by(attempt, after) else -1

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


def checkpoint_version(writer: SimulatedWriter) -> None:
    """Write a checkpoint of a version, unless it has been cleaned away."""
    with contextlib.suppress(VersionNotFoundError):
        write_checkpoint(writer.store, writer.snapshot(), writer.environment())


def compact_commits(writer: SimulatedWriter) -> None:
    """Write a log compaction file over the commits since the last checkpoint, or some of them."""
    snapshot = writer.snapshot()
    first = writer.table.draw.randint(0, snapshot.version)
    with contextlib.suppress(InvalidInputError, CorruptTableError):  # fewer than two commits, or cleaned away
        compact_log(writer.store, snapshot, first)


def clean_old_log(writer: SimulatedWriter) -> None:
    """Delete what has expired of the log."""
    clean_log(writer.store, writer.snapshot(), writer.environment())


def let_days_pass(writer: SimulatedWriter) -> None:
    """Let the clock jump, in the middle of whatever the others are doing."""
    writer.table.scheduler.now_ms += writer.table.draw.randint(1, _LONGEST_JUMP_DAYS) * _DAY_MS


OPERATIONS: dict[Callable[[SimulatedWriter], None], int] = {
    append_rows: 6,
    ingest_batch: 2,
    overwrite_all: 2,
    delete_positions: 3,
    delete_matches: 2,
    rewrite_files: 3,
    set_property: 1,
    read_rows: 2,
    checkpoint_version: 2,
    compact_commits: 1,
    clean_old_log: 1,
    let_days_pass: 1,
}
"""What writers do, and how often."""


def _rows(attempt: Attempt) -> pa.Table:
    return pa.table({"id": sorted(attempt.adds)}, schema=_SCHEMA)


def _places(writer: SimulatedWriter, snapshot: Snapshot) -> dict[int, tuple[str, int]]:
    """Return file and position of each row of a version."""
    reader = writer.table.reader
    adds = snapshot.files.to_adds()
    return {
        row: (add.path, position)
        for add in adds
        for position, row in reader.rows(add.path, add.deletion_vector).items()
    }


def _positions(places: Mapping[int, tuple[str, int]], rows: Iterable[int]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row in rows:
        path, position = places[row]
        found.setdefault(path, []).append(position)
    return found


def _is_by(attempt: Attempt, snapshot: Snapshot) -> bool:
    info = snapshot.commit_info
    return info is not None and info.txn_id is not None and label_of(info.txn_id) == attempt.label
