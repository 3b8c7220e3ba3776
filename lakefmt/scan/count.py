"""Counting rows without reading them: from the log, then from footers, and only then from the rows themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.arrow_values import scalar_of
from lakefmt.errors import CorruptTableError
from lakefmt.scan.prune import covers
from lakefmt.scan.read import count_footers, count_matching

if TYPE_CHECKING:
    from lakefmt.manifest import FileList
    from lakefmt.scan.plan import ScanPlan
    from lakefmt.store import Store

__all__ = ["check_deleted_rows", "count_rows"]


def count_rows(store: Store, plan: ScanPlan) -> int:
    """Return the number of rows of a scan.

    Files that the predicate is known to be true for throughout count by the log's ``numRecords``, or by their footer
    where the log has none; the rows of the others are looked at.
    """
    import pyarrow.compute as pc

    files = plan.files
    if plan.predicate is None:
        return _count_whole(store, files, plan)
    whole = covers(files, plan.predicate, plan.snapshot.schema, plan.snapshot.partition_columns)
    known = _count_whole(store, files.filter(whole), plan)
    rest = files.filter(pc.invert(whole))
    return known + (count_matching(store, replace(plan, files=rest)) if rest.num_files else 0)


def _count_whole(store: Store, files: FileList, plan: ScanPlan) -> int:
    import pyarrow.compute as pc

    if files.num_files == 0:
        return 0
    counts: Any = files.num_records()
    deleted = files.deleted_rows
    check_deleted_rows(plan, files, counts, deleted)
    known = int(pc.sum(counts).as_py() or 0) - int(pc.sum(deleted).as_py() or 0)
    if counts.null_count == 0:
        return known
    return known + count_footers(store, replace(plan, files=files.filter(pc.is_null(counts))))


def check_deleted_rows(plan: ScanPlan, files: FileList, counts: Any, deleted: pa.ChunkedArray[Any]) -> None:
    """Check that each vector deletes a number of rows that its file has; what is counted is not looked at again."""
    if not files.has_deletion_vectors:
        return
    import pyarrow.compute as pc

    zero = scalar_of(0, pa.int64())
    compute: Any = pc
    possible = compute.and_(
        compute.greater_equal(deleted, zero), compute.less_equal(deleted, compute.coalesce(counts, deleted))
    )
    wrong: Any = compute.invert(compute.fill_null(possible, scalar_of(value=False)))
    if compute.any(wrong).as_py():
        raise CorruptTableError(
            "The log says that a deletion vector leaves fewer rows of a file than none",
            table=plan.snapshot.table_uri,
            version=plan.snapshot.version,
            path=files.filter(wrong).table["path"][0].as_py(),
            hint="Restore the commit that added the vector from a backup, or open an earlier version",
        )
