"""Which data files may hold rows that a predicate means, and which hold no others; pure, no file is opened.

Partition values decide first: they are exact, and for a predicate on partition columns alone they are the whole
answer. Statistics are parsed for the files still in question only, and only of the columns that the predicate
compares. What is not known keeps a file in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.manifest.partition_values import parse_partition_values
from lakefmt.manifest.statistics import StatisticsReader, nan_free_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.expressions import Bounds, BoundsOf, Column, Predicate
    from lakefmt.manifest.file_list import FileList
    from lakefmt.schema import FieldPath, Schema

__all__ = ["covers", "prune"]


def prune(
    files: FileList, predicate: Predicate, schema: Schema, partition_columns: Sequence[str]
) -> pa.BooleanArray:
    """Return, for each file, whether it may hold a row that the predicate means; never null.

    For a predicate on partition columns alone it is whether all its rows are meant (or none), exactly.

    Args:
        files: of one version.
        predicate: validated against ``schema``.
        schema: the version's.
        partition_columns: their names, in the order of ``metaData.partitionColumns``.

    Raises:
        InvalidInputError: the predicate cannot be evaluated on a partition value.
        CorruptTableError: a partition value is none of its column's type.
    """
    partitions = _PartitionValues(files, schema, tuple(partition_columns))
    if partitions.decide(predicate):
        return partitions.matches(predicate)
    kept = predicate.may_match(partitions.bounds_of, files.num_files)
    paths = partitions.other_paths(predicate)
    if not paths or not kept.true_count:
        return kept
    left = files if kept.true_count == files.num_files else files.filter(kept)
    decided = predicate.may_match(_all_bounds(left, schema, partitions.columns, paths), left.num_files)
    import pyarrow.compute as pc

    return cast("pa.BooleanArray", cast("Any", pc).replace_with_mask(kept, kept, decided))


def covers(
    files: FileList, predicate: Predicate, schema: Schema, partition_columns: Sequence[str]
) -> pa.BooleanArray:
    """Return, for each file, whether the predicate certainly means every row of it; never null.

    Args and errors as for ``prune``. Exact for a predicate on partition columns alone.
    """
    partitions = _PartitionValues(files, schema, tuple(partition_columns))
    if partitions.decide(predicate):
        return partitions.matches(predicate)
    paths = partitions.other_paths(predicate)
    bounds_of = _all_bounds(files, schema, partitions.columns, paths) if paths else partitions.bounds_of
    return predicate.covers(bounds_of, files.num_files)


@dataclass(frozen=True, slots=True)
class _ExactBounds:
    """Bounds of a column that has one value throughout each file: a file counts as one row here."""

    minimum: Any
    maximum: Any
    null_count: Any
    num_records: Any


@dataclass(frozen=True, slots=True)
class _PartitionValues:
    files: FileList
    schema: Schema
    columns: tuple[str, ...]
    parsed: dict[str, pa.ChunkedArray[Any]] = field(default_factory=dict)

    def decide(self, predicate: Predicate) -> bool:
        """Whether the predicate looks at partition columns and nothing else."""
        return bool(predicate.columns) and predicate.only_columns(self.columns)

    def matches(self, predicate: Predicate) -> pa.BooleanArray:
        """Evaluate such a predicate on the partition values, one row per file."""
        names = list(predicate.columns)
        return predicate.matches(pa.table([self.values(name) for name in names], names=names))

    def other_paths(self, predicate: Predicate) -> list[FieldPath]:
        """Return the columns that only statistics can tell of."""
        return [path for path in predicate.bounded_columns() if path[0] not in self.columns]

    def bounds_of(self, column: Column) -> Bounds | None:
        """Return what the partition values tell of a column, None for other columns."""
        import pyarrow.compute as pc

        if column.path[0] not in self.columns:
            return None
        values: Any = self.values(column.path[0])
        return _ExactBounds(values, values, pc.is_null(values).cast(pa.int64()), pa.scalar(1))

    def values(self, name: str) -> pa.ChunkedArray[Any]:
        """Return the typed values of a partition column, one per file."""
        import pyarrow.compute as pc

        if name not in self.parsed:
            # By position: the protocol's strings may go by another name, that of a column mapping.
            texts = pc.struct_field(self.files.table["partition_values"], [self.columns.index(name)])
            values = parse_partition_values(texts, self.schema.field(name).type)
            self.parsed[name] = values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])
        return self.parsed[name]


def _all_bounds(
    files: FileList, schema: Schema, partition_columns: tuple[str, ...], paths: Sequence[FieldPath]
) -> BoundsOf:
    """Return what partition values and statistics tell of the columns; of others than ``paths``, the former alone."""
    partitions = _PartitionValues(files, schema, partition_columns)
    statistics = StatisticsReader(
        files.table["stats"],
        schema,
        paths,
        nan_free=nan_free_files(files.table["tags"]),
    )

    def bounds_of(column: Column) -> Bounds | None:
        return partitions.bounds_of(column) or statistics.bounds(column.path)

    return bounds_of
