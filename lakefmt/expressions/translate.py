"""From DuckDB's parse to the tree: what is understood is said exactly, the rest is ``Opaque``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from lakefmt.arrow_values import scalar_of
from lakefmt.expressions.compare import compare, one_of
from lakefmt.expressions.constants import (
    Kind,
    Parameters,
    Value,
    parameter_value,
    read_constant,
    value_of_python,
)
from lakefmt.expressions.survey import is_constant, resolve_column
from lakefmt.expressions.syntax import child_nodes, function_arguments, literal_of, type_name_of_cast
from lakefmt.expressions.tree import (
    And,
    Column,
    Compare,
    Constant,
    HasOutcome,
    IsNull,
    Node,
    Not,
    Opaque,
    Operator,
    Or,
    TextMatch,
)

if TYPE_CHECKING:
    from lakefmt.expressions.syntax import Syntax, SyntaxNode
    from lakefmt.schema import Schema

__all__ = ["Translation"]

_COMPARISONS: dict[str, Operator] = {
    "COMPARE_EQUAL": "=",
    "COMPARE_NOTEQUAL": "<>",
    "COMPARE_LESSTHAN": "<",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
}
_MIRRORED: dict[Operator, Operator] = {"<": ">", "<=": ">=", "=": "=", "<>": "<>", ">": "<", ">=": "<="}
_TEXT_PLACES: dict[str, Literal["prefix", "suffix", "infix"]] = {
    "^@": "prefix",
    "contains": "infix",
    "ends_with": "suffix",
    "prefix": "prefix",
    "starts_with": "prefix",
    "suffix": "suffix",
}
_LISTED_KINDS: dict[pa.DataType, Kind] = {
    pa.date32(): "date",
    pa.int16(): "integer",
    pa.int32(): "integer",
    pa.int64(): "integer",
    pa.int8(): "integer",
    pa.string(): "text",
}


@dataclass(frozen=True, slots=True)
class Translation:
    """Turns the parse of one expression over a schema, and with parameters, into its tree."""

    syntax: Syntax
    schema: Schema
    parameters: Parameters

    def translate(self, node: SyntaxNode) -> Node:
        """Return the tree of a boolean expression.

        Raises:
            duckdb.Error: a constant in it has no value, or none of the type it is compared with.
        """
        if is_constant(node):
            value = self._constant(node)
            known = value is not None and value.kind in {"boolean", "null"}
            return Constant(value.value) if value is not None and known else Opaque()
        match node["class"]:
            case "CONJUNCTION":
                children = tuple(map(self.translate, node["children"]))
                return And(children) if node["type"] == "CONJUNCTION_AND" else Or(children)
            case "COMPARISON":
                return self._comparison(node)
            case "BETWEEN":
                return self._between(node)
            case "OPERATOR":
                return self._operator(node)
            case "FUNCTION":
                return self._function(node)
            case "CAST" if type_name_of_cast(node) == "BOOLEAN" and not node["try_cast"]:
                return self.translate(node["child"])
        column = self._column(node)
        if column is None or column.type != pa.bool_():
            return Opaque()
        return Compare(column, "=", scalar_of(value=True))

    def _comparison(self, node: SyntaxNode) -> Node:
        left, right = node["left"], node["right"]
        if node["type"] in {"COMPARE_DISTINCT_FROM", "COMPARE_NOT_DISTINCT_FROM"}:
            same = self._not_distinct(left, right)
            return same if node["type"] == "COMPARE_NOT_DISTINCT_FROM" else Not(same)
        operator = _COMPARISONS.get(node["type"])
        if operator is None:
            return Opaque()
        if is_constant(left):
            left, right, operator = right, left, _MIRRORED[operator]
        column, value = self._column(left), self._constant(right)
        if column is None or value is None:
            return Opaque()
        return compare(column, (operator, value))[0]

    def _not_distinct(self, left: SyntaxNode, right: SyntaxNode) -> Node:
        """``IS NOT DISTINCT FROM`` a constant; ``IS TRUE`` and ``IS FALSE`` are parsed to it as well."""
        if is_constant(left):
            left, right = right, left
        value = self._constant(right)
        if value is None:
            return Opaque()
        if (column := self._column(left)) is not None:
            return (
                IsNull(column) if value.kind == "null" else HasOutcome(compare(column, ("=", value))[0], True)
            )
        if value.kind in {"boolean", "null"}:
            return HasOutcome(self.translate(left), value.value)
        return Opaque()

    def _between(self, node: SyntaxNode) -> Node:
        column = self._column(node["input"])
        lower, upper = self._constant(node["lower"]), self._constant(node["upper"])
        if column is None or lower is None or upper is None:
            return Opaque()
        return And(tuple(compare(column, (">=", lower), ("<=", upper))))

    def _operator(self, node: SyntaxNode) -> Node:
        children = function_arguments(node)
        match node["type"]:
            case "OPERATOR_NOT":
                return Not(self.translate(children[0]))
            case "OPERATOR_IS_NULL":
                return self._is_null(children[0])
            case "OPERATOR_IS_NOT_NULL":
                return Not(self._is_null(children[0]))
            case "COMPARE_IN":
                return self._one_of(children)
            case "COMPARE_NOT_IN":
                return Not(self._one_of(children))
        # s['x'] of a struct is read as a column
        column = self._column(node)
        return (
            Opaque()
            if column is None or column.type != pa.bool_()
            else Compare(column, "=", scalar_of(value=True))
        )

    def _is_null(self, node: SyntaxNode) -> Node:
        column = self._column(node)
        return IsNull(column) if column is not None else HasOutcome(self.translate(node), None)

    def _one_of(self, children: list[SyntaxNode]) -> Node:
        column = self._column(children[0])
        if column is None:
            return Opaque()
        values = []
        for child in children[1:]:
            value = self._constant(child)
            if value is None:
                return Opaque()
            values.append(value)
        return one_of(column, values)

    def _one_of_parameter(self, parameter: SyntaxNode, node: SyntaxNode) -> Node:
        """``column IN ?`` with a list for its value, which is parsed to ``contains(?, column)``."""
        column, listed = self._column(node), parameter_value(parameter, self.parameters)
        if column is None or not isinstance(listed, list | tuple):
            return Opaque()
        # A search in a list passes over its nulls, and has rules of its own for mixed types and NaN.
        values = [value_of_python(each) for each in listed if each is not None]
        if any(value is None or value.kind != _LISTED_KINDS.get(column.type) for value in values):
            return Opaque()
        return one_of(column, [value for value in values if value is not None])

    def _function(self, node: SyntaxNode) -> Node:
        name, arguments = node["function_name"].lower(), function_arguments(node)
        if len(arguments) != 2:
            return Opaque()
        if name == "contains" and arguments[0]["class"] == "PARAMETER":
            return self._one_of_parameter(*arguments)
        column, value = self._column(arguments[0]), self._constant(arguments[1])
        if column is None or column.type != pa.string() or value is None:
            return Opaque()
        if value.kind not in {"text", "string"}:
            return (
                Constant(None) if value.kind == "null" and name in {*_TEXT_PLACES, "~~", "!~~"} else Opaque()
            )
        if name in _TEXT_PLACES:
            return TextMatch(column, _TEXT_PLACES[name], value.value)
        if name in {"~~", "!~~"}:
            like = _like(column, value)
            return like if name == "~~" else Not(like)
        return Opaque()

    def _column(self, node: SyntaxNode) -> Column | None:
        names = _dotted_names(node)
        return None if names is None else resolve_column(names, self.schema)

    def _constant(self, node: SyntaxNode) -> Value | None:
        # A text with a collation is compared by it, as what it is compared with then is, too.
        if not is_constant(node) or _has_collation(node):
            return None
        return read_constant(node, self.syntax, self.parameters)


def _has_collation(node: SyntaxNode) -> bool:
    return node["class"] == "COLLATE" or any(map(_has_collation, child_nodes(node)))


def _dotted_names(node: SyntaxNode) -> list[str] | None:
    """Return the names of a column or struct member, however it is written: ``s.x``, ``s['x']``, ``struct_extract``."""
    if node["class"] == "COLUMN_REF":
        return list(node["column_names"])
    is_extract = node["type"] in {"ARRAY_EXTRACT", "STRUCT_EXTRACT"} or (
        node["class"] == "FUNCTION" and node["function_name"].lower() == "struct_extract"
    )
    arguments = function_arguments(node) if is_extract else []
    if len(arguments) != 2:
        return None
    names, (_, member) = _dotted_names(arguments[0]), literal_of(arguments[1])
    return [*names, member] if names is not None and isinstance(member, str) else None


def _like(column: Column, pattern: Value) -> Node:
    """``column LIKE pattern``; a pattern that is neither exact, prefix, suffix nor infix is known by its beginning."""
    text = str(pattern.value)
    if "_" not in text:
        beginning, *rest = text.split("%")
        if not rest:
            return compare(column, ("=", pattern))[0]
        if rest == [""]:
            return TextMatch(column, "prefix", beginning)
        if beginning == "" and len(rest) == 1:
            return TextMatch(column, "suffix", rest[0])
        if beginning == "" and len(rest) == 2 and rest[1] == "":
            return TextMatch(column, "infix", rest[0])
    beginning = text.replace("_", "%").split("%")[0]
    return And((TextMatch(column, "prefix", beginning), Opaque()))
