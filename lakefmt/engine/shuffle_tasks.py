"""What tasks around an exchange do: read a part and write its rows by partition, read partitions one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakefmt.engine.exchange import ShuffleOutputs, fetch_shuffle, write_shuffle_file
from lakefmt.engine.jobs import TaskOutput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa

    from lakefmt.engine.exchange import Exchange, ShuffleInput
    from lakefmt.engine.jobs import Source
    from lakefmt.engine.jobs.partition_runs import PartitionRun
    from lakefmt.engine.sources import RowReader
    from lakefmt.engine.tasks import TaskContext

__all__ = ["OutputColumns", "single_partitions", "write_part"]


def write_part(exchange: Exchange, reader: RowReader, part: Any, context: TaskContext) -> TaskOutput:
    """Write the rows of a part for the tasks that read the exchange; the output's value is a ``ShuffleFile``."""
    counted = _Counted(reader(part, context), context.report_rows)
    file = write_shuffle_file(exchange, counted, context)
    return TaskOutput(file, counted.rows, file.rows, counted.bytes, file.size_bytes)


def single_partitions(rows: ShuffleInput, context: TaskContext) -> Iterator[tuple[int, ShuffleInput]]:
    """Yield the partitions of an input that have rows, in order: the number of each, and it alone; fetched together if remote.

    Raises:
        LostOutputError: a file is gone or cut short.
        StoreError: storage failed.
    """
    for fetched in fetch_shuffle(rows, context):
        yield from fetched.single_partitions()


class OutputColumns:
    """The outputs of a stage that writes shuffle files as columns: made once for the outputs that there are."""

    def __init__(self) -> None:
        self._made: tuple[Sequence[Source], ShuffleOutputs] | None = None

    def of(self, outputs: Sequence[Source]) -> ShuffleOutputs:
        """Return the columns; the outputs of a stage are one and the same object while none is lost."""
        if self._made is None or self._made[0] is not outputs:
            columns = ShuffleOutputs([each.value for each in outputs], [each.root for each in outputs])
            self._made = outputs, columns
        return self._made[1]

    def input(self, exchange: Exchange, outputs: Sequence[Source], run: PartitionRun) -> ShuffleInput:
        """Return what a task reads of them for a run of partitions."""
        return self.of(outputs).select(exchange, run.start, run.stop, roots=run.roots, slices=run.slices)


@dataclass(slots=True)
class _Counted:
    """Batches, counted as they pass, and reported when they have been worked on."""

    batches: Iterable[pa.RecordBatch]
    report_rows: Callable[[int], object]
    rows: int = 0
    bytes: int = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self.batches:
            self.rows += batch.num_rows
            self.bytes += batch.nbytes
            yield batch
            self.report_rows(self.rows)
