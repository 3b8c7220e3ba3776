"""Scan: a read that a user describes, and the forms its rows come in."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.arrow_values import scalar_of
from lakefmt.cached import cached_value
from lakefmt.engine.memory import parse_result_limit
from lakefmt.errors import InvalidInputError
from lakefmt.expressions import parse_predicate
from lakefmt.manifest.partition_values import parse_partition_values
from lakefmt.optional_packages import require_package
from lakefmt.scan.count import count_rows
from lakefmt.scan.plan import ScanPlan, choose_columns, plan_scan
from lakefmt.scan.read import read_batches, read_table
from lakefmt.scan.row_ids import check_tracked, readable_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import duckdb
    import pandas as pd
    import polars as pl

    from lakefmt.expressions import Predicate
    from lakefmt.scan.mapped_rows import ExecutorKind, MappedRows, SchemaLike
    from lakefmt.schema import Schema
    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store

__all__ = ["Scan"]


class Scan:
    """A read of one version: some columns, the rows a predicate is true for. Nothing is read until a result is asked.

    Any Arrow consumer takes it as a stream (``pa.table(scan)``, ``polars.from_arrow(scan)``); every consumption reads
    anew, always the same version.
    """

    def __init__(
        self,
        store: Store,
        snapshot: Snapshot,
        *,
        columns: Sequence[str] | None = None,
        where: Any = None,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        limit: int | None = None,
        result_memory_limit: str | float | None = None,
    ) -> None:
        if limit is not None and (type(limit) is not int or limit < 0):
            raise InvalidInputError(f"limit is a number of rows, not {limit!r}", table=store.uri)
        if where is None and params:
            raise InvalidInputError("params without where have nothing to stand for", table=store.uri)
        self._store = store
        self._snapshot = snapshot
        self._limit = limit
        self._result_bytes = parse_result_limit(result_memory_limit)
        self.schema: Schema = snapshot.schema
        self.predicate: Predicate | None = None
        if columns is not None or where is not None:
            readable = readable_columns(snapshot)
            if columns is not None:
                self.schema = choose_columns(readable, columns, table=store.uri, version=snapshot.version)
                check_tracked(snapshot, self.schema.names)
            if where is not None:
                self.predicate = parse_predicate(where, readable, params, table=store.uri)
                check_tracked(snapshot, self.predicate.columns)

    @cached_value
    def plan(self) -> ScanPlan:
        """The files this scan reads."""
        return plan_scan(self._snapshot, self.schema, self.predicate, self._limit)

    @cached_value
    def _counted_plan(self) -> ScanPlan:
        """The same files, with their numbers of rows where the log has them."""
        return plan_scan(self._snapshot, self.schema, self.predicate, self._limit, counts=True)

    def to_arrow(self) -> pa.Table:
        """Return the rows as an Arrow table in the table's column types.

        A result above ``result_memory_limit`` is mapped from a file that has no name any more: its columns are read from
        disk as they are looked at, and its space is free again when the table is gone.
        """
        if self._limit is None:
            return read_table(self._store, self.plan, self._result_bytes)
        return pa.Table.from_batches(self.to_batches(), self.schema.to_arrow())

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in record batches, in bounded memory."""
        batches = read_batches(self._store, self.plan, few=self._limit is not None)
        return batches if self._limit is None else _first_rows(batches, self._limit)

    def to_reader(self) -> pa.RecordBatchReader:
        """Return the rows as an Arrow stream reader."""
        return pa.RecordBatchReader.from_batches(self.schema.to_arrow(), self.to_batches())

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows as a pandas data frame."""
        require_package("pandas", "to_pandas")
        return self.to_arrow().to_pandas()

    def to_polars(self) -> pl.LazyFrame:
        """Return a polars lazy frame that pushes its own columns, filters and limits down into this scan."""
        require_package("polars", "to_polars")
        from lakefmt.scan.polars_source import scan_to_polars

        return scan_to_polars(self)

    def to_duckdb(self, con: duckdb.DuckDBPyConnection, name: str) -> duckdb.DuckDBPyRelation:
        """Make the rows view ``name`` of a DuckDB connection, and return it as a relation.

        On local disk DuckDB reads the Parquet files itself, with its own push-down; elsewhere it draws the scan's
        Arrow stream.
        """
        from lakefmt.scan.duckdb_view import scan_to_duckdb

        return scan_to_duckdb(self, con, name)

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
        """Describe what a Python function makes of the rows; nothing is run until its rows are asked for.

        Workers read the files themselves: runs of small ones, row groups of large ones. The function must give the same
        rows for the same rows, whichever of them come together: it may be called again for some, after a worker was lost. One
        that depends on the order of rows, on what it was called with before, or on chance is gathered (``gather=True``).

        Args:
            function: takes a ``pyarrow.Table`` of some rows, never none, and returns rows: a table, a record batch, a data
                frame of pandas or polars; None for no rows. It may be a lambda, or be defined in a notebook.
            schema: the columns that it returns, as Arrow has them or by the names of a table's types
                (``{"fare": "double"}``); None for those it is given.
            repartition_by: columns whose equal values come together: a call of the function has all rows of one or more
                keys (NULL is one, too), however many rows that is, and never a part of a key's. They have to fit into a
                third of the memory. Functions before it must give the same rows whenever they are called.
            combine: takes rows that the function returned for parts of some keys' rows and returns those for all of them,
                in the same columns, the keys among them; what it returned may be given to it again. The function is then
                called with parts of a key's rows where they are read, and little is sent. So no key is too heavy.
            gather: one task calls the function for all rows, one call after the other, and what it returns keeps that order.
                A query gives its rows in the order of its ORDER BY; a scan in none. The function may keep values between
                calls. Where it is begun again, after a worker was lost, it gets all rows again: on processes as it was at
                first, on threads as it has become.
            executor: ``"processes"``: worker processes of this machine, which run Python at the same time;
                ``"threads"`` of this process, which suits functions that spend their time in native code. None: processes,
                unless they cannot reach the table, or the system has none (Windows).
            workers: so many tasks at a time; None for one a core.
            memory_limit: for all of them together (``"2GB"``, ``0.5`` of this machine's); None for 70 % of it.
            batch_rows: the function is given so many rows at most.

        When rows are asked for, what the function raises is raised, once, and ends all of it, with notes that name the task and
        the files it read; as a ``TaskError`` with its text where it could not be raised here (``SystemExit``,
        ``StopIteration``, what does not pickle). Memory that runs out is no such error: the function is given fewer files,
        then all of the memory, and only then it is an ``OutOfMemoryError``. A function that ends its worker process is
        tried on two others before it is a ``WorkerLostError``.
        """
        from lakefmt.scan.mapped_rows import MapOptions, map_rows, parse_step
        from lakefmt.scan.row_sources import scan_rows

        options = MapOptions(executor, workers, memory_limit, batch_rows)
        step = parse_step(function, schema, repartition_by, combine, self.schema.to_arrow(), gather=gather)
        return map_rows(scan_rows(self, batch_rows), repr(self), step, options)

    def count(self) -> int:
        """Return the number of rows, from metadata wherever it says enough; only the other files are read."""
        counted = count_rows(self._store, self._counted_plan)
        return counted if self._limit is None else min(counted, self._limit)

    def files(self) -> pa.Table:
        """Return the files this scan reads; see ``Table.files`` for the columns."""
        import pyarrow.compute as pc

        counted = self._counted_plan.files
        files, deleted = counted.table, counted.deleted_rows
        snapshot = self._snapshot
        schema = snapshot.schema
        from lakefmt.scan.locate import locate_all

        columns: dict[str, Any] = {
            "path": locate_all(self._store, files["path"]),
            "size_bytes": files["size_bytes"],
            "num_rows": pc.subtract(counted.num_records(), deleted),
            "deleted_rows": deleted,
            "modified": _as_times(files["modified_ms"]),
            "partition_values": _typed_partition_values(
                files["partition_values"], schema, snapshot.partition_columns
            ),
            "log_path": files["path"],
        }
        return pa.table(columns)

    def __arrow_c_schema__(self) -> object:
        """Export the schema of the rows."""
        return self.schema.to_arrow().__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Export the rows as an Arrow stream."""
        reader: Any = self.to_reader()
        return reader.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        where = "" if self.predicate is None else f", where={self.predicate.sql!r}"
        limit = "" if self._limit is None else f", limit={self._limit}"
        columns = ", ".join(self.schema.names)
        return f"lakefmt.Scan({self._store.uri!r}, version={self._snapshot.version}, columns=[{columns}]{where}{limit})"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


def _as_times(milliseconds: pa.ChunkedArray[Any]) -> Any:
    """Return the log's times; null where one is outside the years 1 to 9999, which no reader could show."""
    import pyarrow.compute as pc

    shown: Any = pc.and_(
        pc.greater_equal(milliseconds, scalar_of(-62_135_596_800_000, pa.int64())),
        pc.less_equal(milliseconds, scalar_of(253_402_300_799_999, pa.int64())),
    )
    times: Any = pc.if_else(shown, milliseconds, scalar_of(None, pa.int64()))
    return times.cast(pa.timestamp("ms", "UTC"))


def _typed_partition_values(
    texts: pa.ChunkedArray[Any], schema: Schema, columns: Sequence[str]
) -> pa.Array[Any]:
    """Return the log's strings as values: a struct, so that a partition column may have any name."""
    import pyarrow.compute as pc

    if not columns:
        return pa.nulls(len(texts), pa.struct([]))
    whole = texts.combine_chunks()
    values: list[Any] = [
        parse_partition_values(pc.struct_field(whole, [place]), schema.field(name).type)
        for place, name in enumerate(columns)
    ]
    return pa.StructArray.from_arrays(values, names=list(columns))


def _first_rows(batches: Iterator[pa.RecordBatch], limit: int) -> Iterator[pa.RecordBatch]:
    left = limit
    for batch in batches:
        if left <= 0:
            return
        yield batch.slice(0, left)
        left -= batch.num_rows
        if left <= 0:
            return
