"""What the columns of a table's checkpoints are ("Checkpoint Schema")."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lakefmt.cached import cached_value
from lakefmt.manifest.checkpoint.add_columns import map_values
from lakefmt.manifest.clustering import CLUSTERING_DOMAIN, parse_clustering_columns
from lakefmt.manifest.partition_values import parse_partition_values
from lakefmt.manifest.tombstones import TOMBSTONE_SCHEMA
from lakefmt.manifest.typed_statistics import TypedStatistics
from lakefmt.schema.arrow import arrow_type_of

if TYPE_CHECKING:
    from lakefmt.manifest.checkpoint.content import CheckpointContent
    from lakefmt.schema import DataType, FieldPath

__all__ = ["ONE_OFF_TYPES", "TEXT_MAP", "ActionLayout"]

TEXT_MAP: Final = pa.map_(pa.string(), pa.string())
_TEXTS: Final = pa.list_(pa.string())


def _struct(**members: pa.DataType) -> pa.StructType:
    return pa.struct([pa.field(name, kind) for name, kind in members.items()])


ONE_OFF_TYPES: Final[dict[str, pa.StructType]] = {
    "txn": _struct(appId=pa.string(), version=pa.int64(), lastUpdated=pa.int64()),
    "metaData": _struct(
        id=pa.string(),
        name=pa.string(),
        description=pa.string(),
        format=_struct(provider=pa.string(), options=TEXT_MAP),
        schemaString=pa.string(),
        partitionColumns=_TEXTS,
        createdTime=pa.int64(),
        configuration=TEXT_MAP,
    ),
    "protocol": _struct(
        minReaderVersion=pa.int32(),
        minWriterVersion=pa.int32(),
        readerFeatures=_TEXTS,
        writerFeatures=_TEXTS,
    ),
    "domainMetadata": _struct(domain=pa.string(), configuration=pa.string(), removed=pa.bool_()),
    "checkpointMetadata": _struct(version=pa.int64(), tags=TEXT_MAP),
    "sidecar": _struct(path=pa.string(), sizeInBytes=pa.int64(), modificationTime=pa.int64(), tags=TEXT_MAP),
}
"""The actions of which a checkpoint has few; the last two are those of V2 checkpoints alone."""

REMOVE_TYPE: Final = pa.struct(list(TOMBSTONE_SCHEMA))


class ActionLayout:
    """The columns that file actions have in the checkpoints of a version.

    They follow from its schema, properties, protocol and clustering columns: two versions that share those share their
    sidecars.

    Args:
        content: the version.

    Attributes:
        keys: what the log calls the partition columns.
        partition_types: their types.
        clustering: the physical paths of the clustering columns of which there are typed bounds; none where the table has
            partitions, which the protocol rules out.
        statistics: the columns of typed statistics, None where the table has none.
        statistics_as_json: whether there are statistics as text.

    Raises:
        CorruptTableError: a property that names the columns with statistics makes no sense.
    """

    def __init__(self, content: CheckpointContent) -> None:
        properties = content.properties
        self.keys = content.partition_keys
        self.statistics_as_json = properties.checkpoint_statistics_as_json
        self.statistics: TypedStatistics | None = None
        self.partition_types: dict[str, DataType] = {
            key: content.schema.field(name).type
            for key, name in zip(content.partition_keys, content.partition_columns, strict=True)
        }
        self.clustering: tuple[FieldPath, ...] = ()
        self._typed = properties.checkpoint_statistics_as_struct
        if self._typed:
            clustering = _clustering_columns(content)
            self.statistics = TypedStatistics(
                content.schema,
                content.partition_columns,
                content.metadata.configuration,
                with_vectors="deletionVectors" in (content.protocol.writer_features or ()),
                also=clustering,
            )
            if not self.keys:
                self.clustering = tuple([path for path in clustering if path in self.statistics.bounded])

    @property
    def has_order(self) -> bool:
        """Whether the table says which of its files belong together: by its partitions or by its clustering columns."""
        return bool(self.keys or self.clustering)

    @property
    def has_typed_order(self) -> bool:
        """Whether row groups of files in that order can be left out of a read, by typed columns of what they are ordered by."""
        return self.types_partition_values or bool(self.clustering)

    @property
    def types_partition_values(self) -> bool:
        """Whether adds have ``partitionValues_parsed``."""
        return self._typed and bool(self.keys)

    @cached_value
    def add_schema(self) -> pa.Schema:
        """The members of ``add``."""
        fields: list[pa.Field[Any]] = [
            pa.field("path", pa.string()),
            pa.field("partitionValues", TEXT_MAP),
            pa.field("size", pa.int64()),
            pa.field("modificationTime", pa.int64()),
            pa.field("dataChange", pa.bool_()),
            pa.field("tags", TEXT_MAP),
            pa.field("deletionVector", TOMBSTONE_SCHEMA.field("deletionVector").type),
            pa.field("baseRowId", pa.int64()),
            pa.field("defaultRowCommitVersion", pa.int64()),
            pa.field("clusteringProvider", pa.string()),
        ]
        if self.statistics_as_json:
            fields.append(pa.field("stats", pa.string()))
        if self.types_partition_values:
            members = [pa.field(key, arrow_type_of(kind)) for key, kind in self.partition_types.items()]
            fields.append(pa.field("partitionValues_parsed", pa.struct(members)))
        if self.statistics is not None:
            fields.append(pa.field("stats_parsed", self.statistics.type))
        return pa.schema(fields)

    @cached_value
    def digest(self) -> str:
        """A short text that differs where the columns of file actions do."""
        types = "\n".join(f"{name} {kind}" for name, kind in self.file_action_types.items())
        return hashlib.sha256(types.encode()).hexdigest()[:16]

    def partition_values(self, adds: pa.Table) -> dict[str, Any]:
        """Return the values of each partition column of adds, typed, by what the log calls the column.

        Raises:
            CorruptTableError: a text is no value of its column.
        """
        texts = self.partition_texts(adds)
        return {key: parse_partition_values(texts[key], kind) for key, kind in self.partition_types.items()}

    def partition_texts(self, adds: pa.Table) -> dict[str, Any]:
        """Return the log's texts of each partition column of adds, by what the log calls the column."""
        return {key: map_values(adds["partitionValues"], key, adds.num_rows) for key in self.keys}

    @cached_value
    def file_action_types(self) -> dict[str, pa.StructType]:
        """The columns of a file of file actions."""
        return {"add": pa.struct(list(self.add_schema)), "remove": REMOVE_TYPE}


def _clustering_columns(content: CheckpointContent) -> tuple[FieldPath, ...]:
    """Return the clustering columns, none where nobody can say which: order is no more than an advantage."""
    domain = next((each for each in content.domains if each.domain == CLUSTERING_DOMAIN), None)
    if domain is None:
        return ()
    try:
        return parse_clustering_columns(domain)
    except ValueError:
        return ()
