"""Bounds of whole row groups of a checkpoint, out of its footer: which of them a predicate can leave unread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.arrow_values import array_of
from lakefmt.manifest.statistics_reader import Bounds, as_bounds, has_bounds, locate_column, sound_bounds
from lakefmt.schema.arrow import arrow_type_of
from lakefmt.schema.types import PrimitiveType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.expressions import BoundsOf, Column
    from lakefmt.manifest.checkpoint.action_file import ActionFile
    from lakefmt.schema import FieldPath, Schema

__all__ = ["bounds_of_groups"]

_PATH: FieldPath = ("add", "path")


def bounds_of_groups(
    file: ActionFile, groups: Sequence[int], schema: Schema, partition_columns: Sequence[str]
) -> BoundsOf:
    """Return what the footer's bounds of typed statistics say of the files in each row group, column by column.

    A group has a bound where every file in it has one: a file without statistics may hold anything. Nulls are not
    counted.

    Args:
        file: the checkpoint, or a part of it.
        groups: row groups.
        schema: of the table.
        partition_columns: names of the partition columns.
    """

    def bounds_of(column: Column) -> Bounds | None:
        try:
            field, physical = locate_column(schema, column.path)
        except KeyError:
            return None
        if not has_bounds(field.type):
            return None
        if column.path[0] in partition_columns:
            if field.type == PrimitiveType("timestamp"):
                return None  # of a text without an offset each writer makes the instant of its own time zone
            least = greatest = ("add", "partitionValues_parsed", *physical)
        else:
            least = ("add", "stats_parsed", "minValues", *physical)
            greatest = ("add", "stats_parsed", "maxValues", *physical)
        kind = arrow_type_of(field.type)
        minimum = as_bounds(_ends(file, groups, least, "min"), kind)
        maximum = as_bounds(_ends(file, groups, greatest, "max"), kind)
        minimum, maximum = sound_bounds(field, minimum, maximum)
        unknown = cast("Any", pa.nulls)(len(groups), pa.int64())
        return Bounds(minimum, maximum, unknown, unknown, cast("Any", pa.nulls)(len(groups), pa.bool_()))

    return bounds_of


def _ends(file: ActionFile, groups: Sequence[int], path: FieldPath, end: str) -> Any:
    kind = file.type_of(path)
    if kind is None or pa.types.is_nested(kind):
        return cast("Any", pa.nulls)(len(groups), pa.null())
    values: list[Any] = []
    for group in groups:
        found = file.statistics(path, group)
        known = found is not None and found.has_min_max and found.has_null_count
        # Rows that are no adds have no statistics either; every other row must have them.
        if not known or found.null_count != file.null_count(_PATH, group):
            values.append(None)
            continue
        try:
            values.append(getattr(found, end))
        except (ValueError, OverflowError, pa.ArrowException):  # a day past the year 9999, text that is cut
            values.append(None)
    try:
        return array_of(values, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return cast("Any", pa.nulls)(len(groups), kind)
