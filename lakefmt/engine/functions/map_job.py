"""Functions over rows as a job: stages cut where rows with equal keys have to come together.

    part ──MapTask──▶ driver                                          no keys
    part ──MapTask──▶ exchange ──▶ run of partitions ──MapTask──▶ driver        keys
                          └──▶ piece of a heavy partition ──CombineTask──▶ exchange ──┘   keys, and a way to combine
    part ──MapTask──▶ exchange ──▶ all rows ──MapTask──▶ driver                     gathered

A step whose results can be combined is run before the exchange as well, so that little is sent; and a partition that is too
heavy for one task is combined in pieces first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lakefmt.engine.exchange import Exchange, Gather, HashKey, HashPartitioning, ShuffleFile, ShuffleInput
from lakefmt.engine.functions.map_tasks import (
    CombinedPiece,
    CombineTask,
    FoldedRows,
    GatheredRows,
    KeyedRows,
    MapTask,
    PartRows,
    ToDriver,
    ToExchange,
)
from lakefmt.engine.jobs import Job, Source, Stage
from lakefmt.engine.jobs.partition_runs import (
    PARTITION_BYTES,
    PartitionRun,
    choose_partition_count,
    choose_partition_runs,
    split_heavy_run,
    split_run,
)
from lakefmt.engine.shuffle_tasks import OutputColumns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from lakefmt.engine.functions.row_function import RowFunction
    from lakefmt.engine.jobs import StageOutputs
    from lakefmt.engine.sources.row_source import RowSource

__all__ = ["MapSettings", "Step", "map_job"]

_TARGET_SHARE = 1 / 8  # of a task's memory for the rows of an exchange that it should read
_WAY_OUT = "Raise memory_limit, or lower batch_rows"
_KEYED_WAY_OUT = (
    "Raise memory_limit, or pass combine= so that the rows of a key need not be in memory together"
)


@dataclass(frozen=True, slots=True)
class Step:
    """One function of several.

    Attributes:
        function: what is called.
        keys: columns of the rows it is given; all rows with equal values of them come in one call. () for none.
        combine: makes, of rows that the function returned for parts of a key's rows, those for all of them; a function may
            then be given parts of a key's rows. None where it cannot be done.
        gather: one task calls it for all rows, in their order: what it returns depends on that, or on chance.
    """

    function: RowFunction
    keys: tuple[str, ...] = ()
    combine: RowFunction | None = None
    gather: bool = False


@dataclass(frozen=True, slots=True)
class MapSettings:
    """How the job is cut.

    Attributes:
        batch_rows: rows that the first function is given, at most.
        parallelism: tasks that run at once.
        task_memory_bytes: that each of them has.
        held_bytes: rows of a task that come to the driver without a file.
        folder: the job's.
    """

    batch_rows: int
    parallelism: int
    task_memory_bytes: int
    held_bytes: int
    folder: str

    @property
    def target_bytes(self) -> int:
        """What a task should read of an exchange."""
        return max(1, min(PARTITION_BYTES, int(self.task_memory_bytes * _TARGET_SHARE)))


def map_job(source: RowSource, steps: Sequence[Step], settings: MapSettings) -> Job:
    """Return the job whose results are what the steps, one after the other, make of the source's rows."""
    cuts: list[int | None] = [place for place, step in enumerate(steps) if step.keys or step.gather]
    has_exchange = bool(cuts)
    stages: list[Stage] = []
    rows: PartRows | GatheredRows | KeyedRows | FoldedRows = PartRows(source.reader, settings.batch_rows)
    reading: _Reading | _GatheredReading | None = None
    carried: list[RowFunction] = []  # what the next stage begins with
    start = 0
    for number, cut in enumerate([*cuts, None], start=1):
        functions = [*carried, *(step.function for step in steps[start:cut])]
        name = f"map-{number}" if has_exchange else "map"
        if cut is None:
            sink: ToDriver | ToExchange = ToDriver(steps[-1].function.schema, settings.held_bytes)
            combine = None
        else:
            step = steps[cut]
            combine = step.combine
            schema = steps[cut - 1].function.schema if cut else source.schema
            if combine is not None:
                functions.append(step.function)
                schema = combine.schema
            carried = [step.function] if combine is None else []
            sink = ToExchange(_exchange(schema, step, source, settings))
            start = cut + 1
        task = MapTask(rows, tuple(functions), combine, sink)
        stages.append(
            _source_stage(name, task, source, settings, keep=has_exchange)
            if reading is None
            else _reading_stage(name, task, reading)
        )
        if isinstance(sink, ToExchange) and sink.exchange.partitions == 1 and steps[start - 1].gather:
            reading = _GatheredReading(sink.exchange, name)
            rows = GatheredRows(settings.batch_rows)
        elif isinstance(sink, ToExchange):
            stages, reading = _with_combining(stages, sink.exchange, combine, settings, number)
            rows = KeyedRows() if combine is None else FoldedRows(combine)
    return Job(tuple(stages))


