"""A user's Python function over rows: what it is given, and what is made of what it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.engine.tasks.failures import is_of_memory
from lakefmt.engine.tasks.function_error import raise_function_error
from lakefmt.errors import InvalidInputError, SchemaMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RowFunction"]


@dataclass(frozen=True, slots=True)
class RowFunction:
    """A function of a table's rows.

    Attributes:
        function: takes a ``pyarrow.Table`` and returns rows: a table, a record batch, a data frame of pandas or polars or
            anything else with an Arrow stream; None for no rows.
        schema: the columns that it returns.
    """

    function: Callable[[pa.Table], Any]
    schema: pa.Schema

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return what the function makes of rows, in the schema.

        Raises:
            SchemaMismatchError: it returned other columns, a value that its column's type cannot hold, NULL in a column
                that has none, or a data frame whose values have no one type.
            InvalidInputError: it returned no rows at all but something else.
            FunctionError: with whatever the function raises.
        """
        try:
            returned = self.function(table)
            rows = None if returned is None else self._as_table(returned)
        except BaseException as error:  # noqa: BLE001 - SystemExit and its like are the function's, too
            raise_function_error(error, self.name)
        return self.schema.empty_table() if rows is None else self._fit(rows)

    @property
    def name(self) -> str:
        """What the function is called in messages."""
        named = getattr(self.function, "__qualname__", None) or type(self.function).__qualname__
        return str(named).rpartition("<locals>.")[2]

    def _as_table(self, returned: Any) -> pa.Table:
        if isinstance(returned, pa.Table):
            return returned
        if isinstance(returned, pa.RecordBatch):
            return pa.Table.from_batches([returned])
        if isinstance(returned, pa.RecordBatchReader):
            # Read here, and not through a C stream, which would lose the kind of what a generator of the function raises.
            return returned.read_all()
        if hasattr(returned, "__arrow_c_stream__"):
            table = self._imported(returned)
            # An index of pandas that nobody asked for comes along as a column.
            return table.select(
                [name for name in table.schema.names if not name.startswith("__index_level_")]
            )
        raise InvalidInputError(
            f"Function {self.name!r} returned {type(returned).__name__}, which is no rows",
            hint="Return a pyarrow.Table, a RecordBatch, a data frame, or None for no rows",
        )

    def _fit(self, table: pa.Table) -> pa.Table:
        if table.schema.equals(self.schema):
            self._check_nulls(table)
            return table
        names = self.schema.names
        if len(table.schema.names) != len(names) or set(table.schema.names) != set(names):
            raise SchemaMismatchError(
                f"Function {self.name!r} returned the columns {', '.join(table.schema.names) or '(none)'}, "
                f"and its schema has {', '.join(names) or '(none)'}",
                hint="Return these columns, in any order, or pass the schema of what it returns",
            )
        columns = [self._cast(table[name], field) for name, field in zip(names, self.schema, strict=True)]
        fitting = pa.Table.from_arrays(columns, schema=self.schema)
        self._check_nulls(fitting)
        return fitting

    def _imported(self, returned: Any) -> pa.Table:
        try:
            table: pa.Table = pa.table(returned)
        except (pa.ArrowException, TypeError, ValueError) as error:
            if is_of_memory(error):
                raise
            reason = ", ".join(map(str, error.args))
            raise SchemaMismatchError(
                f"Function {self.name!r} returned {type(returned).__name__} that cannot be had as Arrow rows: {reason}",
                hint="Give each column one type and a name of its own, or return a pyarrow.Table",
            ) from error
        return table

    def _check_nulls(self, table: pa.Table) -> None:
        for field, column in zip(self.schema, table.columns, strict=True):
            if not field.nullable and column.null_count:
                raise SchemaMismatchError(
                    f"Function {self.name!r} returned NULL in column {field.name!r}, which its schema says has none",
                    hint="Leave such rows out, or pass a schema in which the column is nullable",
                )

    def _cast(self, column: Any, field: pa.Field[Any]) -> Any:
        if column.type.equals(field.type):
            return column
        try:
            return column.cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise SchemaMismatchError(
                f"Function {self.name!r} returned column {field.name!r} as {column.type}, and its schema has {field.type}: "
                f"{str(error).partition(chr(10))[0]}",
                hint="Cast it in the function, or pass the schema of what it returns",
            ) from error
