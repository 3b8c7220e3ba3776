"""How a table looks in a terminal and in a notebook: schema and place, never a scan."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakefmt.table import Table

__all__ = ["format_table", "format_table_html"]

_MOST_COLUMNS = 40


def format_table(table: Table) -> str:
    """Return the table as text: location, version, columns; nothing is read from the store."""
    lines = [f"lakefmt.Table({table.uri!r}, version={table.version})"]
    fields = table.schema.fields
    width = max((len(field.name) for field in fields[:_MOST_COLUMNS]), default=0)
    for field in fields[:_MOST_COLUMNS]:
        partition = "  partition" if field.name in table.partition_columns else ""
        required = "" if field.nullable else "  not null"
        lines.append(f"  {field.name.ljust(width)}  {field.type}{required}{partition}")
    if len(fields) > _MOST_COLUMNS:
        lines.append(f"  ... and {len(fields) - _MOST_COLUMNS} more columns")
    return "\n".join(lines)


def format_table_html(table: Table) -> str:
    """Return the table for a notebook: its columns and its first rows, from as few files as hold them."""
    caption = f"<b>{escape(table.uri)}</b> version {table.version}"
    columns = "".join(
        f"<tr><td>{escape(field.name)}</td><td>{escape(str(field.type))}</td>"
        f"<td>{'' if field.nullable else 'not null'}"
        f"{' partition' if field.name in table.partition_columns else ''}</td></tr>"
        for field in table.schema.fields
    )
    head = table.head(5)
    names = "".join(f"<th>{escape(name)}</th>" for name in head.column_names)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(str(value))}</td>" for value in row.values()) + "</tr>"
        for row in head.to_pylist()
    )
    return (
        f"<div>{caption}<table><thead><tr><th>column</th><th>type</th><th></th></tr></thead>"
        f"<tbody>{columns}</tbody></table>"
        f"<table><thead><tr>{names}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
