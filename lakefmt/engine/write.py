"""Writing data files: a stream of record batches in, Parquet files and what the log says of them out.

Rows are cut by partition and gathered into row groups; a file is closed before it would pass its target size. Row
groups are encoded on worker threads while the caller's draws the input and takes statistics; a small input never
starts a thread. Memory is bounded by the rows that wait (``buffer_bytes``) and those in the encoders' hands (half
as much again), however long the stream is.

Where files are cut depends on the rows alone, never on timing: the same batches give the same files.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeAlias, cast

import pyarrow as pa

from lakefmt.engine.encoders import Encoders, FileInProgress
from lakefmt.engine.encoding import leaf_paths, nan_leaves
from lakefmt.engine.partition import split_by_partition
from lakefmt.engine.progress import track_rows
from lakefmt.engine.statistics import StatisticsCollector
from lakefmt.errors import LakefmtError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable

    from lakefmt.engine.partition import Piece
    from lakefmt.schema.statistics import FileStatistics
    from lakefmt.schema.types import FieldPath
    from lakefmt.store.contract import Store

__all__ = ["DataFileWriter", "FileNamer", "WriteSpec", "WrittenFile", "discard_files", "write_files"]

FileNamer: TypeAlias = "Callable[[tuple[pa.Scalar[Any], ...], int], str]"
"""Gives a new file its key, from its partition values and its number within this write."""

# As Spark's optimized writes: reading a footer is noise beside such a file, and rewriting it takes seconds.
_TARGET_FILE_BYTES = 128 << 20
_QUICK_BYTES = 1 << 20
_ROW_GROUP_BYTES = 64 << 20  # of Arrow: rows are fewer where they are large


@dataclass(frozen=True, slots=True)
class WriteSpec:
    """How to lay out what is written.

    Attributes:
        schema: physical columns with ``PARQUET:field_id`` metadata on every field of the table's, partition columns last.
        name_file: gives a new file its key, from its partition values and its number within this write.
        partition_columns: names (of ``schema``) of the columns to cut by.
        source_columns: the batches' names for the columns of ``schema``, in that order; None where they are equal.
        write_partition_columns: False leaves the partition columns out of the files.
        statistics_columns: paths (names of ``schema``) of the leaf columns that statistics are taken of.
        compression: codec by its name in table properties; files too small for zstd to pay get snappy instead.
        target_file_bytes: size of a file, unless there are too few rows for it.
        row_group_rows: rows in a row group.
        buffer_bytes: Arrow bytes that may wait for their row group to fill, over all partitions.
        max_open_files: files that may be open at once; past it, the one that got no rows for longest is closed.
        threads: encoders, None for one a core.
    """

    schema: pa.Schema
    name_file: FileNamer
    partition_columns: tuple[str, ...] = ()
    source_columns: tuple[str, ...] | None = None
    write_partition_columns: bool = True
    statistics_columns: tuple[FieldPath, ...] = ()
    compression: str = "zstd"
    target_file_bytes: int = _TARGET_FILE_BYTES
    row_group_rows: int = 122_880
    buffer_bytes: int = 256 << 20
    max_open_files: int = 64
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A data file that is in storage, durably, and in no table yet.

    Attributes:
        key: its key in the store.
        size_bytes: its length.
        num_rows: its rows.
        partition_values: one scalar per partition column; an empty string has become null.
        statistics: exact facts about its values.
        empty_strings_nulled: rows in which an empty string in a partition column became null.
    """

    key: str
    size_bytes: int
    num_rows: int
    partition_values: tuple[pa.Scalar[Any], ...]
    statistics: FileStatistics
    empty_strings_nulled: int = 0


def write_files(batches: Iterable[pa.RecordBatch], spec: WriteSpec, store: Store) -> list[WrittenFile]:
    """Write all rows of ``batches`` and return the files, in the order in which they were begun.

    No rows, no files. When anything fails, the input included, what was written is deleted (as well as that goes)
    and the error goes on to the caller.

    Args:
        batches: rows in the table's schema: the columns of ``spec.schema`` under their source names, in any order.
        spec: the layout.
        store: where to.

    Raises:
        ConstraintViolationError: an empty string in a NOT NULL partition column.
        StoreError: storage refused.
    """
    with DataFileWriter(spec, store) as writer:
        for batch in track_rows(batches, "write", _rows_of):
            writer.write(batch)
        return writer.finish()


def _rows_of(batch: pa.RecordBatch) -> int:
    return batch.num_rows


def discard_files(files: Iterable[WrittenFile], store: Store) -> None:
    """Delete files that no commit will name. Storage errors are let go: a vacuum finds what is left."""
    _delete([file.key for file in files], store)


