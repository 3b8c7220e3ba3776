"""The one-off actions of a version as rows of a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.log.codec import (
    encode_domain,
    encode_metadata,
    encode_protocol,
    encode_sidecar,
    encode_transaction,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lakefmt.log.actions import Sidecar
    from lakefmt.manifest.checkpoint.content import CheckpointContent

__all__ = ["manifest_rows", "one_off_rows", "to_table"]


def one_off_rows(content: CheckpointContent) -> list[dict[str, Any]]:
    """Return everything but the files, each action as in a commit: ``{kind: fields}``.

    Domains that have been removed are not among them, tombstones of domains not kept ("Checkpoints").
    """
    protocol = encode_protocol(content.protocol)
    # "not-null" from the versions on that have them ("Checkpoint Schema"), whatever the commit had.
    if content.protocol.min_reader_version >= 3:
        protocol.setdefault("readerFeatures", [])
    if content.protocol.min_writer_version >= 7:
        protocol.setdefault("writerFeatures", [])
    rows: list[dict[str, Any]] = [
        {"protocol": protocol},
        {"metaData": encode_metadata(content.metadata)},
    ]
    rows += [{"txn": encode_transaction(txn)} for txn in content.transactions]
    rows += [{"domainMetadata": encode_domain(domain)} for domain in content.domains]
    return rows


def manifest_rows(
    content: CheckpointContent, sidecars: Iterable[Sidecar], tags: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the rows of a V2 checkpoint whose files are in sidecars ("V2 Spec").

    Args:
        content: the version.
        sidecars: the files of file actions.
        tags: of the checkpoint ("Checkpoint Metadata Tags").
    """
    return [
        {"checkpointMetadata": {"version": content.version, "tags": dict(tags)}},
        *one_off_rows(content),
        *({"sidecar": encode_sidecar(sidecar)} for sidecar in sidecars),
    ]


def to_table(rows: Sequence[Mapping[str, Any]], types: Mapping[str, pa.DataType]) -> pa.Table:
    """Return actions as a column for each kind of action, null but for the action's own."""
    columns = [
        pa.array([_to_arrow(row.get(name), kind) for row in rows], kind) for name, kind in types.items()
    ]
    schema = pa.schema([pa.field(name, kind) for name, kind in types.items()])
    return pa.Table.from_arrays(columns, schema=schema)


def _to_arrow(value: Any, kind: Any) -> Any:
    """Return a JSON value as Arrow takes it: maps are lists of pairs."""
    if not isinstance(value, dict):
        return value
    if pa.types.is_map(kind):
        return list(value.items())
    members = {kind.field(place).name: kind.field(place).type for place in range(kind.num_fields)}
    return {name: _to_arrow(value.get(name), member) for name, member in members.items()}
