"""``Query``: a SQL text over tables, and the forms its rows come in."""

from __future__ import annotations

import time
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import pyarrow as pa

from lakefmt.cached import cached_value
from lakefmt.errors import InvalidInputError
from lakefmt.optional_packages import require_package
from lakefmt.query.allowances import binding_cursor, parse_allowances
from lakefmt.query.bind import bind, relation_schema
from lakefmt.query.limits import MemoryLimits
from lakefmt.query.metadata import answer_from_metadata
from lakefmt.query.reading import survey_reading
from lakefmt.query.session import Session
from lakefmt.query.sources import TableSource, resolve_sources
from lakefmt.query.statement import parameters_left, parse_statement

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Mapping, Sequence

    import pandas as pd
    import polars as pl

    from lakefmt.databases import Allowances
    from lakefmt.expressions.constants import Parameters
    from lakefmt.opening import WriteMode
    from lakefmt.query.bind import Bound
    from lakefmt.query.explanation import Explanation
    from lakefmt.query.reading import TableReading
    from lakefmt.query.sources import Source
    from lakefmt.query.statement import Statement
    from lakefmt.scan.mapped_rows import ExecutorKind, MappedRows, SchemaLike
    from lakefmt.table import Table

__all__ = ["Query", "sql"]

_T = TypeVar("_T")


def sql(
    text: str,
    tables: Mapping[str, Any] | None = None,
    *,
    params: Sequence[Any] | Mapping[str, Any] | None = None,
    storage_options: Mapping[str, Any] | None = None,
    memory_limit: str | float | None = None,
    result_memory_limit: str | float | None = None,
    allowed_folders: Sequence[str | os.PathLike[str]] = (),
    extensions: Sequence[str] = (),
) -> Query:
    """Describe a query in DuckDB's SQL over tables; nothing is read until its rows are asked for.

    DuckDB runs the text as it stands: everything that its SELECT can do (WITH, FROM first, PIVOT, QUALIFY, ASOF, VALUES,
    DESCRIBE, SUMMARIZE, set operations, ...). Files that cannot hold a row that matters are left out before, by the
    conditions in the text that say so. The text is checked here, over tables without rows. A query reads its tables
    and nothing else, unless it is allowed to: no file, extension or Python variable. Its session's time zone is UTC.

    Args:
        text: one statement. In FROM stands a name of ``tables`` or the URI of a table between quotes
            (``FROM 's3://bucket/trips'``, ``FROM './trips'``); ``AT (VERSION => 3)`` or ``AT (TIMESTAMP => '2026-01-01')``
            behind it (and behind an alias) asks for an earlier version.
        tables: what the names in the text stand for: a ``Table`` (the version its handle stands at), a URI, another
            ``Query``, and data of pyarrow, pandas, polars or anything else with an Arrow stream.
        params: values of ``?`` or ``$1`` (a sequence) or ``$name`` (a mapping).
        storage_options: for the tables that are given by URI.
        memory_limit: what a run may take: ``"2GB"``, ``"512MiB"``, ``"50%"`` of what this process may have, or bytes;
            what does not fit is spilled to the system's folder for temporary files. By default 70 %.
        result_memory_limit: a result of more bytes comes back from ``to_arrow`` mapped from a file in that folder,
            which takes no memory but the system's cache of files. By default 25 %.
        allowed_folders: folders of local disk; the query may read any file below them by DuckDB's file functions
            (``read_parquet``, ``read_csv``, ``glob``, ...). By default none.
        extensions: names of DuckDB's extensions to be loaded for the query; they must have been installed. By default none.

    Raises:
        InvalidInputError: the text is wrong, or does not only read; the place and the closest names are told.
        TableNotFoundError, VersionNotFoundError: there is no such table or version.
        UnsupportedFeatureError: it needs an extension of DuckDB, or a table needs what this release does not have.
    """
    parameters = _plain_parameters(params)
    limits = MemoryLimits.parse(memory_limit, result_memory_limit)
    allowances = parse_allowances(allowed_folders, extensions)
    statement = parse_statement(text, opens_files=bool(allowances.folders))
    sources, bound = resolve_sources(statement, tables, parameters, storage_options)
    if bound != statement.text:
        written, statement = statement, parse_statement(bound, opens_files=bool(allowances.folders))
        parameters = parameters_left(written, statement, parameters)
        named = statement.names
        sources = {name: each for name, each in sources.items() if named is None or name.lower() in named}
    checked = bind(
        bound,
        sources,
        parameters,
        is_single=statement.is_single,
        known=list(tables or ()),
        cursor=binding_cursor(allowances, limits.duckdb_bytes),
    )
    return Query(text, statement, sources, parameters, checked, limits=limits, allowances=allowances)


