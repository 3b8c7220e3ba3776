"""Whether a transaction still stands after others have committed, and as what; pure.

The rules are those of the reference implementation, file by file; below files, rows are what counts: two commits
that delete other rows of one file both stand, and so does one that only moved rows. Who appends without having looked
at the table is never in anybody's way, nor anybody in its.

What has to be known of deletion vectors is handed in. Where something is missing, the answer is which.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from lakefmt.isolation import IsolationLevel
from lakefmt.log import AddFile, RemoveFile
from lakefmt.log.paths import canonical_path
from lakefmt.manifest.deletion_vectors import DeletedRows
from lakefmt.manifest.file_list import FileList
from lakefmt.manifest.path_columns import canonical_paths
from lakefmt.scan.prune import prune
from lakefmt.snapshot.replay import replay_state
from lakefmt.txn.metadata_conflicts import ROW_TRACKING_DOMAIN, Conflict, judge_metadata
from lakefmt.txn.row_changes import paths_of_rows, vector_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lakefmt.log import Commit
    from lakefmt.snapshot import Snapshot
    from lakefmt.txn.changes import Changes, Read
    from lakefmt.txn.row_changes import FileRows, Rewrite, RowDelete

__all__ = ["Conflict", "Rebase", "Vectors", "VectorsNeeded", "check_conflicts", "choose_isolation"]

Vectors: TypeAlias = "Mapping[tuple[str, str], DeletedRows]"
"""Deleted rows by path (``canonical_path``) and vector id of the logical file that they are of."""


@dataclass(frozen=True, slots=True)
class Rebase:
    """Both stand.

    Attributes:
        changes: ours on top of the winners; where ``moved``, without the actions of row deletes and rewrites, which
            are to be made anew.
        moved: whether winners changed files that rows are deleted in, or that are rewritten.
        dropped: rewrites that are left out, because winners changed their files in a way that cannot be carried over.
    """

    changes: Changes
    moved: bool = False
    dropped: tuple[Rewrite, ...] = ()


@dataclass(frozen=True, slots=True)
class VectorsNeeded:
    """It depends on these deletion vectors: ask again with them.

    Attributes:
        files: logical files with a vector, and the rows of their data files.
    """

    files: tuple[tuple[AddFile | RemoveFile, int], ...]


def choose_isolation(ours: Changes, of_table: IsolationLevel) -> IsolationLevel:
    """Return the level that a commit is judged by: the table's, or less for one that only moves rows.

    As ``TransactionHelper.canDowngradeToSnapshotIsolation`` of the reference implementation.
    """
    others = ours.protocol or ours.metadata or ours.transactions
    domains = [each for each in ours.domains if each.domain != ROW_TRACKING_DOMAIN]
    return of_table if ours.changes_data or others or domains else IsolationLevel.SNAPSHOT_ISOLATION


def check_conflicts(
    ours: Changes,
    winners: Sequence[tuple[int, Commit]],
    snapshot: Snapshot,
    isolation: IsolationLevel = IsolationLevel.WRITE_SERIALIZABLE,
    vectors: Vectors | None = None,
) -> Rebase | Conflict | VectorsNeeded:
    """Judge our changes, made on ``snapshot``, against the commits that came since.

    Args:
        ours: what we want to commit.
        winners: (version, commit) of every commit since, oldest first.
        snapshot: the version ours was made on.
        isolation: the table's level.
        vectors: those that are known.
    """
    level = choose_isolation(ours, isolation)
    derived = paths_of_rows(ours)
    adds = frozenset(canonical_path(add.path) for add in ours.adds) - derived
    removes = frozenset(canonical_path(remove.path) for remove in ours.removes) - derived
    case = _Case(ours, winners, snapshot, level, vectors or {}, derived, adds, removes, list(ours.reads))
    state = snapshot.state
    for version, winner in winners:
        found = judge_metadata(ours, version, winner, state) or case.judge_files(version, winner)
        if found is not None:
            return found
        state = replay_state(state, [winner])
    rebased = case.rebase_rows()
    if case.needed and not isinstance(rebased, Conflict):
        return VectorsNeeded(tuple(case.needed.values()))
    return rebased


@dataclass(slots=True)
class _Case:
    ours: Changes
    winners: Sequence[tuple[int, Commit]]
    snapshot: Snapshot
    isolation: IsolationLevel
    vectors: Vectors
    derived: frozenset[str]  # paths that adds and removes of ours are made for from rows
    adds: frozenset[str]  # the others that come
    removes: frozenset[str]  # and go
    reads: list[Read]  # ours, following rows that winners move
    needed: dict[tuple[str, str], tuple[AddFile | RemoveFile, int]] = field(default_factory=dict)
    moved_reads: list[str] = field(
        default_factory=list
    )  # paths of files that rows which we read were moved to

    # --- file by file --------------------------------------------------------------------------------------------

    def judge_files(self, version: int, winner: Commit) -> Conflict | None:
        """Judge one winner by the files it added and removed, but for those in which we change rows."""
        theirs = {canonical_path(remove.path): remove for remove in winner.removes}
        both = [remove for path, remove in theirs.items() if path in self.removes]
        if gone := [remove.path for remove in both if remove.data_change]:
            return Conflict("removed", version, "removed rows of a file that this one removes", gone[0])
        found = self._judge_added(version, winner) or self._judge_taken_from_reads(version, winner)
        return found or (_rearranged(version, both[0].path) if both else None)

    def _judge_added(self, version: int, winner: Commit) -> Conflict | None:
        ours = self.ours
        for add in winner.adds:
            if canonical_path(add.path) in self.adds:
                return Conflict(
                    "added",
                    version,
                    "added a file that this one adds",
                    add.path,
                    retry_helps=False,
                    hint="It is in the table already: commit files once, and write new ones to add rows again",
                )
        blind = bool(winner.info and winner.info.is_blind_append) and not winner.removes
        match self.isolation:
            case IsolationLevel.SNAPSHOT_ISOLATION:
                return None
            case IsolationLevel.WRITE_SERIALIZABLE if blind and ours.metadata is None:
                return None
        # Rows that were only moved (dataChange false) are no new ones. (To the reference they are.)
        adds = [add for add in winner.adds if add.data_change]
        if not ours.reads or not adds:
            return None
        removed = {canonical_path(remove.path): remove for remove in winner.removes}
        files = FileList.from_adds(adds, self.snapshot.partition_keys)
        for read in ours.reads:
            matching: Any = prune(
                files, read.predicate, self.snapshot.schema, self.snapshot.partition_columns
            )
            for add in [add for add, hit in zip(adds, matching.to_pylist(), strict=True) if hit]:
                if self._brings_rows(add, removed.get(canonical_path(add.path))):
                    which = "" if read.predicate.is_always_true else f" (where {read.predicate.sql})"
                    detail = f"added rows that this one would have read{which}"
                    return Conflict("added", version, detail, add.path)
        return None

    def _brings_rows(self, add: AddFile, removed: RemoveFile | None) -> bool:
        """Whether a winner's file has rows that the one it takes the place of has not."""
        if removed is None:
            return True
        if removed.deletion_vector is None:
            return False
        if add.deletion_vector is None:
            return removed.deletion_vector.cardinality > 0
        if vector_id(add) == removed.deletion_vector.unique_id:
            return False
        num_rows = FileList.from_adds([add], self.snapshot.partition_keys).num_records()[0].as_py()
        if num_rows is None:
            return True
        before, now = self._rows_of(removed, num_rows), self._rows_of(add, num_rows)
        return before is not None and now is not None and bool(before.bitmap - now.bitmap)

    def _judge_taken_from_reads(self, version: int, winner: Commit) -> Conflict | None:
        """Judge a winner by the rows that it took from files of which we read more than we write.

        Rows that it moved are still there, and looked for in the files that it moved them to. (The reference
        conflicts; delta-rs does not.)
        """
        if not winner.removes or all(read.files is None for read in self.reads):
            return None
        import pyarrow.compute as pc

        paths = pa.array([canonical_path(remove.path) for remove in winner.removes], pa.string())
        moved = frozenset(canonical_path(add.path) for add in winner.adds if not add.data_change)
        for place, read in enumerate(self.reads):
            if read.files is None:
                continue
            known: Any = canonical_paths(read.files.table["path"]).combine_chunks()
            hits: Any = pc.or_(
                pc.is_in(paths, value_set=known),
                pc.is_in(paths, value_set=pa.array(read.moved_to, pa.string())),
            )
            for remove, hit in zip(winner.removes, hits.to_pylist(), strict=True):
                if hit and remove.data_change:
                    return Conflict(
                        "removed", version, "removed rows of a file that this one read", remove.path
                    )
            if moved and pc.any(hits, min_count=0).as_py():
                self.reads[place] = replace(read, moved_to=read.moved_to | moved)
        return None

    # --- row by row ----------------------------------------------------------------------------------------------

    def rebase_rows(self) -> Rebase | Conflict:
        """Return our changes with row deletes and rewrites as they are on top of the winners."""
        ours = self.ours
        if any(read is not before for read, before in zip(self.reads, ours.reads, strict=True)):
            ours = replace(ours, reads=tuple(self.reads))
        if not ours.row_deletes and not ours.rewrites:
            return Rebase(ours)
        touched = _newest(self.winners, self.derived)
        if not touched:
            return Rebase(ours)
        deletes: list[RowDelete] = []
        for delete in ours.row_deletes:
            moved = self._rebase_delete(delete, touched)
            if isinstance(moved, Conflict):
                return moved
            deletes.append(moved)
        rebased = [self._rebase_rewrite(rewrite, touched) for rewrite in ours.rewrites]
        kept = tuple([rewrite for rewrite in rebased if rewrite is not None and not rewrite.is_empty])
        dropped = [
            old for old, new in zip(ours.rewrites, rebased, strict=True) if new is None or new.is_empty
        ]
        changes = replace(
            ours,
            adds=tuple([add for add in ours.adds if canonical_path(add.path) not in self.derived]),
            removes=tuple([each for each in ours.removes if canonical_path(each.path) not in self.derived]),
            row_deletes=tuple(deletes),
            rewrites=kept,
        )
        return Rebase(changes, moved=True, dropped=tuple(dropped))

    def _rebase_delete(
        self, delete: RowDelete, touched: Mapping[str, tuple[int, AddFile | RemoveFile]]
    ) -> RowDelete | Conflict:
        path = delete.before.path
        if path not in touched:
            return delete
        version, action = touched[path]
        now = self._now(delete.before, action)
        if now is None:
            if not action.data_change:
                return _rearranged(version, path)
            return Conflict(
                "removed", version, "removed the rows of a file that this one deletes rows of", path
            )
        if both := len(now.deleted.bitmap & delete.rows.bitmap):
            count = f"{both:,} row{'' if both == 1 else 's'}"
            return Conflict("rows", version, f"deleted {count} that this one deletes, too", path)
        return replace(delete, before=now)

    def _rebase_rewrite(
        self, rewrite: Rewrite, touched: Mapping[str, tuple[int, AddFile | RemoveFile]]
    ) -> Rewrite | None:
        found: Rewrite | None = rewrite
        for each in rewrite.inputs:
            path = each.path
            if found is not None and path in touched:
                now = self._now(each, touched[path][1])
                if now is not None or path not in found.gone:
                    found = found.moved(path, now)
        return found

    def _now(self, before: FileRows, action: AddFile | RemoveFile) -> FileRows | None:
        """Return a file as a winner left it, None if it is not there any more."""
        if isinstance(action, RemoveFile):
            return None
        if vector_id(action) == vector_id(before.file):
            return replace(before, file=action)
        rows = self._rows_of(action, before.num_rows)
        return replace(before, file=action, deleted=before.deleted if rows is None else rows)

    def _rows_of(self, file: AddFile | RemoveFile, num_rows: int) -> DeletedRows | None:
        """Return the deleted rows of a logical file; None, and noted as needed, if they are not known."""
        vector = file.deletion_vector
        if vector is None:
            return DeletedRows.none()
        key = (canonical_path(file.path), vector.unique_id)
        if key not in self.vectors:
            self.needed[key] = (file, num_rows)
        return self.vectors.get(key)


def _newest(
    winners: Iterable[tuple[int, Commit]], paths: frozenset[str]
) -> dict[str, tuple[int, AddFile | RemoveFile]]:
    """Return the last action on each of some paths, and its version; in one commit an add comes after a remove."""
    found: dict[str, tuple[int, AddFile | RemoveFile]] = {}
    for version, winner in winners:
        for action in chain[AddFile | RemoveFile](winner.removes, winner.adds):
            if (path := canonical_path(action.path)) in paths:
                found[path] = (version, action)
    return found


def _rearranged(version: int, path: str) -> Conflict:
    return Conflict(
        "rearranged",
        version,
        "moved the rows of a file that this one changes to other files",
        path,
        hint="Find the rows again in the newest version: run the statement again there",
    )
