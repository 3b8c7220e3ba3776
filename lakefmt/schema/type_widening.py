"""Type changes that a schema records of its columns (protocol section "Type Widening").

Files written before a change keep the narrow type; what reads them widens each value. So a recorded change that is
none of widening means that files hold something else than the schema says.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lakefmt.errors import CorruptTableError, InvalidInputError, UnsupportedFeatureError
from lakefmt.schema.types import (
    DataType,
    DecimalType,
    Field,
    FieldPath,
    PrimitiveType,
    format_path,
    parse_type_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_type_changes", "was_float", "widens"]

_CHANGES_KEY = "delta.typeChanges"
_INTEGERS = {
    "byte": 3,
    "short": 5,
    "integer": 10,
    "long": 20,
}  # and the digits before the point that hold them all
_TEXT = re.compile(r"string|(?:char|varchar)\(\s*\d+\s*\)")


def check_type_changes(field: Field, path: FieldPath) -> None:
    """Check the type changes that a column's metadata records, those of members of its arrays and maps included.

    Raises:
        CorruptTableError: they are no type changes.
        UnsupportedFeatureError: one is not a widening; column and types are named.
    """
    for below, before, after in _changes(field, path):
        if not _is_supported(before, after):
            raise UnsupportedFeatureError(
                f"column {format_path(below)} was changed from {before} to {after}, which is no type widening",
                hint="Read an earlier version, or rewrite the table's files with the engine that changed it",
            )


def was_float(field: Field) -> bool:
    """Whether files from before a change may hold the column, a double now, as ``float``."""
    if field.type != PrimitiveType("double") or _CHANGES_KEY not in field.metadata:
        return False
    return any(before == "float" for _, before, _ in _changes(field, ()))


def _changes(field: Field, path: FieldPath) -> Iterator[tuple[FieldPath, str, str]]:
    """Yield where, from and to what type each change was."""
    recorded = field.metadata.get(_CHANGES_KEY)
    if recorded is None:
        return
    for change in recorded if isinstance(recorded, list) else [recorded]:
        match change:
            case {"fromType": str() as before, "toType": str() as after}:
                below = change.get("fieldPath")
                if below is None or isinstance(below, str):
                    yield (*path, *(below.split(".") if below else ())), before, after
                    continue
        raise CorruptTableError(f"{_CHANGES_KEY} of column {format_path(path)} is {_shorten(recorded)}")


def _is_supported(before: str, after: str) -> bool:
    if before == after or (_TEXT.fullmatch(before) and _TEXT.fullmatch(after)):
        return True  # lengths of texts may be changed without the feature
    try:
        return widens(parse_type_name(before), parse_type_name(after))
    except InvalidInputError:
        return False


def widens(before: DataType, after: DataType) -> bool:
    """Whether every value of one type is one of the other; the protocol's list, and decimals as narrow as hold it."""
    match before, after:
        case PrimitiveType(narrow), PrimitiveType(wide) if narrow in _INTEGERS and wide in _INTEGERS:
            return _INTEGERS[narrow] <= _INTEGERS[wide]
        case PrimitiveType("byte" | "short" | "integer" | "float"), PrimitiveType("double"):
            return True
        case PrimitiveType("date"), PrimitiveType("timestamp_ntz"):
            return True
        case PrimitiveType(narrow), DecimalType(precision, scale) if narrow in _INTEGERS:
            return precision - scale >= _INTEGERS[narrow]
        case DecimalType(), DecimalType():
            digits = after.precision - after.scale, before.precision - before.scale
            return after.scale >= before.scale and digits[0] >= digits[1]
    return before == after


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
