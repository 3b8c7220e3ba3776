"""What the engine must know of a table to read its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from lakefmt.engine.read_task import ReadSpec
from lakefmt.scan.row_ids import numbered_columns
from lakefmt.schema import file_arrow_schema

if TYPE_CHECKING:
    from lakefmt.scan.plan import ScanPlan

__all__ = ["read_spec"]


def read_spec(plan: ScanPlan) -> ReadSpec:
    """Return what the engine must know of the table: logical and physical columns, predicate, partitioning.

    Raises CorruptTableError where row ids are read and the table does not say how files call them.
    """
    snapshot = plan.snapshot
    schema, physical = snapshot.schema.to_arrow(), file_arrow_schema(snapshot.schema)
    numbered = numbered_columns(plan)
    for column, stored in numbered:
        field = plan.schema.find(column.name)
        nullable = field is not None and field.nullable
        schema = schema.append(pa.field(column.name, pa.int64(), nullable=nullable))
        physical = physical.append(pa.field(stored, pa.int64()))
    return ReadSpec(
        schema=schema,
        physical=physical,
        columns=tuple(plan.schema.names),
        predicate=plan.predicate,
        partition_columns=snapshot.partition_columns,
        match_by_id=snapshot.schema.column_mapping == "id",
        numbered=tuple([column for column, _ in numbered]),
    )
