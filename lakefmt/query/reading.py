"""What a statement reads of each table, by DuckDB's parse: which rows can matter, which columns are looked at.

Both are bounds from above. A row of a table matters unless some condition of every place that names the table is not
TRUE for it, where rows that fail the condition leave no trace in the result:

* WHERE, for tables that joins keep the rows of: not those that an outer join fills up with NULL, not the right side of
  ASOF, neither side of a POSITIONAL join, no sample.
* ON, for both sides of an inner join and the filled-up side of an outer one; the right side of SEMI and ANTI.

What a name means is settled as DuckDB settles it, whose binder has accepted the text: the tables of the same FROM
clause first, where a name that two of them have is refused. Whatever is not certain bounds nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from lakefmt.query.statement import iterate_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lakefmt.expressions import Predicate
    from lakefmt.expressions.constants import Parameters
    from lakefmt.expressions.tree import Node
    from lakefmt.query.statement import Statement
    from lakefmt.schema import Schema

__all__ = ["TableReading", "survey_reading"]

_STARS = frozenset({"POSITIONAL_REFERENCE", "STAR"})


@dataclass(slots=True)
class TableReading:
    """What is read of a table.

    Attributes:
        predicate: for every row that matters it is TRUE; None: all may.
        columns: names of those looked at; None: any may be.
    """

    predicate: Predicate | None = None
    columns: frozenset[str] | None = None


def survey_reading(
    statement: Statement, schemas: Mapping[str, Schema], parameters: Parameters
) -> dict[str, TableReading]:
    """Return what a statement reads of each table.

    Args:
        statement: one that DuckDB has bound.
        schemas: of the tables, by their names in the text in lower case, those with an AT clause left out.
        parameters: of the statement.
    """
    nothing_known = {name: TableReading() for name in schemas}
    if statement.tree is None or statement.names is None:
        return nothing_known
    nodes = list(iterate_nodes(statement.tree))
    survey = _Survey(schemas, parameters)
    try:
        for node in nodes:
            if node.get("type") == "SELECT_NODE":
                survey.read_select(node)
    except RecursionError:
        return nothing_known
    strings = {value.lower() for node in nodes for value in _strings(node)}
    readings = {}
    for name, schema in schemas.items():
        references = [
            node
            for node in nodes
            if node.get("type") == "BASE_TABLE"
            and node["table_name"].lower() == name
            and not node.get("at_clause")
        ]
        trees = [survey.trees.get(id(node)) for node in references]
        known = [tree for tree in trees if tree is not None]
        unclear = name in statement.ctes or not references or len(known) < len(trees)
        readings[name] = TableReading(
            None if unclear else _predicate_of_any(known),
            _columns(schema, nodes, references, strings),
        )
    return readings


def _predicate_of_any(trees: list[Node]) -> Predicate:
    """Return what is true where one of some conditions is."""
    from lakefmt.expressions.filters import any_of, predicate_of_tree

    return predicate_of_tree(any_of(trees))


@dataclass(frozen=True, slots=True)
class _Scope:
    """The tables of one FROM clause.

    Attributes:
        known: by alias in lower case the reference and its schema, None where two have it.
        others: aliases of what else is there.
    """

    known: dict[str, tuple[dict[str, Any], Schema] | None]
    others: set[str]
    merged: set[str]

    def names_of(self, reference: dict[str, Any], names: Sequence[str]) -> list[str] | None:
        """Return what names mean as a column of one reference, None where they mean something else."""
        first = names[0].lower()
        if first in self.others:
            return None
        if first in self.known:
            found = self.known[first]
            if len(names) < 2 or found is None or found[0] is not reference:
                return None
            return list(names[1:]) if found[1].find(names[1]) is not None else None
        if first in self.merged:
            return None  # a column of USING is that of either side
        holders = [
            found
            for found in self.known.values()
            if found is not None and found[1].find(names[0]) is not None
        ]
        return list(names) if len(holders) == 1 and holders[0][0] is reference else None


@dataclass(slots=True)
class _Survey:
    schemas: Mapping[str, Schema]
    parameters: Parameters
    trees: dict[int, Node] = field(default_factory=dict)

    def read_select(self, select: dict[str, Any]) -> None:
        """Note for the tables of a SELECT's own FROM clause what its conditions imply of them."""
        scope = _Scope({}, set(), set())
        if not self._enter(select["from_table"], scope):
            return
        conditions: list[tuple[dict[str, Any], dict[str, Any]]] = []
        _join_conditions(select["from_table"], conditions)
        if select["where_clause"] is not None and select["sample"] is None:
            conditions += [(each, select["where_clause"]) for each in _kept(select["from_table"])]
        if not conditions:
            return
        from lakefmt.expressions.filters import implied_tree
        from lakefmt.expressions.tree import And

        found: dict[int, list[Node]] = {}
        schemas = {id(each[0]): each for each in scope.known.values() if each is not None}
        for reference, condition in conditions:
            entry = schemas.get(id(reference))
            if entry is None or reference["sample"] is not None:
                continue
            names_of = partial(scope.names_of, reference)
            tree = implied_tree(condition, entry[1], self.parameters, names_of)
            if tree is not None:
                found.setdefault(id(reference), []).append(tree)
        for key, trees in found.items():
            self.trees[key] = trees[0] if len(trees) == 1 else And(tuple(trees))

    def _enter(self, source: dict[str, Any], scope: _Scope) -> bool:
        """Put what a FROM clause names into a scope; whether all of it is of a kind that is known."""
        match source["type"]:
            case "JOIN":
                if source["ref_type"] == "NATURAL":
                    return False
                scope.merged.update(name.lower() for name in source["using_columns"])
                return self._enter(source["left"], scope) and self._enter(source["right"], scope)
            case "BASE_TABLE":
                name = source["table_name"].lower()
                alias = (source["alias"] or source["table_name"]).lower()
                schema = self.schemas.get(name)
                plain = not (source.get("at_clause") or source["schema_name"] or source["catalog_name"])
                if schema is None or not plain or source["column_name_alias"]:
                    scope.others.add(alias)
                else:
                    scope.known[alias] = None if alias in scope.known else (source, schema)
                return True
            case "SUBQUERY" | "TABLE_FUNCTION" | "EXPRESSION_LIST" | "EMPTY":
                scope.others.add(
                    str(source["alias"] or source.get("function", {}).get("function_name", "")).lower()
                )
                return True
        return False


