"""Queries that the log answers: ``count(*)``, and ``min`` and ``max`` where its bounds are values.

The shape is looked for in DuckDB's parse; the names and types of the result are those that DuckDB gives. A condition has to
be understood throughout, and true of every row of the files that it leaves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.arrow_values import repeat, scalar_of
from lakefmt.query.sources import TableSource
from lakefmt.scan.plan import plan_scan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lakefmt.expressions import Predicate
    from lakefmt.expressions.constants import Parameters
    from lakefmt.query.sources import Source
    from lakefmt.query.statement import Statement
    from lakefmt.scan import ScanPlan
    from lakefmt.schema import Schema

__all__ = ["answer_from_metadata"]

_PLAIN_SELECT: dict[str, Any] = {
    "modifiers": [],
    "group_expressions": [],
    "group_sets": [],
    "aggregate_handling": "STANDARD_HANDLING",
    "having": None,
    "sample": None,
    "qualify": None,
}


def answer_from_metadata(
    statement: Statement,
    sources: Mapping[str, Source],
    parameters: Parameters,
    schema: Callable[[], pa.Schema],
) -> pa.Table | None:
    """Return the result of a statement, None where the log does not tell it.

    Args:
        statement: that DuckDB has bound.
        sources: its tables, by name.
        parameters: values of its placeholders.
        schema: gives the columns of the result.
    """
    tree = statement.tree
    if tree is None or tree.get("type") != "SELECT_NODE" or tree["cte_map"].get("map"):
        return None
    if any(tree.get(name) != plain for name, plain in _PLAIN_SELECT.items()):
        return None
    aggregates = [_aggregate(each) for each in tree["select_list"]]
    found = _only_table(tree["from_table"], sources)
    if found is None or None in aggregates:
        return None
    source, names = found
    condition = tree["where_clause"]
    predicate = None if condition is None else _exactly(condition, source.snapshot.schema, parameters, names)
    if condition is not None and predicate is None:
        return None
    plan = plan_scan(source.snapshot, source.snapshot.schema, predicate, counts=True)
    values = []
    for aggregate in aggregates:
        value = _known(plan, *aggregate) if aggregate is not None else None
        if value is None:
            return None
        values.append(value)
    columns = [repeat(value, 1).cast(field.type) for value, field in zip(values, schema(), strict=True)]
    return pa.Table.from_arrays(columns, schema=schema())


def _aggregate(node: dict[str, Any]) -> tuple[str, str] | None:
    """Return the function and the column it is of, '' for rows; None for what the log has no answer to."""
    if node.get("class") != "FUNCTION" or node["filter"] is not None or node["distinct"] or node["schema"]:
        return None
    name = node["function_name"].lower()
    arguments = node.get("children") or [each["expression"] for each in node.get("arguments") or ()]
    if node["order_bys"] and node["order_bys"].get("orders"):
        return None
    if name == "count_star" and not arguments:
        return name, ""
    if name in ("min", "max") and len(arguments) == 1 and arguments[0]["class"] == "COLUMN_REF":
        names = arguments[0]["column_names"]
        return (name, names[0]) if len(names) == 1 else None
    return None


def _only_table(
    node: dict[str, Any], sources: Mapping[str, Source]
) -> tuple[TableSource, frozenset[str]] | None:
    """Return the one table of a FROM clause, and what the text may call it."""
    plain = node.get("type") == "BASE_TABLE" and not node.get("at_clause") and node["sample"] is None
    if not plain or node["column_name_alias"] or node["schema_name"] or node["catalog_name"]:
        return None
    name = node["table_name"].lower()
    for known, source in sources.items():
        if known.lower() == name and isinstance(source, TableSource):
            return source, frozenset({str(node["alias"] or node["table_name"]).lower()})
    return None


def _exactly(
    condition: dict[str, Any], schema: Schema, parameters: Parameters, called: frozenset[str]
) -> Predicate | None:
    def names_of(names: Sequence[str]) -> list[str] | None:
        if names[0].lower() in called:
            return list(names[1:]) if len(names) > 1 and schema.find(names[1]) is not None else None
        return list(names) if schema.find(names[0]) is not None else None

    from lakefmt.expressions.filters import exact_tree, predicate_of_tree

    tree = exact_tree(condition, schema, parameters, names_of)
    return None if tree is None else predicate_of_tree(tree)


def _known(plan: ScanPlan, function: str, name: str) -> pa.Scalar[Any] | None:
    from lakefmt.scan.known import known_count, known_extremes

    if function == "count_star":
        count = known_count(plan)
        return None if count is None else scalar_of(count, pa.int64())
    column = plan.snapshot.schema.find(name)
    extremes = None if column is None else known_extremes(plan, column.name)
    return None if extremes is None else extremes[function == "max"]
