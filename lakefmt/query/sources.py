"""What a query's tables are: versions of tables, and data of this process; each becomes a view of the session's."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.arrow_layout import plain_views
from lakefmt.errors import InvalidInputError
from lakefmt.opening import open_table
from lakefmt.schema import closest_names
from lakefmt.table import Table

if TYPE_CHECKING:
    from collections.abc import Collection

    from lakefmt.expressions.constants import Parameters
    from lakefmt.query.statement import Statement, TableReference
    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store

__all__ = ["DataSource", "Source", "TableSource", "resolve_sources"]

_PATH = re.compile(r"^(?:\.{1,2}$|[A-Za-z][A-Za-z0-9+.-]*://)|[/\\]")


@dataclass(frozen=True, slots=True)
class TableSource:
    """A version of a table."""

    store: Store
    snapshot: Snapshot

    @classmethod
    def of(cls, table: Table) -> TableSource:
        """Return the version that a handle stands at."""
        return cls(table._store, table.snapshot)  # noqa: SLF001 - a handle is the public form of these two


@dataclass(frozen=True, slots=True)
class DataSource:
    """Rows of this process: what DuckDB can register, and the same without rows, by which a text is bound."""

    data: Any
    empty: Any


Source = TableSource | DataSource


def resolve_sources(
    statement: Statement, tables: Any, parameters: Parameters, storage_options: Mapping[str, Any] | None
) -> tuple[dict[str, Source], str]:
    """Return what the statement reads, by the names of views, and the text over these views.

    Raises:
        InvalidInputError: ``tables`` holds what has no rows, or an AT clause makes no sense.
        TableNotFoundError, VersionNotFoundError: the text or ``tables`` names a place where there is no such table.
    """
    given = _named(tables)
    sources: dict[str, Source] = {}
    for key, (name, what) in given.items():
        if statement.names is None or key in statement.names:
            sources[name] = _source_of(name, what, storage_options)
    edits: dict[TableReference, str] = {}
    views: dict[tuple[str, int | None, datetime | None], str] = {}
    for reference in statement.references:
        entry = given.get(reference.name.lower())
        if reference.at is None:
            if entry is not None or not _PATH.search(reference.name):
                continue
            version, timestamp, view = None, None, reference.name
        else:
            version, timestamp = _moment(reference, parameters)
            view = f"{reference.name} at {timestamp.isoformat() if timestamp else version}"
        what = entry[0] if entry else reference.name, version, timestamp
        if what not in views:
            views[what] = view = _unused(view, {*given, *map(str.lower, sources), *statement.ctes})
            table = _table_of(reference.name, entry, given, storage_options)
            if reference.at is not None:
                table = table.at(version=version, timestamp=timestamp)
            sources[view] = TableSource.of(table)
        if views[what] != reference.name:
            edits[reference] = views[what]
    return sources, statement.replace_names(edits) if edits else statement.text


def _unused(name: str, taken: Collection[str]) -> str:
    """Return a name for a view that nothing else has, to whom upper and lower case are one: URIs are not alike so."""
    numbered = (f"{name} ({number})" for number in itertools.count(2))
    return next(each for each in itertools.chain((name,), numbered) if each.lower() not in taken)


def _named(tables: Any) -> dict[str, tuple[str, Any]]:
    """Return what was given by the names in lower case, as DuckDB tells them apart."""
    if tables is None:
        return {}
    if not isinstance(tables, Mapping):
        raise InvalidInputError(
            f"tables is a mapping of names, not {type(tables).__name__}", hint="Write tables={'trips': table}"
        )
    named: dict[str, tuple[str, Any]] = {}
    for name, what in tables.items():
        if not isinstance(name, str) or not name or "\0" in name:
            raise InvalidInputError(f"{name!r} is no name of a table", hint="Write tables={'trips': table}")
        if name.lower() in named:
            raise InvalidInputError(
                f"tables names {name!r} twice: SQL does not tell upper case from lower",
                hint="Rename one of them",
            )
        named[name.lower()] = (name, what)
    return named


def _source_of(name: str, what: Any, storage_options: Mapping[str, Any] | None) -> Source:
    if isinstance(what, Table):
        return TableSource.of(what)
    if isinstance(what, str | os.PathLike):
        return TableSource.of(open_table(what, storage_options=storage_options))
    kind = f"{type(what).__module__}.{type(what).__qualname__}"
    if kind.startswith("pandas.") and hasattr(what, "columns"):
        return DataSource(what, what)  # DuckDB's own reading of it: columns, without the index
    if kind.startswith("polars.") and hasattr(what, "collect"):
        what = what.collect()
    if hasattr(what, "__arrow_c_stream__"):
        if hasattr(what, "__arrow_c_schema__") and not isinstance(what, pa.RecordBatchReader):
            schema = pa.schema(what)
            _check_names(name, schema.names)
            return DataSource(what, pa.Table.from_batches([], schema))
        rows = _without_views(pa.table(what))  # one that may be read once only, too
        _check_names(name, rows.schema.names)
        return DataSource(rows, rows.slice(0, 0))
    raise InvalidInputError(
        f"tables[{name!r}] is {kind.removeprefix('builtins.')}, which has no rows",
        hint="Pass a table, a URI, a query, or pyarrow, pandas or polars data",
    )


def _check_names(table: str, names: Collection[str]) -> None:
    """Refuse columns that a query could not tell apart: it would read one of them for both."""
    known: dict[str, str] = {}
    for name in names:
        other = known.get(name.lower())
        known[name.lower()] = name
        if other is not None:
            same = f"two columns {name!r}" if other == name else f"columns {other!r} and {name!r}"
            raise InvalidInputError(
                f"tables[{table!r}] has {same}, which SQL does not tell apart",
                hint="Give each a name of its own (AS in a query, rename_columns of an Arrow table)",
            )


def _without_views(rows: pa.Table) -> pa.Table:
    """Return rows without string views, as polars has them: Arrow cannot filter these, as DuckDB 1.5 asks it to."""
    plain = pa.schema([field.with_type(plain_views(field.type)) for field in rows.schema])
    return rows if plain.equals(rows.schema) else rows.cast(plain)


def _table_of(
    name: str,
    entry: tuple[str, Any] | None,
    given: Mapping[str, tuple[str, Any]],
    storage_options: Mapping[str, Any] | None,
) -> Table:
    if entry is None:
        if _PATH.search(name):
            return open_table(name, storage_options=storage_options)
        close = closest_names(name, [known for known, _ in given.values()])
        raise InvalidInputError(
            f"There is no table {name!r}",
            hint=f"Did you mean {close[0]!r}?"
            if close
            else "Pass it in tables=, or write its URI between quotes",
        )
    if isinstance(entry[1], Table):
        return entry[1]
    if isinstance(entry[1], str | os.PathLike):
        return open_table(entry[1], storage_options=storage_options)
    raise InvalidInputError(f"{name!r} is no table with versions, so AT means nothing", hint="Leave AT out")


def _moment(reference: TableReference, parameters: Parameters) -> tuple[int | None, datetime | None]:
    """Return the version or the time of an AT clause."""
    from lakefmt.expressions.filters import constant_of

    at = reference.at or {}
    unit, value = str(at.get("unit", "")).upper(), constant_of(at.get("expr") or {}, parameters)
    if value is not None:
        if unit == "VERSION" and value.kind == "integer":
            return value.value, None
        if unit == "TIMESTAMP":
            if value.kind in ("text", "string"):
                from lakefmt.log.timestamps import parse_timestamp

                return None, _EPOCH + timedelta(milliseconds=parse_timestamp(value.value))
            if value.kind == "date":
                return None, _EPOCH + timedelta(days=value.value)
            if value.kind in ("timestamp", "timestamptz"):
                return None, _EPOCH + timedelta(microseconds=value.value)
    raise InvalidInputError(
        f"AT ({unit} => ...) of table {reference.name!r} takes a version number, or a time",
        hint="Write AT (VERSION => 3) or AT (TIMESTAMP => '2026-01-01')",
    )


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
