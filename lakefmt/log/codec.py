"""Actions <-> the bytes of a commit file: one JSON object per line ("Delta Log Entries").

A log is input from strangers: whatever is wrong with a commit leaves here as a ``CorruptTableError`` that names it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from lakefmt.errors import CorruptTableError
from lakefmt.log.actions import (
    AddCDCFile,
    AddFile,
    CommitInfo,
    DeletionVectorDescriptor,
    DomainMetadata,
    Metadata,
    Protocol,
    RemoveFile,
    TransactionId,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_T = TypeVar("_T")

__all__ = ["Commit", "decode_commit", "decode_metadata", "decode_protocol", "encode_commit"]


@dataclass(frozen=True, slots=True)
class Commit:
    """The actions of one version, by kind, in the order of the file; ``cdcs`` matter to readers of row changes only."""

    info: CommitInfo | None = None
    protocol: Protocol | None = None
    metadata: Metadata | None = None
    adds: tuple[AddFile, ...] = ()
    removes: tuple[RemoveFile, ...] = ()
    transactions: tuple[TransactionId, ...] = ()
    domains: tuple[DomainMetadata, ...] = ()
    cdcs: tuple[AddCDCFile, ...] = ()


def encode_commit(commit: Commit) -> bytes:
    """Return the bytes of a commit file; ``commitInfo`` comes first, as in-commit timestamps ask."""
    lines: list[dict[str, Any]] = []
    if commit.info is not None:
        lines.append({"commitInfo": _encode_info(commit.info)})
    if commit.protocol is not None:
        lines.append({"protocol": _encode_protocol(commit.protocol)})
    if commit.metadata is not None:
        lines.append({"metaData": _encode_metadata(commit.metadata)})
    lines.extend({"txn": _present(_encode_transaction(txn))} for txn in commit.transactions)
    lines.extend(
        {"domainMetadata": {"domain": d.domain, "configuration": d.configuration, "removed": d.removed}}
        for d in commit.domains
    )
    lines.extend({"remove": _encode_remove(remove)} for remove in commit.removes)
    lines.extend({"add": _encode_add(add)} for add in commit.adds)
    lines.extend({"cdc": _encode_cdc(cdc)} for cdc in commit.cdcs)
    return b"\n".join(map(orjson.dumps, lines)) + b"\n"


def decode_commit(data: bytes, *, table: str, version: int, path: str) -> Commit:
    """Read a commit file.

    Raises:
        CorruptTableError: not JSON, cut off, no action at all, or a required field is missing or of another type.
    """

    def corrupt(why: str) -> CorruptTableError:
        return CorruptTableError(
            f"Commit cannot be read: {why}",
            table=table,
            version=version,
            path=path,
            hint="Restore the file from a backup, or open an earlier version",
        )

    try:
        actions = list(_iterate_objects(data))
    except (ValueError, RecursionError) as error:
        raise corrupt(f"not JSON, or cut off ({error})") from error
    if not actions:
        raise corrupt("the file holds no action")
    try:
        return _collect(actions)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise corrupt(f"an action lacks a field or has one of the wrong type ({error!r})") from error


def decode_protocol(value: Mapping[str, Any]) -> Protocol:
    """Read a ``protocol`` object. Raises KeyError, TypeError or ValueError where it is malformed."""
    reader, writer = value.get("readerFeatures"), value.get("writerFeatures")
    return Protocol(
        min_reader_version=_integer(value["minReaderVersion"]),
        min_writer_version=_integer(value["minWriterVersion"]),
        reader_features=None if reader is None else frozenset(map(_text, reader)),
        writer_features=None if writer is None else frozenset(map(_text, writer)),
    )


def decode_metadata(value: Mapping[str, Any]) -> Metadata:
    """Read a ``metaData`` object. Raises KeyError, TypeError or ValueError where it is malformed."""
    configuration = value.get("configuration") or {}
    # Delta Live Tables set tables up with a first metaData that has none; ``Snapshot`` refuses one in force.
    schema_string = _text(value.get("schemaString") or "")
    partition_columns = tuple(map(_text, value.get("partitionColumns") or ()))
    _check_partition_columns(partition_columns, schema_string)
    return Metadata(
        id=_text(value["id"]),
        schema_string=schema_string,
        partition_columns=partition_columns,
        configuration={_text(k): _text(v) for k, v in configuration.items() if v is not None},
        name=value.get("name"),
        description=value.get("description"),
        created_time_ms=_optional(_int64, value.get("createdTime")),
        format_provider=(value.get("format") or {}).get("provider") or "parquet",
    )


def _iterate_objects(data: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield each JSON object, one a line as the protocol says, or pretty-printed over several as found in the wild."""
    try:
        parsed = [orjson.loads(line) for line in data.splitlines() if not line.isspace() and line]
    except orjson.JSONDecodeError:
        text, position, decoder = data.decode("utf-8"), 0, json.JSONDecoder()
        parsed = []
        while position < len(text):
            if text[position].isspace():
                position += 1
                continue
            value, position = decoder.raw_decode(text, position)
            parsed.append(value)
    for value in parsed:
        if not isinstance(value, dict):
            raise ValueError(f"expected an object, found {type(value).__name__}")  # noqa: TRY004 - a JSON error like the others
        yield value


