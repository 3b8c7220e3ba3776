"""Everything that touches data files: the one place that reads and writes data-file Parquet, in parallel.

The engine knows Arrow batches, files and tasks, never tables; ``scan`` and ``txn`` hand it what to do.
"""

from lakefmt.engine.progress import ProgressSink, show_progress
from lakefmt.engine.read import count_footer_rows, count_matching, read_batches, read_table
from lakefmt.engine.read_task import NumberedColumn, PresentRows, ReadSpec, ReadTask, RowSelection
from lakefmt.engine.statistics import StatisticsCollector
from lakefmt.engine.tasks import Executor, ThreadExecutor
from lakefmt.engine.write import DataFileWriter, FileNamer, WriteSpec, WrittenFile, discard_files, write_files

__all__ = [
    "DataFileWriter",
    "Executor",
    "FileNamer",
    "NumberedColumn",
    "PresentRows",
    "ProgressSink",
    "ReadSpec",
    "ReadTask",
    "RowSelection",
    "StatisticsCollector",
    "ThreadExecutor",
    "WriteSpec",
    "WrittenFile",
    "count_footer_rows",
    "count_matching",
    "discard_files",
    "read_batches",
    "read_table",
    "show_progress",
    "write_files",
]
