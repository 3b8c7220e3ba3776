"""Everything that touches data files: the one place that reads and writes data-file Parquet, in parallel.

The engine knows Arrow batches, files and tasks, never tables; ``scan`` and ``txn`` hand it what to do.
"""

from lakefmt.engine.statistics import StatisticsCollector
from lakefmt.engine.write import DataFileWriter, FileNamer, WriteSpec, WrittenFile, discard_files, write_files

__all__ = [
    "DataFileWriter",
    "FileNamer",
    "StatisticsCollector",
    "WriteSpec",
    "WrittenFile",
    "discard_files",
    "write_files",
]
