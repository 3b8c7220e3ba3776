"""``Predicate``: which rows a call is about, validated against one schema."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.arrow_values import scalar_of
from lakefmt.expressions.arrow_filter import arrow_filter
from lakefmt.expressions.duckdb_errors import invalid_predicate
from lakefmt.expressions.evaluation import evaluate
from lakefmt.expressions.outcomes import possible_outcomes
from lakefmt.expressions.tree import Constant, Node, find_columns, is_understood

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow.compute as pc

    from lakefmt.expressions.constants import Parameters
    from lakefmt.expressions.outcomes import BoundsOf
    from lakefmt.expressions.tree import Column
    from lakefmt.schema import FieldPath

__all__ = ["ALL_ROWS", "Predicate"]


@dataclass(frozen=True, slots=True, eq=False)
class Predicate:
    """A boolean expression over a table's rows: a row is meant where it is TRUE, not where it is FALSE or NULL.

    Made by ``parse_predicate``. DuckDB evaluates ``sql`` with ``params``; the tree is what was understood of it, for
    pruning and for Arrow. Picklable.

    Attributes:
        sql: the user's text, with the moment of the call in place of ``now()`` and its like.
        params: values of its ``?`` (a list) or ``$name`` (a dictionary); None where none were given.
        paths: the columns it names, as deep as structs go, in the schema's spelling.
        tree: what was understood of it.
    """

    sql: str
    params: Parameters = None
    paths: tuple[FieldPath, ...] = ()
    tree: Node = field(default=Constant(True), repr=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the top-level columns it looks at, each once."""
        return tuple(dict.fromkeys(path[0] for path in self.paths))

    @property
    def is_always_true(self) -> bool:
        """Whether it means every row, whatever the rows are."""
        return isinstance(self.tree, Constant) and self.tree.outcome is True

    def only_columns(self, names: Iterable[str]) -> bool:
        """Whether it looks at no columns but these."""
        return set(self.columns) <= set(names)

    def to_duckdb(self) -> str:
        """Return it as an operand of a larger SQL expression, in parentheses; ``params`` go with it.

        It holds for a session whose TimeZone is UTC.
        """
        return f"({self.sql}\n)" if "--" in self.sql else f"({self.sql})"

    def to_arrow(self) -> pc.Expression | None:
        """Return the Arrow expression that keeps the same rows, None where not all of it was understood."""
        return arrow_filter(self.tree) if is_understood(self.tree) else None

    def bounded_columns(self) -> dict[FieldPath, Column]:
        """Return the columns whose bounds can narrow the choice of files, by path."""
        return find_columns(self.tree)

    def may_match(self, bounds_of: BoundsOf, num_files: int) -> pa.BooleanArray:
        """Return, for each file, whether it may hold a row that is meant; see ``possible_outcomes``."""
        return possible_outcomes(self.tree, bounds_of).may_be_true(num_files)

    def covers(self, bounds_of: BoundsOf, num_files: int) -> pa.BooleanArray:
        """Return, for each file, whether all its rows are certainly meant; see ``possible_outcomes``."""
        return possible_outcomes(self.tree, bounds_of).always_true(num_files)

    def matches(self, rows: pa.RecordBatch | pa.Table) -> pa.BooleanArray:
        """Return whether each row is meant; never null.

        Args:
            rows: at least the columns the predicate looks at, by the schema's names.

        Raises:
            InvalidInputError: a value that the expression cannot take, such as a text that is cast to a number.
        """
        columns = rows.select(list(self.columns))
        if not columns.num_columns:
            columns = pa.table(
                {"row": pa.nulls(rows.num_rows)}
            )  # neither engine counts rows without a column
        table = columns if isinstance(columns, pa.Table) else pa.Table.from_batches([columns])
        expression = self.to_arrow()
        mask = self._evaluate(table) if expression is None else _project(table, expression)
        return cast("pa.BooleanArray", cast("Any", mask).fill_null(scalar_of(value=False)))

    def _evaluate(self, table: pa.Table) -> pa.BooleanArray:
        import duckdb

        if not table.num_rows:
            return pa.nulls(0, pa.bool_())
        try:
            found = evaluate(
                f"SELECT {self.to_duckdb()} AS is_meant FROM candidate_rows",
                self.params,
                candidate_rows=table,
            )
        except duckdb.Error as error:
            raise invalid_predicate(error, self.sql, table=None) from error
        return cast("pa.BooleanArray", found.column(0).combine_chunks().cast(pa.bool_()))


ALL_ROWS = Predicate("true")
"""The predicate that means every row."""


def _project(table: pa.Table, expression: pc.Expression) -> pa.BooleanArray:
    from pyarrow import acero

    options: Any = acero
    plan = acero.Declaration.from_sequence(
        [
            acero.Declaration("table_source", options.TableSourceNodeOptions(table)),
            acero.Declaration("project", options.ProjectNodeOptions([expression], ["is_meant"])),
        ]
    )
    found = plan.to_table(use_threads=False).column(0).combine_chunks()
    return cast("pa.BooleanArray", found)
