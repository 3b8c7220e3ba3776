"""From the commits of a range to the files that hold its row changes ("Change Data Files", "Add CDC File").

A commit with ``cdc`` actions is read from them alone. Of any other the rows of its ``add`` and ``remove`` actions that
change data are inserts and deletes; where one file is removed and added again, with another deletion vector, they are
the rows by which the vectors differ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.log.actions import AddFile
from lakefmt.log.paths import canonical_path
from lakefmt.manifest.file_list import DELETION_VECTOR_TYPE, FileList
from lakefmt.manifest.text_values import format_instant
from lakefmt.scan.change_range import iterate_commits
from lakefmt.scan.change_schema import CHANGE_TYPE, VERSION_COLUMNS, check_schemas
from lakefmt.scan.prune import prune
from lakefmt.scan.removed_files import RemovedFiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.expressions import Predicate
    from lakefmt.log import Commit, DeletionVectorDescriptor
    from lakefmt.scan.change_range import ChangeRange
    from lakefmt.schema import Schema
    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store

__all__ = ["ChangeRun", "plan_changes"]

_OBJECTS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class ChangeRun:
    """Files of neighbouring versions that are read alike, in the order of their versions.

    Attributes:
        recorded: they are change data files, which say of each row how it changed; else each file's rows changed alike.
        files: the files. Beside the columns of every file list there is ``only``, a deletion vector descriptor: of such
            a file those rows changed that are in this vector and not in ``deletion_vector``. ``partition_values``
            holds the table's, and after them those of ``constant_columns``.
    """

    recorded: bool
    files: FileList

    @property
    def constant_columns(self) -> tuple[str, ...]:
        """The columns beside the table's that have one value throughout a file."""
        return _constant_columns(recorded=self.recorded)


def plan_changes(
    store: Store, end: Snapshot, span: ChangeRange, schema: Schema, predicate: Predicate | None
) -> list[ChangeRun]:
    """Read the commits of a range and choose the files that may hold changes that the predicate means.

    Args:
        store: the table's store.
        end: the range's last version, under whose schema rows are shown.
        span: the range.
        schema: as ``changes_schema`` says.
        predicate: over ``schema``; None for all changes.

    Raises:
        UnsupportedFeatureError: a version of the range has a column that the last one has not, or of a type that is
            not narrower, or is partitioned otherwise; the version is named. Or a version cannot be read at all.
        VersionNotFoundError: the schema of the first version is no longer in the log, and it changed since.
        CorruptTableError: a commit contradicts itself.
    """
    turns: list[tuple[int, Commit]] = []
    builder = _RunBuilder(end)
    removed = RemovedFiles(store, end, span.commits)
    for number, (file, commit) in enumerate(iterate_commits(store, span.commits)):
        if commit.metadata is not None or commit.protocol is not None:
            turns.append((file.version, replace(commit, adds=(), removes=(), cdcs=())))
        found = _changes_of(commit, file.version, removed)
        removed.follow(commit)
        if found.files:
            builder.put(found.dated(file.version, span.time_of(number, commit.info)))
    if span.commits:
        check_schemas(store, end, span.commits[0].version, turns)
    runs = builder.finish()
    if predicate is None:
        return runs
    kept = [_prune(run, predicate, schema, (*end.partition_columns, *run.constant_columns)) for run in runs]
    return [run for run in kept if run.files.num_files]


@dataclass(frozen=True, slots=True)
class _FileChanges:
    """The change files of one commit; ``types`` is empty where they are recorded."""

    recorded: bool
    files: list[AddFile]
    only: list[DeletionVectorDescriptor | None]
    types: list[str]

    def dated(self, version: int, time_ms: int) -> _FileChanges:
        """Return the same with the columns of a change among the partition values."""
        instant = format_instant(time_ms * 1000, separator="T", timespec="microseconds")
        when: dict[str, str | None] = dict(
            zip(VERSION_COLUMNS, (str(version), f"{instant}Z" if instant else None), strict=True)
        )
        files = []
        for place, file in enumerate(self.files):
            values = {**file.partition_values, **when}
            if not self.recorded:
                values[CHANGE_TYPE] = self.types[place]
            files.append(replace(file, partition_values=values))
        return replace(self, files=files)


