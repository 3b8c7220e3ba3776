"""Rows from DuckDB to an exchange and back, with DuckDB's types.

DuckDB hands Arrow what Arrow has: HUGEINT (every sum of integers) becomes a decimal that does not hold all of it, TIMETZ loses
its zone, BIT becomes bytes, UUID and ENUM become text. With ``arrow_lossless_conversion`` all but ENUM, and TUPLE of 2.0, keep
their type as an Arrow extension, which costs nothing; those two, and NULL, are cast back to the type that the exchange names.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.databases import relation_to_reader
from lakefmt.errors import InvalidInputError, UnsupportedFeatureError
from lakefmt.expressions import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import duckdb

    from lakefmt.engine.exchange.exchange import Exchange

__all__ = ["DuckDBRows", "register_rows", "rows_of_query"]

_BATCH_ROWS = 122_880


class DuckDBRows:
    """The rows of a query as they go into an exchange, while its connection is open.

    Attributes:
        schema: of the batches.
        logical_types: DuckDB's name of each column's type.
        batches: the rows, once.
    """

    def __init__(self, schema: pa.Schema, logical_types: tuple[str, ...], reader: Any) -> None:
        self.schema = schema
        self.logical_types = logical_types
        self.batches: Iterator[pa.RecordBatch] = iter(reader)


def rows_of_query(connection: duckdb.DuckDBPyConnection, query: str) -> DuckDBRows:
    """Run a query and return its rows for an exchange.

    Args:
        connection: of a database of the task's own (``kernel_connection``): a setting of it is changed.
        query: a statement that reads.

    Raises:
        UnsupportedFeatureError: DuckDB of this version gives a column's type to nobody (VARIANT before 2.0).
    """
    import duckdb

    connection.execute("SET arrow_lossless_conversion = true")
    relation: Any = connection.sql(query)
    types = tuple(map(str, relation.types))
    try:
        reader = relation_to_reader(relation, _BATCH_ROWS)
        schema = reader.schema
    except (duckdb.NotImplementedException, OSError) as error:  # the latter from Arrow's side of the stream
        raise UnsupportedFeatureError(
            f"DuckDB {duckdb.__version__} cannot hand out a column: {str(error).partition(chr(10))[0]}",
            hint="Cast it to another type in the query",
        ) from error
    return DuckDBRows(schema, types, reader)


@contextmanager
def register_rows(
    connection: duckdb.DuckDBPyConnection, name: str, exchange: Exchange, batches: Iterable[pa.RecordBatch]
) -> Iterator[None]:
    """Make rows of an exchange a view of the connection's within the block: readable once, in DuckDB's own types.

    Args:
        connection: of a database of the task's own.
        name: of the view.
        exchange: that they come from.
        batches: the rows, in its wire schema.

    Raises:
        InvalidInputError: the exchange's rows do not come from DuckDB.
    """
    types = exchange.logical_types
    if types is None:
        raise InvalidInputError("The rows of this exchange have no types of DuckDB's")
    stream = f"{name}, as it came"
    reader = pa.RecordBatchReader.from_batches(exchange.wire_schema, batches)
    connection.register(stream, reader)
    try:
        here = map(str, connection.sql(f"SELECT * FROM {quote_identifier(stream)}").types)
        columns = [
            _restored(column, found, wanted)
            for column, found, wanted in zip(exchange.schema.names, here, types, strict=True)
        ]
        connection.execute(
            f"CREATE OR REPLACE TEMP VIEW {quote_identifier(name)} AS "
            f"SELECT {', '.join(columns)} FROM {quote_identifier(stream)}"
        )
        try:
            yield
        finally:
            connection.execute(f"DROP VIEW {quote_identifier(name)}")
    finally:
        connection.unregister(stream)


def _restored(column: str, found: str, wanted: str) -> str:
    name = quote_identifier(column)
    return name if found == wanted else f"CAST({name} AS {wanted}) AS {name}"
