"""One run of a query: its tables as views of a DuckDB session, over the files that are left of them."""

from __future__ import annotations

import itertools
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import pyarrow as pa

from lakefmt.arrow_values import array_of
from lakefmt.databases import (
    Allowances,
    QueryDatabases,
    is_before_duckdb_1_5,
    leave_to_parent,
    querying,
    register_once,
    relation_to_reader,
    relation_to_table,
)
from lakefmt.engine.gather import gather_tables
from lakefmt.engine.progress import tracking
from lakefmt.errors import CorruptTableError, InvalidInputError, LakefmtError
from lakefmt.expressions import quote_identifier
from lakefmt.query.errors import failed_query, kind_of_streamed
from lakefmt.query.interrupts import InterruptibleCalls
from lakefmt.query.sources import TableSource
from lakefmt.query.streams import WatchedRows, is_batch_source
from lakefmt.scan.duckdb_source import plan_duckdb_source, stream_column
from lakefmt.scan.plan import plan_scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import duckdb

    from lakefmt.expressions.constants import Parameters
    from lakefmt.idle_cursors import IdleCursors
    from lakefmt.query.limits import MemoryLimits
    from lakefmt.query.reading import TableReading
    from lakefmt.query.sources import Source
    from lakefmt.scan import ScanPlan
    from lakefmt.scan.duckdb_source import DuckdbSource

__all__ = ["Session", "TablePlan"]

_T = TypeVar("_T")

_BATCH_ROWS = 122_880  # of a row group of DuckDB's


# What DuckDB's words have in them where it is a file that it objects to; Thrift is what a footer is written in.
_OF_FILES = ("file", "tprotocolexception")

