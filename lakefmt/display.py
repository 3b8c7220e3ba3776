"""How tables and scans look in a terminal and in a notebook: columns and first rows, never a whole scan.

Showing something must not fail: a table whose rows cannot be read shows its columns, and says why the rows are missing.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Protocol

from lakefmt.errors import LakefmtError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

__all__ = ["Columns", "format_rows", "format_rows_html"]

FIRST_ROWS = 5
_MOST_COLUMNS = 40
_MOST_ROW_COLUMNS = 12
_CELL_WIDTH = 28


class Columns(Protocol):
    """The columns that are shown: a table's schema, or a query's."""

    @property
    def fields(self) -> Sequence[Any]:
        """Each with ``name``, ``type`` and ``nullable``."""

    def __len__(self) -> int:
        """Return how many they are."""


def format_rows(
    title: str, schema: Columns, partition_columns: Sequence[str], head: Callable[[], pa.Table]
) -> str:
    """Return title, columns and first rows as text.

    Args:
        title: the first line.
        schema: the columns.
        partition_columns: those to mark.
        head: returns the first rows, opening as few files as hold them.
    """
    lines = [title]
    width = max((len(field.name) for field in schema.fields[:_MOST_COLUMNS]), default=0)
    for field in schema.fields[:_MOST_COLUMNS]:
        partition = "  partition" if field.name in partition_columns else ""
        required = "" if field.nullable else "  not null"
        lines.append(f"  {field.name.ljust(width)}  {field.type}{required}{partition}")
    if len(schema) > _MOST_COLUMNS:
        lines.append(f"  ... and {len(schema) - _MOST_COLUMNS} more columns")
    names, rows, note = _first_rows(head)
    if rows:
        widths = [max(len(row[i]) for row in [names, *rows]) for i in range(len(names))]
        lines.append("")
        lines += [
            "  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
            for row in [names, *rows]
        ]
    return "\n".join([*lines, f"  {note}"] if note else lines)


def format_rows_html(
    title: str, schema: Columns, partition_columns: Sequence[str], head: Callable[[], pa.Table]
) -> str:
    """Return the same for a notebook."""
    columns = [
        [
            field.name,
            str(field.type),
            "" if field.nullable else "not null",
            "partition" if field.name in partition_columns else "",
        ]
        for field in schema.fields[:_MOST_COLUMNS]
    ]
    names, rows, note = _first_rows(head)
    tables = _html_table(["column", "type", "", ""], columns) + (_html_table(names, rows) if rows else "")
    return f"<div><b>{escape(title)}</b>{tables}{f'<p>{escape(note)}</p>' if note else ''}</div>"


def _first_rows(head: Callable[[], pa.Table]) -> tuple[list[str], list[list[str]], str]:
    """Return names, cells and a note for the first rows; no cells and the reason where they cannot be read."""
    try:
        table = head()
        shown = table.select(table.column_names[:_MOST_ROW_COLUMNS])
        rows = [[_cell(value) for value in row.values()] for row in shown.to_pylist()]
    except Exception as error:  # noqa: BLE001 - a debugger shows what is broken, too
        return [], [], f"(no rows shown: {error.message if isinstance(error, LakefmtError) else error})"
    more = table.num_columns - shown.num_columns
    note = f"({more} more columns not shown)" if rows and more > 0 else "" if rows else "(no rows)"
    return shown.column_names, rows, note


def _cell(value: object) -> str:
    text = "NULL" if value is None else str(value)
    return text if len(text) <= _CELL_WIDTH else f"{text[: _CELL_WIDTH - 1]}…"


def _html_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
