"""Rows on their way into a table: columns found by name, values cast only where none changes.

The error that a user sees names the column (nested ones by their path), the row, counted from 0 over the whole
input, and the value. Finding it costs nothing while all is well: checks are made on whole columns, and the row is
looked for only after one of them failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NoReturn

import pyarrow as pa

from lakefmt.errors import ConstraintViolationError, SchemaMismatchError
from lakefmt.schema.exact import Misfit, fit_array, match_names, requires_members
from lakefmt.schema.sources import BatchSource, open_source
from lakefmt.schema.table_schema import Schema, closest_names
from lakefmt.schema.types import format_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakefmt.schema.types import FieldPath

__all__ = ["conform_batches"]

_BATCH_BYTES = 1 << 30  # Arrow's plain strings address 2 GiB; larger batches of other layouts are cut before


def conform_batches(
    data: Any, schema: Schema, *, timestamp_ns: Literal["error", "truncate"] = "error"
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of ``data`` as batches of ``schema.to_arrow()``.

    Columns are matched by name, in any order: the same spelling first, else the only one alike but for upper and
    lower case. A nullable column that the data does not have is filled with nulls. Memory is bounded by the
    input's own batches.

    Args:
        data: what ``open_source`` takes, or an open source.
        schema: the table's.
        timestamp_ns: what becomes of a timestamp that is no whole number of microseconds: ``"error"``, or
            ``"truncate"`` to round it down.

    Raises:
        SchemaMismatchError: a column that the table does not have, one that is missing and must not be null, or
            a value that would have to change. The columns of the first batch are looked at before this returns.
        ConstraintViolationError: a null where none may be.
        Exception: whatever the input raises, unchanged.
    """
    source = data if isinstance(data, BatchSource) else open_source(data, schema)
    conformer = _Conformer(schema, truncate_ns=timestamp_ns == "truncate")
    conformer.match(source.schema)
    return _conform(source, conformer)


def _conform(source: BatchSource, conformer: _Conformer) -> Iterator[pa.RecordBatch]:
    batches = source.batches
    try:
        for batch in batches:
            yield from conformer.conform(batch)
    finally:
        close = getattr(batches, "close", None)
        if close is not None:
            close()


class _Conformer:
    """Fits batch after batch to one schema, and counts their rows."""

    def __init__(self, schema: Schema, *, truncate_ns: bool) -> None:
        self._schema = schema
        self._target = schema.to_arrow()
        self._fields = list(self._target)
        self._truncate_ns = truncate_ns
        self._rows_before = 0
        # Columns of the right type that still need a look: a null may be where none must.
        self._required = [
            (position, field, bool(field.type.num_fields and requires_members(field.type)))
            for position, field in enumerate(self._fields)
            if not field.nullable or (field.type.num_fields and requires_members(field.type))
        ]
        self._matched: pa.Schema | None = None
        self._positions: list[int | None] = []

    def match(self, source: pa.Schema) -> list[int | None]:
        """Return for each column of the table its position in the input, None where it is to be null."""
        if self._matched is not None and source.equals(self._matched):
            return self._positions
        try:
            positions = match_names(source.names, self._target.names)
        except Misfit as misfit:
            self._refuse(misfit, ())
        missing = [
            field.name
            for position, field in zip(positions, self._fields, strict=True)
            if position is None and not field.nullable
        ]
        if missing:
            raise SchemaMismatchError(
                f"the data has no column {', '.join(map(repr, missing))}, which must not be null",
                hint=f"The data's columns are {source.names}",
            )
        self._matched, self._positions = source, positions
        return positions

    def conform(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Yield the batch in the table's schema, in parts if it is too large for that."""
        if batch.schema.equals(self._target, check_metadata=True):
            self._check_required(batch)
            yield batch
        elif batch.nbytes > _BATCH_BYTES and batch.num_rows > 1:
            half = batch.num_rows // 2
            yield from self.conform(batch.slice(0, half))
            yield from self.conform(batch.slice(half))
            return
        else:
            yield self._fit(batch)
        self._rows_before += batch.num_rows

    def _check_required(self, batch: pa.RecordBatch) -> None:
        for position, field, nested in self._required:
            column = batch.column(position)
            if nested or column.null_count:
                self._fit_column(column, field)

    def _fit(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = [
            pa.nulls(batch.num_rows, field.type)
            if position is None
            else self._fit_column(batch.column(position), field)
            for position, field in zip(self.match(batch.schema), self._fields, strict=True)
        ]
        if not columns:
            return batch
        return pa.RecordBatch.from_arrays(columns, schema=self._target)

    def _fit_column(self, column: pa.Array[Any], field: pa.Field[Any]) -> pa.Array[Any]:
        try:
            return fit_array(column, field, truncate_ns=self._truncate_ns)
        except Misfit as misfit:
            self._refuse(misfit, (field.name,))

    def _refuse(self, misfit: Misfit, parents: FieldPath) -> NoReturn:
        path = (*parents, *misfit.path)
        where = f"column {format_path(path)}"
        if misfit.row is not None:
            where += f", row {self._rows_before + misfit.row},"
        if misfit.is_null:
            hint = "Give it a value, or make the column nullable"
            raise ConstraintViolationError(f"{where} {misfit.reason}", hint=hint) from None
        hint = misfit.hint or ""
        if misfit.leftover:
            close = closest_names(path[-1], self._siblings(path))
            hint = (
                f"Did you mean {' or '.join(map(repr, close))}?"
                if close
                else "Add the column first, or leave it out"
            )
            if len(misfit.leftover) > 1:
                where = f"columns {', '.join(format_path((*path[:-1], name)) for name in misfit.leftover)}"
                raise SchemaMismatchError(f"{where} are not in the table", hint=hint) from None
        raise SchemaMismatchError(f"{where} {misfit.reason}", hint=hint or None) from None

    def _siblings(self, path: FieldPath) -> list[str]:
        """Return the names that the table has beside the one at ``path``."""
        members: Any = self._fields
        for name in path[:-1]:
            found: Any = next((each for each in members if each.name == name), None)
            if found is None:
                return []
            members = [found.type.field(i) for i in range(found.type.num_fields)]
            if pa.types.is_map(found.type):
                members = [found.type.key_field.with_name("key"), found.type.item_field.with_name("value")]
        return [each.name for each in members]
