"""Where the rows of a job come from: parts that tasks read by themselves, of data files or of a stream."""

from lakefmt.engine.sources.file_rows import DataFileRows
from lakefmt.engine.sources.row_source import RowReader, RowSource
from lakefmt.engine.sources.streamed_rows import StreamedRows

__all__ = ["DataFileRows", "RowReader", "RowSource", "StreamedRows"]
