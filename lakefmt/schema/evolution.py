"""Whether rows written under one schema of a table can be shown under another, later one; pure.

They can where columns were added, renamed (in a mapped table), reordered, made nullable or widened. They cannot where a
column is gone, or is of another type: its values would be lost without a word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.schema.type_widening import widens
from lakefmt.schema.types import ArrayType, DataType, Field, FieldPath, MapType, StructType, format_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.schema.table_schema import Schema

__all__ = ["find_lost_column"]


def find_lost_column(before: Schema, after: Schema) -> str | None:
    """Return what of rows of ``before`` has no place under ``after``, in words; None where all of it has.

    Columns are the same where files call them the same.
    """
    return _lost_field(before, before.fields, after, after.fields, ())


def _lost_field(
    before: Schema, fields: Sequence[Field], after: Schema, later: Sequence[Field], parents: FieldPath
) -> str | None:
    places = {after.physical_name(field): field for field in later}
    for field in fields:
        path = (*parents, field.name)
        found = places.get(before.physical_name(field))
        if found is None:
            return f"column {format_path(path)} is not there any more"
        lost = _lost_type(before, field.type, after, found.type, path)
        if lost is not None:
            return lost
    return None


def _lost_type(before: Schema, kind: DataType, after: Schema, later: DataType, path: FieldPath) -> str | None:
    match kind, later:
        case StructType(), StructType():
            return _lost_field(before, kind.fields, after, later.fields, path)
        case ArrayType(), ArrayType():
            return _lost_type(before, kind.element, after, later.element, (*path, "element"))
        case MapType(), MapType():
            return _lost_type(before, kind.key, after, later.key, (*path, "key")) or _lost_type(
                before, kind.value, after, later.value, (*path, "value")
            )
    if widens(kind, later):
        return None
    return f"column {format_path(path)} is {later}, and was {kind}"
