"""``MappedRows``: what Python functions make of rows, and the forms it comes in."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pyarrow as pa

from lakefmt.engine.functions.map_job import MapSettings, Step, map_job
from lakefmt.engine.functions.row_function import RowFunction
from lakefmt.engine.gather import gather_tables
from lakefmt.engine.jobs import describe_resources, job_folder, run_job, start_metrics
from lakefmt.engine.jobs.rows import open_rows
from lakefmt.engine.memory import parse_memory_limit, parse_result_limit
from lakefmt.engine.parquet_reader import concat_rows
from lakefmt.engine.tasks import ThreadExecutor
from lakefmt.engine.tasks.executor import has_worker_processes
from lakefmt.errors import InvalidInputError
from lakefmt.optional_packages import require_package
from lakefmt.schema.arrow import arrow_type_of
from lakefmt.schema.table_schema import Schema
from lakefmt.schema.types import parse_type_name

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    import pandas as pd
    import polars as pl

    from lakefmt.engine.jobs import Job, JobMetrics
    from lakefmt.engine.sources.row_source import RowSource
    from lakefmt.engine.tasks import Executor
    from lakefmt.engine.tasks.processes import ProcessExecutor
    from lakefmt.table import Table

__all__ = [
    "ExecutorKind",
    "MapExplanation",
    "MapOptions",
    "MappedRows",
    "SchemaLike",
    "map_rows",
    "parse_step",
]

ExecutorKind = Literal["threads", "processes"]
SchemaLike: TypeAlias = "pa.Schema | Schema | Mapping[str, pa.DataType | str] | None"

_ROWS = 122_880
_HELD_BYTES = 4 << 20  # of a task's rows, which come without a file


@dataclass(frozen=True, slots=True)
class MapOptions:
    """How functions are run; see ``Scan.map_batches`` for what the fields are."""

    executor: ExecutorKind | None = None
    workers: int | None = None
    memory_limit: str | float | None = None
    batch_rows: int = _ROWS

    def __post_init__(self) -> None:
        if self.executor not in (None, "threads", "processes"):
            raise InvalidInputError(
                f"There is no executor {self.executor!r}",
                hint="Write executor='threads' or executor='processes'",
            )
        for name in ("workers", "batch_rows"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise InvalidInputError(f"{name} is a number from 1 on, not {value!r}")
        parse_memory_limit(self.memory_limit)


def map_rows(source: RowSource, name: str, step: Step, options: MapOptions) -> MappedRows:
    """Return what a function makes of a source's rows; ``name`` is the source's in what is shown."""
    return MappedRows(source, name, (step,), options)


def parse_step(
    function: Callable[[pa.Table], Any],
    schema: SchemaLike,
    repartition_by: str | Sequence[str],
    combine: Callable[[pa.Table], Any] | None,
    given: pa.Schema,
    *,
    gather: bool = False,
) -> Step:
    """Return a step of the arguments of ``map_batches``; ``given`` are the columns of the rows it is over.

    Raises:
        InvalidInputError: they do not fit one another or the rows.
    """
    found = _row_function(function, schema, given)
    keys = (repartition_by,) if isinstance(repartition_by, str) else tuple(repartition_by)
    if gather and (keys or combine is not None):
        raise InvalidInputError(
            "gather=True gives the function all rows, and repartition_by and combine divide them",
            hint="Write one or the other",
        )
    if combine is None:
        _check_keys(keys, given, "of the rows")
        return Step(found, keys, gather=gather)
    if not keys:
        raise InvalidInputError(
            "combine puts the rows of a key together, and repartition_by names no key",
            hint="Name the key's columns in repartition_by",
        )
    # What is sent is what the function returned.
    _check_keys(keys, found.schema, "that the function returns, which combine= is given")
    return Step(found, keys, _row_function(combine, found.schema, found.schema))


class MappedRows:
    """What Python functions make of the rows of a scan or a query, on threads or worker processes.

    Made by ``Scan.map_batches`` and ``Query.map_batches``. Nothing is run until rows are asked for; every consumption runs
    the functions anew. Rows come in no order, and which of them a function sees together is not promised either. A function
    may be called again for rows it has seen (after a worker was lost, say); what it returned then is dropped.

    Any Arrow consumer takes it as a stream (``pa.table(rows)``, ``lakefmt.write(uri, rows)``), and it may be a table of a
    query.
    """

    def __init__(self, source: RowSource, name: str, steps: tuple[Step, ...], options: MapOptions) -> None:
        self._source = source
        self._name = name
        self._steps = steps
        self._options = options

    @property
    def schema(self) -> pa.Schema:
        """The columns of the rows."""
        return self._steps[-1].function.schema

    def map_batches(
        self,
        function: Callable[[pa.Table], Any],
        schema: SchemaLike = None,
        *,
        repartition_by: str | Sequence[str] = (),
        combine: Callable[[pa.Table], Any] | None = None,
        gather: bool = False,
    ) -> MappedRows:
        """Return what another function makes of these rows; arguments are those of ``Scan.map_batches``.

        Without ``repartition_by`` and ``gather`` it is called in the same tasks, with what the one before returned.
        """
        step = parse_step(function, schema, repartition_by, combine, self.schema, gather=gather)
        return MappedRows(self._source, self._name, (*self._steps, step), self._options)

    def to_arrow(self) -> pa.Table:
        """Run the functions and return the rows as an Arrow table; what takes a quarter of the memory is mapped from files."""
        limit = parse_result_limit(None)
        with _begin(self._source, self._steps, self._options) as run, closing(run.tables()) as tables:
            return concat_rows(gather_tables(tables, self.schema, limit), self.schema)

    def to_batches(self) -> Generator[pa.RecordBatch, None, None]:
        """Run the functions and yield the rows in record batches, as they come, in bounded memory."""
        with _begin(self._source, self._steps, self._options) as run, closing(run.tables()) as tables:
            for table in tables:
                for batch in table.to_batches():
                    if batch.num_rows:
                        yield batch

    def to_reader(self) -> pa.RecordBatchReader:
        """Return the rows as an Arrow stream reader."""
        return pa.RecordBatchReader.from_batches(self.schema, self.to_batches())

    def to_pandas(self) -> pd.DataFrame:
        """Run the functions and return the rows as a pandas data frame."""
        require_package("pandas", "to_pandas")
        return self.to_arrow().to_pandas()

    def to_polars(self) -> pl.DataFrame:
        """Run the functions and return the rows as a polars data frame."""
        require_package("polars", "to_polars")
        import polars as pl

        frame: Any = pl.from_arrow(self.to_arrow())
        return frame  # type: ignore[no-any-return]

    def write_to(self, uri: str | os.PathLike[str], mode: Any = "error", **options: Any) -> Table:
        """Write the rows to a table, creating it if it is not there; arguments and errors are those of ``lakefmt.write``."""
        # By the public door, as a caller would: what writes tables stands above scans.
        from lakefmt import write

        return write(uri, self, mode=mode, **options)

    def explain(self, *, analyze: bool = False) -> MapExplanation:
        """Return where the functions run and why; ``analyze`` runs them, drops the rows and tells rows, bytes and times."""
        _, reason = _choose_executor(self._source, self._options)
        with _begin(self._source, self._steps, self._options) as run:
            metrics = start_metrics(run.job, run.executor)
            if analyze:
                with closing(run.tables(metrics)) as tables:
                    for _ in tables:
                        pass
            where = describe_resources(run.executor.resources)
            stages = tuple(stage.name for stage in run.job.stages)
        names = tuple(map(_describe_step, self._steps))
        return MapExplanation(self._name, names, where, reason, stages, metrics if analyze else None)

    def __arrow_c_schema__(self) -> object:
        """Export the schema of the rows."""
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Export the rows as an Arrow stream."""
        reader: Any = self.to_reader()
        return reader.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        functions = ", then ".join(map(_describe_step, self._steps))
        return f"lakefmt.MappedRows({functions} over {self._name}; columns: {', '.join(self.schema.names)})"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


