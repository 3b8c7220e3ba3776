"""Values that stand in a predicate: literals, parameters, and what DuckDB makes of expressions without columns."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import pyarrow as pa

from lakefmt.arrow_values import array_of
from lakefmt.expressions.evaluation import evaluate
from lakefmt.expressions.syntax import child_nodes, literal_of, type_name_of_cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.expressions.syntax import Syntax, SyntaxNode

__all__ = [
    "Kind",
    "Parameters",
    "Value",
    "cast_by_duckdb",
    "parameter_value",
    "read_constant",
    "value_of_python",
]

Kind: TypeAlias = Literal[
    "binary",
    "boolean",
    "date",
    "decimal",
    "double",
    "float",
    "integer",
    "null",
    "string",
    "text",
    "timestamp",
    "timestamptz",
]
Parameters: TypeAlias = list[Any] | dict[str, Any] | None

_INSTANTS_OF_DAYS = {
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", "UTC"),
    "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
}
_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  TIMESTAMP has no zone
_MICROSECOND = timedelta(microseconds=1)
_HUGEINT = pa.decimal128(38, 0)


@dataclass(frozen=True, slots=True)
class Value:
    """A constant and the type it has for DuckDB.

    Attributes:
        kind: ``text`` is a string literal or parameter, which takes the type of what it is compared with;
            ``string`` is a VARCHAR, which does not.
        value: None, bool, int, ``Decimal``, float, str or bytes; a date in days since 1970, timestamps in
            microseconds since 1970, both as int.
    """

    kind: Kind
    value: Any


def read_constant(node: SyntaxNode, syntax: Syntax, parameters: Parameters) -> Value | None:
    """Return what a node without columns stands for, None where that is not known or has no ``Kind``.

    Raises:
        duckdb.Error: it has no value (``DATE '2026-02-30'``).
    """
    is_literal, literal = literal_of(node)
    if is_literal:
        return value_of_python(literal)
    if node["class"] == "PARAMETER":
        return value_of_python(parameter_value(node, parameters))
    if node["class"] == "CAST" and not node["try_cast"] and type_name_of_cast(node) in _INSTANTS_OF_DAYS:
        inner = read_constant(node["child"], syntax, parameters)
        if inner is not None and inner.kind == "text":
            return _value_of_arrow(cast_by_duckdb([inner.value], type_name_of_cast(node))[0])
    if _has_parameters(node):
        return None
    return _fold(node, syntax)


def cast_by_duckdb(values: Sequence[Any], type_: str) -> pa.Array[Any]:
    """Return the values as DuckDB casts them to a type, so that they round and parse as in the user's query.

    Args:
        values: all str, or int, float and ``Decimal``.
        type_: the type, as SQL text.

    Raises:
        duckdb.ConversionException: a value does not fit.
    """
    if isinstance(values[0], str):
        if (days := _iso_days(values)) is not None and type_ in _INSTANTS_OF_DAYS:
            return days.cast(_INSTANTS_OF_DAYS[type_])
        sql = f"SELECT CAST(unnest(CAST(? AS VARCHAR[])) AS {type_}) AS v"
        return evaluate(sql, [list(values)]).column(0).combine_chunks()
    # One column each: in one list DECIMALs would be brought to a common scale first.
    sql = "SELECT " + ", ".join(f"CAST(? AS {type_}) AS v{index}" for index in range(len(values)))
    return pa.concat_arrays([column.combine_chunks() for column in evaluate(sql, list(values)).columns])


def value_of_python(value: Any) -> Value | None:
    """Return the constant that a Python value is to DuckDB, None for a kind that is not told apart here."""
    match value:
        case None:
            return Value("null", None)
        case bool():
            return Value("boolean", value)
        case int() if -(2**63) <= value < 2**63:
            return Value("integer", value)
        case float():
            return Value("double", value)
        case Decimal() if value.is_finite() and len(value.as_tuple().digits) <= _HUGEINT.precision:
            return Value("decimal", value)
        case str():
            return Value("text", value)
        case bytes():
            return Value("binary", value)
    # Exactly these classes: pandas' own Timestamp counts nanoseconds.
    if type(value) is date:
        return Value("date", (value - _EPOCH.date()).days)
    if type(value) is datetime and value.tzinfo is None:
        return Value("timestamp", (value - _EPOCH) // _MICROSECOND)
    if type(value) is datetime:
        return Value("timestamptz", (value.astimezone(UTC).replace(tzinfo=None) - _EPOCH) // _MICROSECOND)
    return None


def parameter_value(node: SyntaxNode, parameters: Parameters) -> Any:
    """Return what was passed for a PARAMETER node; if nothing was, which binding refuses, what has no ``Kind``."""
    name = str(node["identifier"])
    if isinstance(parameters, dict):
        return parameters.get(name, parameters)
    position = int(name) - 1 if name.isdecimal() else -1
    return parameters[position] if parameters and 0 <= position < len(parameters) else parameters


def _iso_days(texts: Sequence[str]) -> pa.Array[Any] | None:
    """Return the days, the usual form, without asking DuckDB; None where a text is something else."""
    if not all(map(_ISO_DAY.fullmatch, texts)):
        return None
    try:
        return array_of([date.fromisoformat(text) for text in texts], pa.date32())
    except ValueError:
        return None  # no such day: DuckDB says so


def _value_of_arrow(scalar: pa.Scalar[Any]) -> Value | None:
    type_ = scalar.type
    if not scalar.is_valid:
        return None  # unlike a plain NULL it has a type, which what it is compared with may be cast to
    if type_ in {pa.timestamp("us"), pa.timestamp("us", "UTC")}:
        kind: Kind = "timestamp" if type_ == pa.timestamp("us") else "timestamptz"
        return Value(kind, cast("Any", scalar).value)
    if type_ == pa.date32():
        return Value("date", cast("Any", scalar).value)
    if pa.types.is_signed_integer(type_):
        return Value("integer", scalar.as_py())
    if pa.types.is_decimal128(type_) and type_ != _HUGEINT:
        return Value("decimal", scalar.as_py())
    kinds: dict[pa.DataType, Kind] = {
        pa.bool_(): "boolean",
        pa.float32(): "float",
        pa.float64(): "double",
        pa.string(): "string",
        pa.binary(): "binary",
    }
    return Value(kinds[type_], scalar.as_py()) if type_ in kinds else None


def _has_parameters(node: SyntaxNode) -> bool:
    return node["class"] == "PARAMETER" or any(map(_has_parameters, child_nodes(node)))


def _fold(node: SyntaxNode, syntax: Syntax) -> Value | None:
    # As JSON, not as text: text written from a tree has other types in places (1e5 becomes 100000.0, a DECIMAL).
    statement = {**syntax.statement, "node": {**syntax.statement["node"], "select_list": [node]}}
    serialized = json.dumps({"error": False, "statements": [statement]})
    rows = evaluate("SELECT * FROM json_execute_serialized_sql(?)", [serialized])
    return _value_of_arrow(rows.column(0)[0])
