"""Which outcomes a predicate can have for the rows of a file, judged from the bounds of its columns.

An abstract interpretation over three-valued logic: for every node and every file, whether some row may be TRUE,
FALSE, NULL. A file may hold a matching row where TRUE is possible; all its rows match where nothing else is. What is
not known widens: missing bounds, bounds wider than the values and ``Opaque`` nodes never exclude an outcome. All is
vectorised over the files; there is no Python per file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

import pyarrow as pa

from lakefmt.arrow_values import repeat, scalar_of
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

__all__ = ["Bounds", "BoundsOf", "Outcomes", "possible_outcomes"]

_RANGES_OF_A_LIST = 32

Flags: TypeAlias = "bool | pa.BooleanArray | pa.ChunkedArray[Any]"
"""One boolean per file, or the same one for all."""


class Bounds(Protocol):
    """What is known of one column in each file; the arrays are aligned with the files, null is "not known".

    ``minimum`` and ``maximum`` bound every value that is not null, inclusively, and need not be attained; where
    floats may hold NaN, the greatest of all, ``maximum`` is not known. ``null_count`` is only compared with 0 and
    with ``num_records``, so counts from before rows were deleted will do.
    """

    @property
    def minimum(self) -> Any:
        """Arrow values of the column's type."""

    @property
    def maximum(self) -> Any:
        """Arrow values of the column's type."""

    @property
    def null_count(self) -> Any:
        """Arrow integers."""

    @property
    def num_records(self) -> Any:
        """Arrow integers: the rows of the file."""


