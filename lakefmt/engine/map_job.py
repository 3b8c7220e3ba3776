"""Python functions over rows as a job: rows are read, functions applied where they are read, results left for the driver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lakefmt.engine.jobs import Job, Stage, TaskOutput
from lakefmt.engine.jobs.rows import leave_rows
from lakefmt.engine.row_function import cut_into_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from lakefmt.engine.row_function import RowFunction
    from lakefmt.engine.tasks.task import TaskContext

__all__ = ["RowReader", "RowSource", "map_job"]


class RowReader(Protocol):
    """Reads parts of a source; goes to workers as a value."""

    def __call__(self, part: Any, context: TaskContext) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a part."""


class RowSource(Protocol):
    """Where rows come from, in parts that are read by themselves; stays in the driver."""

    @property
    def schema(self) -> pa.Schema:
        """The rows' columns."""

    @property
    def reader(self) -> RowReader:
        """What reads its parts."""

    @property
    def only_threads(self) -> str | None:
        """Why its parts can be read in this process alone; None where they can be read anywhere."""

    def parts(self, parallelism: int) -> Iterator[Any]:
        """Yield values that stand for some of the rows each; drawn as tasks can begin, and closed."""

    def split(self, part: Any) -> Sequence[Any]:
        """Return smaller parts with the same rows; none where there are none."""

    def describe(self, part: Any) -> str:
        """Name a part in an error."""


def map_job(
    source: RowSource, functions: Sequence[RowFunction], *, batch_rows: int, parallelism: int, held_bytes: int
) -> Job:
    """Return the job whose results are what the functions, one after the other, make of the source's rows.

    Args:
        source: the rows.
        functions: each is given what the one before returned.
        batch_rows: rows of a call of the first, at most.
        parallelism: tasks that run at once.
        held_bytes: rows of a task that come without a file.
    """
    return Job(
        (
            Stage(
                "map",
                _MapTask(source.reader, tuple(functions), batch_rows, held_bytes),
                lambda _: source.parts(parallelism),
                split=source.split,
                describe=source.describe,
                way_out="Raise memory_limit, or lower batch_rows",
            ),
        )
    )


@dataclass(frozen=True, slots=True)
class _MapTask:
    """Reads a part, applies the functions and leaves the rows."""

    reader: RowReader
    functions: tuple[RowFunction, ...]
    batch_rows: int
    held_bytes: int

    def __call__(self, part: Any, context: TaskContext) -> TaskOutput:
        counted = _Counted(self.reader(part, context))
        tables = cut_into_tables(counted, self.batch_rows)
        made = leave_rows(
            self._applied(tables, context), self.functions[-1].schema, context, held_bytes=self.held_bytes
        )
        return TaskOutput(made, counted.rows, made.num_rows, counted.size, made.num_bytes)

    def _applied(self, tables: Iterable[pa.Table], context: TaskContext) -> Iterator[pa.Table]:
        for table in tables:
            rows = table
            for function in self.functions:
                context.check_cancelled()
                if rows.num_rows:
                    rows = function(rows)
            if rows.num_rows:
                yield rows


class _Counted:
    """Batches, counted as they pass."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self.rows = self.size = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            self.rows += batch.num_rows
            self.size += batch.nbytes
            yield batch
