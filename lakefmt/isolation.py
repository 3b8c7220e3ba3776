"""How much of what others commit meanwhile a transaction may have missed."""

from __future__ import annotations

from enum import Enum

__all__ = ["IsolationLevel"]


class IsolationLevel(Enum):
    """Isolation levels, strictest first, as the reference implementation of the protocol defines them.

    ``SERIALIZABLE``: nothing: the table is as if all commits and their reads had come one after the other, in the
    order of the versions. ``WRITE_SERIALIZABLE``: rows that others appended blindly: there is an order of the writes
    that gives the same table, not always that of the versions. ``SNAPSHOT_ISOLATION``: whatever was added; it is for
    commits that only rearrange rows (``dataChange`` false), to which it comes to the same, and no table is set to it.
    """

    SERIALIZABLE = "Serializable"
    WRITE_SERIALIZABLE = "WriteSerializable"
    SNAPSHOT_ISOLATION = "SnapshotIsolation"
