"""Rows as they travel: every value by itself, in pieces of bounded size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lakefmt.errors import InvalidInputError, UnsupportedFeatureError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["check_wire", "concat_batches", "cut_rows", "take_rows", "to_wire", "wire_schema"]


def wire_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema in which such rows travel.

    Dictionaries would differ from batch to batch, which an Arrow file does not allow; views, list views and runs have no
    kernel that picks rows. Their values travel.
    """
    metadata: Any = schema.metadata
    return pa.schema([_wire_field(field) for field in schema], metadata)


def check_wire(schema: pa.Schema) -> None:
    """Go on if rows of the schema can travel.

    Raises:
        UnsupportedFeatureError: a column has a type whose values cannot travel by themselves; it names the column.
    """
    for field in schema:
        if _has_encoded_union(field.type):
            raise _cannot_travel(field)


def to_wire(rows: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return rows with the types of a wire schema.

    Raises:
        InvalidInputError: they are rows of another schema.
        UnsupportedFeatureError: Arrow cannot take a column's values out of their encoding.
    """
    if rows.schema.equals(schema):
        return rows
    if rows.schema.names != schema.names:
        raise InvalidInputError(
            f"The rows have the columns {', '.join(rows.schema.names)}, and were announced with "
            f"{', '.join(schema.names)}"
        )
    columns = []
    for column, field in zip(rows.columns, schema, strict=True):
        if column.type == field.type:
            columns.append(column)
        elif _wire_type(column.type) == field.type:
            columns.append(_plain(column, field))
        else:
            raise InvalidInputError(
                f"Column {field.name!r} has the type {column.type}, and was announced as {field.type}"
            )
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def cut_rows(rows: pa.RecordBatch, limit_bytes: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows in slices of about so many bytes at most, or of one row."""
    size = rows.nbytes
    if size <= limit_bytes or rows.num_rows <= 1:
        yield rows
        return
    count = min(-(-size // limit_bytes), rows.num_rows)
    step = -(-rows.num_rows // count)
    for start in range(0, rows.num_rows, step):
        piece = rows.slice(start, step)
        if piece.nbytes > 2 * limit_bytes and piece.num_rows > 1:
            yield from cut_rows(piece, limit_bytes)  # long values stand together
        else:
            yield piece


def concat_batches(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Return the rows of at least one batch as one."""
    if len(batches) == 1:
        return batches[0]
    arrow: Any = pa  # the stubs do not have it
    joined: pa.RecordBatch = arrow.concat_batches(batches)
    return joined


def take_rows(rows: pa.RecordBatch, places: NDArray[np.int64]) -> pa.RecordBatch:
    """Return the rows at these places, in their order."""
    indices: Any = pa.array(places)
    return rows.take(indices)


def _wire_field(field: pa.Field[Any]) -> pa.Field[Any]:
    return field.with_type(_wire_type(field.type))


def _wire_type(kind: pa.DataType) -> pa.DataType:
    """Return a type's plain form, at every depth."""
    found: Any = _plain_type(kind)
    plain: pa.DataType = found
    return plain


def _plain_type(kind: Any) -> Any:
    types: Any = pa.types
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return _plain_type(kind.value_type)
    if types.is_string_view(kind):
        return pa.large_string()
    if types.is_binary_view(kind):
        return pa.large_binary()
    if types.is_struct(kind):
        return pa.struct([_wire_field(kind.field(place)) for place in range(kind.num_fields)])
    if types.is_map(kind):
        return pa.map_(_wire_field(kind.key_field), _wire_field(kind.item_field), kind.keys_sorted)
    if types.is_fixed_size_list(kind):
        return pa.list_(_wire_field(kind.value_field), kind.list_size)
    if types.is_large_list(kind) or types.is_large_list_view(kind):
        return pa.large_list(_wire_field(kind.value_field))
    if types.is_list(kind) or types.is_list_view(kind):
        return pa.list_(_wire_field(kind.value_field))
    return kind


def _plain(column: Any, field: pa.Field[Any]) -> Any:
    """Return a column in its plain form, which is the type of ``field``."""
    import pyarrow.compute

    compute: Any = pyarrow.compute  # the stubs do not have all of it
    given = column.type
    try:
        if pa.types.is_run_end_encoded(given):
            column = compute.run_end_decode(column)
        elif pa.types.is_list_view(given) or pa.types.is_large_list_view(given):
            column = _list_of_view(column)  # a cast takes the wrong values of a slice
        return column if column.type == field.type else column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise _cannot_travel(field.with_type(given)) from error


def _list_of_view(column: Any) -> Any:
    """Return a column of list views as one of lists."""
    import pyarrow.compute as pc

    arrow: Any = pa
    is_large = pa.types.is_large_list_view(column.type)
    lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    ends = np.concatenate([[0], np.cumsum(lengths)])
    lists = arrow.LargeListArray if is_large else arrow.ListArray
    offsets = arrow.array(ends, pa.int64() if is_large else pa.int32())
    return lists.from_arrays(offsets, column.flatten(), mask=column.is_null())


def _has_encoded_union(kind: pa.DataType) -> bool:
    """Return whether a union has members whose values would have to be taken out of their encoding."""
    nested: Any = kind
    if not pa.types.is_nested(kind):
        return False
    members = [nested.field(place).type for place in range(nested.num_fields)]
    if pa.types.is_union(kind) and any(_wire_type(member) != member for member in members):
        return True
    return any(map(_has_encoded_union, members))


def _cannot_travel(field: pa.Field[Any]) -> UnsupportedFeatureError:
    return UnsupportedFeatureError(
        f"Rows with column {field.name!r} of type {field.type} cannot be sent from task to task",
        hint="Cast it to a plain type before",
    )
