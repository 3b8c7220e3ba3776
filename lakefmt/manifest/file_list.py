"""The live data files of a version as one Arrow table: columns, never objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.arrow_values import array_of, map_of, no_rows, repeat, scalar_of
from lakefmt.log.actions import RemoveFile
from lakefmt.manifest.kept_values import KeptValues
from lakefmt.manifest.logical_files import LogicalFiles
from lakefmt.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lakefmt.log.actions import AddFile
    from lakefmt.manifest.statistics_reader import StatisticsReader
    from lakefmt.schema import FieldPath

__all__ = ["DELETION_VECTOR_TYPE", "FileList", "file_list_schema"]

# Every chunk costs every operation a call; a handle that appends and reads adds one per commit.
_MOST_CHUNKS = 64

# Bounds of so many columns times files are kept once they have been parsed, some 60 bytes each.
_MOST_KEPT_BOUNDS = 500_000
_SHARE_TO_KEEP = 4  # where one file in so many is asked for, or more, those of all are parsed

DELETION_VECTOR_TYPE = pa.struct(
    [
        pa.field("storage_type", pa.string()),
        pa.field("path_or_inline", pa.string()),
        pa.field("offset", pa.int32()),
        pa.field("size_bytes", pa.int32()),
        pa.field("cardinality", pa.int64()),
    ]
)


def file_list_schema(partition_columns: Sequence[str]) -> pa.Schema:
    """Return the schema of a ``FileList`` table.

    A row is a live logical file: ``path`` as in the log (percent-encoded), ``size_bytes``, ``modified_ms``,
    ``partition_values`` (one string per partition column, under the log's name for it, in the protocol's serialisation, null for NULL), ``stats``
    (the JSON text of "Per-file Statistics", null where the writer gave none, and in a list of all files of a
    checkpoint, which are pruned where they are), ``tags``, ``deletion_vector``, ``num_records`` (the rows of the file,
    deleted ones included, where they have been taken out of the statistics already), ``base_row_id``,
    ``default_row_commit_version`` ("Row Tracking") and ``clustering_provider`` ("Clustered Table").
    """
    fields: list[pa.Field[Any]] = [
        pa.field("path", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("modified_ms", pa.int64(), nullable=False),
        pa.field("partition_values", pa.struct([pa.field(name, pa.string()) for name in partition_columns])),
        pa.field("stats", pa.string()),
        pa.field("tags", pa.map_(pa.string(), pa.string())),
        pa.field("deletion_vector", DELETION_VECTOR_TYPE),
        pa.field("num_records", pa.int64()),
        pa.field("base_row_id", pa.int64()),
        pa.field("default_row_commit_version", pa.int64()),
        pa.field("clustering_provider", pa.string()),
    ]
    return pa.schema(fields)


@dataclass(frozen=True, slots=True)
class FileList:
    """Live files of a version, one row each; see ``file_list_schema`` for the columns.

    Immutable: every method returns a new list that shares the columns.

    Attributes:
        table: the columns.
        kept: what has been computed of the whole list.
    """

    table: pa.Table
    kept: KeptValues = field(default_factory=KeptValues, compare=False, repr=False)

    @classmethod
    def empty(cls, partition_columns: Sequence[str]) -> FileList:
        """Return a list without files."""
        return cls(no_rows(file_list_schema(partition_columns)))

    @classmethod
    def from_adds(cls, adds: Sequence[AddFile], partition_columns: Sequence[str]) -> FileList:
        """Return the files of a few commits as columns."""
        schema = file_list_schema(partition_columns)
        columns = [
            array_of([add.path for add in adds], pa.string()),
            array_of([add.size_bytes for add in adds], pa.int64()),
            array_of([add.modified_ms for add in adds], pa.int64()),
            partition_struct(
                [
                    array_of([a.partition_values.get(name) for a in adds], pa.string())
                    for name in partition_columns
                ],
                partition_columns,
                len(adds),
            ),
            array_of([add.stats for add in adds], pa.string()),
            map_of([add.tags for add in adds]),
            _vectors_of(adds),
            pa.nulls(len(adds), pa.int64()),
            array_of([add.base_row_id for add in adds], pa.int64()),
            array_of([add.default_row_commit_version for add in adds], pa.int64()),
            array_of([add.clustering_provider for add in adds], pa.string()),
        ]
        return cls(pa.Table.from_arrays(columns, schema=schema))

    @property
    def num_files(self) -> int:
        """How many data files."""
        return self.table.num_rows

    @property
    def size_bytes(self) -> int:
        """Their sizes added up."""
        import pyarrow.compute as pc

        return int(pc.sum(self.table["size_bytes"]).as_py() or 0)

    @property
    def has_deletion_vectors(self) -> bool:
        """Whether any file has rows deleted by a vector."""
        return self.table["deletion_vector"].null_count < self.num_files

    @property
    def deleted_rows(self) -> pa.ChunkedArray[Any]:
        """How many rows the log says each file's vector deletes, 0 without one; null where it does not say."""
        import pyarrow.compute as pc

        vectors = self.table["deletion_vector"]
        if not self.has_deletion_vectors:
            return pa.chunked_array([repeat(scalar_of(0, pa.int64()), self.num_files)])
        compute: Any = pc
        counted: pa.ChunkedArray[Any] = compute.if_else(
            pc.is_valid(vectors), pc.struct_field(vectors, "cardinality"), scalar_of(0, pa.int64())
        )
        return counted

    def num_records(self) -> Any:
        """Return the rows of each file by the log, deleted ones included; null where it does not say."""
        known = self.table["num_records"]
        if not known.null_count or self.table["stats"].null_count == self.num_files:
            return known
        import pyarrow.compute as pc

        from lakefmt.manifest.statistics_reader import StatisticsReader

        compute: Any = pc
        return compute.coalesce(known, StatisticsReader(self.table["stats"], Schema(())).num_records())

    def log_paths(self) -> pa.ChunkedArray[Any]:
        """Return the files' paths, as in the log."""
        paths: pa.ChunkedArray[Any] = self.table["path"]
        return paths

    def partition_texts(self, place: int) -> pa.ChunkedArray[Any]:
        """Return the log's texts of a partition column, by its place among them."""
        import pyarrow.compute as pc

        texts: pa.ChunkedArray[Any] = pc.struct_field(self.table["partition_values"], [place])
        return texts

    def statistics(
        self, schema: Schema, columns: Sequence[FieldPath], *, counts: bool = True
    ) -> StatisticsReader:
        """Return a reader of the files' statistics; arguments as for ``StatisticsReader``."""
        from lakefmt.manifest.statistics import StatisticsReader, nan_free_files

        def read() -> StatisticsReader:
            return StatisticsReader(
                self.table["stats"],
                schema,
                columns,
                nan_free=nan_free_files(self.table["tags"]),
                counts=counts,
            )

        if not counts or self.num_files * len(columns) > _MOST_KEPT_BOUNDS:
            return read()
        return self.kept.get(_name_of(schema, columns), read)

    def keeps_statistics(self, schema: Schema, columns: Sequence[FieldPath], wanted: int) -> bool:
        """See ``Candidates``."""
        if self.num_files * len(columns) > _MOST_KEPT_BOUNDS:
            return False
        return _name_of(schema, columns) in self.kept or wanted * _SHARE_TO_KEEP >= self.num_files

    def filter(self, mask: pa.BooleanArray | pa.ChunkedArray[Any]) -> FileList:
        """Keep the files where ``mask`` (one entry a file) is true; where it is so for all, this list with what it keeps."""
        if _is_true(mask):
            return self
        return FileList(self.table.filter(mask))

    def concat(self, other: FileList) -> FileList:
        """Return these files and ``other``'s; of a list in many chunks all but the first are copied together."""
        table = pa.concat_tables([self.table, other.table])
        chunks = table["path"].chunks
        if len(chunks) > _MOST_CHUNKS:
            # The first chunk, a checkpoint's usually, is left where it is; what single commits added becomes one.
            first = len(chunks[0])
            table = pa.concat_tables([table.slice(0, first), table.slice(first).combine_chunks()])
        return FileList(table)

    def without(self, keys: Iterable[tuple[str, str | None]]) -> FileList:
        """Drop the logical files with these (path, deletion vector id) keys; vectorised over the list.

        Paths of keys are spelled as ``log.paths.canonical_path`` does it, those of the list in any way.
        """
        files = LogicalFiles(keys)
        if not len(files):
            return self
        import pyarrow.compute as pc

        return self.filter(pc.invert(files.among(self.table["path"], self.table["deletion_vector"])))

    def to_adds(self, *, data_change: bool = True) -> list[AddFile]:
        """Return these files as ``add`` actions; for the files of one commit, not for a whole large table."""
        from lakefmt.log.actions import AddFile, DeletionVectorDescriptor

        return [
            AddFile(
                path=row["path"],
                partition_values=row["partition_values"] or {},
                size_bytes=row["size_bytes"],
                modified_ms=row["modified_ms"],
                data_change=data_change,
                stats=row["stats"],
                tags=dict(row["tags"]) if row["tags"] else None,
                deletion_vector=DeletionVectorDescriptor(**row["deletion_vector"])
                if row["deletion_vector"]
                else None,
                base_row_id=row["base_row_id"],
                default_row_commit_version=row["default_row_commit_version"],
                clustering_provider=row["clustering_provider"],
            )
            for row in self.table.to_pylist()
        ]

    def to_removes(self, deleted_ms: int, *, data_change: bool = True) -> list[RemoveFile]:
        """Return ``remove`` actions for these files; for the files of one commit, not for a whole large table."""
        from lakefmt.log.actions import DeletionVectorDescriptor

        rows = self.table.select(
            [
                "path",
                "size_bytes",
                "partition_values",
                "deletion_vector",
                "base_row_id",
                "default_row_commit_version",
            ]
        ).to_pylist()
        return [
            RemoveFile(
                path=row["path"],
                deleted_ms=deleted_ms,
                data_change=data_change,
                partition_values=row["partition_values"] or {},
                size_bytes=row["size_bytes"],
                deletion_vector=DeletionVectorDescriptor(**row["deletion_vector"])
                if row["deletion_vector"]
                else None,
                base_row_id=row["base_row_id"],
                default_row_commit_version=row["default_row_commit_version"],
            )
            for row in rows
        ]


