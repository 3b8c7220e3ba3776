"""A global sort: bounds from a sample of the keys, rows cut by them, each partition sorted by itself.

What comes out is in DuckDB's order from the first result to the last. Rows with equal keys come in the order of the source's
parts. A partition larger than its task's memory is cut further, in the task's scratch folder; rows that have one and the same
key are not sorted at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from lakefmt.engine.exchange import (
    Exchange,
    RangePartitioning,
    ShuffleInput,
    SortBounds,
    choose_bounds,
    read_shuffle,
    sort_keys_of,
    write_shuffle_file,
)
from lakefmt.engine.exchange.keys import key_columns
from lakefmt.engine.exchange.sort_keys import concat_sort_keys
from lakefmt.engine.exchange.wire import concat_batches, take_rows
from lakefmt.engine.jobs import Job, Stage, TaskOutput
from lakefmt.engine.jobs.partition_runs import (
    PARTITION_BYTES,
    choose_partition_count,
    choose_partition_runs,
    split_heavy_run,
    split_run,
)
from lakefmt.engine.shuffle_tasks import partition_bytes, shuffle_input, single_partitions, write_part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa

    from lakefmt.engine.exchange import SortKey, SortKeys
    from lakefmt.engine.jobs import StageOutputs
    from lakefmt.engine.jobs.partition_runs import PartitionRun
    from lakefmt.engine.sources import RowReader, RowSource
    from lakefmt.engine.tasks import TaskContext

    SortedFunction = Callable[[Iterator[pa.RecordBatch], TaskContext], Any]

__all__ = ["sort_job", "sort_partition"]

_PART_SAMPLED = (
    1_024  # keys of a part at least; with some parts a partition has hundreds of them, and is off by a tenth
)
_IN_MEMORY_SHARE = 1 / 5  # of the task's memory: the rows, their keys, the order, what is handed out
_MOST_IN_MEMORY = 1 << 30  # 32-bit offsets reach twice as far
_MOST_CUTS = 4  # one within the other
_OUT_BYTES = 8 << 20


def sort_job(
    source: RowSource,
    keys: Sequence[SortKey],
    function: SortedFunction,
    *,
    parallelism: int,
    folder: str | None = None,
    key_source: RowSource | None = None,
    size_bytes: int | None = None,
    target_bytes: int = PARTITION_BYTES,
) -> Job:
    """Return the job that sorts rows; its results are what the function returned, in the rows' order.

    Args:
        source: the rows; they are read twice, unless the keys are read from elsewhere, and are the same both times.
        keys: what to sort by.
        function: is given rows in order, all of which are before those of the next result, and the task's context; as in
            ``repartition_job``.
        parallelism: tasks that run at once.
        folder: the job's, where rows are kept that a source cannot give again; None to keep such rows in memory.
        key_source: the same rows in the same parts, or a random part of them, with the keys' columns alone.
        size_bytes: of all rows, about; None where nobody knows.
        target_bytes: partitions are to be of so many bytes.

    Raises:
        InvalidInputError: a key is no column.
        UnsupportedFeatureError: rows of such a schema cannot be sent.
    """
    keys = tuple(keys)
    sampled = source if key_source is None else key_source
    key_columns(keys, sampled.schema)
    # Told now rather than after the keys were read.
    Exchange(source.schema, RangePartitioning(keys, SortBounds((), (False,))))
    partitions = choose_partition_count(size_bytes, parallelism, target_bytes)
    chosen: list[Exchange] = []

    def exchange(outputs: StageOutputs) -> Exchange:
        if not chosen:
            bounds = choose_bounds([each.value for each in outputs["sample"]], partitions)
            chosen.append(Exchange(source.schema, RangePartitioning(keys, bounds)))
        return chosen[0]

    def bind_part(part: Any, outputs: StageOutputs) -> _Part:
        return _Part(part, exchange(outputs))

    def plan(outputs: StageOutputs) -> Iterable[PartitionRun]:
        return _plan_sorts(exchange(outputs), outputs, parallelism, target_bytes)

    def bind_run(run: PartitionRun, outputs: StageOutputs) -> ShuffleInput:
        return shuffle_input(exchange(outputs), outputs["shuffle"], run)

    sample = Stage(
        "sample",
        _Sample(sampled.reader, keys),
        lambda _: sampled.parts(parallelism, folder),
        split=sampled.split,
        describe=sampled.describe,
        only_threads=sampled.only_threads,
    )
    shuffle = Stage(
        "shuffle",
        _Shuffle(source.reader),
        lambda _: source.parts(parallelism, folder),
        reads=("sample",),
        bind=bind_part,
        split=source.split,
        describe=source.describe,
        only_threads=source.only_threads,
    )
    sort = Stage(
        "sort",
        _Sort(keys, function),
        plan,
        reads=("sample", "shuffle"),
        bind=bind_run,
        split=lambda run: split_run(run) if run.stop - run.start > 1 else (),
    )
    return Job((sample, shuffle, sort), ordered=True)


def sort_partition(
    rows: ShuffleInput, keys: Sequence[SortKey], context: TaskContext
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of one partition in order, in the task's memory.

    Raises what ``read_shuffle`` does.
    """
    return _sorted(rows, tuple(keys), context, 0)


