"""Version checksum files: what a writer says a version adds up to ("Version Checksum File")."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from lakefmt.errors import ObjectNotFoundError
from lakefmt.log.codec import (
    decode_metadata,
    decode_protocol,
    encode_domain,
    encode_protocol,
    encode_transaction,
)
from lakefmt.log.json_values import as_int64, as_length, as_optional, as_text

if TYPE_CHECKING:
    from lakefmt.log.actions import DomainMetadata, Metadata, Protocol, TransactionId
    from lakefmt.log.paths import LogFile
    from lakefmt.store import Store

__all__ = ["VersionChecksum", "decode_checksum", "encode_checksum", "load_checksum"]

_log = logging.getLogger("lakefmt.log")

# Some writers put the whole file list into it; from here on reading it costs more than it tells.
_LARGEST_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class VersionChecksum:
    """The figures of a version; None for one that the writer left out.

    Attributes:
        num_files: live data files.
        size_bytes: their sizes added up.
        num_deletion_vectors: how many of them have a deletion vector.
        num_deleted_records: the rows that those mark, added up.
        protocol: the protocol in force.
        metadata: the metadata in force.
        txn_id: of the transaction that made the version.
        in_commit_timestamp_ms: of the version, where the table has them.
        transactions: the transaction ids in force, None where they are not told.
        domains: the metadata domains in force, None where they are not told.
    """

    num_files: int | None
    size_bytes: int | None
    num_deletion_vectors: int | None
    num_deleted_records: int | None
    protocol: Protocol | None
    metadata: Metadata | None
    txn_id: str | None = None
    in_commit_timestamp_ms: int | None = None
    transactions: tuple[TransactionId, ...] | None = None
    domains: tuple[DomainMetadata, ...] | None = None


def encode_checksum(checksum: VersionChecksum, *, metadata: bytes) -> bytes:
    """Return the bytes of a checksum file ("Version Checksum File Schema").

    Args:
        checksum: all that the protocol requires is there.
        metadata: the metadata's JSON, encoded once for all versions that share it.
    """
    fields: dict[str, Any] = {
        "txnId": checksum.txn_id,
        "tableSizeBytes": checksum.size_bytes,
        "numFiles": checksum.num_files,
        "numDeletedRecordsOpt": checksum.num_deleted_records,
        "numDeletionVectorsOpt": checksum.num_deletion_vectors,
        "numMetadata": 1,
        "numProtocol": 1,
        "inCommitTimestampOpt": checksum.in_commit_timestamp_ms,
        "setTransactions": as_optional(_encode_transactions, checksum.transactions),
        "domainMetadata": as_optional(_encode_domains, checksum.domains),
        "metadata": orjson.Fragment(metadata),
        "protocol": as_optional(encode_protocol, checksum.protocol),
    }
    return orjson.dumps({name: value for name, value in fields.items() if value is not None})


def decode_checksum(data: bytes) -> VersionChecksum:
    """Read a checksum file. Raises KeyError, TypeError, ValueError or AttributeError where it is malformed."""
    value = orjson.loads(data)
    return VersionChecksum(
        num_files=as_optional(as_length, value.get("numFiles")),
        size_bytes=as_optional(as_length, value.get("tableSizeBytes")),
        num_deletion_vectors=as_optional(as_length, value.get("numDeletionVectorsOpt")),
        num_deleted_records=as_optional(as_length, value.get("numDeletedRecordsOpt")),
        protocol=as_optional(decode_protocol, value.get("protocol")),
        metadata=as_optional(decode_metadata, value.get("metadata")),
        txn_id=as_optional(as_text, value.get("txnId")),
        in_commit_timestamp_ms=as_optional(as_int64, value.get("inCommitTimestampOpt")),
    )


def load_checksum(store: Store, file: LogFile) -> VersionChecksum | None:
    """Read a checksum file; None where it is gone, too large or malformed: readers go on without it."""
    if file.size_bytes > _LARGEST_BYTES:
        _log.debug("%s: %s is too large to be worth reading", store.uri, file.key)
        return None
    try:
        return decode_checksum(store.read(file.key))
    except ObjectNotFoundError:
        return None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        _log.debug("%s: %s is not readable (%r)", store.uri, file.key, error)
        return None


def _encode_transactions(transactions: tuple[TransactionId, ...]) -> list[dict[str, Any]]:
    return [encode_transaction(txn) for txn in transactions]


def _encode_domains(domains: tuple[DomainMetadata, ...]) -> list[dict[str, Any]]:
    return [encode_domain(domain) for domain in domains]
