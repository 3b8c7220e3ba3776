"""Opening Parquet files whose footers nobody vouches for: what pyarrow takes on trust is looked at first.

What footers say of column chunks is read in ``parquet_chunks``: pyarrow's objects for them end the process over some.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["open_parquet_file"]

_MOST_MEMBERS = 1_000_000  # pyarrow's own limit


def open_parquet_file(source: pa.NativeFile, **options: Any) -> pq.ParquetFile:
    """Return an open Parquet file.

    Args:
        source: the bytes; the caller closes it.
        options: of ``pyarrow.parquet.ParquetFile``; with ``metadata``, the footer was read by this function before.

    Raises:
        ArrowInvalid: it is no Parquet, or its footer contradicts itself.
        OSError: it cannot be read, or is damaged.
    """
    import pyarrow.parquet as pq

    parquet: Any = pq  # the published stubs do not know all its options
    try:
        file: pq.ParquetFile = parquet.ParquetFile(
            source,
            # Lists are made as long as they say before a member of them is read: 600 bytes for each column chunk. None
            # has more members than the file has bytes.
            thrift_container_size_limit=max(min(source.size(), _MOST_MEMBERS), 1),
            **options,
        )
    except UnicodeDecodeError as error:
        raise pa.ArrowInvalid(f"a column's name is no text: {error}") from error
    if options.get("metadata") is None:
        _check_counts(file.metadata)
    return file


def _check_counts(metadata: Any) -> None:
    """Raise ArrowInvalid where row groups lack columns, or cannot have as many rows as they say."""
    num_rows = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if group.num_columns != metadata.num_columns:
            raise pa.ArrowInvalid(
                f"row group {number} has {group.num_columns} columns, its schema {metadata.num_columns}"
            )
        if group.num_rows < 0:
            raise pa.ArrowInvalid(f"row group {number} counts {group.num_rows} rows")
        num_rows += group.num_rows
    if num_rows != metadata.num_rows:
        raise pa.ArrowInvalid(f"its row groups count {num_rows} rows, its footer {metadata.num_rows}")
