"""Predicates: the user's SQL, validated by DuckDB, understood for pruning and for Arrow."""

from lakefmt.expressions.operators import Expression, col, lit
from lakefmt.expressions.outcomes import Bounds, BoundsOf
from lakefmt.expressions.parse import parse_predicate
from lakefmt.expressions.predicate import ALL_ROWS, Predicate
from lakefmt.expressions.sql import duckdb_type, quote_identifier, quote_literal
from lakefmt.expressions.tree import Column

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