def _name_of(schema: Schema, columns: Sequence[FieldPath]) -> tuple[object, ...]:
    """Return under what the statistics of some columns are kept; whoever reads them holds the schema, so its id stays its own."""
    return (id(schema), tuple(columns))


def _is_true(mask: Any) -> bool:
    import pyarrow.compute as pc

    return not mask.null_count and bool(pc.all(mask, min_count=0).as_py())


def partition_struct(columns: Sequence[Any], names: Sequence[str], length: int) -> pa.StructArray:
    """Return string columns as the ``partition_values`` struct; a table without partition columns has empty ones."""
    fields = [pa.field(name, pa.string()) for name in names]
    if not fields:
        return pa.nulls(length, pa.struct([]))
    flat = [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns]
    return pa.StructArray.from_arrays(flat, fields=fields)


def _vectors_of(adds: Sequence[AddFile]) -> Any:
    rows = [
        None
        if (v := add.deletion_vector) is None
        else (v.storage_type, v.path_or_inline, v.offset, v.size_bytes, v.cardinality)
        for add in adds
    ]
    if not any(rows):
        return pa.nulls(len(adds), DELETION_VECTOR_TYPE)
    members: list[Any] = [
        array_of((None if row is None else row[place] for row in rows), member.type)
        for place, member in enumerate(DELETION_VECTOR_TYPE)
    ]
    absent: Any = array_of((row is None for row in rows), pa.bool_())
    return pa.StructArray.from_arrays(members, fields=list(DELETION_VECTOR_TYPE), mask=absent)
