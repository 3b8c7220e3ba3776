"""Exactly once: a write that an application numbers is committed once, however often it is tried.

The number is committed with the rows ("Transaction Identifiers"), so that either both are in the table or none.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, SupportsIndex

from lakefmt.errors import CommitConflictError, InvalidInputError
from lakefmt.log import TransactionId
from lakefmt.snapshot.load import advance_snapshot
from lakefmt.txn.result import WriteResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefmt.snapshot import Snapshot
    from lakefmt.txn.environment import Environment
    from lakefmt.txn.writer import Writer

__all__ = ["once", "parse_txn"]

_MOST = (1 << 63) - 1


def parse_txn(txn: Any, environment: Environment, *, table: str) -> TransactionId | None:
    """Return the argument ``txn``, an application's id and the number of its write. Raises InvalidInputError."""
    if txn is None:
        return None
    match txn:
        case (str() as app_id, SupportsIndex() as number) if app_id and not isinstance(number, bool):
            # NumPy's integers are none of Python's; its arrays have the method and then raise.
            with contextlib.suppress(TypeError):
                version = number.__index__()
                if 0 <= version <= _MOST and _is_unicode(app_id):
                    return TransactionId(app_id, version, environment.now_ms())
    raise InvalidInputError(
        f"txn is an application's name and the number of its write, not {txn!r:.80}",
        table=table,
        hint="Write txn=('job-7', 42); numbers of later writes are greater",
    )


def once(
    writer: Writer,
    snapshot: Snapshot,
    operation: str,
    txn: TransactionId | None,
    write: Callable[[Snapshot], tuple[Snapshot, WriteResult]],
) -> tuple[Snapshot, WriteResult]:
    """Call ``write`` unless the table says that the application has got as far already.

    It is looked at before anything is written, in the newest version, and again after a conflict, with whomever it was:
    the write may have been made meanwhile.

    Args:
        writer: who commits, and where.
        snapshot: the version that the caller stands at.
        operation: for the result.
        txn: the write's number; None to write whatever there is.
        write: makes the changes on a version, with ``txn`` among them, and commits them.
    """
    if txn is None:
        return write(snapshot)
    newest = advance_snapshot(writer.store, snapshot)
    if (there := _reached(newest, txn)) is not None:
        return newest, _nothing(newest, operation, txn, there)
    try:
        return write(snapshot)
    except CommitConflictError:
        newest = advance_snapshot(writer.store, snapshot)
        if (there := _reached(newest, txn)) is None:
            raise
        return newest, _nothing(newest, operation, txn, there)


def _reached(snapshot: Snapshot, txn: TransactionId) -> int | None:
    there = snapshot.transactions.get(txn.app_id)
    return there.version if there is not None and there.version >= txn.version else None


def _nothing(snapshot: Snapshot, operation: str, txn: TransactionId, there: int) -> WriteResult:
    note = (
        f"write {txn.version} of application {txn.app_id!r} was not made again: "
        f"the table has its writes up to {there}"
    )
    return WriteResult(snapshot.version, operation, committed=False, notes=(note,))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