class DataFileWriter:
    """Writes batches as they come; a context manager that deletes what was written unless ``finish`` was reached."""

    def __init__(self, spec: WriteSpec, store: Store) -> None:
        schema = spec.schema
        self._spec = spec
        self._store = store
        self._partition_positions = [schema.get_field_index(name) for name in spec.partition_columns]
        self._file_positions = [
            position
            for position in range(len(schema))
            if spec.write_partition_columns or position not in self._partition_positions
        ]
        self._file_schema = (
            schema
            if len(self._file_positions) == len(schema)
            else pa.schema([schema.field(position) for position in self._file_positions])
        )
        self._nan_leaves = nan_leaves(self._file_schema)
        # Leaves that new files get no footer statistics for: partition columns, and any that has held a NaN.
        self._without_statistics = {
            path for name in spec.partition_columns for path in leaf_paths(schema.field(name))
        }
        self._source = _Source(spec)
        self._waiting = _Rows()  # input that is not cut by partition yet
        self._partitions: dict[tuple[Hashable, ...], _Partition] = {}
        self._open: OrderedDict[int, _Partition] = (
            OrderedDict()
        )  # with a file being streamed, longest idle first
        self._files: list[FileInProgress] = []
        self._encoders = Encoders(
            store,
            self._file_schema,
            compression=spec.compression,
            threads=spec.threads,
            budget_bytes=spec.buffer_bytes // 2,
        )
        self._finished = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._encoders.stop()
        if not self._finished:
            for file in self._files:
                if file.stream is not None:
                    file.stream.abort()
            _delete([file.key for file in self._files], self._store)

    def write(self, batch: pa.RecordBatch) -> None:
        """Take the rows of a batch; returns when they are buffered or in the encoders' hands."""
        rows = self._source.in_file_order(batch)
        if not rows.num_rows:
            return
        row_bytes = rows.nbytes / rows.num_rows
        limit = min(self._spec.row_group_rows, max(1, int(_ROW_GROUP_BYTES / max(row_bytes, 1))))
        start = 0
        while start < rows.num_rows:
            room = max(1, min(limit, self._spec.row_group_rows - self._waiting.num_rows))
            part = rows if start == 0 and rows.num_rows <= room else rows.slice(start, room)
            start += part.num_rows
            self._waiting.add(part, row_bytes)
            if self._waiting.is_full(self._spec.row_group_rows):
                self._cut()

    def finish(self) -> list[WrittenFile]:
        """Write what is left, wait until every file is in storage, and return them in the order they were begun."""
        if self._waiting.num_rows:
            self._cut()
        for partition in self._partitions.values():
            if partition.rows.num_rows and partition.file is not None:
                self._flush(partition)
        whole = [partition for partition in self._partitions.values() if partition.rows.num_rows]
        inline = len(whole) == 1 or self._is_quick(sum(partition.rows.num_bytes for partition in whole))
        for partition in whole:
            self._put(partition, inline=inline)
        for partition in list(self._open.values()):
            self._close(partition)
        self._encoders.drain()
        written = [
            WrittenFile(
                key=file.key,
                size_bytes=file.size_bytes,
                num_rows=file.num_rows,
                partition_values=file.partition_values,
                statistics=file.statistics.finish(),
                empty_strings_nulled=file.empty_strings_nulled,
            )
            for file in self._files
        ]
        self._finished = True
        return written

    def _is_quick(self, size_bytes: int) -> bool:
        """Whether that much is written sooner than threads are started: not where each request takes its time."""
        return size_bytes <= _QUICK_BYTES and self._store.local_path("any") is not None

    def _cut(self) -> None:
        """Hand the waiting input to its partitions; row groups that fill up by that go to the encoders."""
        row_bytes = self._waiting.num_bytes / self._waiting.num_rows
        for piece in split_by_partition(self._waiting.take(), self._partition_positions):
            partition = self._partitions.get(piece.identity)
            if partition is None:
                partition = self._partitions[piece.identity] = _Partition(piece.values)
            self._add(partition, piece, row_bytes)
        waiting = sum(partition.rows.num_bytes for partition in self._partitions.values())
        while waiting > self._spec.buffer_bytes:
            largest = max(self._partitions.values(), key=lambda partition: partition.rows.num_bytes)
            waiting -= largest.rows.num_bytes
            self._flush(largest)

    def _add(self, partition: _Partition, piece: Piece, row_bytes: float) -> None:
        rows = piece.batch
        if self._file_schema is not self._spec.schema:
            rows = rows.select(self._file_positions)
        limit = self._spec.row_group_rows
        if partition.rows.num_rows + rows.num_rows > limit:
            self._flush(partition)
        partition.empty_strings_nulled += piece.empty_strings_nulled
        partition.rows.add(rows, row_bytes)
        if partition.rows.is_full(limit):
            self._flush(partition)

    def _flush(self, partition: _Partition) -> None:
        """Hand a partition's waiting rows to the encoders as one row group, of a new file where the old is full."""
        size_bytes = partition.rows.num_bytes
        rows = partition.rows.take()
        self._watch_for_nan(partition, rows)
        file = partition.file
        if file is not None:
            written = self._encoders.written_bytes(file)
            if written + written // file.num_row_groups > self._spec.target_file_bytes:
                self._close(partition)
                file = None
        if file is None:
            file = partition.file = self._begin_file(partition)
            if len(self._open) >= self._spec.max_open_files:
                self._close(next(iter(self._open.values())))
        self._open[id(partition)] = partition
        self._open.move_to_end(id(partition))
        self._account(partition, file, rows)
        self._encoders.write_row_group(file, rows, size_bytes)

    def _put(self, partition: _Partition, *, inline: bool) -> None:
        """Write a partition's waiting rows as a file of their own, in one request."""
        size_bytes = partition.rows.num_bytes
        rows = partition.rows.take()
        self._watch_for_nan(partition, rows)
        file = self._begin_file(partition)
        self._account(partition, file, rows)
        self._encoders.put(file, rows, size_bytes, inline=inline)

    def _begin_file(self, partition: _Partition) -> FileInProgress:
        file = FileInProgress(
            key=self._spec.name_file(partition.values, len(self._files)),
            partition_values=partition.values,
            statistics=StatisticsCollector(self._file_schema, self._spec.statistics_columns),
            without_statistics=frozenset(self._without_statistics),
        )
        self._files.append(file)
        return file

    def _account(self, partition: _Partition, file: FileInProgress, rows: pa.RecordBatch) -> None:
        file.statistics.update(rows)
        file.num_rows += rows.num_rows
        file.num_row_groups += 1
        file.empty_strings_nulled += partition.empty_strings_nulled
        partition.empty_strings_nulled = 0

    def _close(self, partition: _Partition) -> None:
        """Finish a partition's file; rows that wait go into its next one."""
        del self._open[id(partition)]
        if partition.file is not None:
            self._encoders.close(partition.file)
            partition.file = None

    def _watch_for_nan(self, partition: _Partition, rows: pa.RecordBatch) -> None:
        """Keep NaN out of files whose footer has statistics on its column.

        Parquet writers leave NaN out of the maximum, and readers (DuckDB) that take it for a bound then lose the
        NaN rows of ``x > 5``. Statistics are chosen when a file is opened, so one that is open is closed.
        """
        known: Collection[str] = (
            self._without_statistics if partition.file is None else partition.file.without_statistics
        )
        found = {
            path
            for path, position, steps in self._nan_leaves
            if path not in known and _holds_nan(rows.column(position), steps)
        }
        if found:
            self._without_statistics |= found
            if partition.file is not None:
                self._close(partition)


