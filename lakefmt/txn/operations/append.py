"""Append: rows become data files, the data files one commit. It looks at nothing, so it never conflicts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from lakefmt.engine import write_files
from lakefmt.errors import LakefmtError
from lakefmt.log.features import check_writable
from lakefmt.schema.conform import conform_batches
from lakefmt.txn.changes import Changes
from lakefmt.txn.commit import check_can_commit, commit
from lakefmt.txn.data_files import plan_write, to_add
from lakefmt.txn.once import once
from lakefmt.txn.operations.parameters import partition_parameter
from lakefmt.txn.result import WriteResult, count_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.engine import WrittenFile
    from lakefmt.log import TransactionId
    from lakefmt.snapshot import Snapshot
    from lakefmt.txn.writer import Writer

__all__ = ["append", "append_files", "notes_on", "stage_rows", "write_metrics"]

_log = logging.getLogger("lakefmt")


def append(
    writer: Writer,
    snapshot: Snapshot,
    data: Any,
    *,
    txn: TransactionId | None = None,
    truncate_ns: bool = False,
) -> tuple[Snapshot, WriteResult]:
    """Append ``data`` (all that ``conform_batches`` takes) and return the snapshot after it.

    Args:
        writer: who commits, and where.
        snapshot: the version to begin with.
        data: rows.
        txn: how far the application gets with this; where the table has it as far already, nothing is written.
        truncate_ns: cut nanoseconds off.

    Raises:
        SchemaMismatchError, ConstraintViolationError: a row does not fit; nothing was committed.
        StoreError: storage failed.
    """

    def write(base: Snapshot) -> tuple[Snapshot, WriteResult]:
        return append_files(writer, base, stage_rows(writer, base, data, truncate_ns=truncate_ns), txn=txn)

    return once(writer, snapshot, "append", txn, write)


def append_files(
    writer: Writer, snapshot: Snapshot, files: Sequence[WrittenFile], *, txn: TransactionId | None = None
) -> tuple[Snapshot, WriteResult]:
    """Commit staged files as an append; no files and no ``txn``, no commit."""
    if not files and txn is None:
        return snapshot, WriteResult(snapshot.version, "append", committed=False)
    now_ms = writer.environment.now_ms()
    changes = Changes(
        operation="WRITE",
        parameters={"mode": "Append", "partitionBy": partition_parameter(snapshot)},
        metrics=write_metrics(files),
        adds=tuple(to_add(file, snapshot, now_ms) for file in files),
        transactions=() if txn is None else (txn,),
        staged_files=tuple(file.key for file in files),
    )
    after = commit(writer, snapshot, changes)
    return after, WriteResult(
        after.version,
        "append",
        num_rows=sum(file.num_rows for file in files),
        num_files=len(files),
        size_bytes=sum(file.size_bytes for file in files),
        notes=notes_on(files, snapshot),
    )


def stage_rows(writer: Writer, snapshot: Snapshot, data: Any, *, truncate_ns: bool) -> list[WrittenFile]:
    """Write ``data`` as data files that no commit names yet; none are left behind when it fails."""
    store = writer.store
    check_can_commit(store)
    check_writable(snapshot.protocol, snapshot.metadata, table=store.uri, version=snapshot.version)
    try:
        batches = conform_batches(data, snapshot.schema, timestamp_ns="truncate" if truncate_ns else "error")
        return write_files(batches, plan_write(snapshot, writer.environment), store)
    except LakefmtError as error:
        error.table = error.table or store.uri
        raise


def write_metrics(files: Sequence[WrittenFile]) -> dict[str, int]:
    """Return the metrics every write reports, under the reference implementation's names."""
    return {
        "numFiles": len(files),
        "numOutputRows": sum(file.num_rows for file in files),
        "numOutputBytes": sum(file.size_bytes for file in files),
    }


def notes_on(files: Sequence[WrittenFile], snapshot: Snapshot) -> tuple[str, ...]:
    """Return what the writer should know of the rows it gave."""
    nulled = sum(file.empty_strings_nulled for file in files)
    if not nulled:
        return ()
    names = ", ".join(snapshot.partition_columns)
    verb = "is" if nulled == 1 else "are"
    note = f"{count_of(nulled, 'empty string')} in partition columns ({names}) {verb} NULL now, as the protocol says"
    _log.warning("%s: %s", snapshot.table_uri, note)
    return (note,)
