"""From rows that go or move to the actions of a commit: vectors are written, files are looked up.

What is staged no version names yet. It is deleted by whoever knows that the commit failed, and left where that is
unknown.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from lakefmt.errors import CorruptTableError, InvalidInputError, LakefmtError
from lakefmt.log import AddFile, RemoveFile
from lakefmt.log.paths import canonical_path
from lakefmt.manifest.deletion_vector_files import load_deletion_vector, store_deletion_vectors
from lakefmt.manifest.deletion_vectors import DeletedRows
from lakefmt.manifest.statistics import widen_statistics
from lakefmt.scan.locate import locate
from lakefmt.scan.prune import PathPruner
from lakefmt.txn.row_changes import FileRows

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store
    from lakefmt.txn.changes import Changes
    from lakefmt.txn.environment import Environment
    from lakefmt.txn.row_changes import Rewrite

__all__ = [
    "check_row_ids_kept",
    "discard_outputs",
    "discard_staged",
    "discard_vectors",
    "load_file_rows",
    "load_rows",
    "stage_row_changes",
]


def stage_row_changes(store: Store, environment: Environment, changes: Changes) -> Changes:
    """Return ``changes`` with the adds and removes that row deletes and rewrites come to; writes their vectors.

    Args:
        store: the table's.
        environment: clock and ids.
        changes: without adds and removes of the files of ``row_deletes`` and ``rewrites``.

    Raises:
        StoreError: storage refused.
    """
    now_ms = environment.now_ms()
    removes = [*changes.removes]
    files: list[tuple[FileRows, bool]] = []  # those that come, and whether rows change by it
    for delete in changes.row_deletes:
        removes.append(_remove(delete.before.file, now_ms, data_change=True))
        files.append((delete.after, True))
    for rewrite in changes.rewrites:
        removes += [
            _remove(each.file, now_ms, data_change=False)
            for each in rewrite.inputs
            if each.path not in rewrite.gone
        ]
        files += [(each, False) for each in rewrite.outputs]
    files = [(each, data_change) for each, data_change in files if not each.is_empty]
    marked = [each.deleted for each, _ in files if each.deleted.cardinality]
    descriptors, key = (
        store_deletion_vectors(store, marked, UUID(environment.new_id())) if marked else ([], None)
    )
    remaining = iter(descriptors)
    adds = [
        replace(each.file, data_change=data_change, deletion_vector=None)
        if not each.deleted.cardinality
        else replace(
            each.file,
            data_change=data_change,
            stats=widen_statistics(each.file.stats, each.num_rows),
            deletion_vector=next(remaining),
        )
        for each, data_change in files
    ]
    return replace(changes, adds=(*changes.adds, *adds), removes=tuple(removes), vector_file=key)


def load_file_rows(store: Store, snapshot: Snapshot, paths: Collection[str]) -> list[FileRows]:
    """Return live files of a version, with their rows, in the order of ``paths``.

    Raises:
        InvalidInputError: one is no live file of the version.
        CorruptTableError: a vector is damaged.
        StoreError: storage failed.
    """
    wanted = [canonical_path(path) for path in paths]
    files = snapshot.choose_files(PathPruner(frozenset(wanted)))
    counts: Any = files.num_records().to_pylist()
    found = {canonical_path(add.path): (add, n) for add, n in zip(files.to_adds(), counts, strict=True)}
    if missing := [path for path in paths if canonical_path(path) not in found]:
        raise InvalidInputError(
            "It is no data file of this version",
            table=store.uri,
            version=snapshot.version,
            path=missing[0],
            hint="Name files by their path in the log, column log_path of files()",
        )
    return [_rows(store, *found[path]) for path in wanted]


def check_row_ids_kept(store: Store, snapshot: Snapshot, outputs: Sequence[AddFile]) -> None:
    """Raise InvalidInputError where a table tracks its rows and a file that rows were moved to has no room for their ids.

    Only footers are looked at, of tables that track their rows alone.
    """
    tracking = snapshot.row_tracking
    if tracking is None:
        return
    from lakefmt.engine.footers import load_footer

    for file in outputs:
        names = load_footer(store, locate(store, file.path), file.size_bytes).schema.names
        if not {tracking.row_id_column, tracking.commit_version_column}.issubset(names):
            raise InvalidInputError(
                "The table tracks its rows (delta.enableRowTracking), and a file that rows are moved to lacks their ids",
                table=store.uri,
                version=snapshot.version,
                path=file.path,
                hint="Read the rows in the columns of moved_rows_schema, and write them by plan_write(moved=True)",
            )


def load_rows(store: Store, file: AddFile | RemoveFile, num_rows: int) -> DeletedRows:
    """Return the rows of a logical file that its vector deletes. Raises as ``load_deletion_vector``."""
    if file.deletion_vector is None:
        return DeletedRows.none()
    key = locate(store, file.path)
    return load_deletion_vector(store, file.deletion_vector, data_file=key, num_rows=num_rows, locate=locate)


def discard_staged(store: Store, changes: Changes) -> None:
    """Delete all that was written for a commit that certainly failed; what storage does not delete, a vacuum finds."""
    discard_vectors(store, changes)
    _delete(store, changes.staged_files)


def discard_vectors(store: Store, changes: Changes) -> None:
    """Delete the vectors of an attempt that certainly failed."""
    _delete(store, [] if changes.vector_file is None else [changes.vector_file])


def discard_outputs(store: Store, rewrite: Rewrite) -> None:
    """Delete the files of a rewrite that is given up."""
    _delete(store, [locate(store, output.file.path) for output in rewrite.outputs])


def _rows(store: Store, add: AddFile, num_records: int | None) -> FileRows:
    if num_records is None:
        if add.deletion_vector is not None:
            raise CorruptTableError(
                "A data file has a deletion vector, and no number of its rows (numRecords) beside it",
                table=store.uri,
                path=add.path,
                hint="Compute its statistics anew with the engine that wrote it",
            )
        from lakefmt.engine.footers import load_footer

        num_records = load_footer(store, locate(store, add.path), add.size_bytes).metadata.num_rows
    return FileRows(add, num_records, load_rows(store, add, num_records))


def _remove(file: AddFile, now_ms: int, *, data_change: bool) -> RemoveFile:
    return RemoveFile(
        path=file.path,
        deleted_ms=now_ms,
        data_change=data_change,
        partition_values=file.partition_values,
        size_bytes=file.size_bytes,
        deletion_vector=file.deletion_vector,
        base_row_id=file.base_row_id,
        default_row_commit_version=file.default_row_commit_version,
    )


def _delete(store: Store, keys: Sequence[str]) -> None:
    if keys:
        with contextlib.suppress(LakefmtError, OSError):
            store.delete(list(keys))
