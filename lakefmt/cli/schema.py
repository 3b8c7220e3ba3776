"""``lakefmt schema``: the columns of a table and their types."""

from typing import TYPE_CHECKING, Any

import orjson

from lakefmt.cli.options import AsJson, AtTimestamp, AtVersion, StorageOption, Uri, open_table_at
from lakefmt.cli.output import Column, print_table, write_json

if TYPE_CHECKING:
    from lakefmt.schema import Field
    from lakefmt.table import Table

__all__ = ["schema"]


def schema(
    uri: Uri,
    *,
    storage_option: StorageOption = None,
    version: AtVersion = None,
    timestamp: AtTimestamp = None,
    as_json: AsJson = False,
) -> None:
    """Show the columns of a table.

    With --json: table, version, fields: name, type, nullable, partition, comment; and delta, the schema as the log has it.

    Example: lakefmt schema path/to/trips
    """
    table = open_table_at(uri, storage_option, version, timestamp)
    if as_json:
        write_json(_to_dict(table))
        return
    fields = table.schema.fields
    comments = any(_comment(field) for field in fields)
    print_table(
        [Column("column", style="bold"), Column("type", style="cyan"), Column("null"), Column("")]
        + [Column("comment")] * comments,
        [
            (
                field.name,
                str(field.type),
                "" if field.nullable else "not null",
                "partition" if field.name in table.partition_columns else "",
                *((_comment(field) or "",) if comments else ()),
            )
            for field in fields
        ],
    )


def _to_dict(table: "Table") -> dict[str, Any]:
    return {
        "table": table.uri,
        "version": table.version,
        "fields": [
            {
                "name": field.name,
                "type": str(field.type),
                "nullable": field.nullable,
                "partition": field.name in table.partition_columns,
                "comment": _comment(field),
            }
            for field in table.schema.fields
        ],
        "delta": orjson.loads(table.snapshot.metadata.schema_string),
    }


def _comment(field: "Field") -> str | None:
    comment = field.metadata.get("comment")
    return None if comment is None else str(comment)