# What lasts as long as a connection: a seed, also in a text that a function runs; a type for each PIVOT over values.
_LASTING = re.compile(r"setseed|query|json_execute_serialized_sql|pivot", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TablePlan:
    """What is read of a table.

    Attributes:
        name: the view's.
        source: the version.
        plan: the files that are left.
        predicate: that left them, as text; None for all files.
        own_files: how many of them this library reads, DuckDB the others.
        folders: that DuckDB reads the others in.
    """

    name: str
    source: TableSource
    plan: ScanPlan
    predicate: str | None
    own_files: int
    folders: frozenset[str]


@dataclass(slots=True)
class Session:
    """A DuckDB session whose views are the tables of one query, made for one run of it.

    Attributes:
        cursor: the session.
        text: of the query.
        parameters: values of its placeholders.
        limits: of the memory that the run takes.
        tables: what is read of each table.
        has_vectors: expressions of the query may be asked of deleted rows before these are left out, and may have failed on one.
    """

    cursor: duckdb.DuckDBPyConnection
    text: str
    parameters: Parameters
    limits: MemoryLimits
    tables: list[TablePlan] = field(default_factory=list)
    has_vectors: bool = False
    _calls: InterruptibleCalls = field(init=False, repr=False)
    _stream_errors: list[Exception] = field(default_factory=list, init=False, repr=False)
    _rows: Iterator[pa.RecordBatch] | None = field(default=None, init=False, repr=False)
    _process: int = field(default_factory=os.getpid, init=False, repr=False)
    _kept_in: tuple[IdleCursors, _Setup] | None = field(default=None, init=False, repr=False)
    _is_idle: bool = field(default=True, init=False, repr=False)

    def __post_init__(self) -> None:
        self._calls = InterruptibleCalls(self.cursor)

    @classmethod
    def open(
        cls,
        text: str,
        sources: Mapping[str, Source],
        readings: Mapping[str, TableReading],
        parameters: Parameters,
        limits: MemoryLimits,
        *,
        allowances: Allowances,
        masked: bool = False,
        alone: bool = False,
    ) -> Session:
        """Plan the tables and make their views; files are not opened, save for footers that are not known yet.

        Args:
            text: of the query, over the names of ``sources``.
            sources: its tables.
            readings: what it reads of them, by names in lower case.
            parameters: values of its placeholders.
            limits: of the memory that the run takes.
            allowances: what it may reach beside its tables.
            masked: deleted rows are left out before the query sees them.
            alone: in a database that nothing else uses.
        """
        tables: list[tuple[TablePlan, DuckdbSource]] = []
        has_vectors = False
        for number, (name, source) in enumerate(sources.items()):
            if isinstance(source, TableSource):
                reading = readings[name.lower()]
                plan = plan_scan(source.snapshot, source.snapshot.schema, reading.predicate)
                rows = plan_duckdb_source(
                    source.store, plan, f"lakefmt_{number}", reading.columns, masked=masked
                )
                predicate = None if reading.predicate is None else reading.predicate.sql
                folders = frozenset(rows.folders)
                tables.append((TablePlan(name, source, plan, predicate, rows.own_files, folders), rows))
                has_vectors |= bool(rows.bits)
        databases = QueryDatabases() if alone else querying
        database = databases.within(
            {folder for _, rows in tables for folder in rows.folders}, limits.duckdb_bytes, allowances
        )
        idle = database.idle
        setup = (
            None
            if alone
            else _setup_of([(table.name, rows) for table, rows in tables], sources, text, allowances)
        )
        ready = None if setup is None else idle.take(setup)
        cursor = database.cursor() if ready is None else ready
        session = cls(cursor, text, parameters, limits, [table for table, _ in tables], has_vectors)
        if setup is not None:
            session._kept_in = idle, setup
        if ready is not None:
            return session
        try:
            # Of the session; it would print from worker threads.
            cursor.execute("SET enable_progress_bar = false")
            for table, rows in tables:
                _make_view(cursor, table.name, rows, session._stream_errors)
            for name, source in sources.items():
                if not isinstance(source, TableSource):
                    data = source.data
                    if is_batch_source(data):
                        data = WatchedRows(data, session._stream_errors)
                    _make_data_view(cursor, name, data)
        except BaseException as error:  # noqa: BLE001 - raised again, as ours
            cursor.close()
            session._raise(error)
        return session

    def relation(self) -> Any:
        """Return the query as a relation of DuckDB's; with parameters it is run at once."""
        self._is_idle = False
        try:
            if self.parameters is None:
                return self.cursor.sql(self.text)
            return self.cursor.sql(self.text, params=self.parameters)
        except Exception as error:  # noqa: BLE001 - raised again, as ours
            self._raise(error)

    def to_table(self) -> pa.Table:
        """Run the query and return all rows, mapped from a file where they are more than the limit of a result."""
        with tracking("query") as advance:
            begun = self._begin()

            def tables() -> Iterator[pa.Table]:
                for batch in self._drawn(begun):
                    yield pa.Table.from_batches([batch])
                    advance(batch.num_rows)

            found = gather_tables(tables(), begun.schema, self.limits.result_bytes)
        return pa.concat_tables(found) if found else pa.Table.from_batches([], begun.schema)

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        """Run the query and yield its rows as they come."""
        with tracking("query") as advance:
            for batch in self._drawn(self._begin()):
                yield batch
                advance(batch.num_rows)

    def first_rows(self, count: int) -> pa.Table:
        """Run the query and return no more than so many rows."""
        if self.parameters is None:
            relation = self.relation().limit(count)  # DuckDB sorts and reads less for it
            rows = self._call(lambda: relation_to_table(relation))
            self._is_idle = True
            return rows
        begun = self._begin(count)
        batches = list(itertools.islice(self._drawn(begun), 1))
        return pa.Table.from_batches(batches, begun.schema)

    def explain(self, *, analyze: bool) -> str:
        """Return DuckDB's plan as JSON, run where it is to be analyzed; '' where it has none (DESCRIBE of a view)."""
        query = self.text
        if "pragma" in query.lower():
            # DuckDB explains none, and makes a SELECT of it.
            statements = self.cursor.extract_statements(query)
            query = statements[0].query if len(statements) == 1 else query
        text = f"EXPLAIN ({'ANALYZE, ' if analyze else ''}FORMAT json) {query}"
        self._is_idle = False
        rows = self._call(lambda: self.cursor.execute(text, self.parameters).fetchall())
        self._is_idle = True
        return str(rows[-1][-1]) if rows else ""

    def _begin(self, batch_rows: int = _BATCH_ROWS) -> _Begun:
        """Begin to run the query; rows are made as they are drawn, the first of them here."""
        self._is_idle = False

        def begin() -> _Begun:
            reader = self._reader(batch_rows)
            self._rows = batches = iter(reader)
            # A small result takes one call: each is handed from thread to thread.
            return _Begun(reader.schema, list(itertools.islice(batches, 2)), batches)

        return self._call(begin)

    def _reader(self, batch_rows: int) -> pa.RecordBatchReader:
        # A relation with values is run at once by DuckDB 1.5, and kept whole; what 2 keeps whole is a statement's result.
        is_kept = self.parameters is not None and hasattr(self.cursor, "fetch_record_batch")
        if not is_kept or is_before_duckdb_1_5():
            # Without a size DuckDB gathers a million rows.
            return relation_to_reader(self.relation(), batch_rows)
        made: Any = self.cursor.execute(self.text, self.parameters)
        to_reader = getattr(made, "to_arrow_reader", None) or made.fetch_record_batch
        reader: pa.RecordBatchReader = to_reader(batch_rows)
        return reader

    def _drawn(self, begun: _Begun) -> Iterator[pa.RecordBatch]:
        first = begun.first
        is_over = len(first) < 2
        while first:
            yield first.pop(0)
        while not is_over and (batch := self._call(lambda: next(begun.others, None))) is not None:
            yield batch
        self._is_idle = True

    def _call(self, call: Callable[[], _T]) -> _T:
        """Return what a call into DuckDB returns; its errors are told as ours."""
        if self._process != os.getpid():
            raise InvalidInputError(
                "This query was begun by the process that this one was forked from, whose threads run it",
                hint="Ask for the query's rows anew in this process",
            )
        try:
            return self._calls.run(call)
        except Exception as error:  # noqa: BLE001 - raised again, as ours
            self._raise(error)

    def close(self) -> None:
        """End the session; its connection stays ready for the next one over the same files, unless rows are left in it."""
        if self._process != os.getpid():
            leave_to_parent(self.cursor)
            leave_to_parent(self._rows)
            return
        self._rows = None
        self._calls.close()
        if self._kept_in is not None and self._is_idle:
            idle, setup = self._kept_in
            idle.keep(setup, self.cursor)
        else:
            self.cursor.close()

    def _raise(self, error: BaseException) -> NoReturn:
        """Raise what an error of a run means; one of rows that the query was given is raised as it was there."""
        if self._stream_errors and not isinstance(error, KeyboardInterrupt):
            original = self._stream_errors[0]
            self._stream_errors.clear()  # an error's traceback keeps the session
            self.has_vectors = False
            raise original from original.__cause__
        told = self._explain_failure(error)
        raise told from (told.__cause__ if told is error else error)

    def _explain_failure(self, error: BaseException) -> BaseException:
        """Return what an error of a run means: one of this library's, a damaged file, or a value that the query cannot take."""
        import duckdb

        if isinstance(error, OSError | pa.ArrowException):
            error = kind_of_streamed(error)
        if not isinstance(error, duckdb.Error | pa.ArrowException):
            return error
        kinds = (
            duckdb.Error,
            duckdb.IOException,
            duckdb.InvalidInputException,
            duckdb.SerializationException,
        )
        if type(error) in kinds or isinstance(error, pa.ArrowException):
            damage = self._find_damage(str(error))
            if damage is not None:
                return damage
        return failed_query(error, self.limits.memory_bytes)

    def _find_damage(self, said: str) -> LakefmtError | None:
        """Return the error that this library meets in the files of a table, read once more."""
        from lakefmt.scan.read import read_batches

        for table in self.tables:
            root = table.source.store.local_path("x")
            if (
                table.own_files == 0
                and (root is None or root[:-1] not in said)
                and not any(word in said.lower() for word in _OF_FILES)
            ):
                continue
            try:
                for _ in read_batches(table.source.store, table.plan):
                    pass
            except LakefmtError as error:
                return error
            if root is not None and root[:-1] in said:
                return CorruptTableError(
                    f"A data file is not what the log says: {said.partition(chr(10))[0]}",
                    table=table.source.store.uri,
                    version=table.source.snapshot.version,
                    hint="It is damaged: restore the file, or a version of the table without it",
                )
        return None


@dataclass(frozen=True, slots=True, eq=False)
class _Setup:
    """What a session's connection has been given: texts of views, and variables they look at."""

    views: tuple[tuple[str, str], ...]
    variables: tuple[tuple[str, pa.Array[Any]], ...]

    @property
    def values(self) -> int:
        """How many values the variables hold."""
        return sum(len(values) for _, values in self.variables)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Setup)
            and self.views == other.views
            and len(self.variables) == len(other.variables)
            and all(
                mine[0] == theirs[0] and mine[1].equals(theirs[1])
                for mine, theirs in zip(self.variables, other.variables, strict=True)
            )
        )

    __hash__ = None  # type: ignore[assignment]


