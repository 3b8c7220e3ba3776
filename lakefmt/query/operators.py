"""DuckDB's plan of a query as values, whatever its version calls them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Operator", "parse_operators"]

# What stands above the query's own last operator in an analysis.
_WRAPPERS = frozenset({"EXPLAIN_ANALYZE", "QUERY", "RESULT_COLLECTOR"})
# Told otherwise, or of no use to a reader.
_LEFT_OUT = frozenset({"Estimated Cardinality", "Filename(s)", "Function", "Total Files Read"})
_FIRST_DETAILS = ("Table", "Filters", "File Filters", "Conditions", "Join Type")
_LONGEST_DETAIL = 100


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of a plan, and what feeds it; prints as a tree.

    Attributes:
        name: DuckDB's, such as ``HASH_JOIN``.
        details: what it does, by DuckDB's names: columns, conditions, filters.
        children: whose rows it takes.
        expected_rows: how many DuckDB thought it would return; None where it did not say.
        rows: how many it returned; None where the query was not run.
        seconds: of processor time that it took itself.
    """

    name: str
    details: Mapping[str, str]
    children: tuple[Operator, ...]
    expected_rows: int | None
    rows: int | None
    seconds: float | None

    def __str__(self) -> str:
        lines = list(_lines(self, "", ""))
        widths = [max(len(line[place]) for line in lines) for place in range(3)]
        return "\n".join(
            "  ".join(
                (name.ljust(widths[0]), rows.rjust(widths[1]), seconds.rjust(widths[2]), details)
            ).rstrip()
            for name, rows, seconds, details in lines
        )


def parse_operators(text: str, folders: Mapping[str, str]) -> Operator | None:
    """Return the last operator of a plan; None for what is no plan.

    Args:
        text: what ``EXPLAIN (FORMAT json)`` gives, with ANALYZE or without.
        folders: of the tables, and what the query calls these.
    """
    try:
        found = json.loads(text)
        while isinstance(found, dict) and ("extra_info" not in found or _name_of(found) in {"", *_WRAPPERS}):
            found = found.get("children") or found.get("operator")
            if isinstance(found, list):
                found = found[0] if found else None
        if isinstance(found, list):
            found = found[0] if found else None
        return _parse(found, folders) if isinstance(found, dict) else None
    except (ValueError, RecursionError):
        return None


def _lines(operator: Operator, first: str, others: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, rows, time and details of an operator and those below, behind what draws the tree."""
    rows, seconds = "", ""
    if operator.rows is not None:
        rows, seconds = f"{operator.rows:,} rows", f"{(operator.seconds or 0) * 1000:,.1f} ms"
    elif operator.expected_rows is not None:
        rows = f"~{operator.expected_rows:,} rows"
    details = "; ".join(f"{name}: {_short(text)}" for name, text in operator.details.items() if text)
    yield first + operator.name, rows, seconds, details
    for child in operator.children:
        branch, below = ("└─ ", "   ") if child is operator.children[-1] else ("├─ ", "│  ")
        yield from _lines(child, others + branch, others + below)


def _parse(node: dict[str, Any], folders: Mapping[str, str]) -> Operator:
    given: dict[str, Any] = node.get("extra_info") or {}
    details = {name: _text(value) for name, value in given.items() if name not in _LEFT_OUT}
    table = _table_of(_text(given.get("Filename(s)")), folders)
    if table is not None:
        details["Table"] = table
    order = [name for name in _FIRST_DETAILS if name in details]
    expected = _text(given.get("Estimated Cardinality")).lstrip("~")
    children = tuple(_parse(child, folders) for child in node.get("children") or ())
    name = _name_of(node)
    rows = node.get("operator_cardinality", node.get("intermediate_rows"))
    if name == "UNION" and rows == 0:  # DuckDB counts the rows that pass through it as its children's alone
        rows = sum(child.rows or 0 for child in children)
    return Operator(
        name=name,
        details={
            each: details[each] for each in [*order, *(other for other in details if other not in order)]
        },
        children=children,
        expected_rows=int(expected) if expected.isdigit() else None,
        rows=None if rows is None else int(rows),
        seconds=node.get("operator_timing", node.get("timing")),
    )


def _name_of(node: dict[str, Any]) -> str:
    function = (node.get("extra_info") or {}).get("Function")
    return str(function or node.get("operator_name") or node.get("name") or node.get("type") or "").strip()


def _table_of(paths: str, folders: Mapping[str, str]) -> str | None:
    """Return the table whose files a scan names; of folders within others the innermost."""
    within = [folder for folder in folders if paths.startswith(folder)]
    return folders[max(within, key=len)] if within else None


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value).replace("\n", ", ")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_DETAIL else f"{text[:_LONGEST_DETAIL]} ..."
