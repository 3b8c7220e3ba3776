"""Where the rows of rewritten files went: from a row of an input to the output and place that it has now.

A compaction keeps one, so that rows which others delete meanwhile can be found again in its outputs. In order, it is
arithmetic; clustered, it is two columns that may lie in a file of their own.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from lakefmt.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from lakefmt.manifest.deletion_vectors import DeletedRows

__all__ = ["ROW_MAP_SCHEMA", "MappedRows", "RowMap", "RowsInOrder", "write_row_map"]

ROW_MAP_SCHEMA = pa.schema([pa.field("output", pa.int32()), pa.field("position", pa.int64())])
"""A row for every row of every input, in order, deleted ones included (they are null): the output it went to, counted
from 0, and its position in that file."""

_WINDOW_ROWS = 1 << 20  # positions are looked up so many rows at a time, whatever the size of a file


class RowMap(Protocol):
    """Where the rows of the inputs are in the outputs; inputs and outputs are counted from 0."""

    def outputs_of(self, place: int, rows: DeletedRows) -> Iterator[tuple[int, Any]]:
        """Yield, for some rows of an input that were there when it was read, outputs and Arrow arrays of positions.

        Raises:
            InvalidInputError: the map does not know a row.
        """


@dataclass(frozen=True, slots=True)
class RowsInOrder:
    """The outputs, one after the other, hold the rows of the inputs, one after the other, that were there.

    Attributes:
        inputs: for each input how many rows its file has, and which of them were deleted.
        outputs: rows of each output.
    """

    inputs: tuple[tuple[int, DeletedRows], ...]
    outputs: tuple[int, ...]

    def __post_init__(self) -> None:
        live = sum(num_rows - deleted.cardinality for num_rows, deleted in self.inputs)
        if live != sum(self.outputs):
            raise InvalidInputError(
                f"The inputs of a rewrite hold {live:,} rows, its outputs {sum(self.outputs):,}",
                hint="Give a row map if rows are not kept in order, and write every row once",
            )

    def outputs_of(self, place: int, rows: DeletedRows) -> Iterator[tuple[int, Any]]:
        """See ``RowMap``."""
        import pyarrow.compute as pc

        num_rows, deleted = self.inputs[place]
        earlier = sum(each - gone.cardinality for each, gone in self.inputs[:place])
        ends = list(accumulate(self.outputs))
        for start, within in _windows(rows, num_rows):
            there: Any = deleted.keep(start, min(_WINDOW_ROWS, num_rows - start)).cast(pa.int64())
            # The rows that are there up to each row, itself included: its own number is one less.
            before = earlier + deleted.count(0, start) - 1
            numbers = pc.add(pc.cumulative_sum(there).take(within), pa.scalar(before, pa.int64()))
            yield from _cut_by_output(numbers, ends)


@dataclass(frozen=True, slots=True)
class MappedRows:
    """A row map of any kind: columns as in ``ROW_MAP_SCHEMA``, in memory or mapped from a file.

    Attributes:
        columns: the map.
        first_rows: for each input, where its rows begin in the map.
    """

    columns: pa.Table
    first_rows: tuple[int, ...]

    @classmethod
    def of(cls, columns: pa.Table, rows_of_inputs: Sequence[int]) -> MappedRows:
        """Return the map of inputs with so many rows in their files. Raises InvalidInputError."""
        if columns.num_rows != sum(rows_of_inputs):
            raise InvalidInputError(
                f"The row map has {columns.num_rows:,} rows, the files it is of have {sum(rows_of_inputs):,}"
            )
        columns = columns.select(ROW_MAP_SCHEMA.names).cast(ROW_MAP_SCHEMA)
        return cls(columns, (0, *accumulate(rows_of_inputs)))

    @classmethod
    def open(cls, path: Path, rows_of_inputs: Sequence[int]) -> MappedRows:
        """Return a map that ``write_row_map`` wrote; of the file only what is looked up comes into memory."""
        columns = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        return cls.of(columns, rows_of_inputs)

    def outputs_of(self, place: int, rows: DeletedRows) -> Iterator[tuple[int, Any]]:
        """See ``RowMap``."""
        import pyarrow.compute as pc

        first, end = self.first_rows[place], self.first_rows[place + 1]
        for start, within in _windows(rows, end - first):
            found = self.columns.slice(first + start, min(_WINDOW_ROWS, end - first - start)).take(within)
            outputs: Any = found["output"]
            if outputs.null_count:
                raise InvalidInputError("The row map says that a row was deleted which was there")
            for output in pc.unique(outputs).to_pylist():
                yield output, found["position"].filter(pc.equal(outputs, output)).combine_chunks()


def write_row_map(path: Path, batches: Iterable[pa.RecordBatch]) -> None:
    """Write a row map, batch by batch, as a file that ``MappedRows.open`` maps; for rewrites past memory."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, ROW_MAP_SCHEMA) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _windows(rows: DeletedRows, num_rows: int) -> Iterator[tuple[int, Any]]:
    """Yield the first row of each window of a file that has some of the rows, and their places in the window."""
    for start in range(0, num_rows, _WINDOW_ROWS):
        within = rows.positions(start, min(_WINDOW_ROWS, num_rows - start))
        if len(within):
            yield start, within


def _cut_by_output(numbers: Any, ends: Sequence[int]) -> Iterator[tuple[int, Any]]:
    """Yield outputs and positions of rows that are numbered, ascending, over all outputs."""
    import pyarrow.compute as pc

    while len(numbers):
        output = bisect_right(ends, numbers[0].as_py())
        here = pc.sum(pc.less(numbers, pa.scalar(ends[output], pa.int64()))).as_py()
        first = ends[output - 1] if output else 0
        yield output, pc.subtract(numbers.slice(0, here), pa.scalar(first, pa.int64()))
        numbers = numbers.slice(here)
