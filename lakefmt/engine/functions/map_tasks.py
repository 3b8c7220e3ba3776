"""What the tasks of functions over rows do: rows in, functions, rows out to the driver or to an exchange."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.engine.exchange import read_shuffle, write_shuffle_file
from lakefmt.engine.jobs import TaskOutput
from lakefmt.engine.jobs.rows import leave_rows
from lakefmt.engine.parquet_reader import concat_rows
from lakefmt.engine.shuffle_tasks import single_partitions
from lakefmt.engine.sources.row_tables import cut_into_tables
from lakefmt.errors import OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lakefmt.engine.exchange import Exchange, ShuffleFile, ShuffleInput
    from lakefmt.engine.functions.row_function import RowFunction
    from lakefmt.engine.sources.row_source import RowReader
    from lakefmt.engine.tasks.task import TaskContext

__all__ = [
    "CombineTask",
    "CombinedPiece",
    "FoldedRows",
    "GatheredRows",
    "KeyedRows",
    "MapTask",
    "PartRows",
    "ToDriver",
    "ToExchange",
]

_WHOLE_SHARE = (
    1 / 3
)  # of a task's memory for the rows that a function is given at once; it makes others of them
_WAITING_SHARE = 1 / 8  # for results that wait to be combined


@dataclass(frozen=True, slots=True)
class MapTask:
    """A task: rows of its part, functions one after the other, and where what they return goes.

    Attributes:
        rows: reads the part as tables.
        functions: of these tables, in order.
        combine: puts what the last returned for some rows together with what it returned for others; None for none.
        sink: takes the rows.
    """

    rows: PartRows | GatheredRows | KeyedRows | FoldedRows
    functions: tuple[RowFunction, ...]
    combine: RowFunction | None
    sink: ToDriver | ToExchange

    def __call__(self, part: Any, context: TaskContext) -> TaskOutput:
        """Run the task."""
        counted = _Counted(self.rows.read(part, context), context)
        tables = self._applied(counted, context)
        if self.combine is not None:
            tables = _combined(tables, self.combine, int(context.memory_bytes * _WAITING_SHARE))
        value, rows, size = self.sink.take(tables, context)
        return TaskOutput(value, counted.rows, rows, counted.size, size)

    def _applied(self, tables: Iterable[pa.Table], context: TaskContext) -> Iterator[pa.Table]:
        for table in tables:
            rows = table
            for function in self.functions:
                context.check_cancelled()
                if rows.num_rows:
                    rows = function(rows)
            if rows.num_rows:
                yield rows


@dataclass(frozen=True, slots=True)
class CombineTask:
    """A task that combines a piece of a partition that is too heavy for one.

    Attributes:
        task: reads the piece, combines it and sends it on.
    """

    task: MapTask

    def __call__(self, part: tuple[int, tuple[ShuffleInput, ...]], context: TaskContext) -> TaskOutput:
        """Run the task of (partition, rows)."""
        partition, rows = part
        output = self.task(rows, context)
        return replace(output, value=CombinedPiece(partition, output.value))


@dataclass(frozen=True, slots=True)
class CombinedPiece:
    """What has become of a piece of a heavy partition."""

    partition: int
    file: ShuffleFile


@dataclass(frozen=True, slots=True)
class PartRows:
    """Rows of a part of the source, so many at a time."""

    reader: RowReader
    batch_rows: int

    def read(self, part: Any, context: TaskContext) -> Iterator[pa.Table]:
        """Yield them."""
        return cut_into_tables(self.reader(part, context), self.batch_rows)


@dataclass(frozen=True, slots=True)
class GatheredRows:
    """All rows of an exchange, so many at a time."""

    batch_rows: int

    def read(self, part: tuple[ShuffleInput, ...], context: TaskContext) -> Iterator[pa.Table]:
        """Yield them."""
        return cut_into_tables(
            chain.from_iterable(read_shuffle(each, context) for each in part), self.batch_rows
        )


@dataclass(frozen=True, slots=True)
class KeyedRows:
    """Rows of an exchange, all those of a key at a time, with those of other keys."""

    def read(self, part: tuple[ShuffleInput, ...], context: TaskContext) -> Iterator[pa.Table]:
        """Yield a table for each partition that has rows; raises OutOfMemoryError where one is too much for the task."""
        most = int(context.memory_bytes * _WHOLE_SHARE)
        for source in _single_partitions(part, context):
            _, slices = source.slices or (0, 1)
            _check_fits(source.message_bytes // slices, most)
            batches: list[pa.RecordBatch] = []
            size = 0
            for batch in read_shuffle(source, context):
                batches.append(batch)
                size += batch.nbytes
                _check_fits(size, most)
            if batches:
                yield pa.Table.from_batches(batches)


@dataclass(frozen=True, slots=True)
class FoldedRows:
    """Rows of an exchange that are combined as they are read; all those of a key end in one.

    Attributes:
        combine: makes fewer rows of some.
    """

    combine: RowFunction

    def read(self, part: tuple[ShuffleInput, ...], context: TaskContext) -> Iterator[pa.Table]:
        """Yield a table for each partition that has rows; raises OutOfMemoryError where what is left is too much."""
        most = int(context.memory_bytes * _WHOLE_SHARE)
        for source in _single_partitions(part, context):
            waiting: list[pa.Table] = []
            size = 0
            for batch in read_shuffle(source, context):
                waiting.append(pa.Table.from_batches([batch]))
                size += batch.nbytes
                if size > most:
                    waiting = [self.combine(concat_rows(waiting, self.combine.schema))]
                    size = waiting[0].nbytes
                    # What is read next has to find room beside it.
                    _check_fits(size, most // 2)
            if waiting:
                yield self.combine(concat_rows(waiting, self.combine.schema))


def _single_partitions(part: tuple[ShuffleInput, ...], context: TaskContext) -> Iterator[ShuffleInput]:
    return (rows for source in part for _, rows in single_partitions(source, context))


def _check_fits(size: int, most: int) -> None:
    if size > most:
        raise OutOfMemoryError(
            f"At least {size:,} bytes of rows belong together, and a task has room for {most:,}"
        )


@dataclass(frozen=True, slots=True)
class ToDriver:
    """Leaves rows for the driver."""

    schema: pa.Schema
    held_bytes: int

    def take(self, tables: Iterable[pa.Table], context: TaskContext) -> tuple[Any, int, int]:
        """Return where they are, their number and bytes."""
        made = leave_rows(tables, self.schema, context, held_bytes=self.held_bytes)
        return made, made.num_rows, made.num_bytes


@dataclass(frozen=True, slots=True)
class ToExchange:
    """Sends rows to the tasks of the next stage."""

    exchange: Exchange

    def take(self, tables: Iterable[pa.Table], context: TaskContext) -> tuple[Any, int, int]:
        """Return where they are, their number and bytes."""
        batches = (batch for table in tables for batch in table.to_batches())
        file = write_shuffle_file(self.exchange, batches, context)
        return file, file.rows, file.row_bytes


def _combined(tables: Iterable[pa.Table], combine: RowFunction, most_bytes: int) -> Iterator[pa.Table]:
    """Yield what is left of tables when some at a time are combined."""
    waiting: list[pa.Table] = []
    size = 0
    for table in tables:
        waiting.append(table)
        size += table.nbytes
        if size > most_bytes:
            yield combine(concat_rows(waiting, combine.schema))
            waiting, size = [], 0
    if waiting:
        yield combine(concat_rows(waiting, combine.schema))


class _Counted:
    """Tables, counted as they pass, and reported when they have been worked on."""

    def __init__(self, tables: Iterator[pa.Table], context: TaskContext) -> None:
        self._tables = tables
        self._report_rows = context.report_rows
        self.rows = self.size = 0

    def __iter__(self) -> Iterator[pa.Table]:
        for table in self._tables:
            self.rows += table.num_rows
            self.size += table.nbytes
            yield table
            self._report_rows(self.rows)
