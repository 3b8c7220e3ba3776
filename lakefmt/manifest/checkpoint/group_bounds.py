"""Bounds of whole row groups of a checkpoint, out of its footer: which of them a predicate can leave unread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import pyarrow as pa

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
        minimum = as_bounds(_ends(file, groups, least, "least"), kind)
        maximum = as_bounds(_ends(file, groups, greatest, "greatest"), kind)
        minimum, maximum = sound_bounds(field, minimum, maximum)
        unknown = cast("Any", pa.nulls)(len(groups), pa.int64())
        return Bounds(minimum, maximum, unknown, unknown, cast("Any", pa.nulls)(len(groups), pa.bool_()))

    return bounds_of


def _ends(file: ActionFile, groups: Sequence[int], path: FieldPath, end: Literal["least", "greatest"]) -> Any:
    kind = file.type_of(path)
    if kind is None or pa.types.is_nested(kind):
        return cast("Any", pa.nulls)(len(groups), pa.null())
    found, adds = file.statistics(path), file.statistics(_PATH)
    if found is None or adds is None:
        return cast("Any", pa.nulls)(len(groups), kind)
    ends, nulls = getattr(found, end), found.null_counts
    # Rows that are no adds have no statistics either; every other row must have them.
    known = [nulls[group] is not None and nulls[group] == adds.null_counts[group] for group in groups]
    return file.bounds(
        path, [ends[group] if there else None for group, there in zip(groups, known, strict=True)]
    )
