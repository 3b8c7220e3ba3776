"""``lakefmt history``: who did what to a table, newest first."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from lakefmt.cli.options import AsJson, AtTimestamp, AtVersion, StorageOption, Uri, open_table_at
from lakefmt.cli.output import Column, print_note, print_table, write_json
from lakefmt.errors import redact
from lakefmt.wording import format_age

if TYPE_CHECKING:
    from lakefmt.log import History, HistoryEntry

__all__ = ["HISTORY_COLUMNS", "history", "history_rows"]

HISTORY_COLUMNS = (
    Column("version", "right", "bold", keep=True),
    Column("time", keep=True),
    Column("ago", style="dim", keep=True, from_width=100),
    Column("operation", style="cyan", keep=True),
    Column("rows", "right", keep=True),
    Column("files", keep=True),
    Column("parameters", brief=True),
    Column("engine", style="dim", brief=True, from_width=120),
)

_SHOWN = 20

# The names writers give the same counts: the reference implementation's, delta-rs's.
_ROWS = (
    "numOutputRows",
    "num_added_rows",
    "num_output_rows",
    "numDeletedRows",
    "num_deleted_rows",
    "numUpdatedRows",
)
_ADDED = ("numFiles", "numAddedFiles", "num_added_files", "numTargetFilesAdded", "num_target_files_added")
_REMOVED = ("numRemovedFiles", "num_removed_files", "numTargetFilesRemoved", "num_target_files_removed")


def history(
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
            min=1,
            metavar="N",
            help=f"The newest N commits; all with --json, else {_SHOWN}, unless given.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the commits of a table, newest first.

    The table is not replayed.

    With --json: table, version, commits: version, timestamp, operation, parameters, metrics, engine, txn_id.

    Example: lakefmt history path/to/trips -n 5
    """
    table = open_table_at(uri, storage_option, version, timestamp)
    commits = table.history(limit if limit is not None or as_json else _SHOWN)
    if as_json:
        entries = [_without_secrets(entry) for entry in commits.to_dicts()]
        write_json({"table": table.uri, "version": table.version, "commits": entries})
        return
    print_table(HISTORY_COLUMNS, history_rows(commits))
    if len(commits) and limit is None and len(commits) == _SHOWN and commits[-1].version > 0:
        print_note("... and earlier commits; --limit N shows more")


def history_rows(commits: "History") -> list[tuple[str, ...]]:
    """Return commits as cells of ``HISTORY_COLUMNS``."""
    now_ms = int(time.time() * 1000)
    return [_row(entry, now_ms) for entry in commits]


def _row(entry: "HistoryEntry", now_ms: int) -> tuple[str, ...]:
    from lakefmt.log.timestamps import format_timestamp

    return (
        str(entry.version),
        format_timestamp(entry.timestamp_ms).replace("T", " "),
        format_age(now_ms - entry.timestamp_ms),
        entry.operation or "",
        _count(entry.metrics, _ROWS),
        format_files(entry.metrics),
        format_parameters(entry.parameters),
        entry.info.engine_info or "",
    )


def format_files(metrics: Mapping[str, Any]) -> str:
    """Return files added and removed: ``+12 -1``."""
    parts = (
        f"{sign}{count}"
        for sign, count in (("+", _count(metrics, _ADDED)), ("-", _count(metrics, _REMOVED)))
        if count not in ("", "0")
    )
    return " ".join(parts)


def format_parameters(parameters: Mapping[str, Any]) -> str:
    """Return what an operation was given, less what is empty: ``mode=Append``."""
    # What was aimed at comes first: the end of a long line may be cut.
    ordered = sorted(parameters, key=lambda name: name != "predicate")
    texts = {
        name: value if isinstance(value, str) else orjson.dumps(value).decode()
        for name in ordered
        if (value := parameters[name]) is not None
    }
    return redact(
        ", ".join(f"{name}={text}" for name, text in texts.items() if text not in ("", "[]", "{}", "null"))
    )


def _count(metrics: Mapping[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        if (found := metrics.get(name)) is not None:
            try:
                return f"{int(found):,}"
            except (TypeError, ValueError):
                return str(found)
    return ""


def _without_secrets(value: Any) -> Any:
    match value:
        case str():
            return redact(value)
        case dict():
            return {name: _without_secrets(member) for name, member in value.items()}
        case list():
            return [_without_secrets(member) for member in value]
        case _:
            return value
