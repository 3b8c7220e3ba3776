"""Rows brought together by their keys, and a function of each partition: a job of two stages.

Parts of the source are read and cut by the hash of their keys; then the partitions are read, and what the function makes of
each is the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakefmt.engine.exchange import Exchange, HashPartitioning, read_shuffle
from lakefmt.engine.jobs import Job, Stage, TaskOutput
from lakefmt.engine.jobs.partition_runs import PARTITION_BYTES, choose_partition_runs, split_run
from lakefmt.engine.shuffle_tasks import OutputColumns, single_partitions, write_part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa

    from lakefmt.engine.exchange import HashKey, ShuffleInput
    from lakefmt.engine.jobs import StageOutputs
    from lakefmt.engine.jobs.partition_runs import PartitionRun
    from lakefmt.engine.sources import RowReader, RowSource
    from lakefmt.engine.tasks import TaskContext

    PartitionFunction = Callable[[int, Iterator[pa.RecordBatch], TaskContext], Any]

__all__ = ["PartitionResult", "repartition_job"]


@dataclass(frozen=True, slots=True)
class PartitionResult:
    """What a function has made of a partition.

    Attributes:
        partition: its number.
        value: what the function returned.
    """

    partition: int
    value: Any


def repartition_job(
    source: RowSource,
    keys: Sequence[HashKey],
    partitions: int,
    function: PartitionFunction,
    *,
    parallelism: int,
    folder: str | None = None,
    target_bytes: int = PARTITION_BYTES,
) -> Job:
    """Return the job that brings rows with equal keys together; its results are tuples of ``PartitionResult``.

    For each partition that has rows the function is called with all of them, and of its calls one counts. Where a task ran
    out of memory over a single partition, that one comes in several calls and has several results; rows with equal keys are
    in one call all the same.

    Args:
        source: the rows.
        keys: of ``HashPartitioning``.
        partitions: how many.
        function: is given the partition's number, its rows, and the task's context. What it returns travels to the driver;
            what it writes is named by stage, task and attempt. It goes to workers: a function of a module, or whatever
            cloudpickle takes.
        parallelism: tasks that run at once.
        folder: the job's, where rows are kept that a source cannot give again; None to keep such rows in memory.
        target_bytes: a task reads partitions together up to so many bytes.

    Raises:
        InvalidInputError: a key is no column, or there are too many partitions.
        UnsupportedFeatureError: rows of such a schema cannot be sent.
    """
    exchange = Exchange(source.schema, HashPartitioning(tuple(keys), partitions))
    columns = OutputColumns()

    def plan(outputs: StageOutputs) -> Iterable[PartitionRun]:
        sizes = columns.of(outputs["shuffle"]).partition_bytes(partitions)
        return choose_partition_runs(sizes.tolist(), parallelism, target_bytes)

    def bind(run: PartitionRun, outputs: StageOutputs) -> ShuffleInput:
        return columns.input(exchange, outputs["shuffle"], run)

    shuffle = Stage(
        "shuffle",
        _Shuffle(source.reader, exchange),
        lambda _: source.parts(parallelism, folder),
        split=source.split,
        describe=source.describe,
        only_threads=source.only_threads,
    )
    reduce = Stage("reduce", _Reduce(function), plan, reads=("shuffle",), bind=bind, split=split_run)
    return Job((shuffle, reduce))


@dataclass(frozen=True, slots=True)
class _Shuffle:
    """Reads a part and writes its rows by partition."""

    reader: RowReader
    exchange: Exchange

    def __call__(self, part: Any, context: TaskContext) -> TaskOutput:
        return write_part(self.exchange, self.reader, part, context)


@dataclass(frozen=True, slots=True)
class _Reduce:
    """Calls the function for each partition."""

    function: PartitionFunction

    def __call__(self, rows: ShuffleInput, context: TaskContext) -> TaskOutput:
        results = tuple(
            PartitionResult(number, self.function(number, read_shuffle(partition, context), context))
            for number, partition in single_partitions(rows, context)
        )
        return TaskOutput(results, rows_in=rows.rows, bytes_in=rows.message_bytes)
