"""Rows that come as a stream in the driver, and are handed to tasks as they are."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakefmt.engine.row_function import cut_into_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    import pyarrow as pa

    from lakefmt.engine.map_job import RowReader
    from lakefmt.engine.tasks.task import TaskContext

__all__ = ["StreamedRows"]


@dataclass(frozen=True, slots=True)
class StreamedRows:
    """A stream as the source of a job: ``RowSource``. A part is a table of some rows.

    Attributes:
        schema: the rows' columns.
        open_stream: begins to read; called once per job.
        part_rows: rows of a part.
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
    def only_threads(self) -> str | None:
        """None: rows can be sent."""
        return None

    def parts(self, _: int) -> Iterator[pa.Table]:
        """Yield the rows as tables."""
        with closing(self.open_stream()) as batches:
            yield from cut_into_tables(batches, self.part_rows)

    def split(self, part: pa.Table) -> Sequence[pa.Table]:
        """Return the two halves of a table."""
        middle = part.num_rows // 2
        return (part.slice(0, middle), part.slice(middle)) if middle else ()

    def describe(self, part: pa.Table) -> str:
        """Name a part in an error."""
        return f"{part.num_rows:,} rows of {self.name}"


def _read_part(part: pa.Table, context: TaskContext) -> Iterator[pa.RecordBatch]:
    for batch in part.to_batches():
        context.check_cancelled()
        yield batch
