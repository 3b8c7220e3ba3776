"""What the log tells of a plan's rows for certain: how many they are, the least and the greatest value of a column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.arrow_values import scalar_of
from lakefmt.manifest.partition_values import parse_partition_values
from lakefmt.scan.count import check_deleted_rows
from lakefmt.scan.prune import covers

if TYPE_CHECKING:
    from lakefmt.scan.plan import ScanPlan

__all__ = ["known_count", "known_extremes"]


def known_count(plan: ScanPlan) -> int | None:
    """Return the number of rows of a plan made with ``counts``, None where the log does not tell it.

    Raises CorruptTableError: a deletion vector deletes more rows than there are.
    """
    import pyarrow.compute as pc

    files = plan.files
    if not _are_whole(plan):
        return None
    if not files.num_files:
        return 0
    counts, deleted = files.num_records(), files.deleted_rows
    if counts.null_count:
        return None
    check_deleted_rows(plan, files, counts, deleted)
    return int(pc.sum(counts).as_py() or 0) - int(pc.sum(deleted).as_py() or 0)


def known_extremes(plan: ScanPlan, name: str) -> tuple[pa.Scalar[Any], pa.Scalar[Any]] | None:
    """Return the least and the greatest value of a column, nulls where it has none; None where the log does not tell them.

    It tells them of partition columns, and of integers and days in files without deletion vectors: other bounds may be
    cut (texts, times), leave values out (NaN) or have gone through a double (decimals).
    """
    import pyarrow.compute as pc

    files, snapshot = plan.files, plan.snapshot
    kind = snapshot.schema.to_arrow().field(name).type
    if not _are_whole(plan) or files.has_deletion_vectors:
        return None
    compute: Any = pc
    nothing = scalar_of(None, kind)
    if not files.num_files:
        return nothing, nothing
    if name in snapshot.partition_columns:
        if pa.types.is_floating(kind):
            return None
        texts = files.partition_texts(snapshot.partition_columns.index(name))
        least: Any = parse_partition_values(texts, snapshot.schema.field(name).type)
        greatest: Any = least
        counts: Any = files.num_records()
        if counts.null_count:
            return None
        has_rows = compute.greater(counts, scalar_of(0, pa.int64()))
        least, greatest = least.filter(has_rows), greatest.filter(has_rows)
    elif pa.types.is_signed_integer(kind) or pa.types.is_date32(kind):
        bounds = files.statistics(snapshot.schema, [(name,)]).bounds((name,))
        empty = compute.fill_null(
            compute.equal(bounds.null_count, bounds.num_records), scalar_of(value=False)
        )
        known = compute.and_(compute.is_valid(bounds.minimum), compute.is_valid(bounds.maximum))
        if not compute.all(compute.or_(empty, compute.and_(known, bounds.tight))).as_py():
            return None
        least, greatest = bounds.minimum, bounds.maximum
    else:
        return None
    return _extreme(least, "min", kind), _extreme(greatest, "max", kind)


def _extreme(values: Any, which: str, kind: pa.DataType) -> pa.Scalar[Any]:
    import pyarrow.compute as pc

    found: pa.Scalar[Any] = pc.min_max(values)[which]
    return found.cast(kind)


def _are_whole(plan: ScanPlan) -> bool:
    """Whether the predicate, if there is one, means every row of the plan's files."""
    if plan.predicate is None or not plan.files.num_files:
        return True
    whole = covers(plan.files, plan.predicate, plan.snapshot.schema, plan.snapshot.partition_columns)
    return whole.false_count == 0
