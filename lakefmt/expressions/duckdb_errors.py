"""DuckDB's objections to a predicate, or to the work it makes, as ours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lakefmt.errors import InvalidInputError, LakefmtError, OutOfMemoryError

if TYPE_CHECKING:
    import duckdb

__all__ = ["invalid_predicate", "resource_error", "shown"]

_KIND = re.compile(r"^(?:[A-Z][\w ]* Error: )+")
_LONGEST = 200
_EXCERPT = re.compile(r"(?:\n+LINE \d+:| when casting from source column).*", re.DOTALL)


def invalid_predicate(error: duckdb.Error, text: str, *, table: str | None) -> LakefmtError:
    """Return the error that says what DuckDB found wrong with the user's expression, without its own wrapping.

    An InvalidInputError; an OutOfMemoryError where it is memory that was wanting.
    """
    if (too_large := resource_error(error, table=table)) is not None:
        return too_large
    reason, *candidates = _KIND.sub("", _EXCERPT.sub("", str(error))).strip().split("\n")
    hint = " ".join(each.strip() for each in candidates if each.strip())
    return InvalidInputError(
        f"The predicate {shown(text)} cannot be evaluated: {reason.rstrip('!. ')}",
        table=table,
        hint=hint or None,
    )


def resource_error(error: Exception, *, table: str | None) -> OutOfMemoryError | None:
    """Return what it means that a query ran out of memory or out of disk to spill to; None for any other error.

    An error that comes through a stream has lost its kind, and begins with its name.
    """
    import duckdb

    text = str(error)
    if not isinstance(error, duckdb.OutOfMemoryException) and "Out of Memory Error" not in text:
        return None
    reason = text.partition("\n")[0].rpartition("Out of Memory Error: ")[2].rstrip(". ")
    return OutOfMemoryError(
        f"The query takes more memory than this process may use: {reason}",
        table=table,
        hint="Ask for fewer columns or rows, take the rows in batches (to_batches), or give the process more memory",
    )


def shown(text: str) -> str:
    """Return the user's expression as messages show it: quoted, and not too long."""
    return repr(text if len(text) <= _LONGEST else text[:_LONGEST] + " ...")
