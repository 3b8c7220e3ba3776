"""A scan inside polars: a lazy frame that reads what a query asks of it.

polars hands down the columns, the filter and the number of rows that its plan needs. Columns and rows narrow the
read; the filter chooses files by what polars itself derives from it for their bounds, and is then applied to the rows
by polars, so that it means what it means everywhere else in polars.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.manifest.partition_values import parse_partition_values
from lakefmt.manifest.statistics import StatisticsReader, nan_free_files
from lakefmt.scan.read import read_batches

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from lakefmt.scan.plan import ScanPlan
    from lakefmt.scan.scan import Scan

__all__ = ["scan_to_polars"]


def scan_to_polars(scan: Scan) -> pl.LazyFrame:
    """Return a lazy frame of the scan's rows; nothing is read before it is collected, and each collect reads anew.

    Columns have the types that polars gives the table's Arrow types.
    """
    from polars.io.plugins import register_io_source

    empty = _to_frame(scan.schema.to_arrow().empty_table())

    def read(
        columns: list[str] | None, predicate: pl.Expr | None, num_rows: int | None, batch_rows: int | None
    ) -> Iterator[pl.DataFrame]:
        wanted = empty.columns if columns is None else columns
        looked_at = [] if predicate is None else predicate.meta.root_names()
        needed = list(dict.fromkeys([*wanted, *looked_at])) or empty.columns[:1]
        # By polars' order of things the rows are counted first, then filtered: then no file may be left out.
        prune_by = predicate if num_rows is None else None
        for frame in _first_rows(_read_frames(scan, needed, prune_by, few=num_rows is not None), num_rows):
            for start in range(0, frame.height, batch_rows or frame.height):
                rows = frame[start : start + (batch_rows or frame.height)]
                yield (rows if predicate is None else rows.filter(predicate)).select(wanted)

    lazy: pl.LazyFrame = register_io_source(read, schema=empty.schema, is_pure=True)
    return lazy


def _read_frames(
    scan: Scan, columns: list[str], predicate: pl.Expr | None, *, few: bool
) -> Iterator[pl.DataFrame]:
    if scan._limit is not None:  # noqa: SLF001 - a scan's own form; its first rows are fixed before any filter
        batches = scan.to_batches()
    else:
        plan = replace(scan.plan, schema=scan.schema.select(columns))
        if predicate is not None:
            plan = _prune(plan, predicate)
        batches = read_batches(scan._store, plan, few=few)  # noqa: SLF001
    for batch in batches:
        yield _to_frame(batch).select(columns)


def _first_rows(frames: Iterator[pl.DataFrame], num_rows: int | None) -> Iterator[pl.DataFrame]:
    if num_rows is None:
        yield from frames
        return
    left = num_rows
    while left > 0 and (frame := next(frames, None)) is not None:
        yield frame.head(left)
        left -= frame.height


def _to_frame(rows: pa.Table | pa.RecordBatch) -> pl.DataFrame:
    import polars as pl

    return cast("pl.DataFrame", pl.from_arrow(rows, rechunk=False))


def _prune(plan: ScanPlan, predicate: pl.Expr) -> ScanPlan:
    """Leave out files of which polars says, by their bounds, that the filter is true for none of their rows.

    The method that says so is not part of polars' public interface: where it is missing, fails or does not know,
    the file is read.
    """
    import polars as pl

    can_skip: Any = getattr(predicate, "_skip_batch_predicate", None)
    columns = list(dict.fromkeys(predicate.meta.root_names()))  # polars names a column as often as it is used
    if can_skip is None or not columns or not plan.files.num_files:
        return plan
    bounds = _bounds(plan, columns)
    schema = _to_frame(plan.snapshot.schema.select(columns).to_arrow().empty_table()).schema
    try:
        skip = can_skip(schema)
        if skip is None:
            return plan
        skipped = bounds.select(skip.alias("skip").fill_null(value=False))["skip"]
        keep = cast("pa.BooleanArray", (~skipped).to_arrow())
    except (Exception, pl.exceptions.PanicException):  # noqa: BLE001 - whatever it cannot do costs pruning alone
        return plan
    return replace(plan, files=plan.files.filter(keep)) if len(keep) == plan.files.num_files else plan


def _bounds(plan: ScanPlan, columns: list[str]) -> pl.DataFrame:
    """Return what is known of each file as polars names it: ``len``, and ``_min``, ``_max``, ``_nc`` of columns.

    Null is "not known". ``_nc`` counts nulls, ``len`` rows.
    """
    files, schema, partitions = plan.files.table, plan.snapshot.schema, plan.snapshot.partition_columns
    statistics = StatisticsReader(
        files["stats"],
        schema,
        [(name,) for name in columns if name not in partitions],
        nan_free=nan_free_files(files["tags"]),
    )
    known: dict[str, Any] = {"len": statistics.num_records()}
    for name in columns:
        if name in partitions:
            found = _partition_bounds(plan, name, known["len"])
        else:
            bounds = statistics.bounds((name,))
            found = (bounds.minimum, bounds.maximum, bounds.null_count)
        least, greatest, nulls = _without_nan(*found)
        known |= {f"{name}_min": least, f"{name}_max": greatest, f"{name}_nc": nulls}
    return _to_frame(pa.table(known))


def _partition_bounds(plan: ScanPlan, name: str, num_records: Any) -> tuple[Any, Any, Any]:
    import pyarrow.compute as pc

    position = plan.snapshot.partition_columns.index(name)
    texts = pc.struct_field(plan.files.table["partition_values"], [position])
    values: Any = parse_partition_values(texts, plan.snapshot.schema.field(name).type)
    return values, values, pc.if_else(pc.is_null(values), num_records, pa.scalar(0, pa.int64()))


def _without_nan(least: Any, greatest: Any, nulls: Any) -> tuple[Any, Any, Any]:
    """Forget both bounds of floats where one is unknown or NaN: polars' order has NaN on top, its bounds leave it out."""
    import pyarrow.compute as pc

    if not pa.types.is_floating(least.type):
        return least, greatest, nulls
    usable = pc.and_(pc.is_finite(least), pc.is_finite(greatest))
    nothing = pa.scalar(None, least.type)
    return pc.if_else(usable, least, nothing), pc.if_else(usable, greatest, nothing), nulls
