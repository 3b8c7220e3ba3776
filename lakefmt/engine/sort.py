"""A global sort: bounds from a sample of the keys, rows cut by them, each partition sorted by itself.

What comes out is in DuckDB's order from the first result to the last. Rows with equal keys come in the order of the source's
parts. Keys are evaluated once: eight bytes of each travel with its row. A partition larger than its task's memory is cut
further, in the task's scratch folder; rows that have one and the same key are not sorted at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from lakefmt.engine.exchange import (
    Exchange,
    RangePartitioning,
    ShuffleInput,
    SortBounds,
    choose_bounds,
)
from lakefmt.engine.exchange.keys import key_columns
from lakefmt.engine.jobs import Job, Stage, TaskOutput
from lakefmt.engine.jobs.partition_runs import (
    PARTITION_BYTES,
    choose_partition_count,
    choose_partition_runs,
    split_heavy_run,
    split_sorted_run,
)
from lakefmt.engine.shuffle_tasks import OutputColumns, single_partitions, write_part
from lakefmt.engine.sort_partition import sample_keys, sort_partition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa

    from lakefmt.engine.exchange import SortKey, SortKeys
    from lakefmt.engine.jobs import StageOutputs
    from lakefmt.engine.jobs.partition_runs import PartitionRun
    from lakefmt.engine.sources import RowReader, RowSampler, RowSource
    from lakefmt.engine.tasks import TaskContext

    SortedFunction = Callable[[Iterator[pa.RecordBatch], TaskContext], Any]

__all__ = ["sort_job"]


def sort_job(
    source: RowSource,
    keys: Sequence[SortKey],
    function: SortedFunction,
    *,
    parallelism: int,
    folder: str | None = None,
    target_bytes: int = PARTITION_BYTES,
) -> Job:
    """Return the job that sorts rows; its results are what the function returned, in the rows' order.

    Args:
        source: the rows. Its parts are drawn once, so it may be a stream that cannot be read again, and read twice: a
            little of each for the bounds, then all.
        keys: what to sort by.
        function: is given rows in order, all of which are before those of the next result, and the task's context; as in
            ``repartition_job``.
        parallelism: tasks that run at once.
        folder: the job's, where rows are kept that a source cannot give again; None to keep such rows in memory.
        target_bytes: partitions are to be of so many bytes.

    Raises:
        InvalidInputError: a key is no column.
        UnsupportedFeatureError: rows of such a schema cannot be sent.
    """
    plan = _Plan(source, tuple(keys), parallelism, folder, target_bytes)
    sample = Stage(
        "sample",
        _Sample(source.sampler, plan.keys),
        lambda _: plan.draw_parts(),
        split=source.split,
        describe=source.describe,
        only_threads=source.only_threads,
    )
    shuffle = Stage(
        "shuffle",
        _Shuffle(source.reader),
        lambda _: plan.parts,
        reads=("sample",),
        bind=lambda part, outputs: _Part(part, plan.exchange(outputs)),
        split=source.split,
        describe=source.describe,
        only_threads=source.only_threads,
    )
    sort = Stage(
        "sort",
        _Sort(plan.keys, function),
        plan.runs,
        reads=("sample", "shuffle"),
        bind=lambda run, outputs: plan.columns.input(plan.exchange(outputs), outputs["shuffle"], run),
        split=split_sorted_run,
        describe=plan.describe_run,
    )
    return Job((sample, shuffle, sort), ordered=True)


class _Plan:
    """What the driver knows of a sort: the parts that were drawn, and where they are cut once they were sampled."""

    def __init__(
        self,
        source: RowSource,
        keys: tuple[SortKey, ...],
        parallelism: int,
        folder: str | None,
        target_bytes: int,
    ) -> None:
        key_columns(keys, source.schema)
        # Told now rather than after rows were read.
        Exchange(source.schema, RangePartitioning(keys, SortBounds((), (False,))))
        self.keys = keys
        self.parts: list[Any] = []
        self.columns = OutputColumns()
        self._source = source
        self._parallelism = parallelism
        self._folder = folder
        self._target_bytes = target_bytes
        self._exchange: Exchange | None = None

    def draw_parts(self) -> Iterator[Any]:
        """Yield the parts, and keep them for the next stage."""
        for part in self._source.parts(self._parallelism, self._folder):
            self.parts.append(part)
            yield part

    def exchange(self, outputs: StageOutputs) -> Exchange:
        """Return where rows go: chosen once, even if a sample should be drawn again."""
        if self._exchange is None:
            samples: list[_Sampled] = [each.value for each in outputs["sample"]]
            size_bytes = sum(each.part_bytes for each in samples)
            partitions = choose_partition_count(size_bytes, self._parallelism, self._target_bytes)
            bounds = choose_bounds([(each.keys, each.rows) for each in samples], partitions)
            self._exchange = Exchange(self._source.schema, RangePartitioning(self.keys, bounds))
        return self._exchange

    def runs(self, outputs: StageOutputs) -> Iterable[PartitionRun]:
        """Yield the partitions that a task sorts, those with one key cut: its rows are in order however that is done."""
        exchange = self.exchange(outputs)
        assert isinstance(exchange.partitioning, RangePartitioning)  # noqa: S101 - made so above
        single = exchange.partitioning.bounds.single
        columns = self.columns.of(outputs["shuffle"])
        sizes = columns.partition_bytes(exchange.partitions).tolist()
        for run in choose_partition_runs(sizes, self._parallelism, self._target_bytes):
            if run.stop - run.start == 1 and single[run.start]:
                yield from split_heavy_run(run, columns.root_bytes(run.start).tolist(), self._target_bytes)
            else:
                yield run

    def describe_run(self, run: PartitionRun) -> str:
        """Name what a task sorts, in an error."""
        return f"{run}, rows in the order of {', '.join(key.column for key in self.keys)}"


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the source, and where its rows go."""

    part: Any
    exchange: Exchange


@dataclass(frozen=True, slots=True)
class _Sampled:
    """Some keys of a part, the rows that they stand for, and the bytes of all its rows, about."""

    keys: SortKeys
    rows: float
    part_bytes: int


@dataclass(frozen=True, slots=True)
class _Sample:
    """Draws some keys of a part; the output's value is ``_Sampled``."""

    sampler: RowSampler
    keys: tuple[SortKey, ...]

    def __call__(self, part: Any, context: TaskContext) -> TaskOutput:
        columns = list(dict.fromkeys(key.column for key in self.keys))
        read = self.sampler(part, columns, context)
        keys, rows = sample_keys(read.batches, self.keys, context)
        return TaskOutput(_Sampled(keys, rows / read.share, read.part_bytes), rows_in=rows)


@dataclass(frozen=True, slots=True)
class _Shuffle:
    """Reads a part and writes its rows by partition."""

    reader: RowReader

    def __call__(self, part: _Part, context: TaskContext) -> TaskOutput:
        return write_part(part.exchange, self.reader, part.part, context)


@dataclass(frozen=True, slots=True)
class _Sort:
    """Sorts each partition, one after the other, and hands the rows to the function."""

    keys: tuple[SortKey, ...]
    function: SortedFunction

    def __call__(self, rows: ShuffleInput, context: TaskContext) -> TaskOutput:
        ordered = chain.from_iterable(
            sort_partition(partition, self.keys, context) for _, partition in single_partitions(rows, context)
        )
        return TaskOutput(
            self.function(ordered, context), rows.rows, rows.rows, rows.message_bytes, rows.message_bytes
        )
