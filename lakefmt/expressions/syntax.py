"""DuckDB's own parse of an expression, as JSON: what its nodes say, whichever release wrote them.

``json_serialize_sql`` gives the parser's tree. Releases before 2.0 and since differ in how a function's arguments,
a literal and a cast's type are written; that is settled here and nowhere else. A node stays the dictionary it is.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from lakefmt.databases import isolated
from lakefmt.errors import InvalidInputError
from lakefmt.expressions.duckdb_errors import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

__all__ = [
    "Syntax",
    "SyntaxNode",
    "child_nodes",
    "function_arguments",
    "lambda_parameters",
    "literal_of",
    "parse_syntax",
    "serialize_sql",
    "type_name_of_cast",
]

SyntaxNode: TypeAlias = dict[str, Any]

_OPENING = "SELECT ("
_BARE = "SELECT  "  # as long as the other, so that positions mean the same
_CLOSING = "\n)"  # on a line of its own: the text may end in a comment
_NOT_LITERAL = object()
_INTEGER = re.compile(r"-?[0-9]+")
_NUMERIC = re.compile(r"-?[0-9]*\.[0-9]*")
_DECIMAL_DIGITS = 38


@dataclass(frozen=True, slots=True)
class Syntax:
    """One parsed expression.

    Attributes:
        root: its topmost node.
        statement: the statement around it, for running parts of it (``fold`` in ``constants.py``).
    """

    root: SyntaxNode
    statement: dict[str, Any]

    def position_of(self, node: SyntaxNode) -> int | None:
        """Return the byte of the text at which the node stands, None where the parser kept none."""
        position = int(node.get("query_location", -1)) - len(_OPENING)
        return position if 0 <= position < 2**32 else None


def parse_syntax(text: str, *, table: str | None) -> Syntax:
    """Parse one SQL expression with DuckDB's parser; nothing is bound or run.

    Raises:
        InvalidInputError: the text is not exactly one expression.
    """
    if not text.strip():
        raise InvalidInputError(
            "The predicate is empty", table=table, hint="Leave it out, or pass None, to take all rows"
        )
    answer = serialize_sql(_OPENING + text + _CLOSING)
    if ")" in text and not answer["error"]:
        # "a) OR (b" stands well between our parentheses and would be torn apart by another's: it must stand alone too.
        answer = bare if (bare := serialize_sql(_BARE + text))["error"] else answer
    if answer["error"]:
        raise _syntax_error(text, answer, table)
    statement = answer["statements"][0]
    columns = statement["node"].get("select_list", ())
    if len(answer["statements"]) != 1 or len(columns) != 1:
        raise InvalidInputError(f"The predicate {shown(text)} is not one expression", table=table)
    return Syntax(columns[0], statement)


def serialize_sql(text: str, cursor: duckdb.DuckDBPyConnection | None = None) -> dict[str, Any]:
    """Return what ``json_serialize_sql`` says of a text: its statements, or an ``error``.

    Args:
        text: of any statements.
        cursor: to ask; by default one to the database that reaches nothing.
    """
    # As a literal: of a parameter DuckDB asks whether it is one of pandas' nulls, and imports pandas (0.15 s) to ask.
    literal = "'" + text.replace("'", "''").replace("\0", "' || chr(0) || '") + "'"
    row = (cursor or isolated.cursor()).execute(f"SELECT json_serialize_sql({literal})").fetchone()
    assert row is not None  # noqa: S101  a SELECT without FROM has one row; for the type checker
    answer: dict[str, Any] = json.loads(row[0])
    return answer


def child_nodes(node: Any) -> Iterator[SyntaxNode]:
    """Yield the expression nodes right below this one, in any of its properties."""
    if isinstance(node, dict):
        for value in node.values():
            if isinstance(value, dict | list):
                yield from _nodes_in(value)


def function_arguments(node: SyntaxNode) -> list[SyntaxNode]:
    """Return the arguments of a function or operator, in order; named ones too."""
    if "arguments" in node:
        return [each["expression"] for each in node["arguments"]]
    return list(node.get("children") or ())


def lambda_parameters(node: SyntaxNode) -> set[str]:
    """Return the names that a LAMBDA node brings in, in lower case."""
    left = node.get("lhs") or {}
    if "column_names" in left:
        return {left["column_names"][-1].lower()}
    return {each["column_names"][-1].lower() for each in function_arguments(left) if "column_names" in each}


def literal_of(node: SyntaxNode) -> tuple[bool, Any]:
    """Return (True, value) of a literal, (False, None) of anything else.

    The value's Python type is the literal's kind: None, bool, int, ``Decimal`` (a DECIMAL literal, its scale kept),
    float (a DOUBLE literal) or str. Rarer literals (hexadecimal, past 64 bits, ...) count as something else.
    """
    value: Any = _NOT_LITERAL
    if node["class"] == "CONSTANT":
        if "literal" in node:
            value = _literal_text(node["literal"])
        elif "value" in node:
            value = _literal_value(node["value"])
    elif _is_boolean_literal(node):
        value = node["child"]["value"]["value"] == "t"
    return (False, None) if value is _NOT_LITERAL else (True, value)


def type_name_of_cast(node: SyntaxNode) -> str:
    """Return the type that a CAST node casts to, without its parameters: ``DATE``, ``DECIMAL``."""
    name = node["type_expr"]["type_name"] if "type_expr" in node else node["cast_type"]["id"]
    return str(name).upper()


def _syntax_error(text: str, answer: dict[str, Any], table: str | None) -> InvalidInputError:
    message = str(answer.get("error_message", "syntax error")).replace("\n", " ")
    place = ""
    if str(answer.get("position", "")).isdecimal():
        before = text.encode()[: max(0, int(answer["position"]) - len(_OPENING))].decode(errors="ignore")
        place = f" at character {len(before) + 1}"
        if before == text:
            message, place = "syntax error: it ends too early", ""
    return InvalidInputError(
        f"The predicate {shown(text)} is not a SQL expression: {message}{place}",
        table=table,
        hint="Give one expression in DuckDB's dialect, such as \"fare > 10 AND city = 'Bern'\"",
    )


def _nodes_in(value: Any) -> Iterator[SyntaxNode]:
    if isinstance(value, list):
        for each in value:
            yield from _nodes_in(each)
    elif isinstance(value, dict):
        if "class" in value and value["class"] != "TYPE":
            yield value
        else:
            for each in value.values():
                if isinstance(each, dict | list):
                    yield from _nodes_in(each)


def _literal_value(value: dict[str, Any]) -> Any:
    """Read a literal as releases before 2.0 write it: a typed value."""
    if value["is_null"]:
        return None
    plain = value["value"]
    match value["type"]["id"]:
        case "INTEGER" | "BIGINT" | "DOUBLE" | "VARCHAR" | "BOOLEAN":
            return plain
        case "DECIMAL" if isinstance(plain, int):
            digits = tuple(map(int, str(abs(plain))))
            return Decimal((int(plain < 0), digits, -value["type"]["type_info"]["scale"]))
    return _NOT_LITERAL


def _literal_text(literal: dict[str, Any]) -> Any:
    """Read a literal as 2.0 writes it: its text, typed by the rules that the binder goes by."""
    text = literal.get("text", "")
    match literal["kind"]:
        case "NULL_LITERAL":
            return None
        case "STRING":
            return text
        case "BOOLEAN":
            return text.lower() == "true"
        case "INTEGER" if _INTEGER.fullmatch(text) and -(2**63) <= int(text) < 2**63:
            return int(text)
        case "NUMERIC" if _NUMERIC.fullmatch(text) and sum(map(str.isdigit, text)) <= _DECIMAL_DIGITS:
            return Decimal(text)
    return _NOT_LITERAL


def _is_boolean_literal(node: SyntaxNode) -> bool:
    # Before 2.0 the parser writes true as CAST('t' AS BOOLEAN), where the text stands nowhere in the user's.
    if node["class"] != "CAST" or "cast_type" not in node or node["cast_type"]["id"] != "BOOLEAN":
        return False
    value = node["child"].get("value") if node["child"]["class"] == "CONSTANT" else None
    return value is not None and value["type"]["id"] == "VARCHAR" and value["value"] in {"t", "f"}
