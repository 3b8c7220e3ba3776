"""A stream of batches as tables of even size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["cut_into_tables"]


def cut_into_tables(batches: Iterable[pa.RecordBatch], most_rows: int) -> Iterator[pa.Table]:
    """Yield the rows of batches in tables of ``most_rows``, the last smaller; none without rows."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        start = 0
        while batch.num_rows - start:
            piece = batch.slice(start, most_rows - rows)
            waiting.append(piece)
            rows += piece.num_rows
            start += piece.num_rows
            if rows == most_rows:
                yield pa.Table.from_batches(waiting)
                waiting, rows = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting)
