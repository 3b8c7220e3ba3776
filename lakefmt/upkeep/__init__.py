"""Upkeep of a table's log: when checkpoints are written, log clean-up, log compaction files."""

from lakefmt.upkeep.checkpoint import CheckpointResult
from lakefmt.upkeep.checksum import checksum_writer
from lakefmt.upkeep.log_cleanup import LogCleanup, clean_log
from lakefmt.upkeep.log_compaction import LogCompaction, compact_log
from lakefmt.upkeep.schedule import checkpoint_schedule

__all__ = [
    "CheckpointResult",
    "LogCleanup",
    "LogCompaction",
    "checkpoint_schedule",
    "checksum_writer",
    "clean_log",
    "compact_log",
]
