"""``lakefmt files``: the live data files of a table, one a line."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakefmt.cli.options import AsJson, AtTimestamp, AtVersion, StorageOption, Uri, open_table_at
from lakefmt.cli.output import Column, print_note, print_table, value_alignment, write_json
from lakefmt.cli.values import json_rows, text_rows
from lakefmt.wording import format_count, format_size

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["files"]

_SHOWN = 50
_BATCH = 10_000


def files(
    uri: Uri,
    *,
    storage_option: StorageOption = None,
    version: AtVersion = None,
    timestamp: AtTimestamp = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            "-n",
            min=0,
            metavar="N",
            help=f"At most N files; all with --json, else {_SHOWN}, unless given.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the data files of a table: rows, size, partition values.

    With --json: table, version, num_files, files: path, size_bytes, num_rows, deleted_rows, modified,
    partition_values, log_path.

    Example: lakefmt files path/to/trips --version 3 --json
    """
    table = open_table_at(uri, storage_option, version, timestamp)
    found = table.files()
    shown = found.slice(0, limit if limit is not None else found.num_rows if as_json else _SHOWN)
    if as_json:
        head = {"table": table.uri, "version": table.version, "num_files": found.num_rows}
        write_json(head, ("files", _batches(shown)))
        return
    partitions = [
        Column(name, value_alignment(shown.schema.field("partition_values").type.field(name).type))
        for name in table.partition_columns
    ]
    deleted = _has_deleted_rows(shown)
    print_table(
        [
            *partitions,
            Column("rows", "right", keep=True),
            *([Column("deleted", "right", keep=True)] if deleted else []),
            Column("size", "right", keep=True),
            Column("modified", keep=True),
            Column("path", style="dim", brief=True),
        ],
        _rows(shown, table.partition_columns, deleted=deleted),
    )
    if (more := found.num_rows - shown.num_rows) > 0:
        print_note(f"... and {more:,} more; --limit N shows more, --json all")


def _batches(found: "pa.Table") -> Iterator[list[dict[str, Any]]]:
    for start in range(0, found.num_rows, _BATCH):
        yield json_rows(found.slice(start, _BATCH))


def _has_deleted_rows(found: "pa.Table") -> bool:
    import pyarrow.compute as pc

    return bool(pc.sum(found["deleted_rows"]).as_py())


def _rows(found: "pa.Table", partition_columns: tuple[str, ...], *, deleted: bool) -> Iterator[list[str]]:
    """Yield the cells of each file; ``found`` holds those to print and no more."""
    import pyarrow as pa
    import pyarrow.compute as pc

    seconds = pc.cast(found["modified"], pa.timestamp("s", "UTC"), safe=False)
    modified = pc.cast(seconds, pa.string()).to_pylist()
    values = pa.table({name: pc.struct_field(found["partition_values"], name) for name in partition_columns})
    partitions = text_rows(values) if partition_columns else [[]] * found.num_rows
    facts = found.select(["num_rows", "deleted_rows", "size_bytes", "path"]).to_pylist()
    for cells, time, file in zip(partitions, modified, facts, strict=True):
        yield [
            *cells,
            format_count(file["num_rows"]),
            *([format_count(file["deleted_rows"])] if deleted else []),
            format_size(file["size_bytes"]),
            time or "?",
            file["path"],
        ]
