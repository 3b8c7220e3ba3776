"""The one-off actions of a checkpoint: everything but its files ("Checkpoints", "V2 Spec")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.arrow_values import scalar_of
from lakefmt.log.codec import (
    decode_domain,
    decode_metadata,
    decode_protocol,
    decode_sidecar,
    decode_transaction,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lakefmt.log.actions import DomainMetadata, Metadata, Protocol, Sidecar, TransactionId
    from lakefmt.manifest.checkpoint.action_file import ActionFile
    from lakefmt.schema import FieldPath

__all__ = ["CheckpointState", "decode_state", "read_state_rows"]

# A member that every action of the kind has: whether a row is one can be told from it alone.
_KEYS: dict[str, str] = {
    "protocol": "minReaderVersion",
    "metaData": "id",
    "txn": "appId",
    "domainMetadata": "domain",
    "sidecar": "path",
}
_BATCH_ROWS = 8_192


@dataclass(frozen=True, slots=True)
class CheckpointState:
    """The one-off actions of a checkpoint."""

    protocol: Protocol | None
    metadata: Metadata | None
    transactions: tuple[TransactionId, ...]
    domains: tuple[DomainMetadata, ...]
    sidecars: tuple[Sidecar, ...] = ()


def read_state_rows(file: ActionFile) -> list[Mapping[str, Any]]:
    """Return the one-off actions of a Parquet file, each as ``{kind: fields}``.

    They are few among up to a million file actions: a key column of each kind tells where.
    """
    import pyarrow.compute as pc

    keys: list[FieldPath] = list(_KEYS.items())
    present = {key: set(groups) for key in keys if (groups := file.groups_with(key))}
    rows: list[Mapping[str, Any]] = []
    for group in sorted(set().union(*present.values())):
        here = [key for key in present if group in present[key]]
        columns = file.read(here, [group])
        places = {key[0]: pc.indices_nonzero(pc.is_valid(column)) for key, column in columns.items()}
        kinds: list[FieldPath] = [(kind,) for kind, found in places.items() if len(found)]
        if not kinds:
            continue
        wanted: Any = pc.unique(pa.concat_arrays([found for found in places.values() if len(found)]))
        wanted = wanted.take(pc.sort_indices(wanted)).cast(pa.int64())
        until, structs = wanted[-1].as_py() + 1, None
        if until > _BATCH_ROWS:  # a first batch is read sooner than a database is made
            structs = file.read_rows(kinds, pc.add(wanted, scalar_of(file.first_rows[group], pa.int64())))
        if structs is None:
            structs = file.read_until(kinds, group, until, _BATCH_ROWS)
        with file.reading():
            for (kind,), column in structs.items():
                rows += [{kind: _plain(value, column.type)} for value in column.drop_null().to_pylist()]
    return rows


def decode_state(rows: Iterable[Mapping[str, Any]]) -> CheckpointState:
    """Decode one-off actions; of protocol and metadata the last counts.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: an action is malformed.
    """
    protocol, metadata = None, None
    transactions: list[TransactionId] = []
    domains: list[DomainMetadata] = []
    sidecars: list[Sidecar] = []
    for row in rows:
        for kind, value in row.items():
            if value is None:
                continue
            match kind:
                case "protocol":
                    protocol = decode_protocol(value)
                case "metaData":
                    metadata = decode_metadata(value)
                case "txn":
                    transactions.append(decode_transaction(value))
                case "domainMetadata":
                    domains.append(decode_domain(value))
                case "sidecar":
                    sidecars.append(decode_sidecar(value))
                case _:
                    pass  # files are read as columns; what else there may be says nothing of the version
    return CheckpointState(protocol, metadata, tuple(transactions), tuple(domains), tuple(sidecars))


def _plain(value: Any, kind: Any) -> Any:
    """Return a struct's value as JSON has it: Arrow hands maps over as lists of pairs."""
    if not isinstance(value, dict):
        return value
    plain = dict(value)
    for i in range(kind.num_fields):
        field = kind.field(i)
        member = plain.get(field.name)
        if member is not None and str(field.type).startswith("map<"):
            plain[field.name] = dict(member)
        elif isinstance(member, dict):
            plain[field.name] = _plain(member, field.type)
    return plain
