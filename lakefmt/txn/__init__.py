"""Transactions: what a write wants to commit, whether it may, and the loop that publishes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.lazy_names import lazy_names

if TYPE_CHECKING:
    from lakefmt.txn.changes import Changes as Changes
    from lakefmt.txn.changes import Read as Read
    from lakefmt.txn.conflicts import Conflict as Conflict
    from lakefmt.txn.conflicts import Rebase as Rebase
    from lakefmt.txn.conflicts import VectorsNeeded as VectorsNeeded
    from lakefmt.txn.conflicts import check_conflicts as check_conflicts
    from lakefmt.txn.environment import SYSTEM as SYSTEM
    from lakefmt.txn.environment import Environment as Environment
    from lakefmt.txn.result import WriteResult as WriteResult
    from lakefmt.txn.writer import Writer as Writer

_HOMES = {
    "Changes": "lakefmt.txn.changes",
    "Conflict": "lakefmt.txn.conflicts",
    "Environment": "lakefmt.txn.environment",
    "Read": "lakefmt.txn.changes",
    "Rebase": "lakefmt.txn.conflicts",
    "SYSTEM": "lakefmt.txn.environment",
    "VectorsNeeded": "lakefmt.txn.conflicts",
    "WriteResult": "lakefmt.txn.result",
    "Writer": "lakefmt.txn.writer",
    "check_conflicts": "lakefmt.txn.conflicts",
}

__all__ = [
    "SYSTEM",
    "Changes",
    "Conflict",
    "Environment",
    "Read",
    "Rebase",
    "VectorsNeeded",
    "WriteResult",
    "Writer",
    "check_conflicts",
]

if not TYPE_CHECKING:
    __getattr__ = lazy_names(__name__, _HOMES)
