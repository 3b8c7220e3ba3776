"""``lakefmt head``: some rows of a table."""

from typing import TYPE_CHECKING, Annotated

import typer

from lakefmt.cli.options import AsJson, AtTimestamp, AtVersion, StorageOption, Uri, open_table_at
from lakefmt.cli.output import print_note, print_rows, write_json
from lakefmt.cli.values import json_rows
from lakefmt.wording import plural

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["head"]

_NAMED = 3


def head(
    uri: Uri,
    *,
    storage_option: StorageOption = None,
    version: AtVersion = None,
    timestamp: AtTimestamp = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, metavar="N", help="How many rows.")] = 10,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column", "-c", metavar="NAME", help="Show this column (repeatable).", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show some rows of a table, reading as few files as hold them.

    With --json: table, version, rows. Times are ISO 8601, decimals text, bytes base64, NaN null.

    Example: lakefmt head path/to/trips -n 3 -c id -c fare
    """
    table = open_table_at(uri, storage_option, version, timestamp)
    rows = table.scan(column or None, limit=limit).to_arrow()
    if as_json:
        write_json({"table": table.uri, "version": table.version, "rows": json_rows(rows)})
        return
    hidden = print_rows(rows)
    if hidden:
        print_note(
            f"{plural(hidden, 'more column')} to the right: {_names(rows, hidden)}; --column NAME chooses"
        )


def _names(rows: "pa.Table", hidden: int) -> str:
    names = rows.column_names[-hidden:]
    return ", ".join(names if len(names) <= _NAMED else [*names[: _NAMED - 1], "...", names[-1]])
