"""A scan's rows as the source of a job."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from lakefmt.engine.sources.file_rows import DataFileRows
from lakefmt.engine.sources.streamed_rows import StreamedRows
from lakefmt.scan.read import plan_tasks
from lakefmt.scan.spec import read_spec

if TYPE_CHECKING:
    from lakefmt.engine.sources.row_source import RowSource
    from lakefmt.scan.scan import Scan

__all__ = ["scan_rows"]


def scan_rows(scan: Scan, batch_rows: int) -> RowSource:
    """Return the rows of a scan as parts: its files, or where only its first rows are wanted, these, as they are read."""
    if scan._limit is not None:  # noqa: SLF001 - a scan's own form
        stream: Any = scan.to_batches
        return StreamedRows(scan.schema.to_arrow(), stream, batch_rows, repr(scan))
    plan, store = scan.plan, scan._store  # noqa: SLF001
    return DataFileRows(
        store,
        read_spec(plan),
        plan.snapshot.table_uri,
        plan.snapshot.version,
        plan.files.size_bytes,
        partial(plan_tasks, store, plan),
        partial(_count, scan),
    )


def _count(scan: Scan) -> int | None:
    """Return how many rows a scan has, by the log alone."""
    if scan.predicate is not None:
        return None
    import pyarrow.compute as pc

    files = scan._counted_plan.files  # noqa: SLF001
    counts: Any = pc.subtract(files.num_records(), files.deleted_rows)
    return None if counts.null_count else int(pc.sum(counts).as_py() or 0)
