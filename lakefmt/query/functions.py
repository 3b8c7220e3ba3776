"""Python functions over the rows of a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakefmt.engine.streamed_rows import StreamedRows
from lakefmt.scan.mapped_rows import MapOptions, map_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa

    from lakefmt.query.query import Query
    from lakefmt.scan.mapped_rows import MappedRows

__all__ = ["map_query"]


def map_query(
    query: Query,
    function: Callable[[pa.Table], Any],
    schema: pa.Schema | Mapping[str, pa.DataType] | None,
    options: MapOptions,
) -> MappedRows:
    """Return what a function makes of a query's rows, which DuckDB gives in this process and tasks are handed."""
    source = StreamedRows(query.schema, query.to_batches, options.batch_rows, "the query's result")
    return map_rows(source, f"lakefmt.Query({query.text!r})", function, schema, options)
