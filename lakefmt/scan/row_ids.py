"""Row ids and row commit versions as columns of a scan ("Reader Requirements for Row Tracking").

Two columns that are asked for by name: ``_row_id`` tells a row from every other and stays its own wherever it moves;
``_row_commit_version`` is the version that last inserted or updated it. A file keeps them for rows that were moved
into it; of the others the log says where their numbers begin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lakefmt.engine import NumberedColumn
from lakefmt.errors import CorruptTableError, InvalidInputError
from lakefmt.schema import Field, PrimitiveType, Schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lakefmt.manifest import FileList
    from lakefmt.scan.plan import ScanPlan
    from lakefmt.snapshot import Snapshot

__all__ = [
    "ROW_COMMIT_VERSION",
    "ROW_ID",
    "check_tracked",
    "file_numbers",
    "moved_rows_schema",
    "numbered_columns",
    "readable_columns",
]

ROW_ID: Final = "_row_id"
ROW_COMMIT_VERSION: Final = "_row_commit_version"
_LONG: Final = PrimitiveType("long")
_MOST_ROWS: Final = 1 << 62  # no table has more; beyond, a sum could overflow


def readable_columns(snapshot: Snapshot) -> Schema:
    """Return the table's columns and those of row ids, but for names that columns of the table have."""
    schema = snapshot.schema
    virtual = [Field(name, _LONG, nullable=False) for name in _shown(schema)]
    return Schema((*schema.fields, *virtual), column_mapping=schema.column_mapping)


def moved_rows_schema(snapshot: Snapshot) -> Schema:
    """Return the columns of rows that are moved to other files: the table's, and those that files keep row ids in, if any.

    Raises CorruptTableError where a table does not say which.
    """
    schema, tracking = snapshot.schema, snapshot.row_tracking
    if tracking is None:
        return schema
    kept = [Field(name, _LONG) for name in (tracking.row_id_column, tracking.commit_version_column)]
    return Schema((*schema.fields, *kept), column_mapping=schema.column_mapping)


def check_tracked(snapshot: Snapshot, names: Iterable[str]) -> None:
    """Raise InvalidInputError if columns of row ids are among the names and the table does not keep row ids."""
    asked = [name for name in names if name in _shown(snapshot.schema)]
    if asked and snapshot.row_tracking is None:
        raise InvalidInputError(
            f"There is no column {asked[0]!r}: the table does not track its rows",
            table=snapshot.table_uri,
            version=snapshot.version,
            hint="Create the table with delta.enableRowTracking, or let an engine enable it that numbers the rows there are",
        )


def numbered_columns(plan: ScanPlan) -> tuple[tuple[NumberedColumn, str], ...]:
    """Return the columns of row ids that a plan reads, each with its name in files.

    Raises CorruptTableError where a table does not say how files call them.
    """
    schema = plan.snapshot.schema
    looked_at = () if plan.predicate is None else plan.predicate.columns
    others = [name for name in dict.fromkeys((*plan.schema.names, *looked_at)) if name not in schema]
    tracking = plan.snapshot.row_tracking if others else None
    if tracking is None:
        return ()
    ids, versions = tracking.row_id_column, tracking.commit_version_column
    stored = {ROW_ID: ids, ids: ids, ROW_COMMIT_VERSION: versions, versions: versions}
    return tuple([(NumberedColumn(name, stored[name] == ids), stored[name]) for name in others])


def file_numbers(
    files: FileList, columns: Sequence[NumberedColumn], snapshot: Snapshot
) -> list[tuple[int, ...]]:
    """Return for each file the numbers of ``ReadTask``: by position the first row's id, else the commit version.

    Raises:
        CorruptTableError: a file has none.
    """
    import pyarrow.compute as pc

    if not columns:
        return [()] * files.num_files
    found: list[Any] = []
    for column in columns:
        name = "base_row_id" if column.by_position else "default_row_commit_version"
        numbers: Any = files.table[name]
        sound: Any = pc.and_(
            pc.greater_equal(numbers, pa.scalar(0, pa.int64())),
            pc.less(numbers, pa.scalar(_MOST_ROWS, pa.int64())),
        )
        wrong: Any = pc.invert(pc.fill_null(sound, pa.scalar(value=False)))
        if wrong.combine_chunks().true_count:
            raise CorruptTableError(
                "Row tracking is enabled, and the log does not number the rows of a data file",
                table=snapshot.table_uri,
                version=snapshot.version,
                path=files.filter(wrong).table["path"][0].as_py(),
                hint="Read without _row_id and _row_commit_version, or have the engine that enabled it number the rows",
            )
        found.append(numbers.to_pylist())
    return list(zip(*found, strict=True))


def _shown(schema: Schema) -> list[str]:
    return [name for name in (ROW_ID, ROW_COMMIT_VERSION) if schema.find(name) is None]