def _setup_of(
    tables: list[tuple[str, DuckdbSource]], sources: Mapping[str, Source], text: str, allowances: Allowances
) -> _Setup | None:
    """Return what a session is given, None where its connection is for one query alone."""
    own = len(tables) < len(sources) or any(rows.streams or rows.bits for _, rows in tables)
    # What functions of extensions leave behind nobody knows.
    if own or allowances != Allowances() or _LASTING.search(text) is not None:
        return None
    views = tuple((name, rows.query) for name, rows in tables)
    variables = tuple(
        each for _, rows in tables for kept in (rows.lists, rows.files) for each in kept.items()
    )
    return _Setup(views, variables)


@dataclass(frozen=True, slots=True)
class _Begun:
    """A query on its way: its columns, its first two batches if there are as many, and those that come."""

    schema: pa.Schema
    first: list[pa.RecordBatch]
    others: Iterator[pa.RecordBatch]


def _make_view(
    cursor: duckdb.DuckDBPyConnection, name: str, rows: DuckdbSource, errors: list[Exception]
) -> None:
    for variable, values in rows.lists.items():
        _set_variable(cursor, variable, _as_list(values))
    for variable, content in rows.bits.items():
        _set_variable(cursor, variable, array_of([content], pa.binary()), "BIT")
    for stream, source in rows.streams.items():
        cursor.register(stream, _readable_twice(WatchedRows(source, errors)))
    # Every list of paths is gone through where it is bound: the view is bound over one path each, and used over all.
    for variable, paths in rows.files.items():
        _set_variable(cursor, variable, _as_list(paths.slice(0, 1)))
    cursor.execute(f"CREATE TEMP VIEW {quote_identifier(name)} AS {rows.query}")
    for variable, paths in rows.files.items():
        _set_variable(cursor, variable, _as_list(paths))


