"""How DuckDB's Parquet reader gives a file's columns as the table has them.

A footer tells. Files of one layout are read together, by one ``read_parquet``; where DuckDB would see other values than
the table has, or might see others, there is no layout, and the file is this library's to read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.engine.duckdb_types import duckdb_name_of
from lakefmt.engine.projection import find_column, holds_variants
from lakefmt.errors import CorruptTableError
from lakefmt.expressions import quote_identifier

if TYPE_CHECKING:
    from lakefmt.engine.footers import Footer
    from lakefmt.engine.read_task import ReadSpec

__all__ = ["FileLayout", "choose_layout"]


@dataclass(frozen=True, slots=True)
class FileLayout:
    """What to select from a file.

    Attributes:
        expressions: for each column of the table what gives it; None for a partition column, whose value is in the log.
        columns: what the file has: names and types.
    """

    expressions: tuple[str | None, ...]
    columns: frozenset[tuple[str, str]]


def choose_layout(footer: Footer, spec: ReadSpec, *, float_bounds_hold: bool) -> FileLayout | None:
    """Return how DuckDB reads all columns of the table from a file, None where it would not read the same values.

    Args:
        footer: the file's, or that of another of its shape (``FileShape``).
        spec: the table's columns.
        float_bounds_hold: as in ``ReadTask``.
    """
    if footer.splits_integers or footer.old_calendar or footer.has_marked_kinds:
        return None
    if len({name.lower() for name in footer.schema.names}) < len(footer.schema):
        return None  # names that differ in case only are renamed by DuckDB
    expressions = []
    for name in spec.result_schema.names:
        try:
            expression = _expression(footer, spec, name, float_bounds_hold=float_bounds_hold)
        except (CorruptTableError, _NoExpression):
            return None
        expressions.append(expression)
    columns = frozenset((field.name, str(field.type)) for field in footer.schema)
    return FileLayout(tuple(expressions), columns)


class _NoExpression(Exception):  # noqa: N818 - it never leaves this module
    """A column that DuckDB does not read as the table has it."""


def _expression(footer: Footer, spec: ReadSpec, name: str, *, float_bounds_hold: bool) -> str | None:
    field = spec.physical_field(name)
    column = find_column(footer, field, by_id=spec.match_by_id)
    if name in spec.partition_columns:
        # This library's writer puts the log's value into the file as well, where DuckDB reads it quickest.
        written = column is not None and column.is_plain and column.name == name
        return quote_identifier(name) if written else None
    if holds_variants(field) or name in spec.numbered_names:
        raise _NoExpression
    if column is None:
        if not field.nullable or (kind := duckdb_name_of(field.type)) is None:
            raise _NoExpression
        return f"CAST(NULL AS {kind})"
    if column.is_plain:
        # Members of structs may have other names in files than in the table.
        if not _is_kept_exactly(field.type) or not column.type.equals(spec.schema.field(name).type):
            raise _NoExpression
        source = quote_identifier(column.name)
    elif _casts_exactly(column.type, field.type):
        source = f"CAST({quote_identifier(column.name)} AS {duckdb_name_of(field.type)})"
    else:
        raise _NoExpression
    if float_bounds_hold or not _holds_floats(column.type):
        return source
    # The one function that DuckDB (1.4 to 2.0) neither sees through nor takes time for: a filter above it is not judged
    # by bounds, which in files of other writers leave NaN out, and neither is max().
    return f"TRY({source})"


def _holds_floats(kind: pa.DataType) -> bool:
    nested: Any = kind
    if pa.types.is_nested(kind):
        return any(_holds_floats(nested.field(i).type) for i in range(nested.num_fields))
    return pa.types.is_floating(kind)


def _is_kept_exactly(kind: pa.DataType) -> bool:
    """Whether DuckDB has the type, and the same one whether it comes from Parquet or through Arrow."""
    nested: Any = kind
    if pa.types.is_struct(kind) or pa.types.is_list(kind) or pa.types.is_map(kind):
        return all(_is_kept_exactly(nested.field(i).type) for i in range(nested.num_fields))
    return duckdb_name_of(kind) is not None


def _casts_exactly(found: Any, target: Any) -> bool:
    """Whether DuckDB's cast keeps every value of a type that was widened ("Type Widening")."""
    kinds = pa.types
    if kinds.is_signed_integer(found):
        if kinds.is_signed_integer(target):
            return bool(found.bit_width <= target.bit_width)
        return kinds.is_float64(target) and found.bit_width <= 32
    if kinds.is_float32(found):
        return kinds.is_float64(target)
    if kinds.is_decimal128(found) and kinds.is_decimal128(target):
        wide = target.precision - target.scale >= found.precision - found.scale
        return bool(wide and target.scale >= found.scale)
    return bool(kinds.is_date32(found) and target.equals(pa.timestamp("us")))
