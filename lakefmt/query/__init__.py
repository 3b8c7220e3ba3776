"""SQL over tables: the user's text, run by DuckDB over views of the files that may matter."""

from lakefmt.query.explanation import Explanation
from lakefmt.query.query import Query, sql

__all__ = ["Explanation", "Query", "sql"]