@dataclass(frozen=True, slots=True)
class MapExplanation:
    """How functions over rows are run; prints as text.

    Attributes:
        source: where the rows come from.
        functions: their names, in order.
        executor: where they run.
        reason: why there.
        stages: of the job, in order; between them rows are sent to where those with equal keys come together.
        metrics: what the run did; None where it was not run.
    """

    source: str
    functions: tuple[str, ...]
    executor: str
    reason: str
    stages: tuple[str, ...]
    metrics: JobMetrics | None

    def __str__(self) -> str:
        lines = [
            f"rows: {self.source}",
            f"functions: {', then '.join(self.functions)}",
            f"executor: {self.executor} ({self.reason})",
            f"stages: {', then '.join(self.stages)}",
        ]
        return "\n".join([*lines, *([] if self.metrics is None else [str(self.metrics)])])

    __repr__ = __str__


@dataclass(frozen=True, slots=True)
class _Begun:
    """A job, with the executor and the folder that are there while it runs."""

    job: Job
    executor: Executor
    folder: str
    may_move: bool

    def tables(self, metrics: JobMetrics | None = None) -> Generator[pa.Table, None, None]:
        return run_job(
            self.job,
            self.executor,
            folder=self.folder,
            open_result=open_rows,
            metrics=metrics,
            may_move=self.may_move,
        )


