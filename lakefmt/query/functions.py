"""Python functions over the rows of a query."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.engine.sources.streamed_rows import StreamedRows
from lakefmt.scan.mapped_rows import map_rows

if TYPE_CHECKING:
    from lakefmt.engine.functions.map_job import Step
    from lakefmt.query.query import Query
    from lakefmt.scan.mapped_rows import MapOptions, MappedRows

__all__ = ["map_query"]


def map_query(query: Query, step: Step, options: MapOptions) -> MappedRows:
    """Return what a function makes of a query's rows, which DuckDB gives in this process and tasks are handed."""
    source = StreamedRows(query.schema, query.to_batches, options.batch_rows, "the query's result")
    return map_rows(source, f"lakefmt.Query({query.text!r})", step, options)
