"""Transactions: what a write wants to commit, whether it may, and the loop that publishes it."""

from lakefmt.txn.changes import Changes, Read
from lakefmt.txn.commit import commit
from lakefmt.txn.conflicts import Conflict, Rebase, VectorsNeeded, check_conflicts
from lakefmt.txn.environment import SYSTEM, Environment
from lakefmt.txn.result import WriteResult
from lakefmt.txn.writer import Writer

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
    "commit",
]
