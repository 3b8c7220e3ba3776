"""Rows of an Arrow table as text cells and as JSON-ready values.

Times are written by Arrow, not through Python's ``datetime``: a table may hold the year 20,000.
"""

from __future__ import annotations

from typing import Any, cast

import pyarrow as pa

from lakefmt.wording import format_value

__all__ = ["json_rows", "plain_rows", "text_rows"]


def text_rows(table: pa.Table) -> list[list[str]]:
    """Return the rows as cells for a person: ``NULL``, ``true``, ``2013-01-01 10:00:00``."""
    columns = [
        [format_value(value) for value in _write_times(column, " ").to_pylist()] for column in table.columns
    ]
    return [list(cells) for cells in zip(*columns, strict=True)]


def json_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows as JSON-ready values: times as ISO 8601 text, ending in ``Z`` where they are instants.

    Decimals become text and bytes base64 when they are written; NaN and infinities have no JSON and become null.
    """
    columns = [_write_times(column, "T") for column in table.columns]
    return pa.table(columns, names=table.column_names).to_pylist()


def plain_rows(table: pa.Table, *, nested: bool = True) -> pa.Table:
    """Return rows of any query with types that tables have: what else DuckDB gives (intervals, dictionaries) as text.

    Args:
        table: the rows.
        nested: False: lists, structs and maps become JSON text, too.
    """
    columns = []
    for column in table.columns:
        kind = column.type
        if pa.types.is_dictionary(kind):
            column = column.cast(kind.value_type)  # noqa: PLW2901
        elif pa.types.is_nested(kind) and not nested:
            import orjson

            texts = [
                None if value is None else orjson.dumps(value, default=str).decode()
                for value in column.to_pylist()
            ]
            column = pa.chunked_array([pa.array(texts, pa.string())])  # noqa: PLW2901
        elif pa.types.is_interval(kind) or pa.types.is_time(kind):
            texts = [None if value is None else str(value) for value in column.to_pylist()]
            column = pa.chunked_array([pa.array(texts, pa.string())])  # noqa: PLW2901
        columns.append(column)
    return pa.table(columns, names=table.column_names)


def _write_times(column: pa.ChunkedArray[Any], separator: str) -> pa.ChunkedArray[Any]:
    """Return a column with its dates and timestamps, also those in structs, as text."""
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_struct(kind) and kind.num_fields:
        whole = cast("pa.StructArray", column.combine_chunks())
        members = [
            _write_times(pa.chunked_array([pc.struct_field(whole, field.name)]), separator).combine_chunks()
            for field in kind
        ]
        names = [field.name for field in kind]
        return pa.chunked_array([pa.StructArray.from_arrays(members, names=names, mask=pc.is_null(whole))])
    if pa.types.is_timestamp(kind):
        text = pc.replace_substring(pc.cast(column, pa.string()), " ", separator, max_replacements=1)
        return pc.replace_substring_regex(text, r"\.0+(Z?)$", r"\1")
    return pc.cast(column, pa.string()) if pa.types.is_date(kind) else column
