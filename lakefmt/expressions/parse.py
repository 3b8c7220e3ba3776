"""``parse_predicate``: from what a user passes as ``where`` to a validated ``Predicate``.

DuckDB judges: its parser reads the text, its binder checks it against an empty row source with the table's types.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lakefmt.databases import isolated
from lakefmt.errors import InvalidInputError
from lakefmt.expressions.duckdb_errors import invalid_predicate, shown
from lakefmt.expressions.operators import Expression
from lakefmt.expressions.predicate import ALL_ROWS, Predicate
from lakefmt.expressions.sql import duckdb_type, plain_value, quote_identifier, quote_literal
from lakefmt.expressions.survey import CLOCK_NAMES, Survey, check_functions, survey
from lakefmt.expressions.syntax import Syntax, literal_of, parse_syntax
from lakefmt.expressions.translate import Translation

if TYPE_CHECKING:
    from lakefmt.expressions.constants import Parameters
    from lakefmt.schema import Schema

__all__ = ["parse_predicate", "plain_parameters"]

_CLOCK_CALL = re.compile(rb"([A-Za-z_]+)\s*(?:\(\s*\))?")
_DATES = {"current_date", "today"}
_LOCAL = {"current_localtimestamp", "localtimestamp"}
_BOOLEAN_NODES = {"COMPARISON", "CONJUNCTION", "BETWEEN"}
_BOOLEAN_OPERATORS = {
    "COMPARE_IN",
    "COMPARE_NOT_IN",
    "OPERATOR_IS_NOT_NULL",
    "OPERATOR_IS_NULL",
    "OPERATOR_NOT",
}


def parse_predicate(
    where: str | Expression | Predicate | None,
    schema: Schema,
    params: Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    table: str | None = None,
    now: datetime | None = None,
) -> Predicate:
    """Validate a predicate against a schema.

    Column names are matched as DuckDB does, upper and lower case alike. Literals mean what they mean in DuckDB in a
    session whose time zone is UTC: ``TIMESTAMP '2026-01-01'`` beside a timestamp column is midnight UTC, and a plain
    text (``day >= '2026-01-01'``) is cast to the column's type. ``now()`` and its like are the moment of this call,
    fixed in ``Predicate.sql``.

    Args:
        where: one SQL expression in DuckDB's dialect; an expression made with ``col``; None for all rows.
        schema: the table's columns.
        params: values of ``?`` (a sequence) or ``$name`` (a mapping).
        table: the table's URI, for error messages.
        now: the moment that ``now()`` stands for, with a time zone.

    Raises:
        InvalidInputError: not one boolean expression over these columns; what is wrong is named.
    """
    import duckdb

    if where is None:
        return ALL_ROWS
    text, parameters = _text_of(where, table), plain_parameters(params, table)
    if isinstance(where, Predicate) and params is None:
        parameters = where.params
    try:
        return _parse(text, schema, parameters, now or datetime.now(UTC), table)
    except duckdb.Error as error:
        raise invalid_predicate(error, text, table=table) from error
    except RecursionError as error:
        raise InvalidInputError(
            f"The predicate {shown(text)} is nested too deeply",
            table=table,
            hint="Use IN for long lists of values",
        ) from error


def _parse(text: str, schema: Schema, parameters: Parameters, now: datetime, table: str | None) -> Predicate:
    syntax = parse_syntax(text, table=table)
    found = survey(syntax.root, schema, text=text, table=table)
    fixed = _fix_clock(text, syntax, found, now) if found.clock else text
    if fixed != text:
        syntax = parse_syntax(fixed, table=table)
        found = survey(syntax.root, schema, text=text, table=table)
    check_functions(found.functions, text=text, table=table)
    rows = _empty_rows(schema, found)
    # In a WHERE clause, where DuckDB's binder refuses aggregates.
    isolated.cursor().execute(f"SELECT 1 FROM {rows} WHERE ({fixed}\n)", parameters)
    _check_boolean(fixed, syntax, rows, parameters, table)
    tree = Translation(syntax, schema, parameters).translate(syntax.root)
    return Predicate(fixed, parameters, tuple(found.columns), tree)


def _text_of(where: Any, table: str | None) -> str:
    if isinstance(where, str | Expression | Predicate):
        text = where if isinstance(where, str) else where.sql
        _check_unicode(text, table)
        return text
    kind = f"{type(where).__module__}.{type(where).__qualname__}"
    if kind.startswith("pyarrow."):
        hint = "Write it as SQL (\"fare > 10\") or with lakefmt.col: col('fare') > 10"
    elif kind.startswith("polars."):
        hint = "Write it as SQL, or filter the lazy frame: t.to_polars().filter(...)"
    elif isinstance(where, list | tuple):
        hint = 'Write ("month", "=", 1) as "month = 1", and join several with AND'
    elif isinstance(where, bool):
        hint = "Leave it out, or pass None, to take all rows"
    else:
        hint = "Pass SQL text, or an expression made with lakefmt.col"
    raise InvalidInputError(
        f"A predicate is SQL text, not {kind.removeprefix('builtins.')}", table=table, hint=hint
    )


def _check_unicode(values: Iterable[Any], table: str | None) -> None:
    try:
        for value in [values] if isinstance(values, str) else values:
            if isinstance(value, str):
                value.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            "The predicate holds half a surrogate pair, which is no text", table=table
        ) from error


def plain_parameters(params: Any, table: str | None) -> Parameters:
    """Return values of placeholders as Python has them. Raises InvalidInputError: they are no list and no mapping."""
    plain: Parameters
    if params is None:
        return None
    if isinstance(params, Mapping):
        plain = {str(name): plain_value(value) for name, value in params.items()}
        _check_unicode(plain.values(), table)
        return plain
    if isinstance(params, Sequence) and not isinstance(params, str | bytes):
        plain = [plain_value(value) for value in params]
        _check_unicode(plain, table)
        return plain
    raise InvalidInputError(
        f"params is a {type(params).__name__}",
        table=table,
        hint="Pass a list for ? or a dictionary for $name",
    )


def _fix_clock(text: str, syntax: Syntax, found: Survey, now: datetime) -> str:
    """Write the moment in place of ``now()`` and its like, so that planning and every task read the same.

    One that is not written plainly (a quoted ``"now"()``) stays, and is refused as any function of its kind.
    """
    content = text.encode()
    places = [syntax.position_of(node) for node in found.clock]
    for place in sorted({each for each in places if each is not None}, reverse=True):
        call = _CLOCK_CALL.match(content, place)
        name = call[1].decode().lower() if call else ""
        if call is None or name not in CLOCK_NAMES:
            continue
        moment = now.astimezone(UTC)
        value = moment.date() if name in _DATES else moment.replace(tzinfo=None) if name in _LOCAL else moment
        content = content[:place] + f"({quote_literal(value)})".encode() + content[call.end() :]
    return content.decode()


def _empty_rows(schema: Schema, found: Survey) -> str:
    """Return a SQL row source without rows that has the columns named, with the table's types."""
    fields = [schema.field(name) for name in dict.fromkeys(path[0] for path in found.columns)]
    columns = [f"CAST(NULL AS {duckdb_type(each.type)}) AS {quote_identifier(each.name)}" for each in fields]
    return f"(SELECT {', '.join(columns) or '1'} LIMIT 0)"


def _check_boolean(text: str, syntax: Syntax, rows: str, parameters: Parameters, table: str | None) -> None:
    """Refuse what is no condition: a WHERE clause would take numbers for one."""
    root = syntax.root
    if root["class"] in _BOOLEAN_NODES or root["type"] in _BOOLEAN_OPERATORS:
        return
    if literal_of(root) == (True, None):
        return  # a condition that is never true; DuckDB calls its type INTEGER
    description = isolated.cursor().execute(f"SELECT ({text}\n) FROM {rows}", parameters).description
    type_ = str(description[0][1]) if description else ""
    if type_ != "BOOLEAN":
        raise InvalidInputError(
            f"The predicate {shown(text)} is of type {type_}, not a condition that is true or false",
            table=table,
            hint=f"Compare it with something: {text} = ..." if root["class"] == "COLUMN_REF" else None,
        )
