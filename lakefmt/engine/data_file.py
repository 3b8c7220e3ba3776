"""One data file on its way to storage: rows in, Parquet out, encoded on whichever thread calls.

A file whose rows are all there when it is written goes through memory in one ``put``; a longer one streams, row
group by row group. Either way it is visible only when it is whole.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from lakefmt.engine.encoding import Encoding
    from lakefmt.store.contract import Store

__all__ = ["OpenDataFile", "put_data_file"]


def put_data_file(store: Store, key: str, schema: pa.Schema, rows: pa.RecordBatch, encoding: Encoding) -> int:
    """Write a data file of one row group in one request and return its size in bytes."""
    sink = pa.BufferOutputStream()
    writer = _open_writer(sink, schema, encoding)
    writer.write_batch(rows, row_group_size=rows.num_rows)
    writer.close()
    data = sink.getvalue()
    store.put(key, data.to_pybytes())
    return data.size


class OpenDataFile:
    """A data file that is written as a stream; one thread at a time.

    Attributes:
        written_bytes: bytes encoded so far, the footer not counted.
    """

    def __init__(self, store: Store, key: str, schema: pa.Schema, encoding: Encoding) -> None:
        self.written_bytes = 0
        self._store = store
        self._key = key
        self._schema = schema
        self._encoding = encoding
        self._output: Any = None  # the store's context manager, entered
        self._sink: Any = None
        self._writer: Any = None

    def write_row_group(self, rows: pa.RecordBatch) -> None:
        """Encode ``rows`` as the next row group; the first call opens the file."""
        if self._writer is None:
            self._output = self._store.open_output(self._key)
            stream = self._output.__enter__()  # left in close or abort
            self._sink = stream if isinstance(stream, pa.NativeFile) else pa.PythonFile(stream, mode="w")
            self._writer = _open_writer(self._sink, self._schema, self._encoding)
        self._writer.write_batch(rows, row_group_size=rows.num_rows)
        self.written_bytes = self._sink.tell()

    def close(self) -> int:
        """Write the footer, make the file visible, and return its size in bytes."""
        self._writer.close()
        size: int = self._sink.tell()
        output, self._output, self._writer = self._output, None, None
        output.__exit__(None, None, None)
        return size

    def abort(self) -> None:
        """Give the file up: nothing of it will be visible. Never raises; does nothing to a closed file."""
        if self._output is None:
            return
        output, writer, self._output, self._writer = self._output, self._writer, None, None
        with contextlib.suppress(Exception):
            if writer is not None:
                writer.close()  # or its finalizer would, on a closed stream
        abandoned = _AbandonedError()
        with contextlib.suppress(Exception):
            output.__exit__(_AbandonedError, abandoned, None)


class _AbandonedError(Exception):
    """Tells a store's output stream that its object is not wanted."""


def _open_writer(sink: Any, schema: pa.Schema, encoding: Encoding) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetWriter(sink, schema, **encoding.writer_options())
