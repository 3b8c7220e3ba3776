"""Actions <-> JSON objects, as commits, JSON checkpoints and checksum files hold them ("Actions").

Every ``decode_`` raises KeyError, TypeError, ValueError or AttributeError where the object is malformed: who knows the
file makes a ``CorruptTableError`` of it. Unknown fields are ignored ("Protocol Evolution").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from lakefmt.log.actions import (
    AddCDCFile,
    AddFile,
    CommitInfo,
    DeletionVectorDescriptor,
    DomainMetadata,
    Metadata,
    Protocol,
    RemoveFile,
    Sidecar,
    TransactionId,
)
from lakefmt.log.json_values import (
    as_flag,
    as_int32_length,
    as_int64,
    as_json_text,
    as_length,
    as_optional,
    as_text,
    as_text_list,
    as_text_map,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "decode_add",
    "decode_cdc",
    "decode_domain",
    "decode_info",
    "decode_metadata",
    "decode_protocol",
    "decode_remove",
    "decode_sidecar",
    "decode_transaction",
    "encode_add",
    "encode_cdc",
    "encode_domain",
    "encode_info",
    "encode_metadata",
    "encode_protocol",
    "encode_remove",
    "encode_sidecar",
    "encode_transaction",
]

_INFO_FIELDS = {
    "timestamp": "timestamp_ms",
    "operation": "operation",
    "operationParameters": "operation_parameters",
    "operationMetrics": "operation_metrics",
    "engineInfo": "engine_info",
    "txnId": "txn_id",
    "isBlindAppend": "is_blind_append",
    "inCommitTimestamp": "in_commit_timestamp_ms",
}
_INFO_TYPES: dict[str, type] = {
    "timestamp": int,
    "operation": str,
    "operationParameters": dict,
    "operationMetrics": dict,
    "engineInfo": str,
    "txnId": str,
    "isBlindAppend": bool,
    "inCommitTimestamp": int,
}
# The years 1 to 9999, in milliseconds since the epoch: what a datetime can hold.
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999


def decode_protocol(value: Mapping[str, Any]) -> Protocol:
    """Read a ``protocol`` object."""
    return Protocol(
        min_reader_version=as_int64(value["minReaderVersion"]),
        min_writer_version=as_int64(value["minWriterVersion"]),
        reader_features=as_optional(_as_names, value.get("readerFeatures")),
        writer_features=as_optional(_as_names, value.get("writerFeatures")),
    )


def decode_metadata(value: Mapping[str, Any]) -> Metadata:
    """Read a ``metaData`` object."""
    configuration = as_text_map(value.get("configuration"))
    # Delta Live Tables set tables up with a first metaData that has none; ``Snapshot`` refuses one in force.
    schema_string = as_text(value.get("schemaString") or "")
    partition_columns = tuple(as_text_list(value.get("partitionColumns") or []))
    _check_partition_columns(partition_columns, schema_string)
    return Metadata(
        id=as_text(value["id"]),
        schema_string=schema_string,
        partition_columns=partition_columns,
        configuration={name: text for name, text in configuration.items() if text is not None},
        name=as_optional(as_text, value.get("name")),
        description=as_optional(as_text, value.get("description")),
        created_time_ms=as_optional(as_int64, value.get("createdTime")),
        format_provider=as_text((value.get("format") or {}).get("provider") or "parquet"),
    )


def decode_sidecar(value: Mapping[str, Any]) -> Sidecar:
    """Read a ``sidecar`` object."""
    return Sidecar(
        path=as_text(value["path"]),
        size_bytes=as_length(value["sizeInBytes"]),
        modified_ms=as_int64(value.get("modificationTime") or 0),
        tags=as_text_map(value.get("tags")),
    )


def decode_transaction(value: Mapping[str, Any]) -> TransactionId:
    """Read a ``txn`` object."""
    return TransactionId(
        as_text(value["appId"]), as_int64(value["version"]), as_optional(as_int64, value.get("lastUpdated"))
    )


def decode_domain(value: Mapping[str, Any]) -> DomainMetadata:
    """Read a ``domainMetadata`` object."""
    return DomainMetadata(
        as_text(value["domain"]),
        as_json_text(value["configuration"]),
        as_flag(value.get("removed"), default=False),
    )


def decode_add(value: Mapping[str, Any]) -> AddFile:
    """Read an ``add`` object."""
    return AddFile(
        path=as_text(value["path"]),
        partition_values=as_text_map(value.get("partitionValues")),
        size_bytes=as_length(value["size"]),
        modified_ms=as_int64(value.get("modificationTime") or 0),
        data_change=as_flag(value.get("dataChange"), default=True),
        stats=as_optional(as_json_text, value.get("stats")),
        tags=as_optional(as_text_map, value.get("tags")),
        deletion_vector=_decode_deletion_vector(value.get("deletionVector")),
        base_row_id=as_optional(as_int64, value.get("baseRowId")),
        default_row_commit_version=as_optional(as_int64, value.get("defaultRowCommitVersion")),
        clustering_provider=as_optional(as_text, value.get("clusteringProvider")),
    )


def decode_cdc(value: Mapping[str, Any]) -> AddCDCFile:
    """Read a ``cdc`` object."""
    return AddCDCFile(
        path=as_text(value["path"]),
        partition_values=as_text_map(value.get("partitionValues")),
        size_bytes=as_length(value["size"]),
        tags=as_optional(as_text_map, value.get("tags")),
    )


def decode_remove(value: Mapping[str, Any]) -> RemoveFile:
    """Read a ``remove`` object."""
    return RemoveFile(
        path=as_text(value["path"]),
        deleted_ms=as_optional(as_int64, value.get("deletionTimestamp")),
        data_change=as_flag(value.get("dataChange"), default=True),
        partition_values=as_optional(as_text_map, value.get("partitionValues")),
        size_bytes=as_optional(as_length, value.get("size")),
        deletion_vector=_decode_deletion_vector(value.get("deletionVector")),
        base_row_id=as_optional(as_int64, value.get("baseRowId")),
        default_row_commit_version=as_optional(as_int64, value.get("defaultRowCommitVersion")),
    )


def decode_info(value: Mapping[str, Any]) -> CommitInfo:
    """Read a ``commitInfo`` object; provenance is free-form, so this never fails."""
    if not isinstance(value, dict):
        return CommitInfo()
    # A field of an unexpected type is kept as it came; so is a time that no calendar has, such as microseconds.
    fields: dict[str, Any] = {}
    more: dict[str, Any] = {}
    for name, item in value.items():
        kind = _INFO_TYPES.get(name)
        if kind is not None and isinstance(item, kind) and (kind is not int or _is_time(item)):
            fields[_INFO_FIELDS[name]] = item
        elif item is not None:
            more[name] = item
    return CommitInfo(**fields, more=more)


def encode_info(info: CommitInfo) -> dict[str, Any]:
    """Return the ``commitInfo`` object."""
    known = {
        "inCommitTimestamp": info.in_commit_timestamp_ms,
        "timestamp": info.timestamp_ms,
        "operation": info.operation,
        "operationParameters": dict(info.operation_parameters),
        "operationMetrics": dict(info.operation_metrics),
        "isBlindAppend": info.is_blind_append,
        "engineInfo": info.engine_info,
        "txnId": info.txn_id,
    }
    return _present(known) | dict(info.more)


def encode_protocol(protocol: Protocol) -> dict[str, Any]:
    """Return the ``protocol`` object."""
    reader, writer = protocol.reader_features, protocol.writer_features
    return _present(
        {
            "minReaderVersion": protocol.min_reader_version,
            "minWriterVersion": protocol.min_writer_version,
            "readerFeatures": None if reader is None else sorted(reader),
            "writerFeatures": None if writer is None else sorted(writer),
        }
    )


def encode_metadata(metadata: Metadata) -> dict[str, Any]:
    """Return the ``metaData`` object."""
    return _present(
        {
            "id": metadata.id,
            "name": metadata.name,
            "description": metadata.description,
            "format": {"provider": metadata.format_provider, "options": {}},
            "schemaString": metadata.schema_string,
            "partitionColumns": list(metadata.partition_columns),
            "configuration": dict(metadata.configuration),
            "createdTime": metadata.created_time_ms,
        }
    )


def encode_domain(domain: DomainMetadata) -> dict[str, Any]:
    """Return the ``domainMetadata`` object."""
    return {"domain": domain.domain, "configuration": domain.configuration, "removed": domain.removed}


def encode_transaction(txn: TransactionId) -> dict[str, Any]:
    """Return the ``txn`` object."""
    return _present({"appId": txn.app_id, "version": txn.version, "lastUpdated": txn.last_updated_ms})


def encode_sidecar(sidecar: Sidecar) -> dict[str, Any]:
    """Return the ``sidecar`` object."""
    return {
        "path": sidecar.path,
        "sizeInBytes": sidecar.size_bytes,
        "modificationTime": sidecar.modified_ms,
        "tags": dict(sidecar.tags),
    }


def encode_add(add: AddFile) -> dict[str, Any]:
    """Return the ``add`` object."""
    return _present(
        {
            "path": add.path,
            "partitionValues": dict(add.partition_values),
            "size": add.size_bytes,
            "modificationTime": add.modified_ms,
            "dataChange": add.data_change,
            "stats": add.stats,
            "tags": None if not add.tags else dict(add.tags),
            "deletionVector": _encode_deletion_vector(add.deletion_vector),
            "baseRowId": add.base_row_id,
            "defaultRowCommitVersion": add.default_row_commit_version,
            "clusteringProvider": add.clustering_provider,
        }
    )


def encode_cdc(cdc: AddCDCFile) -> dict[str, Any]:
    """Return the ``cdc`` object."""
    return _present(
        {
            "path": cdc.path,
            "partitionValues": dict(cdc.partition_values),
            "size": cdc.size_bytes,
            "tags": None if not cdc.tags else dict(cdc.tags),
            "dataChange": False,
        }
    )


def encode_remove(remove: RemoveFile) -> dict[str, Any]:
    """Return the ``remove`` object."""
    known = remove.partition_values is not None and remove.size_bytes is not None
    return _present(
        {
            "path": remove.path,
            "deletionTimestamp": remove.deleted_ms,
            "dataChange": remove.data_change,
            "extendedFileMetadata": known,
            "partitionValues": dict(remove.partition_values) if remove.partition_values is not None else None,
            "size": remove.size_bytes,
            "deletionVector": _encode_deletion_vector(remove.deletion_vector),
            "baseRowId": remove.base_row_id,
            "defaultRowCommitVersion": remove.default_row_commit_version,
        }
    )


def _encode_deletion_vector(vector: DeletionVectorDescriptor | None) -> dict[str, Any] | None:
    if vector is None:
        return None
    return _present(
        {
            "storageType": vector.storage_type,
            "pathOrInlineDv": vector.path_or_inline,
            "offset": vector.offset,
            "sizeInBytes": vector.size_bytes,
            "cardinality": vector.cardinality,
        }
    )


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _check_partition_columns(columns: tuple[str, ...], schema_string: str) -> None:
    """Raise ValueError where a partition column is none of the schema's; a schema that is none is found elsewhere."""
    if not columns or not schema_string:
        return
    try:
        names = {field["name"].lower() for field in orjson.loads(schema_string)["fields"]}
    except (ValueError, KeyError, TypeError, AttributeError):
        return
    for column in columns:
        if column.lower() not in names:
            raise ValueError(f"partition column {column!r} is not in the schema")


def _decode_deletion_vector(value: Mapping[str, Any] | None) -> DeletionVectorDescriptor | None:
    if value is None:
        return None
    return DeletionVectorDescriptor(
        storage_type=as_text(value["storageType"]),
        path_or_inline=as_text(value["pathOrInlineDv"]),
        size_bytes=as_int32_length(value["sizeInBytes"]),
        cardinality=as_length(value["cardinality"]),
        offset=as_optional(as_int32_length, value.get("offset")),
    )


def _is_time(value: Any) -> bool:
    return not isinstance(value, bool) and _FIRST_MS <= value <= _LAST_MS


def _as_names(value: Any) -> frozenset[str]:
    return frozenset(as_text_list(value))
