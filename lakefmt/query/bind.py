"""Checking a text before anything is read: DuckDB binds it over empty tables of the right types."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.databases import relation_to_table
from lakefmt.expressions import duckdb_type, quote_identifier
from lakefmt.query.errors import invalid_query
from lakefmt.query.sources import TableSource

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import duckdb

    from lakefmt.errors import LakefmtError
    from lakefmt.expressions.constants import Parameters
    from lakefmt.query.sources import Source

__all__ = ["Bound", "bind", "relation_schema"]


_NO_COLUMNS = "SELECT list is empty after resolving"


def bind(
    text: str,
    sources: Mapping[str, Source],
    parameters: Parameters,
    *,
    is_single: bool,
    cursor: duckdb.DuckDBPyConnection,
    known: Collection[str] = (),
) -> Bound:
    """Check a text.

    The database it is bound in reads no file but those that are allowed, so that a text that names another is refused.

    Args:
        text: of the statement.
        sources: its tables, by name.
        parameters: values of its placeholders.
        is_single: it is one statement to DuckDB, too.
        cursor: a connection of the text's own to that database.
        known: names that it might have meant.

    Raises:
        InvalidInputError: the text is wrong; its place and the closest names are told.
        UnsupportedFeatureError: it calls what is in no DuckDB without extensions.
    """
    import duckdb

    try:
        for name, source in sources.items():
            if isinstance(source, TableSource):
                fields = source.snapshot.schema.fields
                columns = ", ".join(
                    f"CAST(NULL AS {duckdb_type(each.type)}) AS {quote_identifier(each.name)}"
                    for each in fields
                )
                # A view, as the query will run over: a table of DuckDB's has a rowid beside.
                cursor.execute(f"CREATE TEMP VIEW {quote_identifier(name)} AS SELECT {columns} WHERE false")
            else:
                cursor.register(name, source.empty)
        bound = Bound(cursor, text, parameters, is_single=is_single)
        try:
            bound.check()
        except duckdb.Error as error:
            # A PIVOT whose every column is pivoted or aggregated has columns by the rows alone.
            if is_single or _NO_COLUMNS not in str(error):
                raise _located(error, cursor, text, parameters, known) from error
    except duckdb.Error as error:
        raise invalid_query(error, text) from error
    return bound


class Bound:
    """A text that DuckDB has bound."""

    def __init__(
        self, cursor: duckdb.DuckDBPyConnection, text: str, parameters: Parameters, *, is_single: bool
    ) -> None:
        self._cursor = cursor
        self._text = text
        self._parameters = parameters
        self._is_single = is_single
        self._relation: Any = None
        self._names: list[str] = []
        self._lock = threading.Lock()

    def check(self) -> None:
        """Bind the text. Raises duckdb.Error."""
        if self._parameters is None:
            self._relation = self._cursor.sql(self._text)
            self._names = list(self._relation.columns)
        else:
            # Whatever is given values is run by DuckDB at once, so as a query that only tells its columns.
            rows = self._cursor.execute(f"DESCRIBE {self._text}", self._parameters).fetchall()
            self._names = [row[0] for row in rows]

    def schema(self) -> pa.Schema | None:
        """Return the columns of the result; None where they depend on the rows (PIVOT over the values of a column)."""
        if not self._is_single:
            return None
        with self._lock:  # a connection answers one thread at a time
            return self._bound_schema()

    def _bound_schema(self) -> pa.Schema:
        if self._relation is not None:
            return relation_schema(self._relation)
        text = self._text.rstrip().rstrip(";")
        none = self._cursor.sql(f"SELECT * FROM ({text}\n) LIMIT 0", params=self._parameters)
        return pa.schema(
            [field.with_name(name) for field, name in zip(relation_schema(none), self._names, strict=True)]
        )


def relation_schema(relation: Any) -> pa.Schema:
    """Return the columns of a relation of DuckDB's as Arrow has them; nothing of it is run."""
    schema = relation_to_table(relation.limit(0)).schema
    return pa.schema([field.with_name(name) for field, name in zip(schema, relation.columns, strict=True)])


def _located(
    error: duckdb.Error,
    cursor: duckdb.DuckDBPyConnection,
    text: str,
    parameters: Parameters,
    tables: Collection[str],
) -> LakefmtError:
    """Return the error of a text with its place, which DuckDB tells of statements and not of relations."""
    import duckdb

    try:
        cursor.execute(f"DESCRIBE\n{text}", parameters)
    except duckdb.Error as located:
        if type(located) is type(error):
            return invalid_query(located, text, first_line=2, tables=tables)
    return invalid_query(error, text, tables=tables)
