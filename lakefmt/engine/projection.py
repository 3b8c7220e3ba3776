"""From the columns of a file to the columns of a table.

A file keeps the names and types that the table had when it was written, or those of its foreign writer. Columns are
found by physical name (by field id in tables that are mapped so), missing ones are null, and types are widened where every
value stays what it is; anything else contradicts the log and is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.errors import CorruptTableError
from lakefmt.schema.arrow import is_list
from lakefmt.schema.casts import floor_to_microseconds
from lakefmt.schema.column_mapping import VARIANT_MARK

if TYPE_CHECKING:
    from lakefmt.engine.footers import Footer

__all__ = [
    "FileColumn",
    "adapt",
    "find_column",
    "find_field",
    "holds_variants",
    "is_variant",
    "missing_column",
    "repeat_value",
]

_FIELD_ID = b"PARQUET:field_id"
# A dictionary-encoded value takes two or three bytes, a plain string at least its length's four.
_DICTIONARY_BYTES = 3


@dataclass(frozen=True, slots=True)
class FileColumn:
    """Where a file keeps one column of the table.

    Attributes:
        name: its name in the file.
        position: its position among the file's top-level columns.
        type: its Arrow type as the file is read.
        is_plain: it has the table's type already.
        as_dictionary: strings that are quicker read as a dictionary: it is smaller by far than the values.
    """

    name: str
    position: int
    type: pa.DataType
    is_plain: bool
    as_dictionary: bool


def find_column(footer: Footer, field: pa.Field[Any], *, by_id: bool) -> FileColumn | None:
    """Find a column of the table in a file; None where the file was written without it.

    Args:
        footer: the file's.
        field: physical name, type, and ``PARQUET:field_id`` of the column.
        by_id: look for the field id (column mapping mode "id") rather than the name.

    Raises:
        CorruptTableError: the file has two such columns, or is to be read by field ids and has none.
    """
    schema = footer.schema
    position = find_field(schema, field, key=footer.key, by_id=by_id)
    if position is None:
        return None
    found = schema.field(position)
    is_plain = found.type.equals(field.type)
    return FileColumn(
        name=found.name,
        position=position,
        type=found.type,
        is_plain=is_plain,
        as_dictionary=is_plain and pa.types.is_string(found.type) and _has_small_dictionary(footer, position),
    )


def adapt(values: Any, field: pa.Field[Any], *, key: str, by_id: bool) -> Any:
    """Return a column as read (array or chunked array) in the table's type.

    Raises:
        CorruptTableError: the file's type does not fit; it names file, column, and both types.
    """
    target = field.type
    if values.type.equals(target):
        return values
    if isinstance(values, pa.ChunkedArray):
        return pa.chunked_array(
            [adapt(chunk, field, key=key, by_id=by_id) for chunk in values.chunks], target
        )
    if pa.types.is_dictionary(values.type):
        return adapt(values.cast(values.type.value_type), field, key=key, by_id=by_id)
    if isinstance(values.type, pa.BaseExtensionType):  # marked so by its writer (JSON)
        return adapt(values.storage, field, key=key, by_id=by_id)
    if is_variant(field) and pa.types.is_struct(values.type):
        return _adapt_variant(values, target, key=key)
    if pa.types.is_struct(target) and pa.types.is_struct(values.type):
        return _adapt_struct(values, field, key=key, by_id=by_id)
    if pa.types.is_map(target) and pa.types.is_map(values.type):
        return _adapt_map(values, field, key=key, by_id=by_id)
    if pa.types.is_list(target) and is_list(values.type):
        return _adapt_list(values, field, key=key, by_id=by_id)
    if not _widens(values.type, target):
        raise _wrong_type(values.type, field, key)
    try:
        if pa.types.is_timestamp(values.type) and values.type.unit == "ns":
            return floor_to_microseconds(values).cast(target)
        return values.cast(target)
    except pa.ArrowInvalid as error:
        raise _wrong_value(values.type, field, key, error) from error


def find_field(fields: Any, wanted: pa.Field[Any], *, key: str, by_id: bool) -> int | None:
    """Return the position of a column, or of a struct's member, among what a file has; None if it is not there.

    Protocol section "Reader Requirements for Column Mapping". Errors as ``find_column``.
    """
    number = _field_id(wanted) if by_id else None
    if (
        number is not None
    ):  # columns that are none of the schema's, as change data files have, are found by name
        ids = [_field_id(field) for field in fields]
        if ids and not any(ids):
            raise CorruptTableError(
                "the table's columns are found by field id, and a data file has none",
                path=key,
                hint="It was not written for this table: restore a version without it, or rewrite the file",
            )
        alike = [position for position, found in enumerate(ids) if found == number]
    else:
        names = [field.name for field in fields]
        alike = [position for position, name in enumerate(names) if name == wanted.name]
        if not alike:
            folded = wanted.name.lower()
            alike = [position for position, name in enumerate(names) if name.lower() == folded]
            return alike[0] if len(alike) == 1 else None
    if len(alike) > 1:
        raise CorruptTableError(
            f"a data file has column {wanted.name!r} twice",
            path=key,
            hint="Restore a version of the table without the file, or rewrite the file",
        )
    return alike[0] if alike else None


def is_variant(field: pa.Field[Any]) -> bool:
    """Whether a physical field is a variant, which files keep in several forms."""
    return field.metadata is not None and VARIANT_MARK.encode() in field.metadata


def holds_variants(field: pa.Field[Any]) -> bool:
    """Whether a physical field is a variant, or has one in it."""
    nested: Any = field.type
    if not pa.types.is_nested(nested):
        return False
    return is_variant(field) or any(holds_variants(nested.field(i)) for i in range(nested.num_fields))


def repeat_value(value: pa.Scalar[Any], num_rows: int) -> pa.Array[Any]:
    """Return a column that holds one value, or null, in every row."""
    arrow: Any = pa  # the stubs of both functions have an overload for each type, none for any
    column: pa.Array[Any] = (
        arrow.repeat(value, num_rows) if value.is_valid else arrow.nulls(num_rows, value.type)
    )
    return column


def _field_id(field: pa.Field[Any]) -> bytes | None:
    return field.metadata.get(_FIELD_ID) if field.metadata else None


def _has_small_dictionary(footer: Footer, position: int) -> bool:
    leaf = footer.first_leaves[position]
    pages = footer.chunks.pages(leaf)
    if pages is None or not all(pages.has_dictionary):
        return False
    return sum(pages.uncompressed_bytes) < _DICTIONARY_BYTES * sum(pages.num_values)


def _adapt_struct(values: Any, field: pa.Field[Any], *, key: str, by_id: bool) -> Any:
    members: Any = field.type
    present = [values.type.field(i) for i in range(values.type.num_fields)]
    arrays = []
    for i in range(members.num_fields):
        member = members.field(i)
        position = find_field(present, member, key=key, by_id=by_id)
        if position is None:
            if not member.nullable and values.null_count < len(values):
                raise missing_column(f"{field.name}.{member.name}", key)
            arrays.append(pa.nulls(len(values), member.type))
        else:
            inner = member.with_name(f"{field.name}.{member.name}")
            arrays.append(adapt(values.field(position), inner, key=key, by_id=by_id))
    fields = [members.field(i) for i in range(members.num_fields)]
    mask = values.is_null() if values.null_count else None
    return pa.StructArray.from_arrays(arrays, fields=fields, mask=mask)


def _adapt_variant(values: Any, target: pa.DataType, *, key: str) -> Any:
    from lakefmt.variant import unshred

    try:
        return unshred(values, target)
    except CorruptTableError as error:
        error.path = key
        raise


def _adapt_list(values: Any, field: pa.Field[Any], *, key: str, by_id: bool) -> Any:
    target: Any = field.type
    element = target.value_field.with_name(f"{field.name}.element")
    if not pa.types.is_list(values.type):
        values = values.cast(pa.list_(values.type.value_field))
    inner = adapt(values.values, element, key=key, by_id=by_id)
    return pa.Array.from_buffers(
        target, len(values), values.buffers()[:2], values.null_count, values.offset, children=[inner]
    )


def _adapt_map(values: Any, field: pa.Field[Any], *, key: str, by_id: bool) -> Any:
    target: Any = field.type
    keys = adapt(values.keys, target.key_field.with_name(f"{field.name}.key"), key=key, by_id=by_id)
    items = adapt(values.items, target.item_field.with_name(f"{field.name}.value"), key=key, by_id=by_id)
    entries = pa.StructArray.from_arrays([keys, items], fields=[target.key_field, target.item_field])
    return pa.Array.from_buffers(
        target, len(values), values.buffers()[:2], values.null_count, values.offset, children=[entries]
    )


def _widens(found: pa.DataType, target: pa.DataType) -> bool:
    """Whether every value of type ``found`` is one of ``target`` (integers: or is checked to be by the cast)."""
    kinds = pa.types
    if kinds.is_null(found):
        return True
    if kinds.is_integer(found):
        # Byte and short are INT32 in Parquet, and not every writer notes that they are narrower.
        if kinds.is_integer(target):
            return True
        if kinds.is_float64(target):
            return _bits(found) <= 32
        return kinds.is_decimal(target) and _digits(target) >= _INTEGER_DIGITS[_bits(found)]
    if kinds.is_floating(found):
        return kinds.is_floating(target) and _bits(found) <= _bits(target)
    if kinds.is_decimal(found):
        exact: Any = found
        wide: Any = target
        return kinds.is_decimal(target) and wide.scale >= exact.scale and _digits(target) >= _digits(found)
    if kinds.is_date(found):
        naive: Any = target
        return kinds.is_date(target) or (kinds.is_timestamp(target) and naive.tz is None)
    if kinds.is_timestamp(found):
        return kinds.is_timestamp(target) and _same_clock(found, target)
    # Strings of writers that do not annotate them come as bytes: the cast makes sure that they are UTF-8.
    return _is_text(found) and (kinds.is_string(target) or kinds.is_binary(target))


_INTEGER_DIGITS = {8: 3, 16: 5, 32: 10, 64: 20}


def _is_text(kind: pa.DataType) -> bool:
    kinds = pa.types
    return (
        kinds.is_string(kind)
        or kinds.is_large_string(kind)
        or kinds.is_string_view(kind)
        or kinds.is_binary(kind)
        or kinds.is_large_binary(kind)
        or kinds.is_binary_view(kind)
        or kinds.is_fixed_size_binary(kind)
    )


def _bits(kind: Any) -> int:
    bits: int = kind.bit_width
    return bits


def _digits(kind: Any) -> int:
    """Return the digits before the point."""
    digits: int = kind.precision - kind.scale
    return digits


def _same_clock(found: Any, target: Any) -> bool:
    """Whether the values of one timestamp type stand for those of another.

    INT96 has no zone, and may be an instant or a local time. Instants that a file calls local times are UTC: so older
    delta-rs wrote them, and every reader takes them. A local time in a file that calls it an instant is not.
    """
    return found.tz is None or target.tz is not None


def missing_column(name: str, key: str) -> CorruptTableError:
    """Return the error of a file without a column that is never null."""
    return CorruptTableError(
        f"a data file lacks column {name!r}, which is NOT NULL",
        path=key,
        hint="The file was not written for this table's schema: restore a version without it",
    )


def _wrong_value(found: pa.DataType, field: pa.Field[Any], key: str, error: Exception) -> CorruptTableError:
    reason = str(error).partition("\n")[0].rstrip(".")
    return CorruptTableError(
        f"column {field.name!r} of a data file is {found} and holds what is no {field.type}: {reason}",
        path=key,
        hint="The file was not written for this table's schema: restore a version without it, or rewrite the file",
    )


def _wrong_type(found: pa.DataType, field: pa.Field[Any], key: str) -> CorruptTableError:
    return CorruptTableError(
        f"column {field.name!r} of a data file is {found}, but by the log it is {field.type}",
        path=key,
        hint="The file was not written for this table's schema: restore a version without it, or rewrite the file",
    )
