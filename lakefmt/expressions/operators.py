"""``col("fare") > 10``: predicates built in Python, which write the SQL text that everything else goes by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from lakefmt.errors import InvalidInputError
from lakefmt.expressions.sql import quote_identifier, quote_literal

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Expression", "col", "lit"]


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """A piece of SQL, combined by Python's operators: comparisons, ``&``, ``|``, ``~`` and the methods below.

    Python values in it become literals of their own type. ``and``, ``or`` and ``not`` cannot be overloaded and are
    refused.

    Attributes:
        sql: the expression in DuckDB's dialect, in parentheses where it needs them.
    """

    sql: str

    def is_in(self, values: Iterable[Any]) -> Expression:
        """Whether it equals one of the values."""
        listed = [quote_literal(value) for value in values]
        # SQL has no empty list.
        return Expression(f"({self.sql} IN ({', '.join(listed)}))") if listed else Expression("false")

    def between(self, lower: Any, upper: Any) -> Expression:
        """Whether it is at least ``lower`` and at most ``upper``."""
        return Expression(f"({self.sql} BETWEEN {_operand(lower)} AND {_operand(upper)})")

    def is_null(self) -> Expression:
        """Whether it is null."""
        return Expression(f"({self.sql} IS NULL)")

    def is_not_null(self) -> Expression:
        """Whether it is not null."""
        return Expression(f"({self.sql} IS NOT NULL)")

    def starts_with(self, prefix: str) -> Expression:
        """Whether a text begins with ``prefix``."""
        return Expression(f"starts_with({self.sql}, {_operand(prefix)})")

    def like(self, pattern: str) -> Expression:
        """Whether a text matches ``pattern``: ``%`` is any text, ``_`` any one character."""
        return Expression(f"({self.sql} LIKE {_operand(pattern)})")

    def __getitem__(self, member: str) -> Expression:
        """Return the member of a struct column: ``col("address")["city"]``."""
        return Expression(f"{self.sql}.{quote_identifier(member)}")

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]  # builds SQL, compares nothing
        return self._with("=", other)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]  # builds SQL, compares nothing
        return self._with("<>", other)

    def __lt__(self, other: Any) -> Expression:
        return self._with("<", other)

    def __le__(self, other: Any) -> Expression:
        return self._with("<=", other)

    def __gt__(self, other: Any) -> Expression:
        return self._with(">", other)

    def __ge__(self, other: Any) -> Expression:
        return self._with(">=", other)

    def __and__(self, other: Any) -> Expression:
        return self._with("AND", other)

    def __rand__(self, other: Any) -> Expression:
        return lit(other)._with("AND", self)

    def __or__(self, other: Any) -> Expression:
        return self._with("OR", other)

    def __ror__(self, other: Any) -> Expression:
        return lit(other)._with("OR", self)

    def __invert__(self) -> Expression:
        return Expression(f"(NOT {self.sql})")

    def __bool__(self) -> NoReturn:
        raise InvalidInputError(
            "An expression is neither true nor false before rows are read",
            hint="Combine expressions with &, | and ~, in parentheses: (col('a') > 1) & (col('b') < 2)",
        )

    __hash__ = None  # type: ignore[assignment]  # as == builds SQL, no set or dict could find it

    def __str__(self) -> str:
        return self.sql

    def _with(self, operator: str, other: Any) -> Expression:
        return Expression(f"({self.sql} {operator} {_operand(other)})")


def col(name: str) -> Expression:
    """Return the expression that is the column called ``name``; its struct members by ``[]``."""
    return Expression(quote_identifier(name))


def lit(value: Any) -> Expression:
    """Return the expression that is a value; text where the value is a str, whatever stands in it.

    Raises:
        InvalidInputError: a value that SQL has no literal for.
    """
    return value if isinstance(value, Expression) else Expression(quote_literal(value))


def _operand(value: Any) -> str:
    return lit(value).sql