def _plan_sorts(
    exchange: Exchange, outputs: StageOutputs, parallelism: int, target_bytes: int
) -> Iterator[PartitionRun]:
    files = outputs["shuffle"]
    partitioning = exchange.partitioning
    assert isinstance(partitioning, RangePartitioning)  # noqa: S101 - made so above
    for run in choose_partition_runs(partition_bytes(files), parallelism, target_bytes):
        if run.stop - run.start == 1 and partitioning.bounds.single[run.start]:
            # Rows with one key are in order however they are cut.
            by_root: dict[int, int] = {}
            for file in files:
                by_root[file.root] = by_root.get(file.root, 0) + int(file.value.partition_bytes[run.start])
            sizes = [by_root.get(root, 0) for root in range(max(by_root) + 1)]
            yield from split_heavy_run(run, sizes, target_bytes)
        else:
            yield run


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the source, and where its rows go."""

    part: Any
    exchange: Exchange


@dataclass(frozen=True, slots=True)
class _Sample:
    """Draws some keys of a part; the output's value is those, and how many rows they stand for."""

    reader: RowReader
    keys: tuple[SortKey, ...]

    def __call__(self, part: Any, context: TaskContext) -> TaskOutput:
        found, rows = sample_keys(self.reader(part, context), self.keys, _PART_SAMPLED, context)
        return TaskOutput((found, rows), rows_in=rows)


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
            sort_partition(partition, self.keys, context) for _, partition in single_partitions(rows)
        )
        return TaskOutput(
            self.function(ordered, context), rows.rows, rows.rows, rows.message_bytes, rows.message_bytes
        )


def _sorted(
    rows: ShuffleInput, keys: tuple[SortKey, ...], context: TaskContext, cuts: int
) -> Iterator[pa.RecordBatch]:
    partitioning = rows.exchange.partitioning
    numbers = {number for file in rows.files for number in file.index.partitions.tolist()}
    assert isinstance(partitioning, RangePartitioning)  # noqa: S101 - it is called for no other
    if all(partitioning.bounds.single[number] for number in numbers):
        yield from read_shuffle(rows, context)
        return
    limit = min(int(context.memory_bytes * _IN_MEMORY_SHARE), _MOST_IN_MEMORY)
    if rows.row_bytes > limit and cuts < _MOST_CUTS:
        yield from _cut_and_sort(rows, keys, context, cuts=cuts, limit_bytes=limit)
    else:
        yield from _sorted_in_memory(list(read_shuffle(rows, context)), keys, context)


def _cut_and_sort(
    rows: ShuffleInput, keys: tuple[SortKey, ...], context: TaskContext, *, cuts: int, limit_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Sort a partition that is too large by cutting it further, on local disk."""
    size = rows.row_bytes
    sample = sample_keys(read_shuffle(rows, context), keys, _PART_SAMPLED, context)
    bounds = choose_bounds([sample], 2 * -(-size // limit_bytes))
    exchange = Exchange(rows.exchange.wire_schema, RangePartitioning(keys, bounds))
    here = replace(context, folder=context.scratch.folder(), stage=f"{context.stage}-cut{cuts}")
    file = write_shuffle_file(exchange, read_shuffle(rows, context), here)
    whole = ShuffleInput.of(exchange, [file], 0, exchange.partitions)
    for _, partition in single_partitions(whole):
        yield from _sorted(partition, keys, context, cuts + 1)


def _sorted_in_memory(
    batches: list[pa.RecordBatch], keys: tuple[SortKey, ...], context: TaskContext
) -> Iterator[pa.RecordBatch]:
    order = concat_sort_keys([sort_keys_of(batch, keys) for batch in batches]).order()
    whole = concat_batches(batches)
    batches.clear()
    step = max(1, _OUT_BYTES * max(whole.num_rows, 1) // max(whole.nbytes, 1))
    for start in range(0, whole.num_rows, step):
        context.check_cancelled()
        yield take_rows(whole, order[start : start + step])


def sample_keys(
    batches: Iterable[pa.RecordBatch], keys: tuple[SortKey, ...], count: int, context: TaskContext
) -> tuple[SortKeys, int]:
    """Return the sort keys of ``count`` to twice as many rows drawn at random (of all, where there are fewer), and how many rows there are."""
    draw = np.random.default_rng(context.number)
    held: list[pa.RecordBatch] = []
    held_rows = rows = 0
    rate = 1.0
    for batch in batches:
        context.check_cancelled()
        rows += batch.num_rows
        chosen = batch.select(key_columns(keys, batch.schema))
        if rate < 1:
            chosen = take_rows(chosen, np.flatnonzero(draw.random(batch.num_rows) < rate))
        held.append(chosen)
        held_rows += chosen.num_rows
        if held_rows > 2 * count:
            # What was drawn before is drawn from once more, so that each row had the same chance.
            keep = count / held_rows
            rate *= keep
            held = [take_rows(each, np.flatnonzero(draw.random(each.num_rows) < keep)) for each in held]
            held_rows = sum(each.num_rows for each in held)
    return concat_sort_keys([sort_keys_of(each, keys) for each in held if each.num_rows]), rows
