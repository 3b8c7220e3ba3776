"""Upkeep of a table's log: when checkpoints are written, log clean-up, log compaction files."""

from lakefmt.upkeep.checksum import checksum_writer
from lakefmt.upkeep.log_cleanup import LogCleanup, clean_log
from lakefmt.upkeep.log_compaction import LogCompaction, compact_log

__all__ = ["LogCleanup", "LogCompaction", "checksum_writer", "clean_log", "compact_log"]