class _Source:
    """Puts batches into the file's order of columns, found once per schema of the input."""

    def __init__(self, spec: WriteSpec) -> None:
        self._schema = spec.schema
        self._names = spec.source_columns or tuple(spec.schema.names)
        self._seen: pa.Schema | None = None
        self._positions: list[int] = []

    def in_file_order(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the same columns under the file's schema; nothing is copied."""
        if self._seen is None or not self._seen.equals(batch.schema):
            self._positions = [batch.schema.get_field_index(name) for name in self._names]
            self._seen = batch.schema
        columns = [
            # Members of nested types may differ in name only (column mapping), which a view gets over.
            column if column.type.equals(target.type) else column.view(target.type)
            for target, position in zip(self._schema, self._positions, strict=True)
            for column in (batch.column(position),)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)


class _Rows:
    """Batches that wait to become one, and about how many bytes they are."""

    __slots__ = ("_batches", "num_bytes", "num_rows")

    def __init__(self) -> None:
        self._batches: list[pa.RecordBatch] = []
        self.num_rows = 0
        self.num_bytes = 0

    def add(self, batch: pa.RecordBatch, row_bytes: float) -> None:
        self._batches.append(batch)
        self.num_rows += batch.num_rows
        self.num_bytes += int(row_bytes * batch.num_rows)

    def is_full(self, limit_rows: int) -> bool:
        return self.num_rows >= limit_rows or self.num_bytes >= _ROW_GROUP_BYTES

    def take(self) -> pa.RecordBatch:
        """Return all rows as one batch, and be empty."""
        batches, self._batches, self.num_rows, self.num_bytes = self._batches, [], 0, 0
        return batches[0] if len(batches) == 1 else _concat_batches(batches)


@dataclass(slots=True, eq=False)
class _Partition:
    values: tuple[pa.Scalar[Any], ...]
    rows: _Rows = field(default_factory=_Rows)
    file: FileInProgress | None = None
    empty_strings_nulled: int = 0  # among the rows that wait


def _concat_batches(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    # pyarrow-stubs lack concat_batches.
    return cast("pa.RecordBatch", cast("Any", pa).concat_batches(batches))


def _holds_nan(values: Any, steps: Iterable[Callable[[Any], Any]]) -> bool:
    import pyarrow.compute as pc

    for step in steps:
        values = step(values)
    return bool(pc.any(pc.is_nan(values)).as_py())


def _delete(keys: list[str], store: Store) -> None:
    if keys:
        with contextlib.suppress(LakefmtError, OSError):
            store.delete(keys)
