"""Whether a version adds up to what its writer said ("Version Checksum File", "State Validation"); pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from lakefmt.snapshot.totals import Totals

if TYPE_CHECKING:
    from lakefmt.log import Metadata, Protocol
    from lakefmt.log.checksum import VersionChecksum
    from lakefmt.manifest import FileList

__all__ = ["find_discrepancies"]


def find_discrepancies(
    checksum: VersionChecksum, files: FileList, protocol: Protocol, metadata: Metadata
) -> list[str]:
    """Return what differs, each with both figures; nothing where the version adds up."""
    totals = Totals.of_files(files)
    figures = [
        ("data files", checksum.num_files, totals.num_files),
        ("bytes of data files", checksum.size_bytes, totals.size_bytes),
        ("deletion vectors", checksum.num_deletion_vectors, totals.num_deletion_vectors),
        ("rows deleted by vectors", checksum.num_deleted_records, totals.num_deleted_records),
    ]
    found = [
        f"{what}: {there:,} by the log, {said:,} by the checksum file"
        for what, said, there in figures
        if said is not None and said != there
    ]
    if checksum.protocol is not None and _demands(checksum.protocol) != _demands(protocol):
        found.append(f"protocol: {protocol} by the log, {checksum.protocol} by the checksum file")
    if checksum.metadata is not None:
        said_fields, there_fields = _meaning(checksum.metadata), _meaning(metadata)
        found.extend(
            f"{name} of the table: {there!r:.200} by the log, {said_fields[name]!r:.200} by the checksum file"
            for name, there in there_fields.items()
            if said_fields[name] != there
        )
    return found


def _demands(protocol: Protocol) -> tuple[int, int, frozenset[str], frozenset[str]]:
    """Return what a protocol asks for: a list of features that is empty asks for what one that is absent does."""
    return (
        protocol.min_reader_version,
        protocol.min_writer_version,
        protocol.reader_features or frozenset(),
        protocol.writer_features or frozenset(),
    )


def _meaning(metadata: Metadata) -> dict[str, Any]:
    try:
        schema: Any = orjson.loads(metadata.schema_string)
    except ValueError:
        schema = metadata.schema_string
    return {
        "id": metadata.id,
        "schema": schema,
        "partition columns": metadata.partition_columns,
        "properties": dict(metadata.configuration),
    }
