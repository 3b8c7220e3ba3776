"""One attempt at a version: what our changes are as the commit that follows a base.

What depends on the version, on what was committed before it, or on the moment is settled here, anew for every attempt:
so it stays right however often a commit is rebased.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from lakefmt import __version__
from lakefmt.log import Commit, CommitInfo, InCommitTimestamps
from lakefmt.txn.row_ids import number_rows

if TYPE_CHECKING:
    from lakefmt.log import Metadata, Protocol
    from lakefmt.snapshot import Snapshot
    from lakefmt.txn.changes import Changes

__all__ = ["ENGINE_INFO", "complete", "complete_first"]

ENGINE_INFO: Final = f"lakefmt/{__version__}"
_ENABLEMENT: Final = (
    "delta.inCommitTimestampEnablementVersion",
    "delta.inCommitTimestampEnablementTimestamp",
)


def complete(changes: Changes, base: Snapshot, now_ms: int, txn_id: str) -> Commit:
    """Return ``changes`` as the commit of the version after ``base``.

    Implements "Writer Requirements for In-Commit Timestamps" and "Writer Requirements for Row Tracking".

    Args:
        changes: ours, as they are on top of ``base``.
        base: the version before.
        now_ms: when the attempt is made, milliseconds since the epoch.
        txn_id: tells this commit from every other; the same for all attempts, so that one of them is recognised
            wherever it is found ("Commit Provenance Information").

    Raises:
        InvalidInputError: row tracking needs to know the rows of a file, and nobody says how many it has.
        UnsupportedFeatureError: rows that row tracking follows would be moved without their ids.
    """
    version = base.version + 1
    protocol = base.protocol if changes.protocol is None else changes.protocol
    metadata = base.metadata if changes.metadata is None else changes.metadata
    # Files with the ids of their rows in them (``Transaction.stage_rewrite``).
    moved = frozenset([each.file.path for rewrite in changes.rewrites for each in rewrite.outputs])
    dated = _date(protocol, metadata, base.table_uri, version)
    if not dated:
        return number_rows(_commit(changes, now_ms, None, txn_id), base, protocol, metadata, moved)
    # Of a version without in-commit timestamp this is its file's time, which the first one has to be past.
    moment_ms = max(now_ms, base.timestamp_ms + 1)
    if changes.metadata is not None:
        kept = _enablement(base, metadata, version, moment_ms)
        configuration: dict[str, str] = {**metadata.configuration, **kept}
        changes = replace(changes, metadata=replace(metadata, configuration=configuration))
    return number_rows(_commit(changes, now_ms, moment_ms, txn_id), base, protocol, metadata, moved)


def complete_first(changes: Changes, now_ms: int, txn_id: str, *, table: str) -> Commit:
    """Return ``changes``, which have protocol and metadata, as the commit of version 0."""
    dated = (
        changes.protocol is not None
        and changes.metadata is not None
        and _date(changes.protocol, changes.metadata, table, 0)
    )
    return _commit(changes, now_ms, now_ms if dated else None, txn_id)


def _date(protocol: Protocol, metadata: Metadata, table: str, version: int) -> bool:
    return InCommitTimestamps.of(protocol, metadata, table=table, version=version) is not None


def _enablement(base: Snapshot, metadata: Metadata, version: int, moment_ms: int) -> dict[str, str]:
    """Return the properties that say since when commits are dated: from now on, or as they were."""
    if base.in_commit_timestamps is None:
        return dict(zip(_ENABLEMENT, (str(version), str(moment_ms)), strict=True))
    before = base.metadata.configuration
    return {n: before[n] for n in _ENABLEMENT if n in before and n not in metadata.configuration}


def _commit(changes: Changes, now_ms: int, in_commit_ms: int | None, txn_id: str) -> Commit:
    info = CommitInfo(
        timestamp_ms=now_ms,
        operation=changes.operation,
        operation_parameters=changes.parameters,
        operation_metrics={name: str(count) for name, count in changes.metrics.items()},
        engine_info=ENGINE_INFO,
        txn_id=txn_id,
        is_blind_append=changes.is_blind_append,
        in_commit_timestamp_ms=in_commit_ms,
        more=changes.more_info,
    )
    return Commit(
        info=info,
        protocol=changes.protocol,
        metadata=changes.metadata,
        adds=changes.adds,
        removes=changes.removes,
        transactions=changes.transactions,
        domains=changes.domains,
    )
