"""DuckDB's objections to a predicate, as ours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lakefmt.errors import InvalidInputError

if TYPE_CHECKING:
    import duckdb

__all__ = ["invalid_predicate", "shown"]

_KIND = re.compile(r"^(?:[A-Z][\w ]* Error: )+")
_LONGEST = 200
_EXCERPT = re.compile(r"(?:\n+LINE \d+:| when casting from source column).*", re.DOTALL)


def invalid_predicate(error: duckdb.Error, text: str, *, table: str | None) -> InvalidInputError:
    """Return the error that says what DuckDB found wrong with the user's expression, without its own wrapping."""
    reason, *candidates = _KIND.sub("", _EXCERPT.sub("", str(error))).strip().split("\n")
    hint = " ".join(each.strip() for each in candidates if each.strip())
    return InvalidInputError(
        f"The predicate {shown(text)} cannot be evaluated: {reason.rstrip('!. ')}",
        table=table,
        hint=hint or None,
    )


def shown(text: str) -> str:
    """Return the user's expression as messages show it: quoted, and not too long."""
    return repr(text if len(text) <= _LONGEST else text[:_LONGEST] + " ...")
