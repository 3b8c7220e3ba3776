"""Rows of this library that DuckDB scans as a stream: what fails in them is kept, since Arrow passes on its text alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BatchSource", "WatchedRows", "is_batch_source"]

_OWN = __name__.partition(".")[0]


class BatchSource(Protocol):
    """Rows of this library that are made anew each time: a scan, a query, what functions make of either."""

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows."""
        ...

    def __arrow_c_schema__(self) -> object:
        """Export the schema of the rows."""
        ...


def is_batch_source(rows: Any) -> bool:
    """Whether rows are this library's own."""
    return type(rows).__module__.partition(".")[0] == _OWN and hasattr(rows, "to_batches")


class WatchedRows:
    """Rows as an Arrow stream, anew each time.

    Args:
        rows: where they come from.
        errors: the error that ends a stream is added here, whoever hears of it otherwise.
    """

    def __init__(self, rows: BatchSource, errors: list[Exception]) -> None:
        self._rows = rows
        self._errors = errors

    def __arrow_c_schema__(self) -> object:
        """Export the schema of the rows."""
        return self._rows.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Export the rows as an Arrow stream."""
        exported: Any = self
        reader: Any = pa.RecordBatchReader.from_batches(pa.schema(exported), self._watched())
        return reader.__arrow_c_stream__(requested_schema)

    def _watched(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._rows.to_batches()
        except Exception as error:
            self._errors.append(error)
            raise
