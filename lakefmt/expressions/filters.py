"""What a condition somewhere in a user's statement says of one table: a predicate that prunes, and evaluates nothing.

Conditions here are nodes of DuckDB's parse of a whole statement. What is made of them is weaker than they are or the same: a
row for which the condition is TRUE is one for which the predicate is.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from lakefmt.databases import isolated
from lakefmt.expressions.constants import read_constant
from lakefmt.expressions.duckdb_errors import invalid_predicate
from lakefmt.expressions.predicate import Predicate
from lakefmt.expressions.sql import quote_identifier
from lakefmt.expressions.survey import is_changing, is_constant
from lakefmt.expressions.syntax import Syntax, child_nodes
from lakefmt.expressions.translate import Translation
from lakefmt.expressions.tree import (
    And,
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
    find_columns,
    is_understood,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lakefmt.expressions.constants import Parameters, Value
    from lakefmt.expressions.syntax import SyntaxNode
    from lakefmt.schema import Schema

__all__ = ["any_of", "constant_of", "exact_tree", "format_tree", "implied_tree", "predicate_of_tree"]

_NEVER = frozenset({"LAMBDA", "STAR", "SUBQUERY", "WINDOW", "POSITIONAL_REFERENCE"})


def implied_tree(
    condition: SyntaxNode,
    schema: Schema,
    parameters: Parameters,
    names_of: Callable[[Sequence[str]], list[str] | None],
) -> Node | None:
    """Return what a condition implies of a table's own rows; fully understood, None where it implies nothing known.

    Args:
        condition: of a WHERE or ON clause, whatever it looks at.
        schema: the table's.
        parameters: of the statement.
        names_of: for the names of a column reference, those of the table's column or struct member that it means, from
            the column down; None where it means something else.
    """
    if condition["class"] == "CONJUNCTION":
        children = [implied_tree(each, schema, parameters, names_of) for each in condition["children"]]
        known = [each for each in children if each is not None]
        if condition["type"] == "CONJUNCTION_AND":
            return _and(known)
        return Or(tuple(known)) if len(known) == len(children) else None
    tree = _translate(condition, schema, parameters, names_of)
    return None if tree is None else _weaken(tree)


def exact_tree(
    condition: SyntaxNode,
    schema: Schema,
    parameters: Parameters,
    names_of: Callable[[Sequence[str]], list[str] | None],
) -> Node | None:
    """Return the tree that is TRUE exactly where the condition is; None where not all of it is understood.

    Arguments as for ``implied_tree``.
    """
    tree = _translate(condition, schema, parameters, names_of)
    return tree if tree is not None and is_understood(tree) else None


def constant_of(node: SyntaxNode, parameters: Parameters) -> Value | None:
    """Return what an expression without columns stands for, ``now() - INTERVAL 1 DAY`` too; None where that is not known.

    Raises InvalidInputError: it has no value.
    """
    import duckdb

    if "class" not in node or node["class"] in _NEVER or not is_constant(node):
        return None
    try:
        return read_constant(node, Syntax(node, _statement()), parameters)
    except duckdb.Error as error:
        raise invalid_predicate(error, "AT (...)", table=None) from error


def any_of(trees: Sequence[Node]) -> Node:
    """Return what holds where one of them does."""
    distinct = tuple(dict.fromkeys(map(_Keyed, trees)))
    return distinct[0].tree if len(distinct) == 1 else Or(tuple(each.tree for each in distinct))


def predicate_of_tree(tree: Node) -> Predicate:
    """Return a predicate for pruning; its text is for people."""
    return Predicate(format_tree(tree), None, tuple(find_columns(tree)), tree)


def format_tree(tree: Node) -> str:
    """Return a tree as people read it."""
    match tree:
        case Constant(outcome):
            return {True: "true", False: "false", None: "NULL"}[outcome]
        case Compare(column, operator, value):
            return f"{_column(column.path)} {operator} {_shown(value)}"
        case OneOf(column, values):
            shown = [_shown(value) for value in values[:5]]
            return (
                f"{_column(column.path)} IN ({', '.join(shown)}{', ...' if len(values) > len(shown) else ''})"
            )
        case TextMatch(column, place, text):
            pattern = {"prefix": f"{text}%", "suffix": f"%{text}", "infix": f"%{text}%"}[place]
            return f"{_column(column.path)} LIKE {pattern!r}"
        case IsNull(column):
            return f"{_column(column.path)} IS NULL"
        case HasOutcome(child, outcome):
            return f"({format_tree(child)}) IS {'NULL' if outcome is None else str(outcome).upper()}"
        case Not(child):
            return f"NOT ({format_tree(child)})"
        case And(children):
            return " AND ".join(
                f"({format_tree(each)})" if isinstance(each, Or) else format_tree(each) for each in children
            )
        case Or(children):
            return " OR ".join(
                f"({format_tree(each)})" if isinstance(each, And) else format_tree(each) for each in children
            )
        case Opaque():
            return "..."


def _translate(
    condition: SyntaxNode,
    schema: Schema,
    parameters: Parameters,
    names_of: Callable[[Sequence[str]], list[str] | None],
) -> Node | None:
    own = _rename(condition, names_of)
    if own is None or not _looks_at_columns(own):
        return None
    import duckdb

    try:
        return Translation(Syntax(own, _statement()), schema, parameters).translate(own)
    except (duckdb.Error, RecursionError):
        return None  # whoever runs it says what is wrong


class _Keyed:
    """A tree by its text, since Arrow values have no hash."""

    __slots__ = ("text", "tree")

    def __init__(self, tree: Node) -> None:
        self.tree = tree
        self.text = repr(tree)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Keyed) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


def _rename(node: SyntaxNode, names_of: Callable[[Sequence[str]], list[str] | None]) -> SyntaxNode | None:
    """Return an expression with the table's own names in it, None where not all of it is of the table's rows."""
    if node["class"] in _NEVER or is_changing(node):
        return None
    if node["class"] == "COLUMN_REF":
        names = names_of(node["column_names"])
        return None if names is None else {**node, "column_names": names}
    renamed = dict(node)
    for name, value in node.items():
        if isinstance(value, dict):
            changed: Any = _rename_value(value, names_of)
        elif isinstance(value, list):
            changed = [_rename_value(each, names_of) if isinstance(each, dict) else each for each in value]
            if any(each is None and before is not None for each, before in zip(changed, value, strict=True)):
                return None
        else:
            continue
        if changed is None:
            return None
        renamed[name] = changed
    return renamed


def _rename_value(
    value: dict[str, Any], names_of: Callable[[Sequence[str]], list[str] | None]
) -> dict[str, Any] | None:
    if "class" in value and value["class"] != "TYPE":
        return _rename(value, names_of)
    if not any(True for _ in child_nodes(value)):
        return value
    renamed = _rename({**value, "class": ""}, names_of)
    return None if renamed is None else {name: each for name, each in renamed.items() if name in value}


def _looks_at_columns(node: SyntaxNode) -> bool:
    return node["class"] == "COLUMN_REF" or any(map(_looks_at_columns, child_nodes(node)))


def _weaken(tree: Node) -> Node | None:
    """Return what is understood of a tree where it is TRUE."""
    match tree:
        case And(children):
            return _and([each for each in map(_weaken, children) if each is not None])
        case Or(children):
            weak = [_weaken(each) for each in children]
            known = tuple(each for each in weak if each is not None)
            return Or(known) if len(known) == len(weak) else None
    return tree if is_understood(tree) else None


def _and(trees: Sequence[Node]) -> Node | None:
    if not trees:
        return None
    return trees[0] if len(trees) == 1 else And(tuple(trees))


@cache
def _statement() -> dict[str, Any]:
    """Return the parse of a statement that constants are folded in."""
    row = isolated.cursor().execute("SELECT json_serialize_sql('SELECT 1')").fetchone()
    statement: dict[str, Any] = json.loads(str(row[0] if row else ""))["statements"][0]
    return statement


def _column(path: Sequence[str]) -> str:
    return ".".join(name if name.isidentifier() else quote_identifier(name) for name in path)


def _shown(value: Any) -> str:
    try:
        plain = value.as_py()
    except (OverflowError, ValueError):
        return str(value)
    return repr(plain) if isinstance(plain, str | bytes) else str(plain)
