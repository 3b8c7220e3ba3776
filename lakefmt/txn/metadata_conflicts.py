"""Whether a transaction still stands after others changed what is not rows: protocol, metadata, domains; pure.

The rules are the reference implementation's (``ConflictChecker``): its lists of features that may be added, and of
properties that may be set, beside a transaction in flight, as far as this library writes such tables.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from lakefmt.log.features import supported_features

if TYPE_CHECKING:
    from lakefmt.log import Commit, Metadata, Protocol
    from lakefmt.snapshot.replay import TableState
    from lakefmt.txn.changes import Changes

__all__ = ["ROW_TRACKING_DOMAIN", "Conflict", "judge_metadata"]

# That these are listed asks nothing of files that have been written already; row ids are given attempt by attempt.
_MAY_BE_LISTED: Final = frozenset(
    {
        "appendOnly",
        "changeDataFeed",
        "deletionVectors",
        "domainMetadata",
        "inCommitTimestamp",
        "rowTracking",
        "timestampNtz",
        "typeWidening",
        "v2Checkpoint",
        "vacuumProtocolCheck",
    }
)
# Properties that may be set, to that value where one is given, if the feature is listed already.
_MAY_BE_SET: Final = {
    "delta.enableDeletionVectors": ("true", "deletionVectors"),
    "delta.checkpointPolicy": ("v2", "v2Checkpoint"),
    "delta.enableInCommitTimestamps": ("true", "inCommitTimestamp"),
    "delta.inCommitTimestampEnablementVersion": (None, "inCommitTimestamp"),
    "delta.inCommitTimestampEnablementTimestamp": (None, "inCommitTimestamp"),
}
# Upkeep of the log and of what no version names: no commit follows them. (To the reference these conflict.)
_UPKEEP: Final = frozenset(
    {
        "delta.checkpoint.writeStatsAsJson",
        "delta.checkpoint.writeStatsAsStruct",
        "delta.checkpointInterval",
        "delta.checkpointRetentionDuration",
        "delta.deletedFileRetentionDuration",
        "delta.enableExpiredLogCleanup",
        "delta.logRetentionDuration",
        "delta.setTransactionRetentionDuration",
    }
)
ROW_TRACKING_DOMAIN: Final = "delta.rowTracking"


@dataclass(frozen=True, slots=True)
class Conflict:
    """Why two commits cannot both stand.

    Attributes:
        kind: as ``CommitConflictError`` has it.
        version: the winner's.
        detail: what overlapped, as the end of a sentence whose subject is the winner.
        path: the file that overlapped, if one did.
        retry_helps: whether the same statement can succeed on the newest version.
        hint: the way out; None for "Refresh the table and run it again".
    """

    kind: str
    version: int
    detail: str
    path: str | None = None
    retry_helps: bool = True
    hint: str | None = None


def judge_metadata(ours: Changes, version: int, winner: Commit, base: TableState) -> Conflict | None:
    """Judge one winner by all of its actions that are not files.

    Args:
        ours: what we want to commit.
        version: the winner's.
        winner: its commit.
        base: the table before the winner.
    """
    return (
        _judge_protocol(ours, version, winner, base)
        or _judge_properties(ours, version, winner, base)
        or _judge_transactions(ours, version, winner)
        or _judge_domains(ours, version, winner)
    )


def _judge_protocol(ours: Changes, version: int, winner: Commit, base: TableState) -> Conflict | None:
    if winner.protocol is None:
        return None
    if ours.protocol is not None:
        return Conflict("protocol", version, "changed the table's protocol as well")
    before: Protocol | None = base.protocol
    there = frozenset() if before is None else supported_features(before)
    listed = supported_features(winner.protocol)
    if dropped := sorted(there - listed):
        return Conflict("protocol", version, f"took {', '.join(dropped)} out of the table's protocol")
    if added := sorted(listed - there - _MAY_BE_LISTED):
        return Conflict("protocol", version, f"put {', '.join(added)} into the table's protocol")
    return None


def _judge_properties(ours: Changes, version: int, winner: Commit, base: TableState) -> Conflict | None:
    now, before = winner.metadata, base.metadata
    if now is None:
        return None
    if ours.metadata is not None:
        return Conflict("metadata", version, "changed the table's schema or properties as well")
    if before is None or _but_properties(now) != _but_properties(before):
        return Conflict("metadata", version, "changed the table's schema")
    if gone := sorted(before.configuration.keys() - now.configuration.keys() - _UPKEEP):
        return Conflict("metadata", version, f"unset the table property {gone[0]}")
    listed = supported_features(winner.protocol or base.protocol) if base.protocol else frozenset()
    for name, value in sorted(now.configuration.items()):
        if before.configuration.get(name) == value or name in _UPKEEP:
            continue
        wanted, feature = _MAY_BE_SET.get(name, (None, None))
        if feature not in listed or wanted not in (None, value.lower()):
            return Conflict("metadata", version, f"set the table property {name} to {value!r:.80}")
    return None


def _judge_transactions(ours: Changes, version: int, winner: Commit) -> Conflict | None:
    """Judge the progress of applications ("Transaction Identifiers").

    The reference conflicts with whoever recorded progress of the same application. Here it is enough that ours goes
    on from the winner's: it is then what it would have been had it begun after it.
    """
    theirs = {txn.app_id: txn.version for txn in winner.transactions}
    for txn in ours.transactions:
        if (there := theirs.get(txn.app_id)) is not None and there >= txn.version:
            return Conflict(
                "transaction",
                version,
                f"recorded version {there} of application {txn.app_id!r}, where this one is to record {txn.version}",
                retry_helps=False,
                hint="What it was to write is in the table already, unless the application numbers its writes otherwise",
            )
    return None


def _judge_domains(ours: Changes, version: int, winner: Commit) -> Conflict | None:
    """Judge metadata domains ("Domain Metadata"): each is of one owner; that of row ids is rebased, not judged."""
    theirs = {domain.domain for domain in winner.domains} - {ROW_TRACKING_DOMAIN}
    for domain in ours.domains:
        if domain.domain in theirs:
            return Conflict("domain", version, f"changed the metadata domain {domain.domain} as well")
    return None


def _but_properties(metadata: Metadata) -> Metadata:
    return replace(metadata, configuration={}, name=None, description=None, created_time_ms=None)
