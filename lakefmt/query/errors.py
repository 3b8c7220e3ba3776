"""DuckDB's objections to a query, as ours: what is wrong, where in the user's text, and the way out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lakefmt.errors import (
    InvalidInputError,
    InvalidQueryError,
    LakefmtError,
    OutOfMemoryError,
    StoreError,
    UnsupportedFeatureError,
)
from lakefmt.expressions.duckdb_errors import resource_error
from lakefmt.schema import closest_names

if TYPE_CHECKING:
    from collections.abc import Collection

    import duckdb

__all__ = ["failed_query", "invalid_query", "kind_of_streamed", "opens_a_file"]

_KIND = re.compile(r"^(?:[A-Z][\w ]* Error: )+")
_STREAMED = re.compile(r"([A-Z][\w ]*) Error: ")
_EXCERPT = re.compile(r"\n+LINE (\d+): (.*)\n( *)\^", re.DOTALL)
_OTHER_FILES = re.compile(
    r"file system operations are disabled by configuration|disabled through configuration"
)
_FAILED_STREAM = re.compile(
    r"(?:arrow_scan: get_next failed\(\)|reading the stream registered as .* failed): (?:Invalid: )*(.*?)[. ]*(?:Detail: Python exception: .*)?$"
)
_UNKNOWN_TABLE = re.compile(r"^Table with name (.+) does not exist")
_NO_TABLES = (
    "Say which table that is: tables={'name': ...}, or --table name=URI of the command; "
    "a path in FROM has a slash: './trips'"
)
_LONGEST = 300


def invalid_query(
    error: duckdb.Error, text: str, *, first_line: int = 1, tables: Collection[str] = ()
) -> LakefmtError:
    """Return the error for a text that DuckDB does not parse or bind.

    Args:
        error: DuckDB's.
        text: the user's.
        first_line: what DuckDB counts its first line as.
        tables: names that there are.
    """
    import duckdb

    said = str(error)
    if isinstance(error, duckdb.PermissionException) or _OTHER_FILES.search(said):
        return opens_a_file(_reason(said))
    if isinstance(error, duckdb.CatalogException) and "it exists in the" in said:
        return UnsupportedFeatureError(
            f"The query calls what is not in DuckDB itself: {_reason(said).partition(', but')[0]}",
            hint="Name the extension, once it is installed, as in lakefmt.sql(..., extensions=['spatial']); or Table.to_duckdb "
            "makes the table a view of your own connection",
        )
    reason, *candidates = _reason(said).split("\n")
    if (unknown := _UNKNOWN_TABLE.search(reason)) is not None:
        close = closest_names(unknown[1], list(tables))
        known = f"The tables are {', '.join(tables)}" if tables else _NO_TABLES
        candidates = [f"Did you mean {close[0]!r}?" if close else known]
    hint = " ".join(each.strip() for each in candidates if each.strip())
    line, column = _place(said, text, first_line)
    where = (
        "" if line is None else f" (line {line})" if column is None else f" (line {line}, column {column})"
    )
    return InvalidQueryError(
        f"The query is not valid: {reason.rstrip('!. ')}{where}", line=line, column=column, hint=hint or None
    )


def opens_a_file(what: str) -> InvalidInputError:
    """Return the error for a text that reads more than its tables."""
    return InvalidInputError(
        f"The query opens a file: {what}",
        hint="Queries read the tables they are given and no other file, unless its folder is named in allowed_folders=; or "
        "pass what is in it in tables=, such as tables={'x': pyarrow.csv.read_csv(...)}",
    )


def failed_query(error: Exception, memory_bytes: int) -> LakefmtError:
    """Return the error for a query that was valid and fails on what it meets.

    Args:
        error: DuckDB's.
        memory_bytes: the limit that the query ran under.
    """
    import duckdb

    reason = _reason(str(error)).split("\n")[0].rstrip("!. ")
    if isinstance(error, duckdb.PermissionException):
        return opens_a_file(reason)
    if resource_error(error, table=None) is not None:
        return OutOfMemoryError(
            f"The query takes more memory than its limit of {memory_bytes / 1e6:,.0f} MB, of which DuckDB has four fifths: "
            f"{reason.rpartition('Out of Memory Error: ')[2]}",
            hint="Raise memory_limit, make room in the folder for temporary files (TMPDIR), "
            "or ask for fewer columns, rows or groups; to_batches returns rows without gathering them",
        )
    if (stream := _FAILED_STREAM.search(reason)) is not None:
        return InvalidInputError(
            f"Rows that the query was given cannot be read: {stream[1]}",
            hint="Read them by themselves, to see where it fails",
        )
    if isinstance(error, duckdb.IOException | duckdb.FatalException | duckdb.InternalException):
        return StoreError(f"The query could not be run: {reason}")
    return InvalidInputError(
        f"The query fails on a value: {reason}", hint="Use TRY_CAST or TRY, or exclude such rows first"
    )


def kind_of_streamed(error: Exception) -> Exception:
    """Return DuckDB's own error for one that came through an Arrow stream, which keeps its text and loses its kind."""
    import duckdb

    named = _STREAMED.match(str(error))
    if named is None:
        return error
    kinds = {name.lower(): each for name, each in vars(duckdb).items() if name.endswith("Exception")}
    kind = kinds.get(f"{named[1].replace(' ', '').lower()}exception", duckdb.Error)
    found: Exception = kind(str(error))
    return found


def _reason(said: str) -> str:
    text = _KIND.sub("", _EXCERPT.split(said, maxsplit=1)[0]).strip()
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " ..."


def _place(said: str, text: str, first_line: int) -> tuple[int | None, int | None]:
    """Return the line and the column that DuckDB points to, counted from 1; None for what it does not tell."""
    found = _EXCERPT.search(said)
    lines = text.split("\n")
    if found is None or not 0 < (number := int(found[1]) - first_line + 1) <= len(lines):
        return None, None
    prefix = len(f"LINE {found[1]}: ")
    shown = found[2]
    column = len(found[3]) - prefix
    core = shown.removeprefix("...").removesuffix("...")
    begin = lines[number - 1].find(core)
    if begin < 0 or column < 0:
        return number, None
    column += begin - (3 if shown.startswith("...") else 0)
    return number, column + 1
