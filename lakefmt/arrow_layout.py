"""Arrow arrays in the layout that every reader of them understands.

DuckDB up to 1.5 takes the values of a struct inside another from the wrong rows where what it is handed is a slice (2.0
refuses such a slice). Slices are how rows are cut out of files without a copy, so what leaves the library, or goes to
DuckDB within it, has none in such columns.
"""

from __future__ import annotations

from typing import Any, TypeVar

import pyarrow as pa

__all__ = ["plain_views", "unslice_structs"]


_Rows = TypeVar("_Rows", pa.Table, pa.RecordBatch)


def plain_views(kind: pa.DataType) -> pa.DataType:
    """Return a type with large texts and bytes in place of views of them, at every depth: Arrow filters no views."""
    nested: Any = kind
    if pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_binary_view(kind):
        return pa.large_binary()
    if not pa.types.is_nested(kind):
        return kind
    fields = [nested.field(i).with_type(plain_views(nested.field(i).type)) for i in range(nested.num_fields)]
    if all(field.type == nested.field(i).type for i, field in enumerate(fields)):
        return kind
    if pa.types.is_struct(kind):
        return pa.struct(fields)
    if pa.types.is_map(kind):
        return pa.map_(*(plain_views(each) for each in (nested.key_type, nested.item_type)))
    if pa.types.is_fixed_size_list(kind):
        fixed: pa.DataType = pa.list_(fields[0], nested.list_size)
        return fixed
    return pa.list_(fields[0]) if pa.types.is_list(kind) else pa.large_list(fields[0])


def unslice_structs(rows: _Rows) -> _Rows:
    """Return the rows with those columns copied in which a struct inside another value is not there from its start."""
    changed: Any = rows
    for place, field in enumerate(rows.schema):
        if _nests_structs(field.type):
            column: Any = rows.column(place)
            chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
            if any(map(_has_offset, chunks)):
                copied = [_copied(chunk) if _has_offset(chunk) else chunk for chunk in chunks]
                arrow: Any = pa  # the stubs know no type that is found at run time
                one = isinstance(rows, pa.RecordBatch)
                new = copied[0] if one else arrow.chunked_array(copied, field.type)
                changed = changed.set_column(place, field, new)
    result: _Rows = changed
    return result


def _nests_structs(kind: pa.DataType, *, inside: bool = False) -> bool:
    nested: Any = kind
    if pa.types.is_struct(kind):
        if inside:
            return True
    elif not pa.types.is_nested(kind):
        return False
    return any(_nests_structs(nested.field(i).type, inside=True) for i in range(nested.num_fields))


def _has_offset(array: Any) -> bool:
    if array.offset:
        return True
    if pa.types.is_struct(array.type):
        return any(_has_offset(array.field(i)) for i in range(array.type.num_fields))
    if pa.types.is_map(array.type):
        return _has_offset(array.keys) or _has_offset(array.items)
    return pa.types.is_nested(array.type) and hasattr(array, "values") and _has_offset(array.values)


def _copied(array: Any) -> Any:
    return pa.concat_arrays([array, array.slice(0, 0)])
