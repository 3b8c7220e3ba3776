"""PIVOT over the values of a column, of which DuckDB tells no parse: read as the one that lists its values, of which it does.

Only what is read of the tables follows from such a parse; DuckDB runs the user's own text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ListedPivots", "list_pivot_values"]

_TOKEN = re.compile(
    rb"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/|[(),;]|[\w\x80-\xff]+",
    re.DOTALL,
)
_VALUE = "lakefmt: any value"
_LIST = f" IN ('{_VALUE}')".encode()
_ENDS = frozenset(
    {b"USING", b"GROUP", b"ORDER", b"LIMIT", b"OFFSET", b"WHERE", b"UNION", b"EXCEPT", b"INTERSECT", b";"}
)


@dataclass(frozen=True, slots=True)
class ListedPivots:
    """A text whose PIVOTs list values.

    Attributes:
        text: with the lists.
        places: bytes of the user's text before which a list was put, ascending.
    """

    text: str
    places: tuple[int, ...]

    def is_understood(self, nodes: Iterable[dict[str, Any]]) -> bool:
        """Whether every list became that of a PIVOT's column, by the nodes of the parse, and not part of something else."""
        columns = (column for node in nodes if node.get("type") == "PIVOT" for column in node["pivots"])
        lists = [entry for column in columns for entry in column["entries"] if _lists_our_value(entry)]
        return len(lists) == len(self.places)

    def position(self, found: int) -> int:
        """Return the byte of the user's text that is at a byte of this one."""
        ends = [place + number * len(_LIST) for number, place in enumerate(self.places)]
        return found - bisect_left(ends, found) * len(_LIST)


def _lists_our_value(entry: dict[str, Any]) -> bool:
    literal = (entry.get("star_expr") or {}).get("literal") or {}  # so from DuckDB 2.0 on
    return literal.get("text") == _VALUE or any(value.get("value") == _VALUE for value in entry["values"])


@dataclass(slots=True)
class _Level:
    """What stands between two parentheses: whether a PIVOT waits for its ON, or columns of it for their values."""

    waits: bool = False
    lists: bool = False
    has_values: bool = False


def list_pivot_values(text: str) -> ListedPivots:
    """Return a text with a value listed for each column of a PIVOT that lists none."""
    content = text.encode()
    levels, places, end = [_Level()], [], 0

    def close_column() -> None:
        level = levels[-1]
        if level.lists and not level.has_values:
            places.append(end)
        level.has_values = False

    for found in _TOKEN.finditer(content):
        word = found[0].upper()
        if word[:2] in (b"--", b"/*"):
            continue
        level = levels[-1]
        match word:
            case b"(":
                levels.append(_Level())
            case b")":
                close_column()
                if len(levels) > 1:
                    levels.pop()
            case b"PIVOT" | b"PIVOT_WIDER":
                level.waits = True
            case b"ON" if level.waits:
                level.waits, level.lists, level.has_values = False, True, False
            case b"IN" if level.lists:
                level.has_values = True
            case b",":
                close_column()
            case _ if word in _ENDS:
                close_column()
                level.lists = False
        end = found.end()
    close_column()
    pieces = [content[start:stop] for start, stop in zip((0, *places), (*places, len(content)), strict=True)]
    return ListedPivots(_LIST.join(pieces).decode(), tuple(places))
