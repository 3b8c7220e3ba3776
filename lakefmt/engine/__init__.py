"""Everything that touches data files: the one place that reads and writes data-file Parquet, in parallel.

The engine knows Arrow batches, files and tasks, never tables; ``scan`` and ``txn`` hand it what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.lazy_names import lazy_names

if TYPE_CHECKING:
    from lakefmt.engine.progress import ProgressSink as ProgressSink
    from lakefmt.engine.progress import show_progress as show_progress
    from lakefmt.engine.read import count_footer_rows as count_footer_rows
    from lakefmt.engine.read import count_matching as count_matching
    from lakefmt.engine.read import read_batches as read_batches
    from lakefmt.engine.read import read_table as read_table
    from lakefmt.engine.read_task import NumberedColumn as NumberedColumn
    from lakefmt.engine.read_task import PresentRows as PresentRows
    from lakefmt.engine.read_task import ReadSpec as ReadSpec
    from lakefmt.engine.read_task import ReadTask as ReadTask
    from lakefmt.engine.read_task import RowSelection as RowSelection
    from lakefmt.engine.statistics import StatisticsCollector as StatisticsCollector
    from lakefmt.engine.tasks import Executor as Executor
    from lakefmt.engine.tasks import ThreadExecutor as ThreadExecutor
    from lakefmt.engine.write import DataFileWriter as DataFileWriter
    from lakefmt.engine.write import FileNamer as FileNamer
    from lakefmt.engine.write import WriteSpec as WriteSpec
    from lakefmt.engine.write import WrittenFile as WrittenFile
    from lakefmt.engine.write import discard_files as discard_files
    from lakefmt.engine.write import write_files as write_files

_HOMES = {
    "DataFileWriter": "lakefmt.engine.write",
    "Executor": "lakefmt.engine.tasks",
    "FileNamer": "lakefmt.engine.write",
    "NumberedColumn": "lakefmt.engine.read_task",
    "PresentRows": "lakefmt.engine.read_task",
    "ProgressSink": "lakefmt.engine.progress",
    "ReadSpec": "lakefmt.engine.read_task",
    "ReadTask": "lakefmt.engine.read_task",
    "RowSelection": "lakefmt.engine.read_task",
    "StatisticsCollector": "lakefmt.engine.statistics",
    "ThreadExecutor": "lakefmt.engine.tasks",
    "WriteSpec": "lakefmt.engine.write",
    "WrittenFile": "lakefmt.engine.write",
    "count_footer_rows": "lakefmt.engine.read",
    "count_matching": "lakefmt.engine.read",
    "discard_files": "lakefmt.engine.write",
    "read_batches": "lakefmt.engine.read",
    "read_table": "lakefmt.engine.read",
    "show_progress": "lakefmt.engine.progress",
    "write_files": "lakefmt.engine.write",
}

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

if not TYPE_CHECKING:
    __getattr__ = lazy_names(__name__, _HOMES)
