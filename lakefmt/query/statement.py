"""A user's SQL text: one statement that only reads, and the tables it names.

DuckDB's own parser reads it, here as for predicates (decision 20). The text is run as it stands; the one edit is
``AT (VERSION => 3)`` behind a table's name, which DuckDB knows and does not let views have: the name of that version's
view takes its place, and spaces that of the clause.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lakefmt.databases import isolated
from lakefmt.errors import InvalidInputError
from lakefmt.expressions.syntax import literal_of, serialize_sql
from lakefmt.query.errors import invalid_query, opens_a_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

    from lakefmt.expressions.constants import Parameters

__all__ = ["Statement", "TableReference", "iterate_nodes", "parameters_left", "parse_statement"]

# Of the functions that stand in FROM these name no table by a text, as query_table('trips') does.
_PLAIN_TABLE_FUNCTIONS = frozenset(
    {"generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest"}
)
# DuckDB refuses them, too, where it binds or runs the text; this is to say so before, in one way.
_FILE_FUNCTIONS = re.compile(r"(?:read|parquet|sniff|which)_\w+|\w+_scan|glob|duckdb_secrets", re.IGNORECASE)
# Reached by FROM, too: they begin to log what other queries of the process do, into files at worst, or end that.
_CHANGING_FUNCTIONS = re.compile(
    r"\b((?:enable|disable)_(?:logging|profiling)|truncate_duckdb_logs|(?:force_)?checkpoint)\b",
    re.IGNORECASE,
)
_TEXT_FUNCTIONS = frozenset({"query", "json_execute_serialized_sql"})
_MOST_KEPT = 256  # parses of texts, of at most so many characters
_LONGEST_KEPT = 4_000
_READING = {"SELECT", "MULTI"}
_HINTS = {
    "CREATE": "Use lakefmt.create, or Query.write_to for the rows of a query",
    "DELETE": "Use Table.delete",
    "INSERT": "Use Table.append",
    "UPDATE": "Use Table.update",
    "COPY": "Use Query.to_arrow, Query.write_to or `lakefmt sql --output`",
    "EXPLAIN": "Use Query.explain()",
    "MERGE_INTO": "Use Table.merge",
}


@dataclass(frozen=True, slots=True)
class TableReference:
    """A name in a FROM clause that is no CTE's.

    Attributes:
        name: as the text has it, without quotes.
        at: DuckDB's parse of its AT clause, None without one.
        alias: what the text calls it, '' where nothing else.
        position: byte at which the name begins.
    """

    name: str
    at: dict[str, Any] | None
    alias: str
    position: int


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement that reads.

    Attributes:
        text: what is run.
        tree: DuckDB's parse, the statement's topmost ``node``, of a PIVOT over the values of a column with values listed; None where
            its parser gives none.
        references: the tables named in FROM clauses.
        names: their names, and those of CTEs, in lower case; None where the text may read tables that it does not name so.
        ctes: names of common table expressions, lower case.
        is_single: False where DuckDB runs something before it (PIVOT over the values of a column).
    """

    text: str
    tree: dict[str, Any] | None
    references: tuple[TableReference, ...]
    names: frozenset[str] | None
    ctes: frozenset[str]
    is_single: bool

    def replace_names(self, names: dict[TableReference, str]) -> str:
        """Return the text with other names in place of some references, which keep their aliases."""
        from lakefmt.query.at_clauses import replace_reference

        content = self.text.encode()
        for reference in sorted(names, key=lambda each: each.position, reverse=True):
            content = replace_reference(content, reference, names[reference])
        return content.decode()