def _readable_twice(source: Any) -> Any:
    """Return rows that one query may scan at two places; of a stream DuckDB 1.4 takes a single capsule for both."""
    is_stream = hasattr(source, "__arrow_c_stream__") and not type(source).__module__.startswith(
        ("pyarrow", "pandas")
    )
    return pa.table(source) if is_stream and is_before_duckdb_1_5() else source


def _as_list(values: Any) -> pa.Array[Any]:
    """Return an array of one list, of these values."""
    arrow: Any = pa.ListArray  # the stubs have an overload for each type, none for any
    whole: pa.Array[Any] = arrow.from_arrays(array_of([0, len(values)], pa.int32()), values)
    return whole


def _set_variable(cursor: duckdb.DuckDBPyConnection, name: str, value: pa.Array[Any], kind: str = "") -> None:
    register_once(cursor, "lakefmt_value", pa.table({"value": value}))
    cast = f"::{kind}" if kind else ""
    cursor.execute(f"SET VARIABLE {name} = (SELECT value{cast} FROM lakefmt_value)")
    cursor.unregister("lakefmt_value")


def _make_data_view(cursor: duckdb.DuckDBPyConnection, name: str, data: Any) -> None:
    """Register data under a name, what is Arrow's below a view that keeps filters to DuckDB (``stream_column``)."""
    data = _readable_twice(data)
    schema = getattr(data, "schema", None)
    if not isinstance(schema, pa.Schema):
        schema = pa.schema(data) if hasattr(data, "__arrow_c_schema__") else None
    if schema is None or not schema.names:
        cursor.register(name, data)
        return
    rows = f"rows of {name}"
    cursor.register(rows, data)
    columns = [stream_column(each) for each in schema.names]
    cursor.execute(
        f"CREATE TEMP VIEW {quote_identifier(name)} AS SELECT {', '.join(columns)} FROM {quote_identifier(rows)}"
    )
