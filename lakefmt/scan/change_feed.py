"""Changes: the row changes of a range of versions, and the forms they come in."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.cached import cached_value
from lakefmt.errors import InvalidInputError
from lakefmt.expressions import parse_predicate
from lakefmt.optional_packages import require_package
from lakefmt.scan.change_range import load_change_range
from lakefmt.scan.change_reader import read_changes
from lakefmt.scan.change_schema import changes_schema
from lakefmt.scan.changes import plan_changes
from lakefmt.scan.plan import choose_columns
from lakefmt.snapshot import load_snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import duckdb
    import pandas as pd
    import polars as pl

    from lakefmt.expressions import Predicate
    from lakefmt.scan.change_range import ChangeBounds
    from lakefmt.scan.changes import ChangeRun
    from lakefmt.schema import Schema
    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store

__all__ = ["Changes"]


class Changes:
    """The row changes of a range of versions, version after version; within one no order is promised.

    The range is fixed when this is made. Files are chosen when a result is first asked for, and every consumption
    reads them anew. Any Arrow consumer takes it as a stream (``pa.table(changes)``).

    Attributes:
        schema: the columns that are returned: the table's, as of the last version of the range, and ``_change_type``
            (``insert``, ``delete``, ``update_preimage``, ``update_postimage``), ``_commit_version`` and
            ``_commit_timestamp``.
        versions: the versions that it is about; empty where nothing has been committed since.
        predicate: which changes; None for all.
    """

    def __init__(
        self,
        store: Store,
        newest: Snapshot,
        bounds: ChangeBounds,
        *,
        columns: Sequence[str] | None = None,
        where: Any = None,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
    ) -> None:
        if where is None and params:
            raise InvalidInputError("params without where have nothing to stand for", table=store.uri)
        self._store = store
        self._range = load_change_range(store, newest, bounds)
        last = self._range.last
        self._end = newest if newest.version == last else load_snapshot(store, last, newest.catalog)
        self._all_columns = changes_schema(self._end)
        self.versions = range(last + 1 - len(self._range.commits), last + 1)
        self.schema: Schema = choose_columns(self._all_columns, columns, table=store.uri, version=last)
        self.predicate: Predicate | None = (
            None if where is None else parse_predicate(where, self._all_columns, params, table=store.uri)
        )

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the changes in record batches, in bounded memory."""
        return self._read(self.schema.names)

    def to_reader(self) -> pa.RecordBatchReader:
        """Return the changes as an Arrow stream reader."""
        return pa.RecordBatchReader.from_batches(self.schema.to_arrow(), self.to_batches())

    def to_arrow(self) -> pa.Table:
        """Return the changes as an Arrow table."""
        return pa.Table.from_batches(self.to_batches(), self.schema.to_arrow())

    def to_pandas(self) -> pd.DataFrame:
        """Return the changes as a pandas data frame."""
        require_package("pandas", "to_pandas")
        return self.to_arrow().to_pandas()

    def to_polars(self) -> pl.LazyFrame:
        """Return a polars lazy frame that reads no more columns than are asked of it; each collect reads anew."""
        require_package("polars", "to_polars")
        import polars as pl
        from polars.io.plugins import register_io_source

        empty = cast("pl.DataFrame", pl.from_arrow(self.schema.to_arrow().empty_table()))

        def read(
            columns: list[str] | None, predicate: pl.Expr | None, num_rows: int | None, _: int | None
        ) -> Iterator[pl.DataFrame]:
            wanted = empty.columns if columns is None else columns
            looked_at = [] if predicate is None else predicate.meta.root_names()
            needed = list(dict.fromkeys([*wanted, *looked_at])) or empty.columns[:1]
            left = num_rows
            for batch in self._read(needed):
                frame = cast("pl.DataFrame", pl.from_arrow(batch))
                if left is not None:  # counted first and filtered then, by polars' order of things
                    frame = frame.head(left)
                    left -= frame.height
                yield (frame if predicate is None else frame.filter(predicate)).select(wanted)
                if left == 0:
                    return

        lazy: pl.LazyFrame = register_io_source(read, schema=empty.schema, is_pure=True)
        return lazy

    def to_duckdb(self, con: duckdb.DuckDBPyConnection, name: str) -> duckdb.DuckDBPyRelation:
        """Make the changes view ``name`` of a DuckDB connection, which draws their stream, and return it."""
        from lakefmt.scan.duckdb_view import stream_to_duckdb

        return stream_to_duckdb(self, self.schema, con, name)

    def __arrow_c_schema__(self) -> object:
        """Export the schema of the changes."""
        return self.schema.to_arrow().__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Export the changes as an Arrow stream."""
        reader: Any = self.to_reader()
        return reader.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        where = "" if self.predicate is None else f", where={self.predicate.sql!r}"
        versions = f"{self.versions[0]} to {self.versions[-1]}" if self.versions else "none"
        columns = ", ".join(self.schema.names)
        return f"lakefmt.Changes({self._store.uri!r}, versions={versions}, columns=[{columns}]{where})"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"

    @cached_value
    def _runs(self) -> list[ChangeRun]:
        return plan_changes(self._store, self._end, self._range, self._all_columns, self.predicate)

    def _read(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        return read_changes(
            self._store, self._end, self._runs, self._all_columns, columns=columns, predicate=self.predicate
        )