def _changes_of(commit: Commit, version: int, removed: RemovedFiles) -> _FileChanges:
    """Return the files that hold the changes of a commit ("Reader Requirements for AddCDCFile")."""
    if commit.cdcs:
        recorded = [AddFile(c.path, c.partition_values, c.size_bytes, 0, tags=c.tags) for c in commit.cdcs]
        return _FileChanges(recorded=True, files=recorded, only=[None] * len(recorded), types=[])
    found = _FileChanges(recorded=False, files=[], only=[], types=[])
    if _copied_alone(commit):
        return found
    removes = [remove for remove in commit.removes if remove.data_change]
    again = {canonical_path(add.path): add for add in commit.adds if add.data_change}
    for gone in removed.complete(version, removes):
        back = again.pop(canonical_path(gone.path), None)
        if back is None:
            _put(found, "delete", gone, None)
        elif _vector_id(back) != _vector_id(gone):
            # What the vectors have in common was not there before, and is not there now.
            if back.deletion_vector is not None:
                _put(found, "delete", gone, back.deletion_vector)
            if gone.deletion_vector is not None:
                _put(found, "insert", back, gone.deletion_vector)
    for add in again.values():
        _put(found, "insert", add, None)
    return found


def _put(found: _FileChanges, kind: str, file: AddFile, only: DeletionVectorDescriptor | None) -> None:
    found.types.append(kind)
    found.files.append(file)
    found.only.append(only)


def _copied_alone(commit: Commit) -> bool:
    """Whether the commit is a MERGE that changed no row, of which Spark then writes no ``cdc``: all rows are copies."""
    info = commit.info
    if info is None or info.operation != "MERGE":
        return False
    counts = [
        info.operation_metrics.get(f"numTargetRows{what}") for what in ("Inserted", "Updated", "Deleted")
    ]
    return all(str(count) == "0" for count in counts)


def _vector_id(file: AddFile) -> str | None:
    return None if file.deletion_vector is None else file.deletion_vector.unique_id


class _RunBuilder:
    """Makes columns of the files of commits, some thousand files at a time: a range may have a million."""

    def __init__(self, end: Snapshot) -> None:
        self._end = end
        self._pending: list[_FileChanges] = []
        self._num_pending = 0
        self._tables: list[tuple[bool, pa.Table]] = []

    def put(self, changes: _FileChanges) -> None:
        """Add the files of the next commit."""
        if self._pending and (
            self._pending[0].recorded != changes.recorded or self._num_pending > _OBJECTS_AT_ONCE
        ):
            self._flush()
        self._pending.append(changes)
        self._num_pending += len(changes.files)

    def finish(self) -> list[ChangeRun]:
        """Return all files."""
        self._flush()
        return [
            ChangeRun(recorded, FileList(pa.concat_tables([table for _, table in group])))
            for recorded, group in groupby(self._tables, key=itemgetter(0))
        ]

    def _flush(self) -> None:
        if not self._pending:
            return
        recorded = self._pending[0].recorded
        names = (*self._end.partition_keys, *_constant_columns(recorded=recorded))
        files = FileList.from_adds([file for each in self._pending for file in each.files], names)
        vectors = [_as_row(vector) for each in self._pending for vector in each.only]
        only = pa.array(vectors, DELETION_VECTOR_TYPE)
        self._tables.append((recorded, files.table.append_column("only", only)))
        self._pending, self._num_pending = [], 0


def _prune(run: ChangeRun, predicate: Predicate, schema: Schema, constants: Sequence[str]) -> ChangeRun:
    return replace(run, files=run.files.filter(prune(run.files, predicate, schema, constants)))


def _constant_columns(*, recorded: bool) -> tuple[str, ...]:
    return VERSION_COLUMNS if recorded else (CHANGE_TYPE, *VERSION_COLUMNS)


def _as_row(vector: DeletionVectorDescriptor | None) -> dict[str, Any] | None:
    if vector is None:
        return None
    return {name: getattr(vector, name) for name in DELETION_VECTOR_TYPE.names}