BoundsOf: TypeAlias = "Callable[[Column], Bounds | None]"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Whether a row of a file may have each outcome; where none can be, the file has no rows."""

    true: Flags
    false: Flags
    null: Flags

    def may_be_true(self, num_files: int) -> pa.BooleanArray:
        """Whether a file may hold a row that matches."""
        return _as_array(self.true, num_files)

    def always_true(self, num_files: int) -> pa.BooleanArray:
        """Whether every row of a file matches."""
        return _as_array(_negate(_any(self.false, self.null)), num_files)


_EVERYTHING = Outcomes(true=True, false=True, null=True)


def possible_outcomes(node: Node, bounds_of: BoundsOf) -> Outcomes:
    """Return which outcomes are possible in each file.

    Args:
        node: the predicate.
        bounds_of: gives what is known of a column, None for nothing.
    """
    match node:
        case Constant(outcome):
            return Outcomes(true=outcome is True, false=outcome is False, null=outcome is None)
        case And(children):
            parts = [possible_outcomes(each, bounds_of) for each in children]
            not_false = [_any(each.true, each.null) for each in parts]
            return Outcomes(
                true=_all(*(each.true for each in parts)),
                false=_any(*(each.false for each in parts)),
                null=_all(_any(*(each.null for each in parts)), *not_false),
            )
        case Or(children):
            parts = [possible_outcomes(each, bounds_of) for each in children]
            not_true = [_any(each.false, each.null) for each in parts]
            return Outcomes(
                true=_any(*(each.true for each in parts)),
                false=_all(*(each.false for each in parts)),
                null=_all(_any(*(each.null for each in parts)), *not_true),
            )
        case Not(child):
            inner = possible_outcomes(child, bounds_of)
            return Outcomes(true=inner.false, false=inner.true, null=inner.null)
        case HasOutcome(child, outcome):
            return _has_outcome(possible_outcomes(child, bounds_of), outcome=outcome)
        case Opaque():
            return _EVERYTHING
        case Compare(column) | OneOf(column) | TextMatch(column) | IsNull(column):
            bounds = bounds_of(column)
            return _EVERYTHING if bounds is None else _of_column(node, bounds)


def _has_outcome(inner: Outcomes, *, outcome: bool | None) -> Outcomes:
    by_outcome = {True: inner.true, False: inner.false, None: inner.null}
    wanted = by_outcome.pop(outcome)
    return Outcomes(true=wanted, false=_any(*by_outcome.values()), null=False)


def _of_column(node: Compare | OneOf | TextMatch | IsNull, bounds: Bounds) -> Outcomes:
    pc = _compute()
    has_nulls = _maybe(pc.not_equal(bounds.null_count, scalar_of(0)))
    has_values = _maybe(pc.not_equal(bounds.null_count, bounds.num_records))
    match node:
        case IsNull():
            return Outcomes(true=has_nulls, false=has_values, null=False)
        case Compare():
            true, false = _of_compare(node, bounds)
        case OneOf():
            true, false = _of_list(node, bounds)
        case TextMatch():
            true, false = _of_text(node, bounds)
    return Outcomes(true=_all(has_values, true), false=_all(has_values, false), null=has_nulls)


def _of_compare(node: Compare, bounds: Bounds) -> tuple[Flags, Flags]:
    """Return whether a value may fulfil the comparison, and whether one may not."""
    value = node.value
    match node.operator:
        case "<":
            return _maybe(_below(bounds.minimum, value)), _maybe_not(_below(bounds.maximum, value))
        case ">=":
            return _maybe_not(_below(bounds.maximum, value)), _maybe(_below(bounds.minimum, value))
        case ">":
            return _maybe(_above(bounds.maximum, value)), _maybe_not(_above(bounds.minimum, value))
        case "<=":
            return _maybe_not(_above(bounds.minimum, value)), _maybe(_above(bounds.maximum, value))
    same = _all(_maybe_not(_above(bounds.minimum, value)), _maybe_not(_below(bounds.maximum, value)))
    differs = _any(_maybe(_below(bounds.minimum, value)), _maybe(_above(bounds.maximum, value)))
    return (same, differs) if node.operator == "=" else (differs, same)


def _of_list(node: OneOf, bounds: Bounds) -> tuple[Flags, Flags]:
    pc = _compute()

    # A long list is judged by runs of neighbours: a file between two values of a run is kept for nothing, never lost.
    length = math.ceil(len(node.values) / _RANGES_OF_A_LIST)
    runs = [node.values[start : start + length] for start in range(0, len(node.values), length)]
    reached = [
        _all(_maybe_not(_above(bounds.minimum, run[-1])), _maybe_not(_below(bounds.maximum, run[0])))
        for run in runs
    ]
    listed = pc.is_in(bounds.minimum, value_set=node.values)
    return _any(*reached), _maybe_not(pc.and_kleene(pc.equal(bounds.minimum, bounds.maximum), listed))


def _of_text(node: TextMatch, bounds: Bounds) -> tuple[Flags, Flags]:
    pc = _compute()

    low, high, text = bounds.minimum, bounds.maximum, node.text
    if node.place == "prefix":
        # Strings with one prefix are neighbours: between two of them stands none without it.
        low_has, high_has = pc.starts_with(low, text), pc.starts_with(high, text)
        value = scalar_of(text)
        reached = _all(
            _maybe(pc.or_kleene(low_has, pc.less_equal(low, value))), _maybe_not(_below(high, value))
        )
        return reached, _maybe_not(pc.and_kleene(low_has, high_has))
    has = pc.ends_with(low, text) if node.place == "suffix" else pc.match_substring(low, text)
    one_value = pc.equal(low, high)
    return _maybe_not(pc.and_kleene(one_value, pc.invert(has))), _maybe_not(pc.and_kleene(one_value, has))


# --- comparisons in DuckDB's order of values: null where the bound is not known ----------------------------------


def _below(bound: Any, value: pa.Scalar[Any]) -> Any:
    pc = _compute()

    if _is_nan(value):
        return pc.invert(pc.is_nan(bound))
    return pc.less(bound, value)


def _above(bound: Any, value: pa.Scalar[Any]) -> Any:
    pc = _compute()
    above = pc.greater(bound, value)
    if not pa.types.is_floating(value.type):
        return above
    return (
        pc.fill_null(above, scalar_of(value=False))
        if _is_nan(value)
        else pc.or_kleene(above, pc.is_nan(bound))
    )


def _is_nan(value: pa.Scalar[Any]) -> bool:
    return pa.types.is_floating(value.type) and math.isnan(cast("float", value.as_py()))


# --- flags ----------------------------------------------------------------------------------------------------


def _maybe(known: Any) -> Flags:
    """Whether it holds or is not known."""
    return cast("Flags", known.fill_null(scalar_of(value=True)))


def _maybe_not(known: Any) -> Flags:
    """Whether it does not hold or is not known."""
    pc = _compute()

    return cast("Flags", pc.invert(known).fill_null(scalar_of(value=True)))


def _all(*flags: Flags) -> Flags:
    pc = _compute()

    if any(each is False for each in flags):
        return False
    arrays = [each for each in flags if not isinstance(each, bool)]
    return cast("Flags", reduce(pc.and_, arrays)) if arrays else True


def _any(*flags: Flags) -> Flags:
    pc = _compute()

    if any(each is True for each in flags):
        return True
    arrays = [each for each in flags if not isinstance(each, bool)]
    return cast("Flags", reduce(pc.or_, arrays)) if arrays else False


def _negate(flags: Flags) -> Flags:
    pc = _compute()

    return not flags if isinstance(flags, bool) else cast("Flags", pc.invert(flags))


def _compute() -> Any:
    # Imported when first needed; untyped, as the published stubs know too few of the combinations of types it takes.
    import pyarrow.compute as pc

    return pc


def _as_array(flags: Flags, num_files: int) -> pa.BooleanArray:
    if isinstance(flags, bool):
        return cast("pa.BooleanArray", repeat(scalar_of(flags), num_files))
    if isinstance(flags, pa.ChunkedArray):
        return cast("pa.BooleanArray", cast("Any", flags).combine_chunks())
    return flags
