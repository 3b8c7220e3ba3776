"""Choosing row groups by the statistics in a file's footer.

Footer bounds are believed only where they are bounds by the order in which predicates compare: not for unsigned
numbers and bytes, and the maximum of floats only in files whose writer is known to mind NaN (``ReadTask``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.arrow_values import array_of, scalar_of
from lakefmt.engine.footers import count_leaves
from lakefmt.engine.projection import find_column, find_field, is_variant, repeat_value
from lakefmt.parquet_bounds import decode_bounds

if TYPE_CHECKING:
    from lakefmt.engine.footers import Footer
    from lakefmt.engine.read_task import ReadSpec, ReadTask
    from lakefmt.expressions.tree import Column

__all__ = ["RowGroups", "choose_row_groups", "has_float_bounds"]


@dataclass(frozen=True, slots=True)
class RowGroups:
    """Row groups of a file that may hold rows a predicate is true for.

    Attributes:
        chosen: their numbers, ascending.
        covered: those of them all of whose rows it is true for.
    """

    chosen: tuple[int, ...]
    covered: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class GroupBounds:
    """What is known of one column in each row group; arrays aligned with the row groups, null is "not known"."""

    minimum: Any
    maximum: Any
    null_count: Any
    num_records: Any


def choose_row_groups(footer: Footer, task: ReadTask, spec: ReadSpec) -> RowGroups:
    """Prune the row groups of a task by the predicate or the pruner."""
    predicate = spec.predicate or spec.pruner
    groups = tuple(task.row_groups or range(len(footer.row_counts)))
    if predicate is None:
        return RowGroups(groups, frozenset(groups))

    def bounds_of(column: Column) -> GroupBounds | None:
        name = column.path[0]
        if name in spec.numbered_names:
            return None  # the footer counts as null what the task's number stands for
        if name in spec.partition_columns:
            return _constant_bounds(footer, task.partition_values[spec.partition_columns.index(name)])
        field = spec.physical_field(name)
        found = find_column(footer, field, by_id=spec.match_by_id)
        if found is None:
            return _all_null(footer, column.type)
        if footer.old_calendar and pa.types.is_temporal(column.type):
            return None  # bounds among days of another calendar
        first_leaf = footer.first_leaves[found.position]
        wanted = spec.schema.field(name), field
        leaf = _find_leaf(footer.key, first_leaf, found.type, wanted, column.path[1:], by_id=spec.match_by_id)
        if leaf is None or not leaf[1].equals(column.type):
            return None
        return _leaf_bounds(footer, leaf[0], column.type, float_bounds_hold=task.float_bounds_hold)

    may_match = predicate.may_match(bounds_of, len(footer.row_counts)).to_pylist()
    chosen = tuple([group for group in groups if may_match[group]])
    if not chosen:
        return RowGroups(())
    covers = predicate.covers(bounds_of, len(footer.row_counts)).to_pylist()
    return RowGroups(chosen, frozenset([group for group in chosen if covers[group]]))


def has_float_bounds(footer: Footer, task: ReadTask, spec: ReadSpec) -> bool:
    """Whether a reader that takes footer bounds for truth could lose rows with NaN of a column in the predicate."""
    if task.float_bounds_hold:
        return False
    for name in spec.predicate_columns:
        found = find_column(footer, spec.physical_field(name), by_id=spec.match_by_id)
        if found is None or not _holds_floats(found.type):
            continue
        leaves = range(footer.first_leaves[found.position], footer.first_leaves[found.position + 1])
        if any(_may_have_statistics(footer, leaf) for leaf in leaves):
            return True
    return False


def _leaf_bounds(footer: Footer, leaf: int, kind: pa.DataType, *, float_bounds_hold: bool) -> GroupBounds:
    known = footer.bounds.get(leaf)
    if known is None:
        known = footer.bounds[leaf] = _load_bounds(footer, leaf, kind)
    if pa.types.is_floating(kind) and not float_bounds_hold:
        nothing = repeat_value(scalar_of(None, kind), len(footer.row_counts))
        return GroupBounds(known.minimum, nothing, known.null_count, known.num_records)
    return known


def _load_bounds(footer: Footer, leaf: int, kind: pa.DataType) -> GroupBounds:
    counts = array_of(footer.row_counts, pa.int64())
    found = footer.chunks.statistics(leaf)
    if found is None:
        nothing = repeat_value(scalar_of(None, kind), len(counts))
        return GroupBounds(nothing, nothing, cast("Any", pa.nulls)(len(counts), pa.int64()), counts)
    physical_type = footer.metadata.schema.column(leaf).physical_type
    return GroupBounds(
        minimum=decode_bounds(found.least, physical_type, kind),
        maximum=decode_bounds(found.greatest, physical_type, kind),
        null_count=array_of(found.null_counts, pa.int64()),
        num_records=counts,
    )


def _may_have_statistics(footer: Footer, leaf: int) -> bool:
    found = footer.chunks.statistics(leaf)
    return found is None or any(found.present)


def _find_leaf(
    key: str,
    leaf: int,
    kind: Any,
    wanted: tuple[pa.Field[Any], pa.Field[Any]],
    path: tuple[str, ...],
    *,
    by_id: bool,
) -> tuple[int, pa.DataType] | None:
    """Go down a path of struct members: the number of the leaf column it ends at and its type.

    Args:
        key: the file's.
        leaf: number of the first leaf column of what the file has there.
        kind: its type in the file.
        wanted: the field as the table names its members and as files do.
        path: names of members, as the table has them.
        by_id: members are found by field id.
    """
    if not path:
        return (leaf, kind) if not pa.types.is_nested(kind) else None
    if is_variant(wanted[1]):
        return None  # its members are other ones in files
    logical, physical = (cast("Any", field.type) for field in wanted)
    if not pa.types.is_struct(kind) or not pa.types.is_struct(logical):
        return None
    place = logical.get_field_index(path[0])
    members = [kind.field(i) for i in range(kind.num_fields)]
    position = find_field(members, physical.field(place), key=key, by_id=by_id)
    if position is None:
        return None
    leaf += sum(count_leaves(member.type) for member in members[:position])
    below = logical.field(place), physical.field(place)
    return _find_leaf(key, leaf, members[position].type, below, path[1:], by_id=by_id)


def _constant_bounds(footer: Footer, value: pa.Scalar[Any]) -> GroupBounds:
    counts = array_of(footer.row_counts, pa.int64())
    if not value.is_valid:
        return _all_null(footer, value.type)
    values = repeat_value(value, len(counts))
    if pa.types.is_floating(value.type) and (plain := value.as_py()) != plain:
        values = repeat_value(scalar_of(None, value.type), len(counts))  # NaN: no bound is known
    return GroupBounds(values, values, repeat_value(scalar_of(0, pa.int64()), len(counts)), counts)


def _all_null(footer: Footer, kind: pa.DataType) -> GroupBounds:
    counts = array_of(footer.row_counts, pa.int64())
    nothing = repeat_value(scalar_of(None, kind), len(counts))
    return GroupBounds(nothing, nothing, counts, counts)


def _holds_floats(kind: pa.DataType) -> bool:
    nested: Any = kind
    if pa.types.is_struct(kind):
        return any(_holds_floats(nested.field(i).type) for i in range(nested.num_fields))
    return pa.types.is_floating(kind) or (pa.types.is_nested(kind) and not pa.types.is_struct(kind))
