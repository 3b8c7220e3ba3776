"""Where the rows of a job come from: parts that tasks read by themselves, of data files or of a stream."""

from lakefmt.engine.sources.file_rows import DataFileRows
from lakefmt.engine.sources.row_source import RowReader, RowSample, RowSampler, RowSource
from lakefmt.engine.sources.streamed_rows import StreamedRows

__all__ = ["DataFileRows", "RowReader", "RowSample", "RowSampler", "RowSource", "StreamedRows"]
