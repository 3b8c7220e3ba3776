"""Queries over columns of metadata, in a database that no user's query shares."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from lakefmt.databases import isolated
from lakefmt.expressions.duckdb_errors import resource_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

__all__ = ["isolated_query"]


@contextmanager
def isolated_query(failure: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection for the block, and map what DuckDB raises in it.

    Args:
        failure: what could not be done, for the message.

    Raises:
        OutOfMemoryError: memory was wanting.
        ValueError: anything else; the message says what. An error of a stream comes so, too, its kind lost.
    """
    import duckdb

    connection = isolated.cursor()
    try:
        yield connection
    except duckdb.Error as error:
        if (too_large := resource_error(error, table=None)) is not None:
            raise too_large from error
        raise ValueError(f"{failure}: {error}") from error
    finally:
        connection.close()
