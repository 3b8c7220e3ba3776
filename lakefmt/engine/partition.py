"""Cutting record batches by their partition values, a whole batch at a time.

Values are made canonical on the way, in the rows as well, so that a file and its log entry cannot disagree:
an empty string is null (PROTOCOL.md, "Partition Value Serialization"), -0.0 is 0.0, and every NaN is one value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.errors import ConstraintViolationError

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

__all__ = ["Piece", "partition_identity", "split_by_partition"]


@dataclass(frozen=True, slots=True)
class Piece:
    """The rows of one batch that belong to one partition, in the batch's order.

    Attributes:
        values: one scalar per partition column, canonical.
        identity: equal for equal partitions; what a dict of partitions is keyed by (scalars are not: NaN != NaN).
        batch: the rows, in memory of their own unless they are the whole batch.
        empty_strings_nulled: rows of this piece in which an empty string became null.
    """

    values: tuple[pa.Scalar[Any], ...]
    identity: tuple[Hashable, ...]
    batch: pa.RecordBatch
    empty_strings_nulled: int


def split_by_partition(batch: pa.RecordBatch, columns: Sequence[int]) -> list[Piece]:
    """Cut a batch into one piece per distinct tuple of values in ``columns`` (positions).

    Raises:
        ConstraintViolationError: an empty string in a NOT NULL partition column, where it would become null.
    """
    if not columns:
        return [Piece((), (), batch, 0)]
    batch, nulled = _canonical(batch, columns)
    if batch.num_rows == 0:
        return []
    if batch.num_rows == 1:
        return [_piece(batch, columns, nulled)]
    codes = _partition_codes(batch, columns)
    if codes is None:
        return [_piece(batch, columns, nulled)]

    import pyarrow.compute as pc

    order = pc.sort_indices(codes)
    runs = cast("Any", pc).run_end_encode(codes.take(order))
    pieces = []
    start = 0
    for end in runs.run_ends.to_pylist():
        # One take per partition rather than one take and slices of it: a slice that waits in a buffer for more
        # rows would keep the rows of all other partitions in memory.
        rows = order.slice(start, end - start)
        pieces.append(_piece(batch.take(rows), columns, None if nulled is None else nulled.take(rows)))
        start = end
    return pieces


def partition_identity(values: Sequence[pa.Scalar[Any]]) -> tuple[Hashable, ...]:
    """Return what is equal for equal partitions, to key a dict by; scalars are not fit for it (NaN != NaN)."""
    return tuple(_identity(value) for value in values)


def _piece(batch: pa.RecordBatch, columns: Sequence[int], nulled: pa.BooleanArray | None) -> Piece:
    values = tuple(batch.column(column)[0] for column in columns)
    count = 0 if nulled is None else nulled.true_count
    return Piece(values, partition_identity(values), batch, count)


def _identity(value: pa.Scalar[Any]) -> Hashable:
    if not value.is_valid:
        return None
    kind = value.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        # Not as_py(): Python's dates end with the year 9999.
        return cast("int", cast("Any", value).value)
    plain = value.as_py()
    return "NaN" if plain != plain else cast("Hashable", plain)  # noqa: PLR0124 (only NaN differs from itself)


def _canonical(
    batch: pa.RecordBatch, columns: Sequence[int]
) -> tuple[pa.RecordBatch, pa.BooleanArray | None]:
    """Return the batch with canonical partition values, and where an empty string became null (None: nowhere)."""
    nulled: Any = None
    for column in columns:
        field = batch.schema.field(column)
        values: Any = batch.column(column)
        if pa.types.is_string(field.type):
            if not _may_hold_empty(values):
                continue
            import pyarrow.compute as pc

            empty = pc.fill_null(pc.equal(values, pa.scalar("", field.type)), pa.scalar(False))
            if not empty.true_count:
                continue
            if not field.nullable:
                raise ConstraintViolationError(
                    f"column {field.name!r} is a partition column and NOT NULL, but {empty.true_count:,} row(s) "
                    "hold an empty string, which is null in a partition column",
                    hint="Give these rows another value, or make the column nullable.",
                )
            canonical = pc.if_else(empty, pa.scalar(None, field.type), values)
            nulled = empty if nulled is None else pc.or_(nulled, empty)
        elif pa.types.is_floating(field.type):
            import pyarrow.compute as pc

            zero, nan = pa.scalar(0, field.type), pa.scalar(float("nan"), field.type)
            canonical = pc.if_else(pc.is_nan(values), nan, pc.add(values, zero))
        else:
            continue
        batch = batch.set_column(column, field, canonical)
    return batch, nulled


def _may_hold_empty(values: Any) -> bool:
    # The one-row append comes through here: a Python look is quicker than two kernel calls.
    return values[0].as_py() == "" if len(values) == 1 else True


def _partition_codes(batch: pa.RecordBatch, columns: Sequence[int]) -> Any | None:
    """Return one int64 per row, equal where the partitions are; None where the whole batch is one partition."""
    import pyarrow.compute as pc

    codes: Any = None
    groups = 1
    for column in columns:
        encoded: Any = pc.dictionary_encode(batch.column(column), null_encoding="encode")
        size = len(encoded.dictionary)
        if size == 1:
            continue
        indices = encoded.indices.cast(pa.int64())
        if codes is None:
            codes, groups = indices, size
            continue
        if groups * size >= 1 << 62:
            # Only with many high-cardinality columns: rank what there is so far, at most one code per row.
            ranked = codes.dictionary_encode()
            codes, groups = ranked.indices.cast(pa.int64()), len(ranked.dictionary)
        codes = pc.add(pc.multiply(codes, size), indices)
        groups *= size
    return codes
