"""Statements: changes that follow from what a table holds, so that they can be found again in a newer version."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from lakefmt.errors import CommitConflictError, InvalidInputError
from lakefmt.snapshot.load import advance_snapshot
from lakefmt.txn.commit import commit
from lakefmt.txn.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefmt.snapshot import Snapshot
    from lakefmt.txn.transaction import Transaction
    from lakefmt.txn.writer import Writer

__all__ = ["run_statement"]

_log = logging.getLogger("lakefmt")


def run_statement(
    writer: Writer, snapshot: Snapshot, statement: Callable[[Snapshot], Transaction | None]
) -> Snapshot:
    """Run a statement on a version and commit what it comes to; on a newer one where others were in its way.

    A lost race that leaves both commits standing only costs another attempt at the put, as always. Where it does not,
    because rows were moved by a compaction, say, or rows came that it would have read, the statement is run again on
    the newest version, within the writer's time.

    Args:
        writer: who commits, and how patiently; the time begins with the first run.
        snapshot: the version to begin with.
        statement: returns the changes to the version that it is given, None for nothing to do.

    Returns:
        The version after it; the one that it found nothing to do in.

    Raises:
        CommitConflictError: running it again cannot help, or the time is up.
        LakefmtError: what the statement raises, and as ``txn.commit``.
    """
    patience = Patience(writer.environment, writer.timeout_s)
    while True:
        started_s = writer.environment.monotonic_s()
        transaction = statement(snapshot)
        if transaction is None:
            return snapshot
        if transaction.snapshot.version != snapshot.version:
            raise InvalidInputError(
                f"A statement changes version {transaction.snapshot.version}; it was to be run on another",
                table=snapshot.table_uri,
                version=snapshot.version,
                hint="Make its transaction on the snapshot that it is given",
            )
        changes = transaction.plan()
        if changes.is_empty:
            return snapshot
        try:
            return commit(replace(writer, timeout_s=patience.left_s()), snapshot, changes)
        except CommitConflictError as error:
            if not error.retry_helps or patience.is_over:
                raise
            _log.info("%s: %s; it is run again", writer.store.uri, error.message)
        patience.pause(writer.environment.monotonic_s() - started_s)
        snapshot = advance_snapshot(writer.store, snapshot)
