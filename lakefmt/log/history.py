"""Who did what to a table, from the commits' provenance alone ("Commit Provenance Information")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, overload

import orjson
import pyarrow as pa

from lakefmt.log.actions import CommitInfo
from lakefmt.log.commit_times import CommitTimes, load_commit_info
from lakefmt.log.listing import list_commits
from lakefmt.log.timestamps import format_timestamp
from lakefmt.threads import map_in_threads

if TYPE_CHECKING:
    from lakefmt.log.catalog import Catalog
    from lakefmt.log.commit_times import InCommitTimestamps
    from lakefmt.store import Store

__all__ = ["History", "HistoryEntry", "load_history"]

_READ_THREADS = 8
_HISTORY_FIELDS: list[pa.Field[Any]] = [
    pa.field("version", pa.int64(), nullable=False),
    pa.field("timestamp", pa.timestamp("ms", "UTC"), nullable=False),
    pa.field("operation", pa.string()),
    pa.field("parameters", pa.map_(pa.string(), pa.string())),
    pa.field("metrics", pa.map_(pa.string(), pa.string())),
    pa.field("engine", pa.string()),
    pa.field("txn_id", pa.string()),
]
_HISTORY_SCHEMA = pa.schema(_HISTORY_FIELDS)


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One commit of the history.

    Attributes:
        version: the version it made.
        timestamp_ms: when, milliseconds since the epoch, as ``at(timestamp=)`` takes it: the in-commit timestamp where
            there is one, else its file's time. What its writer's clock said is in ``info``.
        info: all that its writer said of it; empty where it said nothing.
    """

    version: int
    timestamp_ms: int
    info: CommitInfo

    @property
    def operation(self) -> str | None:
        """What was done, in the protocol's words (``WRITE``, ``CREATE TABLE``, ...)."""
        return self.info.operation

    @property
    def parameters(self) -> Mapping[str, Any]:
        """How it was asked for."""
        return self.info.operation_parameters

    @property
    def metrics(self) -> Mapping[str, Any]:
        """What it came to: counts of files, rows and bytes."""
        return self.info.operation_metrics

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as JSON-ready values."""
        return {
            "version": self.version,
            "timestamp": format_timestamp(self.timestamp_ms),
            "operation": self.operation,
            "parameters": dict(self.parameters),
            "metrics": dict(self.metrics),
            "engine": self.info.engine_info,
            "txn_id": self.info.txn_id,
        }


class History(Sequence[HistoryEntry]):
    """The commits of a table, newest first; prints as a table."""

    def __init__(self, entries: Sequence[HistoryEntry]) -> None:
        self._entries = tuple(entries)

    @overload
    def __getitem__(self, index: int) -> HistoryEntry: ...
    @overload
    def __getitem__(self, index: slice) -> History: ...
    def __getitem__(self, index: int | slice) -> HistoryEntry | History:
        if isinstance(index, slice):
            return History(self._entries[index])
        return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[HistoryEntry]:
        return iter(self._entries)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the entries as JSON-ready values."""
        return [entry.to_dict() for entry in self._entries]

    def to_arrow(self) -> pa.Table:
        """Return one row per commit: version, timestamp, operation, parameters, metrics, engine, txn_id."""
        rows = [
            {
                "version": e.version,
                "timestamp": e.timestamp_ms,
                "operation": e.operation,
                "parameters": [(k, _as_text(v)) for k, v in e.parameters.items()],
                "metrics": [(k, _as_text(v)) for k, v in e.metrics.items()],
                "engine": e.info.engine_info,
                "txn_id": e.info.txn_id,
            }
            for e in self._entries
        ]
        return pa.Table.from_pylist(rows, schema=_HISTORY_SCHEMA)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the rows of ``to_arrow`` to any Arrow consumer."""
        rows: Any = self.to_arrow()
        return rows.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        rows = [_line(entry) for entry in self._entries]
        header = ("version", "timestamp", "operation", "rows", "files", "parameters")
        widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in [header, *rows]
        )

    def _repr_html_(self) -> str:
        header = ("version", "timestamp", "operation", "rows", "files", "parameters")
        head = "".join(f"<th>{name}</th>" for name in header)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in _line(entry)) + "</tr>"
            for entry in self._entries
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def load_history(
    store: Store,
    limit: int | None = None,
    up_to: int | None = None,
    *,
    in_commit: InCommitTimestamps | None = None,
    catalog: Catalog | None = None,
) -> History:
    """Read the provenance of the newest commits; the table's state is not replayed.

    Args:
        store: the table's store.
        limit: how many commits, None for all that are left in the log.
        up_to: the newest version to show.
        in_commit: since when commits say their time; entries are dated as time travel dates them, so that a time that
            is shown is one that leads back.
        catalog: the catalog that manages the table.

    Raises:
        CorruptTableError: a commit cannot be read, or has no time although it must say it.
    """
    commits = [f for f in list_commits(store, catalog) if up_to is None or f.version <= up_to]
    times = CommitTimes(store, commits, in_commit)

    def load(position: int) -> HistoryEntry:
        info = load_commit_info(store, commits[position]) or CommitInfo()
        return HistoryEntry(commits[position].version, times.time_of(position, info), info)

    newest_first = range(len(commits) - 1, -1, -1)[:limit]
    if len(newest_first) <= 1:
        return History([load(position) for position in newest_first])
    return History(map_in_threads(load, newest_first, _READ_THREADS, "lakefmt-history"))


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()


def _line(entry: HistoryEntry) -> tuple[str, ...]:
    metrics = entry.metrics
    rows = metrics.get("numOutputRows", metrics.get("num_added_rows", ""))
    added = metrics.get("numFiles", metrics.get("numAddedFiles", metrics.get("num_added_files", "")))
    removed = metrics.get("numRemovedFiles", metrics.get("num_removed_files", ""))
    files = f"+{added}" if str(added) else ""
    files += f" -{removed}" if str(removed) not in ("", "0") else ""
    parameters = ", ".join(
        f"{name}={_as_text(value)}"
        for name, value in entry.parameters.items()
        if value not in (None, "", "[]", "{}")
    )
    return (
        str(entry.version),
        format_timestamp(entry.timestamp_ms),
        entry.operation or "",
        str(rows),
        files.strip(),
        parameters[:80],
    )
