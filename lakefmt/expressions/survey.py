"""What a parsed expression touches: columns, functions, the clock; and what it may not hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pyarrow as pa

from lakefmt.databases import isolated
from lakefmt.errors import InvalidInputError
from lakefmt.expressions.duckdb_errors import shown
from lakefmt.expressions.syntax import SyntaxNode, child_nodes, lambda_parameters
from lakefmt.expressions.tree import Column
from lakefmt.schema import ArrayType, DataType, MapType, PrimitiveType, StructType, closest_names, format_path
from lakefmt.schema.arrow import arrow_type_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.schema import FieldPath, Schema

__all__ = [
    "CLOCK_NAMES",
    "Survey",
    "check_functions",
    "is_changing",
    "is_constant",
    "resolve_column",
    "survey",
]

CLOCK_NAMES = frozenset(
    {
        "current_date",
        "current_localtimestamp",
        "current_timestamp",
        "get_current_timestamp",
        "localtimestamp",
        "now",
        "today",
        "transaction_timestamp",
    }
)
"""Functions and keywords whose value is the moment of the query."""

_REFUSED_NODES = {
    "DEFAULT": "DEFAULT",
    "POSITIONAL_REFERENCE": "positions of columns (#1)",
    "STAR": "* and COLUMNS(...)",
    "SUBQUERY": "subqueries",
    "WINDOW": "window functions",
}
# What these return belongs to a session or a moment, not to a row; DuckDB calls some of them CONSISTENT.
_SESSION_FUNCTIONS = frozenset(
    {
        "ago",
        "current_catalog",
        "current_database",
        "current_query",
        "current_role",
        "current_schema",
        "current_schemas",
        "current_setting",
        "current_user",
        "getenv",
        "getvariable",
        "in_search_path",
        "pg_conf_load_time",
        "pg_postmaster_start_time",
        "session_user",
        "txid_current",
        "user",
    }
)
_NULL_TESTS = frozenset({"OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL"})
_NOT_CONSTANT = frozenset({"COLUMN_REF", "LAMBDA", "LAMBDA_REF"})
_COLUMNS_LISTED = 20

_inconstant: frozenset[str] | None = None


@dataclass(slots=True)
class Survey:
    """What one expression touches.

    Attributes:
        columns: paths of the columns named, as deep as structs go, in the schema's spelling and in order.
        functions: names of the functions called, in lower case; operators aside.
        clock: nodes that stand for the moment of the query.
    """

    columns: dict[FieldPath, None] = field(default_factory=dict)
    functions: set[str] = field(default_factory=set)
    clock: list[SyntaxNode] = field(default_factory=list)


def survey(root: SyntaxNode, schema: Schema, *, text: str, table: str | None) -> Survey:
    """Walk a parsed expression once; ``text`` and ``table`` are for messages.

    Raises:
        InvalidInputError: an unknown column; a subquery, window function or ``*``.
    """
    surveyor = _Surveyor(schema, text, table)
    surveyor.walk(root, frozenset())
    return surveyor.found


def resolve_column(names: Sequence[str], schema: Schema) -> Column | None:
    """Return the column that a dotted name means: a column and the struct members below it, upper and lower case alike.

    None where there is no such column, or the names go on below what is no struct.
    """
    found = _resolve(names, schema)
    return None if found is None else Column(found[0], arrow_type_of(found[1]))


def _resolve(names: Sequence[str], schema: Schema) -> tuple[FieldPath, DataType] | None:
    top = schema.find(names[0])
    if top is None:
        return None
    path = [top.name]
    type_: DataType = top.type
    for name in names[1:]:
        members = type_.fields if isinstance(type_, StructType) else ()
        alike = [each for each in members if each.name.lower() == name.lower()]
        if len(alike) != 1:
            return None
        path.append(alike[0].name)
        type_ = alike[0].type
    return tuple(path), type_


def is_constant(node: SyntaxNode) -> bool:
    """Whether no column is in the node, so that it is the same for every row."""
    return node["class"] not in _NOT_CONSTANT and all(map(is_constant, child_nodes(node)))


def is_changing(node: SyntaxNode) -> bool:
    """Whether the node itself, not what is below it, has another value at another call or moment."""
    if node["class"] == "COLUMN_REF":
        return False  # a name without a column is the clock's, which no table has
    name = "" if node.get("is_operator") else str(node.get("function_name", "")).lower()
    return bool(name) and (
        name in CLOCK_NAMES or name in _SESSION_FUNCTIONS or name in _inconstant_functions()
    )


def check_functions(functions: set[str], *, text: str, table: str | None) -> None:
    """Refuse functions that give another value at every call (``random()``) or belong to a session.

    A file pruned by one value must not be read by another.

    Raises:
        InvalidInputError: there is one.
    """
    refused = sorted(functions & (_SESSION_FUNCTIONS | _inconstant_functions())) if functions else []
    if refused:
        raise InvalidInputError(
            f"{refused[0]}() says nothing about a row, so it cannot choose rows, in the predicate {shown(text)}",
            table=table,
            hint="Work its value out first and pass that in params; of the clock, now() and current_date can be used",
        )


@dataclass(frozen=True, slots=True)
class _Surveyor:
    schema: Schema
    text: str
    table: str | None
    found: Survey = field(default_factory=Survey)

    def walk(self, node: SyntaxNode, bound: frozenset[str]) -> None:
        """Note what is in the node; ``bound`` are the names that lambdas around it brought in."""
        if what := _REFUSED_NODES.get(node["class"]):
            raise InvalidInputError(
                f"A predicate takes no {what}: {shown(self.text)}",
                table=self.table,
                hint="Give one expression over the row's own columns",
            )
        if node["class"] == "COLUMN_REF":
            self._note_column(node, bound)
        elif node["type"] in _NULL_TESTS and all(self._is_of_variants(each) for each in child_nodes(node)):
            for column in child_nodes(node):
                self._note_column(column, bound, whole=True)
            return
        elif node["class"] == "LAMBDA":
            bound |= lambda_parameters(node)
        elif node["class"] == "FUNCTION" and not node["is_operator"]:
            name = node["function_name"].lower()
            self.found.functions.add(name)
            if name in CLOCK_NAMES:
                self.found.clock.append(node)
        for child in child_nodes(node):
            self.walk(child, bound)

    def _is_of_variants(self, node: SyntaxNode) -> bool:
        if node["class"] != "COLUMN_REF":
            return False
        found = _resolve(node["column_names"], self.schema)
        return found is not None and _holds_variants(found[1])

    def _note_column(self, node: SyntaxNode, bound: frozenset[str], *, whole: bool = False) -> None:
        """Note the column that a node names; ``whole``: it is only asked whether it is NULL."""
        names = node["column_names"]
        for depth in range(len(names), 0, -1):
            if (found := _resolve(names[:depth], self.schema)) is not None:
                column = Column(found[0], arrow_type_of(found[1]))
                if _holds_variants(found[1]) and not whole:
                    raise self._variant_compared(column)
                if depth < len(names) and pa.types.is_struct(column.type):
                    raise self._unknown_member(column, names[depth])
                self.found.columns[column.path] = None
                return
        if names[0].lower() in bound:
            return
        if len(names) == 1 and names[0].lower() in CLOCK_NAMES:
            self.found.clock.append(node)
            return
        raise self._unknown_column(names)

    def _variant_compared(self, column: Column) -> InvalidInputError:
        name = format_path(column.path)
        return InvalidInputError(
            f"Column {name} holds variants, of which a predicate can ask nothing but whether they are NULL: "
            f"{shown(self.text)}",
            table=self.table,
            hint=f"Filter the rows once they are read, by the text that lakefmt.variant_to_json(rows[{column.path[0]!r}]) "
            "makes of them",
        )

    def _unknown_member(self, column: Column, name: str) -> InvalidInputError:
        members = [each.name for each in cast("pa.StructType", column.type)]
        close = closest_names(name, members)
        hint = f"Did you mean {' or '.join(map(repr, close))}? " if close else ""
        return InvalidInputError(
            f"Column {format_path(column.path)} has no member {name!r}, named in the predicate {shown(self.text)}",
            table=self.table,
            hint=f"{hint}Its members are {', '.join(members)}",
        )

    def _unknown_column(self, names: Sequence[str]) -> InvalidInputError:
        name, known = ".".join(names), self.schema.names
        hints = []
        if close := closest_names(names[-1], known) or closest_names(names[0], known):
            hints.append(f"Did you mean {' or '.join(map(repr, close))}?")
        elif f'"{name}"' in self.text:
            hints.append(f"Text stands between single quotes: '{name}'.")
        listed = ", ".join(known[:_COLUMNS_LISTED])
        hints.append(f"The columns are {listed}{', ...' if len(known) > _COLUMNS_LISTED else ''}")
        return InvalidInputError(
            f"There is no column {name!r}, named in the predicate {shown(self.text)}",
            table=self.table,
            hint=" ".join(hints),
        )


def _holds_variants(type_: DataType) -> bool:
    match type_:
        case StructType(fields=fields):
            return any(_holds_variants(each.type) for each in fields)
        case ArrayType(element=element):
            return _holds_variants(element)
        case MapType(key=key, value=value):
            return _holds_variants(key) or _holds_variants(value)
        case _:
            return type_ == PrimitiveType("variant")


def _inconstant_functions() -> frozenset[str]:
    """Return the functions of this DuckDB that may give another value at another call or in another query.

    One query of 10 ms a process, asked when a predicate first calls a function by name.
    """
    global _inconstant
    if _inconstant is None:
        rows = isolated.cursor().execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
        )
        _inconstant = frozenset(str(name).lower() for (name,) in rows.fetchall())
    return _inconstant
