"""Keys of rows that go together: which columns, and the type that they are compared in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakefmt.databases import isolated
from lakefmt.errors import InvalidInputError, UnsupportedFeatureError
from lakefmt.expressions import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

__all__ = ["HashKey", "SortKey", "check_order", "common_type", "evaluate_keys", "key_columns"]

_COMPARISON = re.compile(r"\((?P<left>a|CAST\(a AS (?P<type>.+)\)) = (?P<right>b|CAST\(b AS .+\))\)")


@dataclass(frozen=True, slots=True)
class HashKey:
    """A column whose equal values come to one place.

    Attributes:
        column: its name.
        type: DuckDB's name of the type to compare it in; None for its own. Where the rows of two sides are to meet, both
            take ``common_type``: equal values of different types hash differently (1.5 as FLOAT and as DOUBLE).
    """

    column: str
    type: str | None = None

    @property
    def sql(self) -> str:
        """The key as an expression of DuckDB's."""
        return _cast(self.column, self.type)


@dataclass(frozen=True, slots=True)
class SortKey:
    """A column to order by, as DuckDB's ORDER BY does: NaN is the greatest number, texts go by their bytes.

    Attributes:
        column: its name.
        descending: greatest first.
        nulls_first: NULL before every value.
        type: DuckDB's name of the type to order it in (an ENUM goes by its list, as text by its letters); None for its own.
    """

    column: str
    descending: bool = False
    nulls_first: bool = False
    type: str | None = None

    @property
    def sql(self) -> str:
        """The key as an expression of DuckDB's."""
        return _cast(self.column, self.type)

    @property
    def modifier(self) -> str:
        """Direction and place of NULL, as DuckDB spells them."""
        return f"{'DESC' if self.descending else 'ASC'} NULLS {'FIRST' if self.nulls_first else 'LAST'}"


def common_type(left: str, right: str) -> str:
    """Return the type in which DuckDB compares a value of ``left`` with one of ``right``.

    DuckDB itself is asked: it binds the comparison, and its plan has the casts.

    Raises:
        InvalidInputError: DuckDB does not compare them.
        UnsupportedFeatureError: it compares them by something else than equality in one type (a collation).
    """
    import duckdb

    with isolated.cursor() as connection:
        connection.execute("PRAGMA disable_optimizer")
        statement = f"SELECT 1 FROM (SELECT CAST(NULL AS {left}) AS a), (SELECT CAST(NULL AS {right}) AS b)"
        try:
            types = [str(each) for each in connection.sql(statement.replace("1", "a, b", 1)).types]
            plan = connection.execute(f"EXPLAIN (FORMAT json) {statement} WHERE a = b").fetchall()[0][1]
        except duckdb.Error as error:
            reason = str(error).partition("\n")[0]
            raise InvalidInputError(f"{left} and {right} cannot be compared: {reason}") from error
    if types[0] == types[1]:
        return types[0]
    found = _COMPARISON.search(_filter_text(plan))
    if found is None:
        raise UnsupportedFeatureError(
            f"DuckDB compares {left} with {right} in a way that rows cannot be sent to one place by",
            hint="Cast both to one type",
        )
    return found["type"] or types[0]


def key_columns(keys: Sequence[HashKey | SortKey], schema: pa.Schema) -> list[str]:
    """Return the names of the keys' columns, each once.

    Raises:
        InvalidInputError: there is no key, or no such column, or more than one of the name.
    """
    if not keys:
        raise InvalidInputError("There is no key to put rows together by", hint="Name at least one column")
    for key in keys:
        count = len(schema.get_all_field_indices(key.column))
        if count != 1:
            problem = "There is no column" if count == 0 else "There is more than one column"
            raise InvalidInputError(
                f"{problem} {key.column!r} to put rows together by",
                hint=f"The columns are {', '.join(map(repr, schema.names))}",
            )
    return list(dict.fromkeys(key.column for key in keys))


def check_order(keys: Sequence[SortKey], schema: pa.Schema) -> None:
    """Go on if DuckDB's sort keys have the order of its ORDER BY for these columns.

    Those of intervals have not: a month is equal to 30 days, and the keys of the two differ.

    Raises:
        UnsupportedFeatureError: a key is an interval, or has one in it; it names the column.
    """
    for key in keys:
        is_interval = (
            _has_interval(schema.field(key.column).type)
            if key.type is None
            else "INTERVAL" in key.type.upper()
        )
        if is_interval:
            raise UnsupportedFeatureError(
                f"Rows cannot be put in the order of column {key.column!r}: equal intervals, such as a month and 30 days, "
                "have sort keys that differ",
                hint="Order by a number that is made of it, such as epoch_us(...)",
            )


def evaluate_keys(
    rows: pa.RecordBatch, keys: Sequence[HashKey | SortKey], expression: str
) -> pa.ChunkedArray[Any]:
    """Return the values of an expression of the keys' columns, one a row, in the rows' order.

    Raises:
        InvalidInputError: a value cannot be cast to its key's type, or DuckDB does not know the column's type.
    """
    import duckdb
    import pyarrow as pa

    from lakefmt.arrow_layout import unslice_structs

    names = key_columns(keys, rows.schema)
    table = pa.Table.from_batches([unslice_structs(rows.select(names))])
    with isolated.cursor() as connection:
        try:
            connection.register("rows", table)
            # A relation: what `execute` has run would be copied once more.
            found = connection.sql(f"SELECT {expression} AS key FROM rows")
            to_table = getattr(found, "to_arrow_table", None) or found.fetch_arrow_table
            column: pa.ChunkedArray[Any] = to_table().column(0)
        except (duckdb.Error, pa.ArrowException) as error:
            reason = str(error).partition("\n")[0]
            raise InvalidInputError(f"The keys {', '.join(names)} cannot be evaluated: {reason}") from error
        finally:
            connection.unregister("rows")
    return column


def _cast(column: str, type_: str | None) -> str:
    name = quote_identifier(column)
    return name if type_ is None else f"CAST({name} AS {type_})"


def _has_interval(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        encoded: Any = kind
        return _has_interval(encoded.value_type)
    if pa.types.is_nested(kind):
        nested: Any = kind
        return any(_has_interval(nested.field(place).type) for place in range(nested.num_fields))
    return pa.types.is_interval(kind)


def _filter_text(plan: str) -> str:
    """Return the texts of a plan's expressions."""
    import json

    texts: list[str] = []

    def visit(node: Any) -> None:
        if isinstance(node, dict):
            for each in node.values():
                visit(each)
        elif isinstance(node, list):
            for each in node:
                visit(each)
        elif isinstance(node, str):
            texts.append(node)

    visit(json.loads(plan))
    return "\n".join(texts)
