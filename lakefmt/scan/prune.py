"""Which data files may hold rows that a predicate means, and which hold no others; pure, no file is opened.

Partition values decide first: they are exact, and for a predicate on partition columns alone they are the whole
answer. Statistics are parsed for the files still in question only, and only of the columns that the predicate
compares. What is not known keeps a file in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.arrow_values import array_of, repeat, scalar_of
from lakefmt.manifest.partition_values import parse_partition_values
from lakefmt.manifest.path_columns import canonical_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.expressions import Bounds, BoundsOf, Column, Predicate
    from lakefmt.manifest import Candidates
    from lakefmt.schema import FieldPath, Schema

__all__ = ["PathPruner", "PredicatePruner", "covers", "prune"]

_MANY_FILES = 5_000  # of so many, a first look passes over what counts would tell beside the bounds


@dataclass(frozen=True, slots=True)
class PredicatePruner:
    """Chooses the files that may hold a row that a predicate means; implements ``manifest.Pruner``.

    Attributes:
        predicate: validated against ``schema``.
        schema: of the version.
        partition_columns: their names, in the order of ``metaData.partitionColumns``.
    """

    predicate: Predicate
    schema: Schema
    partition_columns: tuple[str, ...]

    def may_match(self, bounds_of: BoundsOf, count: int) -> pa.BooleanArray:
        """Return for each of ``count`` groups of files whether it may hold such a row."""
        return self.predicate.may_match(bounds_of, count)

    def choose(self, files: Candidates) -> pa.BooleanArray:
        """Return for each file whether it may."""
        return prune(files, self.predicate, self.schema, self.partition_columns)


@dataclass(frozen=True, slots=True)
class PathPruner:
    """Chooses files by name; implements ``manifest.Pruner``.

    Attributes:
        paths: their paths (``canonical_path``).
    """

    paths: frozenset[str]

    def may_match(self, bounds_of: BoundsOf, count: int) -> pa.BooleanArray:  # noqa: ARG002 - bounds tell no names
        """Return for each group of files that it may hold one."""
        return cast("pa.BooleanArray", repeat(scalar_of(value=True), count))

    def choose(self, files: Candidates) -> pa.BooleanArray:
        """Return for each file whether it is one of them."""
        import pyarrow.compute as pc

        paths = canonical_paths(files.log_paths())
        found: Any = pc.is_in(paths, value_set=array_of(self.paths, pa.string()))
        return cast("pa.BooleanArray", found.combine_chunks())


def prune(
    files: Candidates, predicate: Predicate, schema: Schema, partition_columns: Sequence[str]
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
    if paths and kept.true_count and files.keeps_statistics(schema, paths, kept.true_count):
        bounds_of = _all_bounds(files, schema, partitions.columns, paths)
        import pyarrow.compute as pc

        return pc.and_(kept, predicate.may_match(bounds_of, files.num_files))
    # Bounds tell most, and counts of nulls the rest, for the files that bounds leave over.
    for counts in (False, True):
        if not paths or not kept.true_count or (not counts and kept.true_count < _MANY_FILES):
            continue
        left = files if kept.true_count == files.num_files else files.filter(kept)
        bounds_of = _all_bounds(left, schema, partitions.columns, paths, counts=counts)
        decided = predicate.may_match(bounds_of, left.num_files)
        import pyarrow.compute as pc

        kept = cast("pa.BooleanArray", cast("Any", pc).replace_with_mask(kept, kept, decided))
    return kept


def covers(
    files: Candidates, predicate: Predicate, schema: Schema, partition_columns: Sequence[str]
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
    files: Candidates
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
        return [
            path
            for path in predicate.bounded_columns()
            if path[0] not in self.columns and path[0] in self.schema
        ]

    def bounds_of(self, column: Column) -> Bounds | None:
        """Return what the partition values tell of a column, None for other columns."""
        import pyarrow.compute as pc

        if column.path[0] not in self.columns:
            return None
        values: Any = self.values(column.path[0])
        return _ExactBounds(values, values, pc.is_null(values).cast(pa.int64()), scalar_of(1))

    def values(self, name: str) -> pa.ChunkedArray[Any]:
        """Return the typed values of a partition column, one per file."""
        if name not in self.parsed:
            texts = self.files.partition_texts(self.columns.index(name))
            values = parse_partition_values(texts, self.schema.field(name).type)
            self.parsed[name] = values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])
        return self.parsed[name]


def _all_bounds(
    files: Candidates,
    schema: Schema,
    partition_columns: tuple[str, ...],
    paths: Sequence[FieldPath],
    *,
    counts: bool = True,
) -> BoundsOf:
    """Return what partition values and statistics tell of the columns; of others than ``paths``, the former alone."""
    partitions = _PartitionValues(files, schema, partition_columns)
    statistics = files.statistics(schema, paths, counts=counts)

    def bounds_of(column: Column) -> Bounds | None:
        if column.path[0] not in schema:
            return None  # a row id: no statistics tell of it
        return partitions.bounds_of(column) or statistics.bounds(column.path)

    return bounds_of
