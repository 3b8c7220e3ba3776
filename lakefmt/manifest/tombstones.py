"""Tombstones: files that are no longer part of a table and may be read yet ("Add File and Remove File")."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.arrow_values import array_of, no_rows, scalar_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.log.actions import RemoveFile
    from lakefmt.manifest.logical_files import LogicalFiles

__all__ = ["TOMBSTONE_SCHEMA", "Tombstones"]

_TEXT_MAP = pa.map_(pa.string(), pa.string())
_FIELDS: list[pa.Field[Any]] = [
    pa.field("path", pa.string()),
    pa.field("deletionTimestamp", pa.int64()),
    pa.field("dataChange", pa.bool_()),
    pa.field("extendedFileMetadata", pa.bool_()),
    pa.field("partitionValues", _TEXT_MAP),
    pa.field("size", pa.int64()),
    pa.field(
        "deletionVector",
        pa.struct(
            [
                pa.field("storageType", pa.string()),
                pa.field("pathOrInlineDv", pa.string()),
                pa.field("offset", pa.int32()),
                pa.field("sizeInBytes", pa.int32()),
                pa.field("cardinality", pa.int64()),
            ]
        ),
    ),
    pa.field("baseRowId", pa.int64()),
    pa.field("defaultRowCommitVersion", pa.int64()),
]
TOMBSTONE_SCHEMA = pa.schema(_FIELDS)
"""The columns of ``remove`` in a checkpoint; a row is a tombstone."""


@cache
def _no_rows() -> pa.Table:
    # One for all: every commit's snapshot asks, and an empty table of these columns takes a tenth of a millisecond.
    return no_rows(TOMBSTONE_SCHEMA)


@dataclass(frozen=True, slots=True)
class Tombstones:
    """Removed logical files, one row each; see ``TOMBSTONE_SCHEMA`` for the columns. Immutable."""

    table: pa.Table

    @classmethod
    def none(cls) -> Tombstones:
        """Return no tombstones."""
        return cls(_no_rows())

    @classmethod
    def from_removes(cls, removes: Sequence[RemoveFile]) -> Tombstones:
        """Return the removed files of a few commits as columns."""
        if not removes:
            return cls.none()
        vectors = [
            None
            if (v := each.deletion_vector) is None
            else (v.storage_type, v.path_or_inline, v.offset, v.size_bytes, v.cardinality)
            for each in removes
        ]
        kind: Any = TOMBSTONE_SCHEMA.field("deletionVector").type
        names = [kind.field(place).name for place in range(kind.num_fields)]
        known = [each.partition_values is not None and each.size_bytes is not None for each in removes]
        values = [
            None if each.partition_values is None else list(each.partition_values.items()) for each in removes
        ]
        columns: list[list[Any]] = [
            [each.path for each in removes],
            [each.deleted_ms for each in removes],
            [each.data_change for each in removes],
            list(known),
            list(values),
            [each.size_bytes for each in removes],
            [None if v is None else dict(zip(names, v, strict=True)) for v in vectors],
            [each.base_row_id for each in removes],
            [each.default_row_commit_version for each in removes],
        ]
        arrays = [
            array_of(column, field.type) for column, field in zip(columns, TOMBSTONE_SCHEMA, strict=True)
        ]
        return cls(pa.Table.from_arrays(arrays, schema=TOMBSTONE_SCHEMA))

    @property
    def num_files(self) -> int:
        """How many they are."""
        return self.table.num_rows

    def without(self, files: LogicalFiles) -> Tombstones:
        """Drop those of these logical files, which have been named again since."""
        if not len(files) or not self.num_files:
            return self
        import pyarrow.compute as pc

        named = files.among(self.table["path"], self.table["deletionVector"])
        return Tombstones(self.table.filter(pc.invert(named)))

    def concat(self, other: Tombstones) -> Tombstones:
        """Return these and ``other``'s."""
        if not other.num_files:
            return self
        return Tombstones(pa.concat_tables([self.table, other.table])) if self.num_files else other

    def later_than(self, moment_ms: int) -> Tombstones:
        """Keep those of files removed after a moment; of one without a time nobody knows how long it has been there."""
        import pyarrow.compute as pc

        later: Any = pc.greater(self.table["deletionTimestamp"], scalar_of(moment_ms, pa.int64()))
        return Tombstones(self.table.filter(later))
