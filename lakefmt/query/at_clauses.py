"""AT clauses behind tables' names, the one edit of a user's text: found as DuckDB's lexer would."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lakefmt.errors import InvalidInputError
from lakefmt.expressions import quote_identifier

if TYPE_CHECKING:
    from lakefmt.query.statement import TableReference

__all__ = ["replace_reference"]

_BLANK = re.compile(rb"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)
_NAME = re.compile(rb"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'|[^\s\"'(),;]+")
_QUOTED = re.compile(
    rb"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/|[()]", re.DOTALL
)
_AT = re.compile(rb"\bAT\b", re.IGNORECASE)


def replace_reference(content: bytes, reference: TableReference, name: str) -> bytes:
    """Put a name in place of a reference's, and spaces in place of its AT clause."""
    found = _NAME.match(content, reference.position)
    if found is None:
        raise InvalidInputError(f"The name of table {reference.name!r} was not found in the SQL text")
    end = found.end()
    begin, after = _at_clause(content, end) if reference.at is not None else (end, end)
    between = content[end:begin]
    alias = "" if reference.alias else f" AS {quote_identifier(reference.name)}"
    return b"".join(
        (
            content[: reference.position],
            f"{quote_identifier(name)}{alias}".encode(),
            between,
            b" " * (after - begin),
            content[after:],
        )
    )


def _at_clause(content: bytes, start: int) -> tuple[int, int]:
    """Return where the first AT clause after a place begins and ends; DuckDB has parsed that there is one."""
    place = start
    while True:
        place = _skip(_BLANK, content, place)
        word = _AT.match(content, place)
        if word is not None and content[_skip(_BLANK, content, word.end()) :][:1] == b"(":
            break
        place = max(_skip(_NAME, content, place), place + 1)
    depth = 0
    for mark in _QUOTED.finditer(content, word.end()):
        depth += {b"(": 1, b")": -1}.get(mark[0], 0)
        if depth == 0 and mark[0] == b")":
            return place, mark.end()
    raise InvalidInputError("The AT clause does not end")


def _skip(pattern: re.Pattern[bytes], content: bytes, place: int) -> int:
    found = pattern.match(content, place)
    return place if found is None else found.end()