@contextmanager
def _begin(source: RowSource, steps: tuple[Step, ...], options: MapOptions) -> Iterator[_Begun]:
    kind, _ = _choose_executor(source, options)
    with job_folder() as folder, closing(_open_executor(kind, options)) as executor:
        resources = executor.resources
        settings = MapSettings(
            options.batch_rows, resources.parallelism, resources.task_memory_bytes, _HELD_BYTES, folder
        )
        # Who asks for threads may have functions that share values with them.
        yield _Begun(map_job(source, steps, settings), executor, folder, may_move=options.executor is None)


def _choose_executor(source: RowSource, options: MapOptions) -> tuple[ExecutorKind, str]:
    """Return where to run Python functions, and why."""
    if options.executor == "processes" and source.only_threads is not None:
        raise InvalidInputError(
            f"Worker processes cannot read this: {source.only_threads}",
            hint="Write executor='threads', or keep the table on disk or an object store",
        )
    if options.executor is not None:
        return options.executor, "as asked for"
    if source.only_threads is not None:
        return "threads", source.only_threads
    if not has_worker_processes():
        return "threads", "this system has no worker processes"
    return "processes", "Python functions in one process wait for one another"


def _open_executor(kind: ExecutorKind, options: MapOptions) -> ThreadExecutor | ProcessExecutor:
    memory_bytes = None if options.memory_limit is None else parse_memory_limit(options.memory_limit)
    if kind == "threads":
        return ThreadExecutor(options.workers, memory_bytes)
    from lakefmt.engine.tasks.processes import ProcessExecutor

    # What a cancelled function has begun is of no use: it has little time to end by itself.
    return ProcessExecutor(options.workers, memory_bytes, grace_s=0.5)


def _describe_step(step: Step) -> str:
    keys = f" by {', '.join(step.keys)}" if step.keys else ""
    combined = f" combined by {step.combine.name}" if step.combine is not None else ""
    gathered = " gathered" if step.gather else ""
    return f"{step.function.name}{gathered}{keys}{combined}"


def _check_keys(keys: tuple[str, ...], schema: pa.Schema, which: str) -> None:
    for key in keys:
        if key not in schema.names:
            raise InvalidInputError(
                f"There is no column {key!r} {which}, to repartition by",
                hint=f"The columns are {', '.join(schema.names)}",
            )


def _row_function(
    function: Callable[[pa.Table], Any],
    schema: SchemaLike,
    given: pa.Schema,
) -> RowFunction:
    if not callable(function):
        raise InvalidInputError(
            f"map_batches takes a function of a pyarrow.Table, not {type(function).__name__}"
        )
    if schema is None:
        return RowFunction(function, given)
    if isinstance(schema, pa.Schema):
        return RowFunction(function, schema)
    if isinstance(schema, Schema):
        return RowFunction(function, schema.to_arrow())
    try:
        return RowFunction(function, pa.schema(list(map(_field, dict(schema).items()))))
    except (TypeError, ValueError, AttributeError, pa.ArrowException) as error:
        raise InvalidInputError(
            f"This is no schema: {schema!r:.80}",
            hint="Pass a pyarrow.schema, or {'name': pyarrow.int64(), 'other': 'string', ...}",
        ) from error


def _field(column: tuple[str, pa.DataType | str]) -> tuple[str, pa.DataType]:
    name, type_ = column
    return name, arrow_type_of(parse_type_name(type_)) if isinstance(type_, str) else type_