def _source_stage(name: str, task: MapTask, source: RowSource, settings: MapSettings, *, keep: bool) -> Stage:
    return Stage(
        name,
        task,
        lambda _: source.parts(settings.parallelism, settings.folder if keep else None),
        split=source.split,
        describe=source.describe,
        way_out=_WAY_OUT,
        summarize=_describe_partitions,
        only_threads=source.only_threads,
        total_rows=lambda _: source.count_rows(),
    )


def _reading_stage(name: str, task: MapTask, reading: _Reading | _GatheredReading) -> Stage:
    if isinstance(reading, _GatheredReading):
        return Stage(
            name,
            task,
            reading.runs,
            reads=reading.stages,
            bind=reading.bind,
            describe=lambda _: "all rows",
            way_out=_WAY_OUT,
            summarize=_describe_partitions,
            is_repeatable=False,
            total_rows=reading.total_rows,
        )
    return Stage(
        name,
        task,
        reading.runs,
        reads=reading.stages,
        bind=reading.bind,
        split=split_run,
        describe=partial(_describe_run, reading.exchange),
        way_out=_KEYED_WAY_OUT,
        summarize=_describe_partitions,
        total_rows=reading.total_rows,
    )


def _with_combining(
    stages: list[Stage],
    exchange: Exchange,
    combine: RowFunction | None,
    settings: MapSettings,
    number: int,
) -> tuple[list[Stage], _Reading]:
    """Return the stages, with one that combines heavy partitions in pieces if that can be done, and who reads them."""
    sender, columns = stages[-1].name, OutputColumns()
    if combine is None:
        return stages, _Reading(exchange, settings, sender, columns)
    name = f"combine-{number}"
    pieces = _Pieces(exchange, settings, sender, columns)
    # Of one partition: who reads it is told which of the first exchange's it stands for.
    onward = Exchange(exchange.schema, HashPartitioning(_keys_of(exchange), 1))
    task = MapTask(FoldedRows(combine), (), None, ToExchange(onward))
    stage = Stage(
        name,
        CombineTask(task),
        pieces.plan,
        reads=(sender,),
        bind=pieces.bind,
        split=_split_piece,
        describe=partial(_describe_run, exchange),
        way_out="Raise memory_limit",
    )
    return [*stages, stage], _Reading(exchange, settings, sender, columns, name, onward)


