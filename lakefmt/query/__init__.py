"""SQL over tables: the user's text, run by DuckDB over views of the files that may matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.lazy_names import lazy_names

if TYPE_CHECKING:
    from lakefmt.query.explanation import Explanation as Explanation
    from lakefmt.query.query import Query as Query
    from lakefmt.query.query import sql as sql

_HOMES = {
    "Explanation": "lakefmt.query.explanation",
    "Query": "lakefmt.query.query",
    "sql": "lakefmt.query.query",
}

__all__ = [
    "Explanation",
    "Query",
    "sql",
]

if not TYPE_CHECKING:
    __getattr__ = lazy_names(__name__, _HOMES)