def _collect(actions: list[Mapping[str, Any]]) -> Commit:
    info: CommitInfo | None = None
    protocol: Protocol | None = None
    metadata: Metadata | None = None
    adds: list[AddFile] = []
    removes: list[RemoveFile] = []
    transactions: list[TransactionId] = []
    domains: list[DomainMetadata] = []
    cdcs: list[AddCDCFile] = []
    for action in actions:
        for kind, value in action.items():
            if value is None:
                continue
            match kind:
                case "add":
                    adds.append(_decode_add(value))
                case "remove":
                    removes.append(_decode_remove(value))
                case "commitInfo":
                    info = _decode_info(value)
                case "metaData":
                    metadata = _only_once(metadata, decode_metadata(value), kind)
                case "protocol":
                    protocol = _only_once(protocol, decode_protocol(value), kind)
                case "txn":
                    transactions.append(
                        TransactionId(
                            _text(value["appId"]),
                            _int64(value["version"]),
                            _optional(_int64, value.get("lastUpdated")),
                        )
                    )
                case "domainMetadata":
                    domains.append(
                        DomainMetadata(
                            _text(value["domain"]), _text(value["configuration"]), bool(value.get("removed"))
                        )
                    )
                case "cdc":
                    cdcs.append(_decode_cdc(value))
                case _:
                    pass  # "clients can assume that unrecognized actions ... are never required"
    return Commit(
        info,
        protocol,
        metadata,
        tuple(adds),
        tuple(removes),
        tuple(transactions),
        tuple(domains),
        tuple(cdcs),
    )


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


def _only_once(before: _T | None, now: _T, kind: str) -> _T:
    if before is not None:
        raise ValueError(f"more than one {kind} action")
    return now


def _decode_add(value: Mapping[str, Any]) -> AddFile:
    stats = value.get("stats")
    return AddFile(
        path=_text(value["path"]),
        partition_values=_string_map(value.get("partitionValues") or {}),
        size_bytes=_length(value["size"]),
        modified_ms=_int64(value.get("modificationTime") or 0),
        data_change=bool(value.get("dataChange", True)),
        stats=None if stats is None else _text(stats),
        tags=None if value.get("tags") is None else _string_map(value["tags"]),
        deletion_vector=_decode_deletion_vector(value.get("deletionVector")),
        base_row_id=_optional(_int64, value.get("baseRowId")),
        default_row_commit_version=_optional(_int64, value.get("defaultRowCommitVersion")),
        clustering_provider=_optional(_text, value.get("clusteringProvider")),
    )


def _decode_cdc(value: Mapping[str, Any]) -> AddCDCFile:
    return AddCDCFile(
        path=_text(value["path"]),
        partition_values=_string_map(value.get("partitionValues") or {}),
        size_bytes=_length(value["size"]),
        tags=None if value.get("tags") is None else _string_map(value["tags"]),
    )


def _decode_remove(value: Mapping[str, Any]) -> RemoveFile:
    partition_values = value.get("partitionValues")
    return RemoveFile(
        path=_text(value["path"]),
        deleted_ms=_optional(_int64, value.get("deletionTimestamp")),
        data_change=bool(value.get("dataChange", True)),
        partition_values=None if partition_values is None else _string_map(partition_values),
        size_bytes=_optional(_length, value.get("size")),
        deletion_vector=_decode_deletion_vector(value.get("deletionVector")),
    )