def _kept(source: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the tables of a FROM clause every row of whose result has one of theirs."""
    if source["type"] == "BASE_TABLE":
        yield source
    elif source["type"] == "JOIN" and source["sample"] is None:
        sides = _KEPT_SIDES.get((source["ref_type"], source["join_type"]), ())
        for side in sides:
            yield from _kept(source[side])


_KEPT_SIDES: dict[tuple[str, str], tuple[str, ...]] = {
    ("REGULAR", "INNER"): ("left", "right"),
    ("CROSS", "INNER"): ("left", "right"),
    ("REGULAR", "LEFT"): ("left",),
    ("REGULAR", "RIGHT"): ("right",),
    ("REGULAR", "SEMI"): ("left",),
    ("REGULAR", "ANTI"): ("left",),
    ("ASOF", "INNER"): ("left",),
    ("ASOF", "LEFT"): ("left",),
}
_ON_SIDES: dict[str, tuple[str, ...]] = {
    "INNER": ("left", "right"),
    "LEFT": ("right",),
    "RIGHT": ("left",),
    "SEMI": ("right",),
    "ANTI": ("right",),
}


def _join_conditions(source: dict[str, Any], found: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """Add each table with each ON condition that its rows must meet to be joined."""
    if source["type"] != "JOIN":
        return
    _join_conditions(source["left"], found)
    _join_conditions(source["right"], found)
    if source["condition"] is None or source["ref_type"] != "REGULAR":
        return
    for side in _ON_SIDES.get(source["join_type"], ()):
        found += [(each, source["condition"]) for each in _kept(source[side])]


def _columns(
    schema: Schema, nodes: list[dict[str, Any]], references: list[dict[str, Any]], strings: set[str]
) -> frozenset[str] | None:
    """Return the columns that any text of the parse may be the name of; None where a table is taken as a whole."""
    called = {str(node["alias"] or node["table_name"]).lower() for node in references}
    for node in nodes:
        if node.get("class") in _STARS or node.get("type") in ("PIVOT", "SHOW_REF"):
            return None
        if node.get("ref_type") == "NATURAL" or node.get("column_name_alias"):
            return None
        if node.get("class") == "COLUMN_REF" and node["column_names"][-1].lower() in called:
            return None  # a row as a value
    return frozenset(name for name in schema.names if name.lower() in strings)


def _strings(node: dict[str, Any]) -> Iterator[str]:
    for value in node.values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from (each for each in value if isinstance(each, str))
