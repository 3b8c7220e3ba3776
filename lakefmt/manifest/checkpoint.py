"""Reading classic and multi-part checkpoints ("Checkpoints", V1 spec, "Checkpoint Schema").

A checkpoint is Parquet with one row per action and one struct column per kind. The few one-off actions are read
apart from the files, and of the files only the columns a ``FileList`` has: a checkpoint is never made into objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.errors import CorruptTableError, ObjectNotFoundError, UnsupportedFeatureError
from lakefmt.log.actions import DomainMetadata, Metadata, Protocol, TransactionId
from lakefmt.log.codec import decode_metadata, decode_protocol
from lakefmt.log.paths import LogFileKind
from lakefmt.manifest.file_list import DELETION_VECTOR_TYPE, FileList, file_list_schema, partition_struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow.parquet as pq

    from lakefmt.log.paths import LogFile
    from lakefmt.store import Store

__all__ = ["CheckpointState", "read_checkpoint_files", "read_checkpoint_state"]

_ADD_FIELDS = ("path", "size", "modificationTime", "stats", "tags", "deletionVector")
_VECTOR_FIELDS = ("storageType", "pathOrInlineDv", "offset", "sizeInBytes", "cardinality")


@dataclass(frozen=True, slots=True)
class CheckpointState:
    """The one-off actions of a checkpoint."""

    protocol: Protocol | None
    metadata: Metadata | None
    transactions: tuple[TransactionId, ...]
    domains: tuple[DomainMetadata, ...]


def read_checkpoint_state(store: Store, files: Sequence[LogFile]) -> CheckpointState:
    """Read protocol, metadata, transaction ids and domains.

    Raises:
        CorruptTableError: a file is missing, is not Parquet, or lacks what a checkpoint must have.
        UnsupportedFeatureError: a V2 (UUID-named) checkpoint.
    """
    rows: dict[str, list[dict[str, Any]]] = {"protocol": [], "metaData": [], "txn": [], "domainMetadata": []}
    for file in files:

        def read(parquet: pq.ParquetFile) -> None:
            present = [kind for kind in rows if kind in parquet.schema_arrow.names]
            for kind, column in zip(present, parquet.read(present, use_threads=False).columns, strict=True):
                actions: Any = _valid(column).to_pylist()
                rows[kind].extend(actions)

        _with_parquet(store, file, read)
    first = files[0]
    try:
        return CheckpointState(
            protocol=decode_protocol(rows["protocol"][-1]) if rows["protocol"] else None,
            metadata=decode_metadata(_with_plain_maps(rows["metaData"][-1])) if rows["metaData"] else None,
            transactions=tuple(
                TransactionId(r["appId"], r["version"], r.get("lastUpdated")) for r in rows["txn"]
            ),
            domains=tuple(
                DomainMetadata(r["domain"], r["configuration"], bool(r.get("removed")))
                for r in rows["domainMetadata"]
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _corrupt(store, first, f"an action is malformed ({error!r})") from error


def read_checkpoint_files(
    store: Store, files: Sequence[LogFile], partition_columns: Sequence[str]
) -> FileList:
    """Read the checkpoint's live files as columns. Raises as ``read_checkpoint_state``."""
    parts: list[pa.Table] = []
    for file in files:

        def read(parquet: pq.ParquetFile) -> None:
            present = {path.path for path in _leaves(parquet)}
            wanted = [f"add.{name}" for name in (*_ADD_FIELDS, "partitionValues")]
            columns = [c for c in wanted if any(leaf == c or leaf.startswith(f"{c}.") for leaf in present)]
            if "add.path" not in columns:
                return  # a part without a single add may leave the column out
            adds = _valid(parquet.read(columns).column("add"))
            parts.append(_to_file_rows(adds, partition_columns))

        _with_parquet(store, file, read)
    if not parts:
        return FileList.empty(partition_columns)
    return FileList(pa.concat_tables(parts))


