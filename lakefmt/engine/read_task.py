"""What is to be read: values that describe it, small enough to be sent to wherever they are carried out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from lakefmt.cached import cached_value

if TYPE_CHECKING:
    from lakefmt.expressions import Predicate
    from lakefmt.store.contract import Store

__all__ = ["NumberedColumn", "PresentRows", "ReadSpec", "ReadTask", "RowSelection"]


class RowSelection(Protocol):
    """Which rows of a file are there, before anybody has looked: a deletion vector and where it is, say.

    Small and picklable, since every task carries its own. The units of a file ask for the same one, from several
    threads, and are given the same rows.
    """

    def load(self, store: Store, key: str, num_rows: int) -> PresentRows:
        """Find out, for the file ``key`` of ``num_rows`` rows; may be a request to storage.

        Raises:
            CorruptTableError: what says so is missing or damaged, or not about this file.
            UnsupportedFeatureError: it is kept in a way that this release does not know.
            StoreError: storage failed.
        """


class PresentRows(Protocol):
    """Which rows of a file are there, by physical position."""

    def keep(self, start: int, length: int) -> pa.BooleanArray:
        """Return, for ``length`` rows from the file's row ``start`` on, whether each is there."""

    def count(self, start: int, length: int) -> int:
        """Return how many of them are."""


@dataclass(frozen=True, slots=True)
class NumberedColumn:
    """A column of int64 that is never null: where a file keeps no value for a row, it follows from the task's number.

    Attributes:
        name: in ``ReadSpec.schema``; files may keep values under the name of ``ReadSpec.physical``.
        by_position: the row's place in the file, from 0, is added to the number.
    """

    name: str
    by_position: bool


@dataclass(frozen=True, slots=True)
class ReadTask:
    """A data file, or some of its row groups.

    Attributes:
        key: its key in the store.
        size_bytes: its length as the log has it.
        partition_values: one scalar per partition column, in the column's type.
        row_groups: the row groups to read; None for all.
        rows: the rows that are there; None for all.
        float_bounds_hold: footer bounds of floating-point columns hold for NaN too, because the file is known to
            keep no bounds on columns with NaN (as this library's writer does). Foreign writers leave NaN out.
        numbers: one for each of ``ReadSpec.numbered``.
    """

    key: str
    size_bytes: int
    partition_values: tuple[pa.Scalar[Any], ...] = ()
    row_groups: range | None = None
    rows: RowSelection | None = None
    float_bounds_hold: bool = False
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class ReadSpec:
    """What is wanted of every file of a read.

    Attributes:
        schema: all columns of the table (at least those that are returned or named by the predicate).
        physical: the same columns, in the same order, as files name them, with their ``PARQUET:field_id``.
        columns: names of the columns to return, in order; None for all.
        predicate: rows to return; None for all.
        partition_columns: names of the columns whose value stands in the task, never in the file.
        match_by_id: columns are found by field id (column mapping mode "id") rather than by name.
        numbered: the columns whose values a file may leave to the number in its task.
        pruner: row groups in which it is true for no row may be left out; rows of the others are not looked at. None
            for none. Beside a predicate it means nothing: that prunes by itself.
    """

    schema: pa.Schema
    physical: pa.Schema
    columns: tuple[str, ...] | None = None
    predicate: Predicate | None = None
    partition_columns: tuple[str, ...] = ()
    match_by_id: bool = False
    numbered: tuple[NumberedColumn, ...] = ()
    pruner: Predicate | None = None

    @cached_value
    def result_schema(self) -> pa.Schema:
        """The columns returned."""
        if self.columns is None:
            return self.schema
        return pa.schema([self.schema.field(name) for name in self.columns])

    @cached_value
    def numbered_names(self) -> frozenset[str]:
        """The names of the numbered columns."""
        return frozenset([column.name for column in self.numbered])

    @cached_value
    def predicate_columns(self) -> tuple[str, ...]:
        """The columns the predicate looks at."""
        return () if self.predicate is None else self.predicate.columns

    def physical_field(self, name: str) -> pa.Field[Any]:
        """Return how files name a column of the table."""
        return self.physical.field(self.schema.get_field_index(name))
