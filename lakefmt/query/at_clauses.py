"""AT clauses behind tables' names, the one edit of a user's text: found as DuckDB's lexer would."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lakefmt.errors import InvalidInputError
from lakefmt.expressions import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakefmt.query.statement import TableReference

__all__ = ["replace_reference"]

_BLANK = re.compile(rb"(?:\s|--[^\n\r]*)+")
_COMMENT_MARK = re.compile(rb"/\*|\*/")
_TOKEN = re.compile(
    rb"[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\""
    rb"|\$((?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?)\$.*?\$\1\$|[A-Za-z_\x80-\xff][\w$\x80-\xff]*|.",
    re.DOTALL,
)


def replace_reference(content: bytes, reference: TableReference, name: str) -> bytes:
    """Put a name in place of a reference's, and spaces in place of its AT clause.

    Raises InvalidInputError: the text does not have them where DuckDB says, as where a name is written in two parts.
    """
    tokens = _tokens(content, reference.position)
    begin, end = next(tokens, (0, 0))
    if begin != reference.position or _name_of(content[begin:end]) != reference.name:
        raise InvalidInputError(
            f"The name of table {reference.name!r} was not found in the SQL text",
            hint="Write it as one name, and blanks as plain spaces",
        )
    at, after = _at_clause(content, tokens) if reference.at is not None else (end, end)
    alias = "" if reference.alias else f" AS {quote_identifier(reference.name)}"
    return b"".join(
        (
            content[:begin],
            f"{quote_identifier(name)}{alias}".encode(),
            content[end:at],
            b" " * (after - at),
            content[after:],
        )
    )


def _at_clause(content: bytes, tokens: Iterator[tuple[int, int]]) -> tuple[int, int]:
    """Return where the first AT clause begins and ends; DuckDB has parsed that there is one, and keeps the word for it."""
    at = next((begin for begin, end in tokens if content[begin:end].upper() == b"AT"), None)
    depth = 0
    for begin, end in tokens:
        depth += {b"(": 1, b")": -1}.get(content[begin:end], 0)
        if at is not None and depth == 0:
            return at, end
    raise InvalidInputError("The AT clause of a table was not found in the SQL text")


def _tokens(content: bytes, place: int) -> Iterator[tuple[int, int]]:
    """Yield where each token from a place on begins and ends."""
    while place < len(content):
        if content.startswith(b"/*", place):
            place = _end_of_comment(content, place)
        elif (blank := _BLANK.match(content, place)) is not None:
            place = blank.end()
        elif (token := _TOKEN.match(content, place)) is not None:
            yield token.span()
            place = token.end()


def _end_of_comment(content: bytes, place: int) -> int:
    """Return where a comment ends, which may have others in it."""
    depth = 0
    for mark in _COMMENT_MARK.finditer(content, place):
        depth += 1 if mark[0] == b"/*" else -1
        if depth == 0:
            return mark.end()
    return len(content)


def _name_of(token: bytes) -> str:
    """Return what a token names, '' of one that is no name."""
    text = token.decode(errors="replace")
    quote = text[0]
    if quote in "'\"":
        return text[1:-1].replace(2 * quote, quote)
    if quote == "$":
        mark = text.index("$", 1) + 1
        return text[mark:-mark]
    if text[1:2] == "'":
        return re.sub(r"\\(.)|''", lambda found: found[1] or "'", text[2:-1])
    return text
