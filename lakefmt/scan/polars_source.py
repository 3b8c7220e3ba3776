"""A scan inside polars: a lazy frame that reads what a query asks of it.

polars hands down the columns, the filter and the number of rows that its plan needs. Columns and rows narrow the
read; the filter chooses files by what polars itself derives from it for their bounds, and is then applied to the rows
by polars, so that it means what it means everywhere else in polars.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.manifest.partition_values import parse_partition_values
from lakefmt.scan.read import read_batches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

    from lakefmt.expressions import BoundsOf
    from lakefmt.manifest import Candidates
    from lakefmt.scan.plan import ScanPlan
    from lakefmt.scan.scan import Scan
    from lakefmt.schema import Schema

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
    """Leave out files of which polars says, by their bounds, that the filter is true for none of their rows."""
    columns = list(dict.fromkeys(predicate.meta.root_names()))  # polars names a column as often as it is used
    if getattr(predicate, "_skip_batch_predicate", None) is None or not columns:
        return plan
    snapshot = plan.snapshot
    if not all(name in snapshot.schema for name in columns):
        return plan  # no statistics tell of row ids
    pruner = _PolarsPruner(predicate, columns, snapshot.schema, snapshot.partition_columns)
    if plan.predicate is None and plan.files is snapshot.files:
        return replace(plan, files=snapshot.choose_files(pruner))
    return replace(plan, files=plan.files.filter(pruner.choose(plan.files))) if plan.files.num_files else plan


@dataclass(frozen=True, slots=True)
class _PolarsPruner:
    """Chooses the files that a polars filter may be true for; implements ``manifest.Pruner``.

    The method that says so is not part of polars' public interface: where it fails or does not know, the file is read.
    """

    predicate: pl.Expr
    columns: Sequence[str]
    schema: Schema
    partition_columns: Sequence[str]

    def may_match(self, bounds_of: BoundsOf, count: int) -> pa.BooleanArray:  # noqa: ARG002 - part of the protocol
        """Return true: groups of files are not looked at."""
        arrow: Any = pa
        return cast("pa.BooleanArray", arrow.repeat(pa.scalar(value=True), count))

    def choose(self, files: Candidates) -> pa.BooleanArray:
        """Return for each file whether polars may find a row in it."""
        import polars as pl

        bounds = self._bounds(files)
        schema = _to_frame(self.schema.select(self.columns).to_arrow().empty_table()).schema
        arrow: Any = pa
        everything = cast("pa.BooleanArray", arrow.repeat(pa.scalar(value=True), files.num_files))
        try:
            skip = cast("Any", self.predicate)._skip_batch_predicate(schema)  # noqa: SLF001
            if skip is None:
                return everything
            skipped = bounds.select(skip.alias("skip").fill_null(value=False))["skip"]
            keep = cast("pa.BooleanArray", (~skipped).to_arrow())
        except (Exception, pl.exceptions.PanicException):  # noqa: BLE001 - whatever it cannot do costs pruning alone
            return everything
        return keep if len(keep) == files.num_files else everything

    def _bounds(self, files: Candidates) -> pl.DataFrame:
        """Return what is known of each file as polars names it: ``len``, and ``_min``, ``_max``, ``_nc`` of columns.

        Null is "not known". ``_nc`` counts nulls, ``len`` rows.
        """
        others = [(name,) for name in self.columns if name not in self.partition_columns]
        statistics = files.statistics(self.schema, others)
        known: dict[str, Any] = {"len": statistics.num_records()}
        for name in self.columns:
            if name in self.partition_columns:
                found = self._partition_bounds(files, name, known["len"])
            else:
                bounds = statistics.bounds((name,))
                found = (bounds.minimum, bounds.maximum, bounds.null_count)
            least, greatest, nulls = _without_nan(*found)
            known |= {f"{name}_min": least, f"{name}_max": greatest, f"{name}_nc": nulls}
        return _to_frame(pa.table(known))

    def _partition_bounds(self, files: Candidates, name: str, num_records: Any) -> tuple[Any, Any, Any]:
        import pyarrow.compute as pc

        texts = files.partition_texts(self.partition_columns.index(name))
        values: Any = parse_partition_values(texts, self.schema.field(name).type)
        return values, values, pc.if_else(pc.is_null(values), num_records, pa.scalar(0, pa.int64()))


def _without_nan(least: Any, greatest: Any, nulls: Any) -> tuple[Any, Any, Any]:
    """Forget both bounds of floats where one is unknown or NaN: polars' order has NaN on top, its bounds leave it out."""
    import pyarrow.compute as pc

    if not pa.types.is_floating(least.type):
        return least, greatest, nulls
    usable = pc.and_(pc.is_finite(least), pc.is_finite(greatest))
    nothing = pa.scalar(None, least.type)
    return pc.if_else(usable, least, nothing), pc.if_else(usable, greatest, nothing), nulls