def _decode_deletion_vector(value: Mapping[str, Any] | None) -> DeletionVectorDescriptor | None:
    if value is None:
        return None
    return DeletionVectorDescriptor(
        storage_type=_text(value["storageType"]),
        path_or_inline=_text(value["pathOrInlineDv"]),
        size_bytes=_int32_length(value["sizeInBytes"]),
        cardinality=_length(value["cardinality"]),
        offset=_optional(_int32_length, value.get("offset")),
    )


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
_INFO_TYPES: dict[str, type | tuple[type, ...]] = {
    "timestamp": int,
    "operation": str,
    "operationParameters": dict,
    "operationMetrics": dict,
    "engineInfo": str,
    "txnId": str,
    "isBlindAppend": bool,
    "inCommitTimestamp": int,
}
_INFO_TIMES = frozenset({"timestamp", "inCommitTimestamp"})
# The years 1 to 9999, in milliseconds since the epoch: what a datetime can hold.
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999


def _decode_info(value: Mapping[str, Any]) -> CommitInfo:
    # Provenance is free-form: a field of an unexpected type is kept as it came, never an error; so is a time that no
    # calendar has, such as one in microseconds.
    known: dict[str, Any] = {
        k: v
        for k, v in value.items()
        if k in _INFO_TYPES and isinstance(v, _INFO_TYPES[k]) and (k not in _INFO_TIMES or _is_time(v))
    }
    more = {k: v for k, v in value.items() if k not in known and v is not None}
    fields: dict[str, Any] = {_INFO_FIELDS[k]: v for k, v in known.items()}
    return CommitInfo(**fields, more=more)


def _is_time(value: Any) -> bool:
    return not isinstance(value, bool) and _FIRST_MS <= value <= _LAST_MS


def _encode_info(info: CommitInfo) -> dict[str, Any]:
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


def _encode_protocol(protocol: Protocol) -> dict[str, Any]:
    reader, writer = protocol.reader_features, protocol.writer_features
    return _present(
        {
            "minReaderVersion": protocol.min_reader_version,
            "minWriterVersion": protocol.min_writer_version,
            "readerFeatures": None if reader is None else sorted(reader),
            "writerFeatures": None if writer is None else sorted(writer),
        }
    )


def _encode_metadata(metadata: Metadata) -> dict[str, Any]:
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


def _encode_transaction(txn: TransactionId) -> dict[str, Any]:
    return {"appId": txn.app_id, "version": txn.version, "lastUpdated": txn.last_updated_ms}


def _encode_add(add: AddFile) -> dict[str, Any]:
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


def _encode_cdc(cdc: AddCDCFile) -> dict[str, Any]:
    return _present(
        {
            "path": cdc.path,
            "partitionValues": dict(cdc.partition_values),
            "size": cdc.size_bytes,
            "tags": None if not cdc.tags else dict(cdc.tags),
            "dataChange": False,
        }
    )


def _encode_remove(remove: RemoveFile) -> dict[str, Any]:
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


def _typed(kind: type[_T]) -> Callable[[Any], _T]:
    def check(value: Any) -> _T:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise TypeError(f"expected {kind.__name__}, found {value!r:.80}")
        return value

    return check


_integer = _typed(int)
_string = _typed(str)


def _text(value: Any) -> str:
    text = _string(value)
    if not text.isascii():
        text.encode()  # a lone surrogate, which JSON can spell, is a ValueError here and no text anywhere else
    return text


def _within(least: int, most: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        number = _integer(value)
        if not least <= number <= most:
            raise ValueError(f"{number} is outside {least} to {most}")
        return number

    return check


_int64 = _within(-(1 << 63), (1 << 63) - 1)
_length = _within(0, (1 << 63) - 1)
_int32_length = _within(0, (1 << 31) - 1)


def _optional(check: Callable[[Any], _T], value: Any) -> _T | None:
    return None if value is None else check(value)


def _string_map(value: Mapping[str, Any]) -> dict[str, str | None]:
    return {_text(k): None if v is None else _text(v) for k, v in value.items()}