def _to_file_rows(adds: Any, partition_columns: Sequence[str]) -> pa.Table:
    import pyarrow.compute as pc

    schema = file_list_schema(partition_columns)
    length = len(adds)
    names = {adds.type.field(i).name for i in range(adds.type.num_fields)}

    def column(name: str, kind: Any) -> Any:
        return pc.cast(pc.struct_field(adds, name), kind) if name in names else pa.nulls(length, kind)

    if "partitionValues" in names:
        maps = pc.struct_field(adds, "partitionValues")
        values: list[Any] = [_map_lookup(maps, name) for name in partition_columns]
    else:
        values = [pa.nulls(length, pa.string()) for _ in partition_columns]
    columns: list[Any] = [
        column("path", pa.string()),
        column("size", pa.int64()),
        pc.coalesce(column("modificationTime", pa.int64()), pa.scalar(0, pa.int64())),
        partition_struct(values, partition_columns, length),
        column("stats", pa.string()),
        column("tags", schema.field("tags").type),
        _deletion_vectors(adds, length, present="deletionVector" in names),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _map_lookup(maps: Any, key: str) -> Any:
    import pyarrow.compute as pc

    # A map column whose writer saw only empty maps may be typed map<null, null>.
    if not pa.types.is_string(maps.type.key_type):
        return pa.chunked_array([pa.nulls(len(maps), pa.string())])
    return pc.cast(pc.map_lookup(maps, query_key=pa.scalar(key), occurrence="first"), pa.string())


def _deletion_vectors(adds: Any, length: int, *, present: bool) -> Any:
    import pyarrow.compute as pc

    if not present:
        return pa.nulls(length, DELETION_VECTOR_TYPE)
    vectors = pc.struct_field(adds, "deletionVector")
    if vectors.null_count == length:
        return pa.nulls(length, DELETION_VECTOR_TYPE)
    combined = vectors.combine_chunks()
    # Some writers fill the struct with nulls instead of leaving it out: no storage type, no vector.
    storage = pc.struct_field(combined, "storageType")
    fields = [
        pc.cast(pc.struct_field(combined, name), DELETION_VECTOR_TYPE.field(i).type)
        for i, name in enumerate(_VECTOR_FIELDS)
    ]
    return pa.StructArray.from_arrays(fields, fields=list(DELETION_VECTOR_TYPE), mask=pc.is_null(storage))


def _with_parquet(store: Store, file: LogFile, read: Callable[[pq.ParquetFile], None]) -> None:
    import pyarrow.parquet as pq

    if file.kind is LogFileKind.UUID_CHECKPOINT:
        raise UnsupportedFeatureError(
            "This release cannot read V2 checkpoints",
            table=store.uri,
            version=file.version,
            path=file.key,
            hint="Update lakefmt, or read it with an engine that has v2Checkpoint",
        )
    try:
        with store.open_input(file.key, file.size_bytes) as source, pq.ParquetFile(source) as parquet:
            read(parquet)
    except ObjectNotFoundError as error:
        raise _corrupt(store, file, "the file is gone") from error
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise _corrupt(store, file, str(error)) from error


def _valid(column: Any) -> Any:
    return column.drop_null()


def _leaves(parquet: pq.ParquetFile) -> list[Any]:
    return [parquet.schema.column(i) for i in range(len(parquet.schema))]


def _with_plain_maps(row: dict[str, Any]) -> dict[str, Any]:
    # Arrow hands maps over as lists of pairs.
    return row | {"configuration": dict(row.get("configuration") or ())}


def _corrupt(store: Store, file: LogFile, why: str) -> CorruptTableError:
    return CorruptTableError(
        f"The checkpoint cannot be read: {why}",
        table=store.uri,
        version=file.version,
        path=file.key,
        hint="Delete the checkpoint if the commits before it are still there, or restore it from a backup",
    )