def parse_statement(text: Any, *, opens_files: bool = False) -> Statement:
    """Read a text.

    Args:
        text: what was written.
        opens_files: it may call functions that read files.

    Raises InvalidInputError: it is not one SELECT, VALUES, DESCRIBE, SUMMARIZE, PIVOT or the like.
    """
    if not isinstance(text, str):
        raise InvalidInputError(
            f"SQL is text, not {type(text).__name__}", hint='Write lakefmt.sql("SELECT ...")'
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError("The SQL text holds half a surrogate pair, which is no text") from error
    # A text that is run again and again is read once; a long one is rarely run twice.
    return (_parse_again if len(text) <= _LONGEST_KEPT else _parse)(text, opens_files)


def parameters_left(before: Statement, after: Statement, parameters: Parameters) -> Parameters:
    """Return the values of a statement's placeholders without those that stood in AT clauses alone.

    Args:
        before: the statement with its AT clauses.
        after: the same without them, whose ``?`` are counted anew.
        parameters: of the former.
    """
    of_clauses = {name for each in before.references if each.at for name in _placeholders([each.at])}
    if not parameters or not of_clauses or before.tree is None or after.tree is None:
        return parameters
    left, kept = set(_placeholders([after.tree])), set(_placeholders([before.tree], clauses=False))
    if isinstance(parameters, dict):
        return {name: value for name, value in parameters.items() if name in left or name not in of_clauses}
    gone = of_clauses - kept
    values = {number: value for number, value in enumerate(parameters, 1) if str(number) not in gone}
    if left != kept or list(values) == list(range(1, len(values) + 1)):
        return list(values.values()) or None  # of ?, which are counted anew, or of $1 to the last one
    return {str(number): value for number, value in values.items()}


def _placeholders(waiting: list[Any], *, clauses: bool = True) -> Iterator[str]:
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if each.get("class") == "PARAMETER":
                yield str(each["identifier"])
            waiting += [value for name, value in each.items() if clauses or name != "at_clause"]
        elif isinstance(each, list):
            waiting += each


def iterate_nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every node of a parse, whatever it is; without recursion, for texts nested without end."""
    waiting = [tree]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
            waiting.extend(value for value in each.values() if isinstance(value, dict | list))
        else:
            waiting.extend(value for value in each if isinstance(value, dict | list))


def _parse(text: str, opens_files: bool) -> Statement:  # noqa: FBT001 - the key of a cache
    import duckdb

    cursor = isolated.cursor()
    try:
        statements = cursor.extract_statements(text)
        is_single = _check_reads(
            text, [str(each.type.name) for each in statements], [each.query for each in statements]
        )
        tree = _tree_of(cursor, text)
        listed = None
        if not is_single:
            from lakefmt.query.pivots import list_pivot_values

            listed = list_pivot_values(text)
            tree = _tree_of(cursor, listed.text)
    except duckdb.Error as error:
        raise invalid_query(error, text) from error
    nodes = [] if tree is None else list(iterate_nodes(tree))
    if listed is not None and not listed.is_understood(nodes):
        tree = None
    if (changing := _calls_what_changes(nodes, text)) is not None:
        raise _does_more(f"{changing}()", text)
    if tree is None:
        return Statement(text, None, (), None, frozenset(), is_single)
    for node in nodes:
        if not opens_files and _opens_a_file(node):
            raise opens_a_file(f"{node['function']['function_name']}()")
    ctes = frozenset(
        str(entry["key"]).lower()
        for node in nodes
        if "cte_map" in node
        for entry in node["cte_map"].get("map", ())
    ) | frozenset(str(node["cte_name"]).lower() for node in nodes if node.get("cte_name"))
    named = frozenset(node["table_name"].lower() for node in nodes if node.get("type") == "BASE_TABLE")
    names = None if any(_may_name_tables(node) and not _opens_a_file(node) for node in nodes) else named
    references = tuple(_references(nodes, ctes))
    if listed is not None:
        references = tuple([replace(each, position=listed.position(each.position)) for each in references])
    return Statement(text, tree, references, names, ctes, is_single)


_parse_again = lru_cache(_MOST_KEPT)(_parse)


def _tree_of(cursor: duckdb.DuckDBPyConnection, text: str) -> dict[str, Any] | None:
    """Return DuckDB's parse of one statement, None where it tells none."""
    answer = serialize_sql(text, cursor)
    if answer["error"] or len(answer["statements"]) != 1:
        return None
    tree: dict[str, Any] = answer["statements"][0]["node"]
    return tree


def _check_reads(text: str, kinds: list[str], texts: list[str]) -> bool:
    """Return whether it is one statement for DuckDB, too."""
    if not kinds:
        raise InvalidInputError("The SQL text is empty", hint='Write lakefmt.sql("SELECT ...")')
    if len(kinds) == 1 and kinds[0] in _READING:
        return kinds[0] == "SELECT"
    # PIVOT over the values of a column is parsed to two statements that have no text of their own.
    if kinds[-1] == "SELECT" and set(kinds[:-1]) == {"CREATE"} and not any(texts):
        return False
    if len(kinds) > 1:
        raise InvalidInputError("SQL of several statements is not run", hint="Give one statement at a time")
    raise _does_more(kinds[0].replace("_", " "), text, hint=_HINTS.get(kinds[0]))


def _does_more(what: str, text: str, *, hint: str | None = None) -> InvalidInputError:
    return InvalidInputError(
        f"A query only reads; {what} does something else, in {text.strip()[:80]!r}",
        hint=hint or "Give a SELECT, VALUES, DESCRIBE, SUMMARIZE, PIVOT or FROM statement",
    )


def _calls_what_changes(nodes: list[dict[str, Any]], text: str) -> str | None:
    """Return the name of a function that does more than read, as far as a parse tells it: of none, as the text does."""
    called = [text] if not nodes else []
    for node in nodes:
        if node.get("type") == "TABLE_FUNCTION":
            name = str(node["function"].get("function_name", ""))
            below = iterate_nodes(node["function"]) if name.lower() in _TEXT_FUNCTIONS else ()
            texts = [each for each in below if each.get("class") == "CONSTANT"]
            texts.sort(key=lambda each: int(each["query_location"]))  # of a text put together, too
            called += [name, "".join(str(literal_of(each)[1]) for each in texts)]
    found = (_CHANGING_FUNCTIONS.search(each) for each in called)
    return next((each[1].lower() for each in found if each is not None), None)


def _references(nodes: list[dict[str, Any]], ctes: frozenset[str]) -> Iterator[TableReference]:
    for node in nodes:
        if node.get("type") != "BASE_TABLE" or node.get("catalog_name") or node.get("schema_name"):
            continue
        at = node.get("at_clause")
        if at is None and node["table_name"].lower() in ctes:
            continue
        yield TableReference(
            node["table_name"], _Frozen(at) if at else None, node["alias"], node["query_location"]
        )


def _opens_a_file(node: dict[str, Any]) -> bool:
    """Whether a node calls a function that reads files, and no table."""
    return node.get("type") == "TABLE_FUNCTION" and bool(
        _FILE_FUNCTIONS.fullmatch(str(node["function"].get("function_name", "")))
    )


def _may_name_tables(node: dict[str, Any]) -> bool:
    """Whether a node may read a table without a reference to it."""
    if node.get("type") == "TABLE_FUNCTION":
        return str(node["function"].get("function_name", "")).lower() not in _PLAIN_TABLE_FUNCTIONS
    return node.get("type") == "SHOW_REF" and bool(node.get("table_name"))


class _Frozen(dict[str, Any]):
    """A node as part of a frozen value: known by its identity."""

    __slots__ = ()

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)
