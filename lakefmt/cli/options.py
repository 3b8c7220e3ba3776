"""Arguments and options that commands share, and the table they name.

Annotated aliases: typer reads them from a command's signature at run time, so command files do without
``from __future__ import annotations``.
"""

from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from lakefmt.errors import InvalidInputError

if TYPE_CHECKING:
    from lakefmt.table import Table

__all__ = [
    "AsJson",
    "AtTimestamp",
    "AtVersion",
    "StorageOption",
    "Uri",
    "open_table_at",
    "parse_storage_options",
]

Uri = Annotated[
    str,
    typer.Argument(
        metavar="URI",
        help="Where the table is: a local path or an fsspec URI (s3://bucket/trips).",
        show_default=False,
    ),
]
StorageOption = Annotated[
    list[str] | None,
    typer.Option(
        "--storage-option",
        "-o",
        metavar="KEY=VALUE",
        help="What the store needs to know, such as endpoint_url=http://host:9000 (repeatable); true, false, "
        "null and JSON objects are taken as JSON. Secrets are safer in the store's environment variables.",
        show_default=False,
    ),
]
AtVersion = Annotated[
    int | None,
    typer.Option("--version", metavar="N", min=0, help="Look at this version.", show_default=False),
]
AtTimestamp = Annotated[
    str | None,
    typer.Option(
        "--timestamp",
        metavar="TIME",
        help="Look at the version of this moment: ISO 8601, UTC where it names no zone.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, for a program.")]


def open_table_at(
    uri: str, storage_option: list[str] | None, version: int | None = None, timestamp: str | None = None
) -> "Table":
    """Open the table that a command line names. Raises typer.BadParameter where its options make no sense."""
    if version is not None and timestamp is not None:
        raise typer.BadParameter("give a version or a timestamp, not both", param_hint="'--timestamp'")
    if timestamp is not None:
        _check_timestamp(timestamp)
    from lakefmt.opening import open_table

    return open_table(
        uri, version=version, timestamp=timestamp, storage_options=parse_storage_options(storage_option)
    )


def parse_storage_options(pairs: list[str] | None) -> dict[str, Any]:
    """Return ``KEY=VALUE`` pairs as storage options. Raises typer.BadParameter; it never shows a value."""
    options: dict[str, Any] = {}
    for pair in pairs or ():
        key, separator, value = pair.partition("=")
        if not separator or not key.strip():
            raise typer.BadParameter("write it as KEY=VALUE", param_hint="'--storage-option'")
        options[key.strip()] = _parse_value(key.strip(), value)
    return options


def _parse_value(key: str, value: str) -> Any:
    # Only what no credential looks like is taken as JSON: a key of digits stays text.
    if value not in ("true", "false", "null") and not value.startswith("{"):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        raise typer.BadParameter(
            f"the value of {key} begins like a JSON object and is none", param_hint="'--storage-option'"
        ) from None


def _check_timestamp(text: str) -> None:
    from lakefmt.log.timestamps import parse_timestamp

    try:
        parse_timestamp(text)
    except InvalidInputError as error:
        hint = f"; {error.hint}" if error.hint else ""
        raise typer.BadParameter(f"{error.message}{hint}", param_hint="'--timestamp'") from None
