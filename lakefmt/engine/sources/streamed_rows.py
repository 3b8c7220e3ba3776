"""Rows that come as a stream in the driver, and are handed to tasks as they are, or by way of files."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa

from lakefmt.engine.sources.row_source import RowSample
from lakefmt.engine.sources.row_tables import cut_into_tables
from lakefmt.errors import ObjectNotFoundError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from lakefmt.engine.sources.row_source import RowReader, RowSampler
    from lakefmt.engine.tasks.task import TaskContext

__all__ = ["StreamedRows"]


_SHARE_OF_PASSED = 1 / 8
_MOST_PART_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class StreamedRows:
    """A stream as the source of a job: ``RowSource``. A part is a table of some rows, or where one is.

    Attributes:
        schema: the rows' columns.
        open_stream: begins to read; called once per job.
        part_rows: rows of the first parts; later ones have several times as many.
        name: what the stream is, in errors.
    """

    schema: pa.Schema
    open_stream: Callable[[], Generator[pa.RecordBatch, None, None]]
    part_rows: int
    name: str

    @property
    def reader(self) -> RowReader:
        """What reads the parts."""
        return _read_part

    @property
    def sampler(self) -> RowSampler:
        """What looks at the parts' rows: all of them, which are in memory or mapped."""
        return _sample_part

    @property
    def only_threads(self) -> str | None:
        """None: rows can be sent."""
        return None

    @property
    def size_bytes(self) -> int | None:
        """None: a stream tells nothing before its end."""
        return None

    def count_rows(self) -> int | None:
        """Return None: a stream tells nothing before its end."""
        return None

    def parts(self, parallelism: int, keep_in: str | None = None) -> Iterator[_Part]:
        """Yield the rows as tables, or as files of the folder."""
        with closing(self.open_stream()) as batches:
            tables = cut_into_tables(batches, self.part_rows)
            for number, table in enumerate(_growing(tables, _SHARE_OF_PASSED / parallelism)):
                if keep_in is None:
                    yield table
                else:
                    yield _write(table, Path(keep_in) / f"rows-{number}.arrow")

    def split(self, part: _Part) -> Sequence[_Part]:
        """Return the two halves of a part."""
        middle = part.num_rows // 2
        return (part.slice(0, middle), part.slice(middle)) if middle else ()

    def describe(self, part: _Part) -> str:
        """Name a part in an error."""
        return f"{part.num_rows:,} rows of {self.name}"


@dataclass(frozen=True, slots=True)
class _RowsOfFile:
    """Some rows of a file: an Arrow IPC stream."""

    path: str
    start: int
    num_rows: int

    def slice(self, start: int, length: int | None = None) -> _RowsOfFile:
        left = self.num_rows - start
        return replace(self, start=self.start + start, num_rows=left if length is None else min(length, left))

    def read(self) -> pa.Table:
        try:
            with pa.memory_map(self.path) as source, pa.ipc.open_stream(source) as stream:
                return stream.read_all().slice(self.start, self.num_rows)
        except FileNotFoundError as error:
            # Nothing gives these rows again.
            raise ObjectNotFoundError(
                "Rows that wait in the job's folder are gone",
                path=self.path,
                hint="Look for what deletes files there, or set TMPDIR to another folder",
            ) from error


_Part: TypeAlias = pa.Table | _RowsOfFile


def _write(table: pa.Table, path: Path) -> _RowsOfFile:
    try:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
    except OSError as error:
        raise StoreError(
            f"Rows cannot be written to the job's folder: {error}",
            path=str(path),
            hint="Make room there, or set TMPDIR to a larger disk",
        ) from error
    return _RowsOfFile(str(path), 0, table.num_rows)


def _growing(tables: Iterable[pa.Table], share: float) -> Iterator[pa.Table]:
    """Put more and more tables together: each of the result has a share of the rows before it, at most.

    So there are many parts of a short stream, which all workers have some of, and not too many of a long one; and who
    has the last part does not work on it much longer than all others have worked.
    """
    waiting: list[pa.Table] = []
    passed = rows = size = 0
    for table in tables:
        waiting.append(table)
        rows += table.num_rows
        size += table.nbytes
        if rows + table.num_rows > passed * share or size >= _MOST_PART_BYTES:
            yield _joined(waiting)
            passed += rows
            waiting, rows, size = [], 0, 0
    if waiting:
        yield _joined(waiting)


def _joined(tables: list[pa.Table]) -> pa.Table:
    # A message, and a call of its reader, for each of some hundred rows costs more than the copy.
    return tables[0] if len(tables) == 1 else pa.concat_tables(tables).combine_chunks()


def _read_part(part: _Part, context: TaskContext) -> Iterator[pa.RecordBatch]:
    return _batches(_table(part), context)


def _sample_part(part: _Part, columns: Sequence[str], context: TaskContext) -> RowSample:
    table = _table(part)
    return RowSample(_batches(table.select(list(columns)), context), 1.0, table.nbytes)


def _table(part: _Part) -> pa.Table:
    return part if isinstance(part, pa.Table) else part.read()


def _batches(table: pa.Table, context: TaskContext) -> Iterator[pa.RecordBatch]:
    for batch in table.to_batches():
        context.check_cancelled()
        yield batch
