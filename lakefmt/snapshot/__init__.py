"""One version of a table: what it is made of, and how it follows from the log."""

from lakefmt.snapshot.load import advance_snapshot, load_snapshot
from lakefmt.snapshot.snapshot import Snapshot

__all__ = ["Snapshot", "advance_snapshot", "load_snapshot"]
