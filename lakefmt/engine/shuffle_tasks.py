"""What tasks around an exchange do: read a part and write its rows by partition, read partitions one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakefmt.engine.exchange import ShuffleInput, write_shuffle_file
from lakefmt.engine.jobs import TaskOutput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa

    from lakefmt.engine.exchange import Exchange
    from lakefmt.engine.jobs import Source
    from lakefmt.engine.jobs.partition_runs import PartitionRun
    from lakefmt.engine.sources import RowReader
    from lakefmt.engine.tasks import TaskContext

__all__ = ["partition_bytes", "shuffle_input", "single_partitions", "write_part"]


def write_part(exchange: Exchange, reader: RowReader, part: Any, context: TaskContext) -> TaskOutput:
    """Write the rows of a part for the tasks that read the exchange; the output's value is a ``ShuffleFile``."""
    counted = _Counted(reader(part, context), context.report_rows)
    file = write_shuffle_file(exchange, counted, context)
    return TaskOutput(file, counted.rows, file.rows, counted.bytes, file.size_bytes)


def partition_bytes(outputs: Sequence[Source]) -> list[int]:
    """Return the bytes of each partition over all outputs of a stage that writes shuffle files."""
    total = sum(each.value.partition_bytes for each in outputs)
    sizes: list[int] = total.tolist() if outputs else []
    return sizes


def shuffle_input(exchange: Exchange, outputs: Sequence[Source], run: PartitionRun) -> ShuffleInput:
    """Return what a task reads of these outputs for a run of partitions."""
    first, last = run.roots or (0, None)
    files = [each.value for each in outputs if each.root >= first and (last is None or each.root < last)]
    return ShuffleInput.of(exchange, files, run.start, run.stop, run.slices)


def single_partitions(rows: ShuffleInput) -> Iterator[tuple[int, ShuffleInput]]:
    """Yield the partitions of an input that have rows, in order: the number of each, and it alone."""
    present = sorted({number for file in rows.files for number in file.index.partitions.tolist()})
    for number in present:
        yield number, ShuffleInput.of(rows.exchange, rows.files, number, number + 1, rows.slices)


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
