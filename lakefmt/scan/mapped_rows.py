"""``MappedRows``: what Python functions make of rows, and the forms it comes in."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from lakefmt.databases import available_cores
from lakefmt.engine.jobs import describe_resources, job_folder, run_job, start_metrics
from lakefmt.engine.jobs.rows import open_rows
from lakefmt.engine.map_job import map_job
from lakefmt.engine.memory import parse_memory_limit
from lakefmt.engine.row_function import RowFunction
from lakefmt.engine.tasks import ThreadExecutor
from lakefmt.errors import InvalidInputError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterator, Mapping

    import pandas as pd
    import polars as pl

    from lakefmt.engine.jobs import Job, JobMetrics
    from lakefmt.engine.map_job import RowSource
    from lakefmt.engine.tasks import Executor
    from lakefmt.table import Table

__all__ = ["ExecutorKind", "MapExplanation", "MapOptions", "MappedRows", "map_rows"]

ExecutorKind = Literal["threads", "processes"]

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


def map_rows(
    source: RowSource,
    name: str,
    function: Callable[[pa.Table], Any],
    schema: pa.Schema | Mapping[str, pa.DataType] | None,
    options: MapOptions,
) -> MappedRows:
    """Return what a function makes of a source's rows; ``name`` is the source's in what is shown."""
    return MappedRows(source, name, (_row_function(function, schema, source.schema),), options)


class MappedRows:
    """What Python functions make of the rows of a scan or a query, on threads or worker processes.

    Made by ``Scan.map_batches`` and ``Query.map_batches``. Nothing is run until rows are asked for; every consumption runs
    the functions anew. Rows come in no order, and which of them a function sees together is not promised either. A function
    may be called again for rows it has seen (after a worker was lost, say); what it returned then is dropped.

    Any Arrow consumer takes it as a stream (``pa.table(rows)``, ``lakefmt.write(uri, rows)``), and it may be a table of a
    query.
    """

    def __init__(
        self, source: RowSource, name: str, functions: tuple[RowFunction, ...], options: MapOptions
    ) -> None:
        self._source = source
        self._name = name
        self._functions = functions
        self._options = options

    @property
    def schema(self) -> pa.Schema:
        """The columns of the rows."""
        return self._functions[-1].schema

    def map_batches(
        self,
        function: Callable[[pa.Table], Any],
        schema: pa.Schema | Mapping[str, pa.DataType] | None = None,
    ) -> MappedRows:
        """Return what another function makes of these rows, in the same tasks; see ``Scan.map_batches``."""
        further = _row_function(function, schema, self.schema)
        return MappedRows(self._source, self._name, (*self._functions, further), self._options)

    def to_arrow(self) -> pa.Table:
        """Run the functions and return the rows as an Arrow table; those of large results are mapped from files."""
        return pa.Table.from_batches(self.to_batches(), self.schema)

    def to_batches(self) -> Generator[pa.RecordBatch, None, None]:
        """Run the functions and yield the rows in record batches, as they come, in bounded memory."""
        plan = self._plan()
        with plan.begin() as (executor, folder), closing(self._run(plan, executor, folder, None)) as tables:
            for table in tables:
                for batch in table.to_batches():
                    if batch.num_rows:
                        yield batch

    def to_reader(self) -> pa.RecordBatchReader:
        """Return the rows as an Arrow stream reader."""
        return pa.RecordBatchReader.from_batches(self.schema, self.to_batches())

    def to_pandas(self) -> pd.DataFrame:
        """Run the functions and return the rows as a pandas data frame."""
        return self.to_arrow().to_pandas()

    def to_polars(self) -> pl.DataFrame:
        """Run the functions and return the rows as a polars data frame."""
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
        plan = self._plan()
        metrics: JobMetrics | None = None
        with plan.begin() as (executor, folder):
            if analyze:
                metrics = start_metrics(plan.job, executor)
                with closing(self._run(plan, executor, folder, metrics)) as tables:
                    for _ in tables:
                        pass
            where = describe_resources(executor.resources)
        names = tuple(function.name for function in self._functions)
        return MapExplanation(self._name, names, where, plan.reason, metrics)

    def __arrow_c_schema__(self) -> object:
        """Export the schema of the rows."""
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Export the rows as an Arrow stream."""
        reader: Any = self.to_reader()
        return reader.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        functions = ", ".join(function.name for function in self._functions)
        return f"lakefmt.MappedRows({functions} over {self._name}; columns: {', '.join(self.schema.names)})"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"

    def _plan(self) -> _Plan:
        return _plan(self._source, self._functions, self._options)

    def _run(
        self, plan: _Plan, executor: Executor, folder: str, metrics: JobMetrics | None
    ) -> Generator[pa.Table, None, None]:
        return run_job(plan.job, executor, folder=folder, open_result=open_rows, metrics=metrics)


@dataclass(frozen=True, slots=True)
class MapExplanation:
    """How functions over rows are run; prints as text.

    Attributes:
        source: where the rows come from.
        functions: their names, in order.
        executor: where they run.
        reason: why there.
        metrics: what the run did; None where it was not run.
    """

    source: str
    functions: tuple[str, ...]
    executor: str
    reason: str
    metrics: JobMetrics | None

    def __str__(self) -> str:
        lines = [
            f"rows: {self.source}",
            f"functions: {', then '.join(self.functions)}",
            f"executor: {self.executor} ({self.reason})",
        ]
        return "\n".join([*lines, *([] if self.metrics is None else [str(self.metrics)])])

    __repr__ = __str__


@dataclass(frozen=True, slots=True)
class _Plan:
    """A job, and where it runs."""

    job: Job
    kind: ExecutorKind
    reason: str
    options: MapOptions

    @contextmanager
    def begin(self) -> Iterator[tuple[Executor, str]]:
        """Give the executor and the folder of a run, while it lasts."""
        with job_folder() as folder, closing(_open_executor(self)) as executor:
            yield executor, folder


def _plan(source: RowSource, functions: tuple[RowFunction, ...], options: MapOptions) -> _Plan:
    kind, reason = _choose_executor(source, options)
    parallelism = options.workers or available_cores()
    job = map_job(
        source, functions, batch_rows=options.batch_rows, parallelism=parallelism, held_bytes=_HELD_BYTES
    )
    return _Plan(job, kind, reason, options)


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
    return "processes", "Python functions in one process wait for one another"


def _open_executor(plan: _Plan) -> Any:
    limit = plan.options.memory_limit
    memory_bytes = None if limit is None else parse_memory_limit(limit)
    if plan.kind == "threads":
        return ThreadExecutor(plan.options.workers, memory_bytes)
    from lakefmt.engine.tasks.processes import ProcessExecutor

    # What a cancelled function has begun is of no use: it has little time to end by itself.
    return ProcessExecutor(plan.options.workers, memory_bytes, grace_s=0.5)


def _row_function(
    function: Callable[[pa.Table], Any],
    schema: pa.Schema | Mapping[str, pa.DataType] | None,
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
    try:
        return RowFunction(function, pa.schema(list(dict(schema).items())))
    except (TypeError, ValueError, AttributeError, pa.ArrowException) as error:
        raise InvalidInputError(
            f"This is no schema: {schema!r:.80}",
            hint="Pass a pyarrow.schema, or {'name': pyarrow.int64(), ...}",
        ) from error
