"""What a comparison of a column with constants means in DuckDB, said in the column's own type.

DuckDB casts both sides to a common type. Where every value of the column survives that cast in order (a DATE beside
a TIMESTAMP, an INTEGER beside a DECIMAL), the comparison is restated against values of the column's own type, so
that pruning and Arrow compare without casts: ``day < TIMESTAMP '2026-01-01 12:00'`` becomes ``day <= 2026-01-01``,
``n > 2.5`` becomes ``n >= 3``. Where that cannot be shown, there is no answer, and the comparison is ``Opaque``.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import pyarrow as pa

from lakefmt.arrow_values import array_of, scalar_of
from lakefmt.expressions.constants import cast_by_duckdb
from lakefmt.expressions.tree import (
    And,
    Column,
    Compare,
    Constant,
    IsNull,
    Node,
    Not,
    OneOf,
    Opaque,
    Operator,
    Or,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lakefmt.expressions.constants import Value

__all__ = ["compare", "one_of"]

_MICROSECONDS_A_DAY = 86_400_000_000
_EXACT_IN_DOUBLE = 2**53
_EXACT_IN_FLOAT = 2**24
_EXACT_POWERS_OF_TEN = 22  # the largest that a double holds exactly
_DECIMAL_DIGITS_OF_DOUBLE = 15
_WIDEST_DECIMAL = 38
_BIGINT_DIGITS = 19
_TEMPORAL = {"date", "timestamp", "timestamptz"}
_FALSE_BELOW: frozenset[Operator] = frozenset({"<", "<=", "="})
_FALSE_ABOVE: frozenset[Operator] = frozenset({">", ">=", "="})

_Term: TypeAlias = Fraction | float | str | bytes | bool
"""A constant as the column sees it: a ``Fraction`` in steps of a type that has steps, which may fall between two."""


def compare(column: Column, *pairs: tuple[Operator, Value]) -> list[Node]:
    """Return the nodes of comparisons that DuckDB binds together (BETWEEN has one common type for its two).

    Raises:
        duckdb.ConversionException: a text is no value of the column's type.
    """
    terms = _read_terms(column.type, [value for _, value in pairs])
    if terms is None:
        return [Opaque() for _ in pairs]
    operators = [operator for operator, _ in pairs]
    return [_compare_term(column, *pair) for pair in zip(operators, terms, strict=True)]


def one_of(column: Column, values: Sequence[Value]) -> Node:
    """Return the node of ``column IN (values)``.

    Raises:
        duckdb.ConversionException: a text is no value of the column's type.
    """
    terms = _read_terms(column.type, values)
    if terms is None:
        return Opaque()
    parts: list[Node] = []
    if None in terms:
        parts.append(Constant(None))  # x IN (1, NULL) is TRUE or NULL, never FALSE
    if any(map(_is_nan, terms)):
        parts.append(Compare(column, "=", scalar_of(math.nan, column.type)))
    attainable = _attainable(column.type, [term for term in terms if term is not None])
    if attainable is not None:
        parts.append(OneOf(column, attainable))
    if not parts:
        return _same_for_all(column, outcome=False)
    return parts[0] if len(parts) == 1 else Or(tuple(parts))


# --- constants to terms -------------------------------------------------------------------------------------


def _read_terms(type_: pa.DataType, values: Sequence[Value]) -> list[_Term | None] | None:
    """Return the constants as terms, None for NULL; None for all of them where DuckDB's meaning cannot be shown."""
    given = [value for value in values if value.kind != "null"]
    kinds: set[str] = {value.kind for value in given}
    if kinds == {"text"} and type_ != pa.string() and (sql_type := _sql_type(type_)) is not None:
        # DuckDB's own cast: '1.5' is 2 as an INTEGER, and a date is written in many ways.
        texts = cast_by_duckdb([value.value for value in given], sql_type)
        terms: list[_Term | None] = [_term_of_scalar(scalar) for scalar in texts]
    else:
        terms = _terms_of_kinds(type_, given, kinds)
        if None in terms:
            return None
    read = iter(terms)
    return [None if value.kind == "null" else next(read) for value in values]


