"""``lakefmt changes``: which rows were inserted, deleted and updated, version after version."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from lakefmt.cli.options import AsJson, StorageOption, Uri, open_table_at
from lakefmt.cli.output import print_note, print_rows, write_json
from lakefmt.cli.values import json_rows

if TYPE_CHECKING:
    import pyarrow as pa

    from lakefmt.scan import Changes

__all__ = ["changes"]

_SHOWN = 50


def changes(
    uri: Uri,
    *,
    storage_option: StorageOption = None,
    from_version: Annotated[
        int | None,
        typer.Option(
            "--from", metavar="N", min=0, help="The first version; 0 unless given.", show_default=False
        ),
    ] = None,
    to_version: Annotated[
        int | None,
        typer.Option(
            "--to", metavar="N", min=0, help="The last version; the newest unless given.", show_default=False
        ),
    ] = None,
    from_timestamp: Annotated[
        str | None,
        typer.Option(
            "--from-time",
            metavar="TIME",
            help="From the first commit at or after this time on.",
            show_default=False,
        ),
    ] = None,
    to_timestamp: Annotated[
        str | None,
        typer.Option(
            "--to-time",
            metavar="TIME",
            help="Up to the last commit at or before this time.",
            show_default=False,
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column", "-c", metavar="NAME", help="Show this column (repeatable).", show_default=False
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            "--where",
            metavar="SQL",
            help="Only changes this is true for, such as \"_change_type = 'delete'\".",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            "-n",
            min=0,
            metavar="N",
            help=f"At most N changes; all with --json, else {_SHOWN}, unless given.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the row changes between two versions, both included.

    With --json: table, from_version, to_version (null where there is none yet), changes: the columns, _change_type, _commit_version, _commit_timestamp.

    Example: lakefmt changes path/to/trips --from 3 --to 5 --json
    """
    table = open_table_at(uri, storage_option)
    found = table.changes(
        from_version,
        to_version,
        from_timestamp=from_timestamp,
        to_timestamp=to_timestamp,
        columns=column or None,
        where=where,
    )
    if as_json:
        first, last = (found.versions[0], found.versions[-1]) if found.versions else (None, None)
        head = {"table": table.uri, "from_version": first, "to_version": last}
        write_json(head, ("changes", map(json_rows, _first_rows(found, limit))))
        return
    _print(found, _SHOWN if limit is None else limit)


def _print(found: "Changes", limit: int) -> None:
    import pyarrow as pa

    # The change first: of a wide table the rest may not fit.
    names = sorted(found.schema.names, key=lambda name: not name.startswith(("_change_type", "_commit_")))
    empty = found.schema.to_arrow().empty_table()
    rows = pa.concat_tables([empty, *_first_rows(found, limit + 1)]).select(names)
    print_rows(rows.slice(0, limit))
    if rows.num_rows > limit:
        print_note("... and more; --limit N shows more, --json all")


def _first_rows(found: "Changes", limit: int | None) -> Iterator["pa.Table"]:
    import pyarrow as pa

    left = limit
    for batch in found.to_batches():
        rows = pa.table(batch)
        if left is not None:
            rows = rows.slice(0, left)
            left -= rows.num_rows
        if rows.num_rows:
            yield rows
        if left == 0:
            return
