"""Whether a transaction still stands after others have committed; pure.

The rules are those of the reference implementation's ``WriteSerializable`` isolation: an append that looked at
nothing never conflicts and is never in another's way; metadata and protocol changes are in everybody's way; a
statement that read or removes files conflicts with who removed one of them, or added one that it would have read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakefmt.manifest.file_list import FileList
from lakefmt.scan.prune import prune

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.log import Commit
    from lakefmt.snapshot import Snapshot
    from lakefmt.txn.changes import Changes

__all__ = ["Conflict", "check_conflicts"]


@dataclass(frozen=True, slots=True)
class Conflict:
    """Why two commits cannot both stand.

    Attributes:
        kind: ``metadata``, ``protocol``, ``removed``, ``added`` or ``transaction``.
        version: the winner's.
        detail: what overlapped, as the end of a sentence.
        path: the file that overlapped, if one did.
        retry_helps: whether the same statement can succeed on the newest version.
    """

    kind: str
    version: int
    detail: str
    path: str | None = None
    retry_helps: bool = True


def check_conflicts(
    ours: Changes, winners: Sequence[tuple[int, Commit]], snapshot: Snapshot
) -> Conflict | None:
    """Judge our changes, made on ``snapshot``, against the commits that came since; None: rebase.

    Args:
        ours: what we want to commit.
        winners: (version, commit) of every commit since, oldest first.
        snapshot: the version ours was made on.
    """
    for version, winner in winners:
        if (found := _judge(ours, version, winner, snapshot)) is not None:
            return found
    return None


def _judge(ours: Changes, version: int, winner: Commit, snapshot: Snapshot) -> Conflict | None:
    if winner.protocol is not None:
        return Conflict("protocol", version, "changed the table's protocol")
    if winner.metadata is not None:
        return Conflict("metadata", version, "changed the table's schema or properties")
    apps = {txn.app_id for txn in ours.transactions} & {txn.app_id for txn in winner.transactions}
    if apps:
        return Conflict("transaction", version, f"recorded progress of application {min(apps)} as well")
    domains = {d.domain for d in ours.domains} & {d.domain for d in winner.domains}
    if domains:
        return Conflict("metadata", version, f"changed the metadata domain {min(domains)} as well")
    removed = {remove.path for remove in winner.removes}
    for remove in ours.removes:
        if remove.path in removed:
            return Conflict("removed", version, "removed a file that this one removes", remove.path)
    if ours.read_predicate is None:
        return None
    blind = bool(winner.info and winner.info.is_blind_append) and not winner.removes
    added = [add for add in winner.adds if add.data_change]
    if blind or not added:
        return None
    files = FileList.from_adds(added, snapshot.partition_keys)
    matching = prune(files, ours.read_predicate, snapshot.schema, snapshot.partition_columns)
    hits = files.filter(matching)
    if hits.num_files:
        return Conflict(
            "added", version, "added rows that this one would have read", hits.table["path"][0].as_py()
        )
    return None