class Query:
    """A query over versions of tables that stay what they are. Made by ``lakefmt.sql``; every consumption runs it anew.

    Any Arrow consumer takes it as a stream (``pa.table(query)``, ``polars.DataFrame(query)``), and it may be a table of
    another query.
    """

    def __init__(
        self,
        text: str,
        statement: Statement,
        sources: Mapping[str, Source],
        parameters: Parameters,
        bound: Bound,
        *,
        limits: MemoryLimits,
        allowances: Allowances,
    ) -> None:
        self.text = text
        self._statement = statement
        self._sources = dict(sources)
        self._parameters = parameters
        self._bound = bound
        self._limits = limits
        self._allowances = allowances

    @cached_value
    def schema(self) -> pa.Schema:
        """The columns of the result and their Arrow types; of a PIVOT over the values of a column, these are read."""
        schema = self._bound.schema()
        if schema is not None:
            return schema
        session = self._open()
        try:
            return relation_schema(session.relation())
        finally:
            session.close()

    def to_arrow(self) -> pa.Table:
        """Run the query and return its rows as an Arrow table.

        A result above ``result_memory_limit`` is mapped from a file that has no name any more: its columns are read from
        disk as they are looked at, and its space is free again when the table is gone.

        Raises:
            OutOfMemoryError: the query takes more than ``memory_limit``, and cannot spill it.
            ResourceError: there is no room on disk.
        """
        answer = self._answer_from_metadata()
        if answer is not None:
            return answer
        return self._run(Session.to_table)

    def to_batches(self) -> Generator[pa.RecordBatch, None, None]:
        """Run the query and yield its rows in record batches, as they come."""
        session = self._open()
        begun = False
        try:
            for batch in session.to_batches():
                begun = True
                yield batch
            return
        except InvalidInputError:
            if begun or not session.has_vectors:
                raise
        finally:
            session.close()
        session = self._open(masked=True)
        try:
            yield from session.to_batches()
        finally:
            session.close()

    def to_reader(self) -> pa.RecordBatchReader:
        """Return the rows as an Arrow stream reader."""
        return pa.RecordBatchReader.from_batches(self.schema, self.to_batches())

    def to_pandas(self) -> pd.DataFrame:
        """Run the query and return its rows as a pandas data frame, which holds them in memory, whatever the limits."""
        require_package("pandas", "to_pandas")
        return self.to_arrow().to_pandas()

    def to_polars(self) -> pl.DataFrame:
        """Run the query and return its rows as a polars data frame; of a mapped result numbers stay mapped."""
        require_package("polars", "to_polars")
        import polars as pl

        frame: Any = pl.from_arrow(self.to_arrow())
        return frame  # type: ignore[no-any-return]

    def map_batches(
        self,
        function: Callable[[pa.Table], Any],
        schema: SchemaLike = None,
        *,
        repartition_by: str | Sequence[str] = (),
        combine: Callable[[pa.Table], Any] | None = None,
        gather: bool = False,
        executor: ExecutorKind | None = None,
        workers: int | None = None,
        memory_limit: str | float | None = None,
        batch_rows: int = 122_880,
    ) -> MappedRows:
        """Describe what a Python function makes of the rows; arguments are those of ``Scan.map_batches``.

        DuckDB runs the query in this process; the functions run on what it gives, ``batch_rows`` rows a task.
        """
        from lakefmt.query.functions import map_query
        from lakefmt.scan.mapped_rows import MapOptions, parse_step

        step = parse_step(function, schema, repartition_by, combine, self.schema, gather=gather)
        return map_query(self, step, MapOptions(executor, workers, memory_limit, batch_rows))

    def write_to(
        self,
        uri: str | os.PathLike[str],
        mode: WriteMode = "error",
        *,
        partition_by: str | Sequence[str] = (),
        properties: Mapping[str, Any] | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> Table:
        """Write the rows to a table, creating it if it is not there; arguments and errors are those of ``lakefmt.write``."""
        from lakefmt.opening import write

        return write(
            uri,
            self,
            mode=mode,
            partition_by=partition_by,
            properties=properties,
            storage_options=storage_options,
        )

    def explain(self, *, analyze: bool = False) -> Explanation:
        """Return what is read of each table and how DuckDB runs the query.

        Args:
            analyze: run it, and tell rows, time, memory, and bytes read and spilled. It runs in a database of its own, which
                reads footers anew.
        """
        start = time.perf_counter()
        if self._answer_from_metadata() is not None:
            from lakefmt.query.analysis import explain_log_answer

            return explain_log_answer(self._limits, time.perf_counter() - start, analyze=analyze)
        from lakefmt.query.analysis import explain_run

        return self._run(lambda session: explain_run(session, start, analyze=analyze), alone=analyze)

    def __arrow_c_schema__(self) -> object:
        """Export the schema of the rows."""
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Export the rows as an Arrow stream."""
        reader: Any = self.to_reader()
        return reader.__arrow_c_stream__(requested_schema)

    def __reduce__(self) -> NoReturn:
        raise InvalidInputError(
            "A query does not pickle: it stands over tables and data of this process",
            hint="Send its text and its tables, which do, or its rows (to_arrow)",
        )

    def __repr__(self) -> str:
        from lakefmt.display import format_rows

        return format_rows(f"lakefmt.Query({self.text!r})", _Columns(self.schema), (), self._first_rows)

    def _repr_html_(self) -> str:
        title = escape(f"lakefmt.Query({self.text!r})", quote=False)
        from lakefmt.display import format_rows_html

        return format_rows_html(title, _Columns(self.schema), (), self._first_rows)

    @cached_value
    def _readings(self) -> dict[str, TableReading]:
        schemas = {
            name.lower(): source.snapshot.schema
            for name, source in self._sources.items()
            if isinstance(source, TableSource)
        }
        return survey_reading(self._statement, schemas, self._parameters)

    def _answer_from_metadata(self) -> pa.Table | None:
        return answer_from_metadata(self._statement, self._sources, self._parameters, lambda: self.schema)

    def _run(self, use: Callable[[Session], _T], *, alone: bool = False) -> _T:
        session = self._open(alone=alone)
        try:
            return use(session)
        except InvalidInputError:
            if not session.has_vectors:
                raise
        finally:
            session.close()
        # A row that is deleted may have been what the query could not take: once more, where it sees none of them.
        session = self._open(masked=True, alone=alone)
        try:
            return use(session)
        finally:
            session.close()

    def _open(self, *, masked: bool = False, alone: bool = False) -> Session:
        return Session.open(
            self._statement.text,
            self._sources,
            self._readings,
            self._parameters,
            self._limits,
            allowances=self._allowances,
            masked=masked,
            alone=alone,
        )

    def _first_rows(self) -> pa.Table:
        return self._shown

    @cached_value
    def _shown(self) -> pa.Table:
        session = self._open()
        try:
            from lakefmt.display import FIRST_ROWS

            return session.first_rows(FIRST_ROWS).rename_columns(self.schema.names)
        finally:
            session.close()


@dataclass(frozen=True, slots=True)
class _Columns:
    """A result's columns, to be shown as a table's are."""

    schema: pa.Schema

    @property
    def fields(self) -> Sequence[pa.Field[Any]]:
        return list(self.schema)

    def __len__(self) -> int:
        return len(self.schema)


def _plain_parameters(params: Any) -> Parameters:
    if params is None:
        return None
    from lakefmt.expressions.parse import plain_parameters

    return plain_parameters(params, None) or None