def _terms_of_kinds(type_: pa.DataType, values: Sequence[Value], kinds: set[str]) -> list[_Term | None]:
    """Return a term for each value that is not NULL, or None for what cannot be shown."""
    if pa.types.is_integer(type_) or pa.types.is_decimal(type_):
        if _share_exact_type(type_, values, kinds):
            return [_number_term(value, type_) for value in values]
    elif pa.types.is_floating(type_):
        if kinds <= {"integer", "decimal", "float", "double"}:
            # Beside integers and DECIMALs a FLOAT column stays FLOAT; a DOUBLE makes DOUBLEs of all.
            wide = pa.types.is_float64(type_) or "double" in kinds
            return [_float_term(value, wide=wide) for value in values]
    elif pa.types.is_temporal(type_):
        if kinds <= _TEMPORAL:
            step = Fraction(_MICROSECONDS_A_DAY if pa.types.is_date(type_) else 1)
            return [_microseconds(value) / step for value in values]
    elif (
        (type_ == pa.string() and kinds <= {"text", "string"})
        or (type_ == pa.binary() and kinds == {"binary"})
        or (type_ == pa.bool_() and kinds == {"boolean"})
    ):
        return [value.value for value in values]
    return [None for _ in values]


def _share_exact_type(type_: pa.DataType, values: Sequence[Value], kinds: set[str]) -> bool:
    """Whether DuckDB compares these with integers or DECIMALs without rounding either side."""
    if kinds <= {"integer", "double"} and "double" in kinds:
        # The column becomes DOUBLE. That changes no comparison of a BIGINT with a value below 2**53, and leaves
        # DECIMALs of up to 15 digits as far apart as they were.
        few_digits = pa.types.is_integer(type_) or _precision_of(type_) <= _DECIMAL_DIGITS_OF_DOUBLE
        return few_digits and all(abs(value.value) < _EXACT_IN_DOUBLE for value in values)
    if not kinds <= {"integer", "decimal"}:
        return False
    scales = [_scale_of(type_)]
    whole_digits = [_BIGINT_DIGITS if pa.types.is_integer(type_) else _precision_of(type_) - _scale_of(type_)]
    for value in values:
        if isinstance(value.value, Decimal):
            exponent = int(value.value.as_tuple().exponent)
            scales.append(max(0, -exponent))
            whole_digits.append(len(value.value.as_tuple().digits) + exponent)
        else:
            whole_digits.append(_BIGINT_DIGITS)
    return max(scales) + max(whole_digits) <= _WIDEST_DECIMAL


def _number_term(value: Value, type_: pa.DataType) -> Fraction:
    steps_in_one = _steps_in_one(type_)
    exact = Fraction(value.value) * steps_in_one
    if isinstance(value.value, float):
        nearest = round(exact)
        if float(Fraction(nearest, steps_in_one)) == value.value:
            return Fraction(
                nearest
            )  # the DECIMAL 0.1, as a DOUBLE, is the DOUBLE 0.1, which is not one tenth
    return exact


def _float_term(value: Value, *, wide: bool) -> float:
    number = value.value
    if isinstance(number, float):
        return number
    if isinstance(number, int) and abs(number) <= (_EXACT_IN_DOUBLE if wide else _EXACT_IN_FLOAT):
        return float(number)
    if wide and isinstance(number, Decimal):
        _, digits, exponent = number.as_tuple()
        if -_EXACT_POWERS_OF_TEN <= int(exponent) <= 0 and int("".join(map(str, digits))) < _EXACT_IN_DOUBLE:
            return float(number)  # both parts exact, so that any correct division gives this double
    return float(cast_by_duckdb([number], "DOUBLE" if wide else "FLOAT")[0].as_py())


def _microseconds(value: Value) -> Fraction:
    # The session's time zone is UTC, so a TIMESTAMP and an instant of the same digits are the same.
    return Fraction(value.value * (_MICROSECONDS_A_DAY if value.kind == "date" else 1))


def _term_of_scalar(scalar: Any) -> _Term:
    type_ = scalar.type
    if pa.types.is_temporal(type_):
        return Fraction(scalar.value)
    if pa.types.is_integer(type_) or pa.types.is_decimal(type_):
        return Fraction(scalar.as_py()) * _steps_in_one(type_)
    return cast("_Term", scalar.as_py())


