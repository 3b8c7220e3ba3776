"""Upkeep of a table's log: when checkpoints are written, log clean-up, log compaction files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.lazy_names import lazy_names

if TYPE_CHECKING:
    from lakefmt.upkeep.checkpoint import CheckpointResult as CheckpointResult
    from lakefmt.upkeep.checksum import checksum_writer as checksum_writer
    from lakefmt.upkeep.log_cleanup import LogCleanup as LogCleanup
    from lakefmt.upkeep.log_cleanup import clean_log as clean_log
    from lakefmt.upkeep.log_compaction import LogCompaction as LogCompaction
    from lakefmt.upkeep.log_compaction import compact_log as compact_log
    from lakefmt.upkeep.schedule import checkpoint_schedule as checkpoint_schedule

_HOMES = {
    "CheckpointResult": "lakefmt.upkeep.checkpoint",
    "LogCleanup": "lakefmt.upkeep.log_cleanup",
    "LogCompaction": "lakefmt.upkeep.log_compaction",
    "checkpoint_schedule": "lakefmt.upkeep.schedule",
    "checksum_writer": "lakefmt.upkeep.checksum",
    "clean_log": "lakefmt.upkeep.log_cleanup",
    "compact_log": "lakefmt.upkeep.log_compaction",
}

__all__ = [
    "CheckpointResult",
    "LogCleanup",
    "LogCompaction",
    "checkpoint_schedule",
    "checksum_writer",
    "clean_log",
    "compact_log",
]

if not TYPE_CHECKING:
    __getattr__ = lazy_names(__name__, _HOMES)
