"""Create a table with rows in it: the rows are written first, so that bad rows leave no table behind.

Two commits: version 0 is the table, version 1 its rows (a version 0 without data can be published in every format).
A reader may see the empty table in between; a writer that dies there has made an empty table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakefmt.engine import discard_files
from lakefmt.errors import CommitConflictError, TableExistsError
from lakefmt.schema import FIELD_IDS_PROPERTY
from lakefmt.snapshot import Snapshot, load_snapshot
from lakefmt.snapshot.replay import TableState
from lakefmt.txn.once import once
from lakefmt.txn.operations.append import append_files, stage_rows
from lakefmt.txn.operations.create import create

if TYPE_CHECKING:
    from lakefmt.log import Metadata, TransactionId
    from lakefmt.txn.changes import Changes
    from lakefmt.txn.writer import Writer

__all__ = ["write_new"]


def write_new(
    writer: Writer,
    plan: Changes,
    data: Any,
    *,
    join_existing: bool,
    replace_existing: bool,
    truncate_ns: bool,
    txn: TransactionId | None = None,
) -> Snapshot:
    """Create the table that ``plan`` describes with the rows of ``data``, and return its snapshot.

    Args:
        writer: who commits, and where to.
        plan: the first commit, by ``plan_create``.
        data: rows.
        join_existing: if another writer creates the same table meanwhile, append to it.
        replace_existing: the caller means to overwrite what is there, which a second try does.
        truncate_ns: cut nanoseconds off.
        txn: how far the application gets with this.

    Raises:
        TableExistsError: another writer created a table here meanwhile, and neither was asked for.
        CommitConflictError: the table that another writer created here meanwhile is a different one.
    """
    store = writer.store
    planned = Snapshot(
        store,
        TableState(plan.protocol, plan.metadata, {}, {}),
        version=0,
        written_ms=writer.environment.now_ms(),
        base=None,
        commits=(),
    )
    files = stage_rows(writer, planned, data, truncate_ns=truncate_ns)
    base = planned
    try:
        create(writer, plan)
    except TableExistsError as error:
        base = load_snapshot(store)
        if not join_existing:
            discard_files(files, store)
            if not replace_existing:
                raise
            raise CommitConflictError(
                "Another writer created a table here at the same time",
                kind="metadata",
                retry_helps=True,
                table=store.uri,
                version=base.version,
                hint="Run it again to overwrite that one",
            ) from error
        if _layout(base.metadata) != _layout(planned.metadata):
            discard_files(files, store)
            raise CommitConflictError(
                "Another writer created a table with another schema here at the same time",
                kind="metadata",
                retry_helps=True,
                table=store.uri,
                version=base.version,
                hint="Look at its schema, then run it again",
            ) from error
    except BaseException:
        # Whatever became of version 0, it names no data.
        discard_files(files, store)
        raise
    after, result = once(writer, base, "append", txn, lambda at: append_files(writer, at, files, txn=txn))
    if not result.committed:
        discard_files(files, store)
    return after


def _layout(metadata: Metadata) -> tuple[object, ...]:
    return metadata.schema_string, metadata.partition_columns, metadata.configuration.get(FIELD_IDS_PROPERTY)
