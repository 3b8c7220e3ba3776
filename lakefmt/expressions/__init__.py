"""Predicates: the user's SQL, validated by DuckDB, understood for pruning and for Arrow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.lazy_names import lazy_names

if TYPE_CHECKING:
    from lakefmt.expressions.operators import Expression as Expression
    from lakefmt.expressions.operators import col as col
    from lakefmt.expressions.operators import lit as lit
    from lakefmt.expressions.outcomes import Bounds as Bounds
    from lakefmt.expressions.outcomes import BoundsOf as BoundsOf
    from lakefmt.expressions.parse import parse_predicate as parse_predicate
    from lakefmt.expressions.predicate import ALL_ROWS as ALL_ROWS
    from lakefmt.expressions.predicate import Predicate as Predicate
    from lakefmt.expressions.sql import duckdb_type as duckdb_type
    from lakefmt.expressions.sql import quote_identifier as quote_identifier
    from lakefmt.expressions.sql import quote_literal as quote_literal
    from lakefmt.expressions.tree import Column as Column

_HOMES = {
    "ALL_ROWS": "lakefmt.expressions.predicate",
    "Bounds": "lakefmt.expressions.outcomes",
    "BoundsOf": "lakefmt.expressions.outcomes",
    "Column": "lakefmt.expressions.tree",
    "Expression": "lakefmt.expressions.operators",
    "Predicate": "lakefmt.expressions.predicate",
    "col": "lakefmt.expressions.operators",
    "duckdb_type": "lakefmt.expressions.sql",
    "lit": "lakefmt.expressions.operators",
    "parse_predicate": "lakefmt.expressions.parse",
    "quote_identifier": "lakefmt.expressions.sql",
    "quote_literal": "lakefmt.expressions.sql",
}

__all__ = [
    "ALL_ROWS",
    "Bounds",
    "BoundsOf",
    "Column",
    "Expression",
    "Predicate",
    "col",
    "duckdb_type",
    "lit",
    "parse_predicate",
    "quote_identifier",
    "quote_literal",
]

if not TYPE_CHECKING:
    __getattr__ = lazy_names(__name__, _HOMES)
