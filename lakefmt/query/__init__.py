"""SQL over tables: the user's text, run by DuckDB over views of the files that may matter."""

from lakefmt.query.query import Explanation, Query, sql

__all__ = ["Explanation", "Query", "sql"]