@dataclass(frozen=True, slots=True)
class _Pieces:
    """The pieces of partitions that are too heavy for one task: by the tasks that filled them."""

    exchange: Exchange
    settings: MapSettings
    sender: str
    columns: OutputColumns

    def plan(self, outputs: StageOutputs) -> Iterator[PartitionRun]:
        columns = self.columns.of(outputs[self.sender])
        target = self.settings.target_bytes
        for partition in np.flatnonzero(columns.partition_bytes(self.exchange.partitions) > target).tolist():
            roots = columns.root_bytes(partition).tolist()
            pieces = split_heavy_run(PartitionRun(partition, partition + 1), roots, target)
            if len(pieces) > 1:
                yield from pieces

    def bind(self, run: PartitionRun, outputs: StageOutputs) -> tuple[int, tuple[ShuffleInput, ...]]:
        return run.start, (self.columns.input(self.exchange, outputs[self.sender], run),)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What is read of an exchange: runs of partitions of even size; heavy ones as they were combined, where they were."""

    exchange: Exchange
    settings: MapSettings
    sender: str
    columns: OutputColumns
    combiner: str | None = None
    onward: Exchange | None = None

    @property
    def stages(self) -> tuple[str, ...]:
        return (self.sender,) if self.combiner is None else (self.sender, self.combiner)

    def runs(self, outputs: StageOutputs) -> Iterator[PartitionRun]:
        sizes = self.columns.of(outputs[self.sender]).partition_bytes(self.exchange.partitions)
        heavy = frozenset(self._combined(outputs))
        for partition in sorted(heavy):
            yield PartitionRun(partition, partition + 1)
        yield from choose_partition_runs(
            sizes.tolist(), self.settings.parallelism, self.settings.target_bytes, apart=heavy
        )

    def bind(self, run: PartitionRun, outputs: StageOutputs) -> tuple[ShuffleInput, ...]:
        combined = self._combined(outputs).get(run.start, ())
        if combined and self.onward is not None:
            # It is in a run by itself.
            found = ShuffleInput.of(self.onward, combined, 0, 1, run.slices)
        else:
            found = self.columns.input(self.exchange, outputs[self.sender], run)
        return (found,)

    def total_rows(self, outputs: StageOutputs) -> int:
        combined = self._combined(outputs)
        sent = sum((source.value.partition_rows for source in outputs[self.sender]), np.zeros(1, np.int64))
        apart = sum(int(sent[partition]) for partition in combined)
        return int(sent.sum()) - apart + sum(file.rows for files in combined.values() for file in files)

    def _combined(self, outputs: StageOutputs) -> dict[int, list[ShuffleFile]]:
        found: dict[int, list[ShuffleFile]] = {}
        for source in outputs[self.combiner] if self.combiner is not None else ():
            piece: CombinedPiece = source.value
            found.setdefault(piece.partition, []).append(piece.file)
        return found


@dataclass(frozen=True, slots=True)
class _GatheredReading:
    """All rows of an exchange, read by one task in the order of the parts that they are from."""

    exchange: Exchange
    sender: str

    @property
    def stages(self) -> tuple[str, ...]:
        return (self.sender,)

    def runs(self, outputs: StageOutputs) -> Iterator[PartitionRun]:
        if self.total_rows(outputs):
            yield PartitionRun(0, 1)

    def bind(self, run: PartitionRun, outputs: StageOutputs) -> tuple[ShuffleInput, ...]:
        files = [source.value for source in outputs[self.sender]]
        return (ShuffleInput.of(self.exchange, files, run.start, run.stop),)

    def total_rows(self, outputs: StageOutputs) -> int:
        return sum(source.value.rows for source in outputs[self.sender])


def _split_piece(run: PartitionRun) -> Sequence[PartitionRun]:
    """Return the halves of a piece: of the tasks it is from, else of its keys."""
    first, last = run.roots or (0, 0)
    middle = (first + last) // 2
    if middle > first and run.slices is None:
        return [replace(run, roots=(first, middle)), replace(run, roots=(middle, last))]
    return split_run(run)


def _exchange(schema: pa.Schema, step: Step, source: RowSource, settings: MapSettings) -> Exchange:
    if step.gather:
        return Exchange(schema, Gather())
    count = choose_partition_count(source.size_bytes, settings.parallelism, settings.target_bytes)
    return Exchange(schema, HashPartitioning(tuple(map(HashKey, step.keys)), count))


def _keys_of(exchange: Exchange) -> tuple[HashKey, ...]:
    assert isinstance(exchange.partitioning, HashPartitioning)  # noqa: S101 - made above
    return exchange.partitioning.keys


def _describe_run(exchange: Exchange, run: PartitionRun) -> str:
    names = ", ".join(key.column for key in _keys_of(exchange))
    return f"{run} (there are {exchange.partitions}), rows by {names}"


def _describe_partitions(sources: Sequence[Source]) -> Sequence[str]:
    """Say how even the partitions are, and which keys make them uneven."""
    files = [source.value for source in sources if isinstance(source.value, ShuffleFile)]
    if not files or files[0].partitions == 1:
        return ()
    rows: NDArray[np.int64] = sum((file.partition_rows for file in files), np.zeros(1, np.int64))
    total = int(rows.sum())
    if not total:
        return ()
    largest = int(rows.argmax())
    full = int((rows > 0).sum())
    share = f"the largest, {largest}, has {rows[largest] / total:.0%}"
    notes = [f"{full:,} of {len(rows):,} partitions have rows; {share}"]
    keys: dict[tuple[int, int], int] = {}
    for file in files:
        for key in file.heavy_keys:
            keys[key.partition, key.hash] = keys.get((key.partition, key.hash), 0) + key.rows
    heaviest = sorted(keys.items(), key=lambda item: -item[1])[:3]
    notes += [
        f"a key in partition {partition} has about {count:,} rows, {count / total:.0%}"
        for (partition, _), count in heaviest
        if count * len(rows) > 2 * total
    ]
    return notes
