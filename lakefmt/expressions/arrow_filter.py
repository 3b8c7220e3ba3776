"""The tree as an Arrow expression that keeps exactly the rows DuckDB keeps.

An expression is made for "the outcome is TRUE" or "the outcome is FALSE", never negated, so NULL needs no care: a
filter drops what is null. Floats say ``is_nan`` wherever NaN, the greatest value in DuckDB, belongs: a scanner that
skips row groups by Parquet statistics, which leave NaN out, must not lose it by ``x > 5`` or ``x <> 5``.
"""

from __future__ import annotations

import math
import operator as operators
from functools import reduce
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.arrow_values import array_of
from lakefmt.expressions.tree import (
    And,
    Column,
    Compare,
    Constant,
    HasOutcome,
    IsNull,
    Node,
    Not,
    OneOf,
    Opaque,
    Or,
    TextMatch,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow.compute as pc

__all__ = ["arrow_filter"]

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": operators.lt,
    "<=": operators.le,
    "=": operators.eq,
    "<>": operators.ne,
    ">": operators.gt,
    ">=": operators.ge,
}
_OPPOSITE = {"<": ">=", "<=": ">", "=": "<>", "<>": "=", ">": "<=", ">=": "<"}


def arrow_filter(node: Node) -> pc.Expression:
    """Return the expression that is true for the rows whose outcome is TRUE, false or null for the others.

    The tree must be understood throughout (``is_understood``).
    """
    return cast("pc.Expression", _rows_with(node, outcome=True))


def _rows_with(node: Node, *, outcome: bool) -> Any:
    match node:
        case Constant(value):
            return _literal(value is outcome)
        case And(children) | Or(children):
            parts: list[Any] = [_rows_with(each, outcome=outcome) for each in children]
            together = isinstance(node, And) is outcome
            return reduce(lambda left, right: left & right if together else left | right, parts)
        case Not(child):
            return _rows_with(child, outcome=not outcome)
        case HasOutcome(child, wanted):
            found = _rows_with_outcome(child, wanted=wanted)
            return found if outcome else ~found
        case IsNull(column):
            return _field(column).is_null() if outcome else _field(column).is_valid()
        case Compare(column, operator, value):
            return _compare(column, operator if outcome else _OPPOSITE[operator], value)
        case OneOf(column, values):
            listed = _field(column).isin(_with_both_zeros(values))
            return listed if outcome else _field(column).is_valid() & ~listed
        case TextMatch():
            matched = _match_text(node)
            return matched if outcome else ~matched
        case Opaque():
            raise AssertionError("an opaque node has no Arrow form")


def _rows_with_outcome(child: Node, *, wanted: bool | None) -> Any:
    """Return an expression that is never null."""
    if wanted is not None:
        return _never_null(_rows_with(child, outcome=wanted))
    return ~_never_null(_rows_with(child, outcome=True)) & ~_never_null(_rows_with(child, outcome=False))


def _never_null(expression: Any) -> Any:
    import pyarrow.compute as pc

    return cast("Any", pc.coalesce)(expression, _literal(False))


def _compare(column: Column, operator: str, value: pa.Scalar[Any]) -> Any:
    import pyarrow.compute as pc

    field, literal = _field(column), _literal(value)
    if pa.types.is_floating(column.type):
        is_nan = cast("Any", pc.is_nan)(field)
        if math.isnan(cast("float", value.as_py())):
            never = _literal(False)
            forms = {
                "<": ~is_nan,
                "<=": field.is_valid(),
                "=": is_nan,
                "<>": ~is_nan,
                ">": never,
                ">=": is_nan,
            }
            return forms[operator]
        if operator in {">", ">=", "<>"}:
            return _COMPARE[operator](field, literal) | is_nan
    return _COMPARE[operator](field, literal)


def _match_text(node: TextMatch) -> pc.Expression:
    import pyarrow.compute as pc

    functions: dict[str, Any] = {
        "prefix": pc.starts_with,
        "suffix": pc.ends_with,
        "infix": pc.match_substring,
    }
    return cast("pc.Expression", functions[node.place](_field(node.column), node.text))


def _with_both_zeros(values: pa.Array[Any]) -> pa.Array[Any]:
    # is_in looks values up by their bits, which differ between 0.0 and -0.0.
    if not pa.types.is_floating(values.type) or 0.0 not in values.to_pylist():
        return values
    return pa.concat_arrays([values, array_of([0.0, -0.0], values.type)])


def _field(column: Column) -> Any:
    import pyarrow.compute as pc

    return pc.field(*column.path)


def _literal(value: Any) -> Any:
    import pyarrow.compute as pc

    return cast("Any", pc.scalar)(value)
