"""From a snapshot, a projection and a predicate to the files that must be read; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.arrow_values import scalar_of
from lakefmt.errors import InvalidInputError
from lakefmt.schema import Schema, closest_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.expressions import Predicate
    from lakefmt.manifest import FileList
    from lakefmt.snapshot import Snapshot

__all__ = ["ScanPlan", "choose_columns", "plan_scan"]


@dataclass(frozen=True, slots=True)
class ScanPlan:
    """What a scan reads.

    Attributes:
        snapshot: the version read.
        schema: the columns of the result, in its order.
        predicate: rows to keep; None for all.
        files: the files that may hold such rows.
    """

    snapshot: Snapshot
    schema: Schema
    predicate: Predicate | None
    files: FileList


def plan_scan(
    snapshot: Snapshot,
    schema: Schema,
    predicate: Predicate | None,
    limit: int | None = None,
    *,
    counts: bool = False,
) -> ScanPlan:
    """Prune the version's files by partition values and statistics; with ``counts`` their rows are known, too."""
    if predicate is not None:
        from lakefmt.scan.prune import PredicatePruner

        files = snapshot.choose_files(PredicatePruner(predicate, snapshot.schema, snapshot.partition_columns))
    elif limit is not None:
        files = _enough_files(snapshot, limit)
    else:
        files = snapshot.counted_files if counts else snapshot.files
    return ScanPlan(snapshot, schema, predicate, files)


def choose_columns(schema: Schema, columns: Sequence[str] | None, *, table: str, version: int) -> Schema:
    """Return the projected schema, in the order asked for. Raises InvalidInputError naming the closest column."""
    if columns is None:
        return schema
    if isinstance(columns, str):
        raise InvalidInputError(
            f"columns is a list of names, not the text {columns!r}",
            table=table,
            hint=f"Write columns=[{columns!r}]",
        )
    try:
        names: list[Any] = list(columns)
    except TypeError:
        names = [columns]
    if not all(isinstance(name, str) for name in names):
        raise InvalidInputError(
            f"columns is a list of names, not {columns!r:.80}",
            table=table,
            hint="Write columns=['name', ...]",
        )
    fields = []
    for name in names:
        field = schema.find(name)
        if field is None:
            close = closest_names(name, schema.names)
            raise InvalidInputError(
                f"There is no column {name!r}",
                table=table,
                version=version,
                hint=f"Did you mean {close[0]!r}?" if close else f"The columns are {', '.join(schema.names)}",
            )
        fields.append(field)
    if len({field.name for field in fields}) < len(fields):
        raise InvalidInputError(f"columns names one twice: {', '.join(names)}", table=table)
    return Schema(fields)


def _enough_files(snapshot: Snapshot, limit: int) -> FileList:
    """Return some files that hold ``limit`` rows by the log's counts, all files where those do not say so.

    A file holds a row, usually: neither the list nor the statistics of a million files are read for five.
    """
    import pyarrow.compute as pc

    files = snapshot.first_files(max(limit, 1))
    present: Any = pc.subtract(files.num_records(), files.deleted_rows)
    none: Any = scalar_of(0, pa.int64())
    counts: Any = pc.max_element_wise(pc.fill_null(present, none), none)
    if (pc.sum(counts).as_py() or 0) < limit:
        return snapshot.files
    reached: Any = pc.index(
        pc.greater_equal(pc.cumulative_sum(counts), scalar_of(limit)), scalar_of(value=True)
    )
    return type(files)(files.table.slice(0, reached.as_py() + 1))