def _sql_type(type_: pa.DataType) -> str | None:
    names = {
        pa.binary(): "BLOB",
        pa.bool_(): "BOOLEAN",
        pa.date32(): "DATE",
        pa.float32(): "FLOAT",
        pa.float64(): "DOUBLE",
        pa.int8(): "TINYINT",
        pa.int16(): "SMALLINT",
        pa.int32(): "INTEGER",
        pa.int64(): "BIGINT",
        pa.timestamp("us"): "TIMESTAMP",
        pa.timestamp("us", "UTC"): "TIMESTAMPTZ",
    }
    if pa.types.is_decimal(type_):
        return f"DECIMAL({_precision_of(type_)}, {_scale_of(type_)})"
    return names.get(type_)


# --- terms to nodes -----------------------------------------------------------------------------------------


def _compare_term(column: Column, operator: Operator, term: _Term | None) -> Node:
    if term is None:
        return Constant(None)
    if not isinstance(term, Fraction):
        return Compare(column, operator, _plain_scalar(column.type, term))
    if term.denominator != 1:
        match operator:
            case "=" | "<>":
                return _same_for_all(column, outcome=operator == "<>")
            case "<" | "<=":
                operator, term = "<=", Fraction(math.floor(term))
            case ">" | ">=":
                operator, term = ">=", Fraction(math.ceil(term))
    low, high = _range_of(column.type)
    if term < low:
        return _same_for_all(column, outcome=operator not in _FALSE_BELOW)
    if term > high:
        return _same_for_all(column, outcome=operator not in _FALSE_ABOVE)
    return Compare(column, operator, _on_grid(column.type, [int(term)])[0])


def _same_for_all(column: Column, *, outcome: bool) -> Node:
    """Return the node that has one outcome for every value of the column, and NULL where it is null."""
    if outcome:
        return Or((Not(IsNull(column)), Constant(None)))
    return And((IsNull(column), Constant(None)))


def _attainable(type_: pa.DataType, terms: Iterable[_Term]) -> pa.Array[Any] | None:
    """Return those of the terms that are values of the type, ascending; NaN aside. None where there are none."""
    low_high = _range_of(type_) if _has_grid(type_) else None
    found: set[Any] = set()
    for term in terms:
        if isinstance(term, Fraction) and low_high is not None:
            if term.denominator == 1 and low_high[0] <= term <= low_high[1]:
                found.add(int(term))
        elif not isinstance(term, float):
            found.add(term)
        elif (
            scalar_of(term, type_).as_py() == term
        ):  # beside a FLOAT column, a DOUBLE that no FLOAT equals; NaN
            found.add(term)
    if not found:
        return None
    return _on_grid(type_, sorted(found)) if low_high is not None else array_of(sorted(found), type_)


def _plain_scalar(type_: pa.DataType, term: _Term) -> pa.Scalar[Any]:
    if isinstance(term, float) and pa.types.is_float32(type_) and not _is_nan(term):
        narrow = scalar_of(term, type_)
        return narrow if narrow.as_py() == term else scalar_of(term, pa.float64())
    return scalar_of(term, type_)


def _is_nan(term: _Term | None) -> bool:
    return isinstance(term, float) and math.isnan(term)


# --- types whose values are whole steps apart ---------------------------------------------------------------


def _has_grid(type_: pa.DataType) -> bool:
    return pa.types.is_integer(type_) or pa.types.is_decimal(type_) or pa.types.is_temporal(type_)


def _range_of(type_: pa.DataType) -> tuple[int, int]:
    """Return the first and the last step that the type has."""
    if pa.types.is_decimal(type_):
        most = 10 ** _precision_of(type_) - 1
        return -most, most
    half = 2 ** (int(type_.bit_width) - 1)
    return -half, half - 1


def _on_grid(type_: pa.DataType, steps: Sequence[int]) -> pa.Array[Any]:
    if pa.types.is_decimal(type_):
        scale = _scale_of(type_)
        digits = [Decimal((int(step < 0), tuple(map(int, str(abs(step)))), -scale)) for step in steps]
        return array_of(digits, type_)
    width = pa.int32() if pa.types.is_date32(type_) else pa.int64()
    return array_of(steps, type_) if pa.types.is_integer(type_) else array_of(steps, width).view(type_)


def _steps_in_one(type_: pa.DataType) -> int:
    return int(10 ** _scale_of(type_))


def _precision_of(type_: Any) -> int:
    return int(type_.precision)


def _scale_of(type_: Any) -> int:
    return int(type_.scale) if pa.types.is_decimal(type_) else 0
