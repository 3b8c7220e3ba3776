"""Transaction: what one commit is to do, put together piece by piece on one version, then committed or given up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lakefmt.errors import InvalidInputError, UnsupportedFeatureError
from lakefmt.expressions import ALL_ROWS
from lakefmt.log import DomainMetadata
from lakefmt.log.features import supported_features
from lakefmt.log.paths import canonical_path
from lakefmt.manifest.deletion_vectors import DeletedRows
from lakefmt.manifest.file_list import FileList
from lakefmt.scan.locate import locate
from lakefmt.scan.prune import PathPruner, PredicatePruner
from lakefmt.txn.changes import Changes, Read
from lakefmt.txn.commit import commit
from lakefmt.txn.data_files import to_add
from lakefmt.txn.once import parse_txn
from lakefmt.txn.row_changes import FileRows, Rewrite, RowDelete
from lakefmt.txn.row_map import RowsInOrder
from lakefmt.txn.staging import check_row_ids_kept, load_file_rows, stage_row_changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pyarrow as pa

    from lakefmt.engine import WrittenFile
    from lakefmt.expressions import Predicate
    from lakefmt.log import AddFile
    from lakefmt.snapshot import Snapshot
    from lakefmt.txn.row_map import RowMap
    from lakefmt.txn.writer import Writer

__all__ = ["Transaction"]


class Transaction:
    """Changes to one version of a table, to be committed together.

    It reads what it is asked to record and writes nothing before ``plan`` or ``commit``, one of which ends it. One thread
    at a time.

    Args:
        writer: who commits, and where.
        snapshot: the version that everything here is about.
        operation: what is done, in the protocol's words, for the history.
        parameters: how it was asked for, each as JSON text.
    """

    def __init__(
        self,
        writer: Writer,
        snapshot: Snapshot,
        operation: str = "WRITE",
        *,
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        self.snapshot = snapshot
        self._writer = writer
        self._changes = Changes(operation, parameters or {})
        self._row_deletes: dict[str, RowDelete] = {}
        self._taken: set[str] = set()  # paths that are removed or rewritten
        self._num_rows_in = 0
        self._given: dict[str, bool] = {}  # paths added that were not written for this, and their data_change
        self._ended = False

    # --- what it read ----------------------------------------------------------------------------------------

    def read(self, predicate: Predicate = ALL_ROWS, *, only_written: bool = False) -> FileList:
        """Record that the rows of ``predicate`` are looked for, and return the files that may hold some.

        Args:
            predicate: validated against the version's schema.
            only_written: all rows that are read are written, none is only looked at: ``DELETE WHERE``, but no
                subquery and no merge. What others do to other rows is then no conflict.
        """
        pruner = PredicatePruner(predicate, self.snapshot.schema, self.snapshot.partition_columns)
        files = self.snapshot.files if predicate.is_always_true else self.snapshot.choose_files(pruner)
        read = Read(predicate, None if only_written else files)
        self._changes = replace(self._changes, reads=(*self._changes.reads, read))
        return files

    # --- files -----------------------------------------------------------------------------------------------

    def add(self, *files: AddFile) -> None:
        """Let data files come that are in storage already; they are not deleted if the commit fails.

        One that is part of the version and stays comes only to mend what is said of it (``data_change`` false), in a
        transaction that removes nothing.
        """
        self._given |= {canonical_path(file.path): file.data_change for file in files}
        self._changes = replace(self._changes, adds=(*self._changes.adds, *files))

    def add_written(self, files: Sequence[WrittenFile]) -> None:
        """Let files come that were written for this commit; they are deleted once it has certainly failed."""
        now_ms = self._writer.environment.now_ms()
        adds = [to_add(file, self.snapshot, now_ms) for file in files]
        self._changes = replace(self._changes, adds=(*self._changes.adds, *adds))
        self._stage(file.key for file in files)
        self._num_rows_in += sum(file.num_rows for file in files)

    def remove(self, files: FileList) -> None:
        """Let data files of the version go, with all their rows. Raises InvalidInputError if one is changed already."""
        removes = files.to_removes(self._writer.environment.now_ms())
        self._take([remove.path for remove in removes])
        self._changes = replace(self._changes, removes=(*self._changes.removes, *removes))

    # --- rows ------------------------------------------------------------------------------------------------

    def stage_delete(self, positions: Mapping[str, Iterable[int] | pa.Array[Any] | DeletedRows]) -> None:
        """Let rows go by deletion vectors; a file of which no row is left goes as a whole.

        After a lost race to somebody who deleted other rows of the same files both deletions stand.

        Args:
            positions: by path of the file, as in the log, where in the file each row is, counted from 0 over all its
                rows, deleted ones included.

        Raises:
            UnsupportedFeatureError: the table may have no new deletion vectors.
            InvalidInputError: there is no such file or row in the version, or it is deleted there or changed here
                already.
            CorruptTableError, StoreError: a vector that is there cannot be read.
        """
        if not _vectors_allowed(self.snapshot):
            raise UnsupportedFeatureError(
                "The table may have no new deletion vectors (delta.enableDeletionVectors is not true)",
                table=self.snapshot.table_uri,
                version=self.snapshot.version,
                hint="Set the property, or rewrite the files without the rows",
            )
        wanted = {
            path: rows if isinstance(rows, DeletedRows) else DeletedRows.of(rows)
            for path, rows in positions.items()
        }
        wanted = {path: rows for path, rows in wanted.items() if rows.cardinality}
        new = [path for path in wanted if canonical_path(path) not in self._row_deletes]
        found = {each.path: each for each in load_file_rows(self._writer.store, self.snapshot, new)}
        for path, rows in wanted.items():
            key = canonical_path(path)
            known = self._row_deletes.get(key)
            before = found[key] if known is None else known.before
            gone = before.deleted if known is None else known.after.deleted
            self._check_positions(before, rows, gone)
            if known is None:
                self._take([path])
            self._row_deletes[key] = RowDelete(before, rows if known is None else known.rows | rows)

    def stage_rewrite(
        self,
        inputs: Sequence[str],
        outputs: Sequence[AddFile],
        row_map: RowMap | None = None,
    ) -> None:
        """Let files go whose rows have been written to other files, all of them and nothing else.

        Each call is a group for itself: where others removed or deleted from its inputs meanwhile, the outputs go
        without those rows (by deletion vectors, if the table may have them), else the group is left out of the commit,
        its outputs are deleted, and it is handed back (``commit``).

        Args:
            inputs: paths of files of the version.
            outputs: the files written for this, with ``numRecords`` in their statistics, and with the ids of the rows
                where the table tracks them (``plan_write(moved=True)``); they are deleted once the commit has certainly
                failed.
            row_map: where the rows went; None if they were kept in order: the outputs one after the other hold the rows
                of the inputs one after the other.

        Raises:
            InvalidInputError: an input is no file of the version or changed here already, rows are not as many, or have
                lost their ids.
            CorruptTableError, StoreError: a vector of an input cannot be read.
        """
        self._take(inputs)
        before = tuple(load_file_rows(self._writer.store, self.snapshot, inputs))
        files = [replace(file, data_change=False, deletion_vector=None) for file in outputs]
        counts = FileList.from_adds(files, self.snapshot.partition_keys).num_records().to_pylist()
        if None in counts:
            raise InvalidInputError(
                "A file that rows are rewritten to has no numRecords in its statistics",
                table=self.snapshot.table_uri,
                path=files[counts.index(None)].path,
            )
        check_row_ids_kept(self._writer.store, self.snapshot, files)
        in_order = RowsInOrder(tuple((each.num_rows, each.deleted) for each in before), tuple(counts))
        rewrite = Rewrite(
            inputs=before,
            outputs=tuple(FileRows(f, n, DeletedRows.none()) for f, n in zip(files, counts, strict=True)),
            row_map=row_map or in_order,
            keeps_vectors=_vectors_allowed(self.snapshot),
        )
        self._changes = replace(self._changes, rewrites=(*self._changes.rewrites, rewrite))
        self._stage(locate(self._writer.store, file.path) for file in files)

    # --- what is not rows ------------------------------------------------------------------------------------

    def set_transaction(self, app_id: str, version: int) -> None:
        """Record how far an application gets with this commit ("Transaction Identifiers")."""
        txn = parse_txn((app_id, version), self._writer.environment, table=self.snapshot.table_uri)
        if txn is not None:
            others = [each for each in self._changes.transactions if each.app_id != app_id]
            self._changes = replace(self._changes, transactions=(*others, txn))

    def set_domain(self, domain: str, configuration: str | None) -> None:
        """Set a metadata domain, None to remove it ("Domain Metadata").

        Raises:
            UnsupportedFeatureError: the table has no metadata domains.
            InvalidInputError: the domain is one of the protocol's own.
        """
        if "domainMetadata" not in supported_features(self.snapshot.protocol):
            raise UnsupportedFeatureError(
                "The table's protocol has no metadata domains (feature domainMetadata)",
                table=self.snapshot.table_uri,
                version=self.snapshot.version,
            )
        if domain.startswith("delta."):
            raise InvalidInputError(
                f"The metadata domain {domain} is the protocol's own", table=self.snapshot.table_uri
            )
        action = DomainMetadata(domain, configuration or "", removed=configuration is None)
        others = [each for each in self._changes.domains if each.domain != domain]
        self._changes = replace(self._changes, domains=(*others, action))

    # --- its end ---------------------------------------------------------------------------------------------

    def plan(self, hand_back: Callable[[Rewrite], None] | None = None) -> Changes:
        """Return all of it as changes that can be committed; writes the deletion vectors, which no version names yet.

        Raises:
            InvalidInputError: it was planned or committed before: it may be in the table. Or a file that is added is
                part of the table already.
            StoreError: storage refused.
        """
        if self._ended:
            raise InvalidInputError(
                "The transaction has been committed, or tried to be",
                table=self.snapshot.table_uri,
                version=self.snapshot.version,
                hint="Look at the newest version, and put another one together on it",
            )
        self._ended = True
        self._check_given()
        deletes = tuple(self._row_deletes.values())
        outputs = [output for rewrite in self._changes.rewrites for output in rewrite.outputs]
        changes = replace(self._changes, row_deletes=deletes, hand_back=hand_back)
        staged = stage_row_changes(self._writer.store, self._writer.environment, changes)
        return replace(staged, metrics=self._metrics(staged, len(outputs)))

    def commit(self, hand_back: Callable[[Rewrite], None] | None = None) -> Snapshot:
        """Commit all of it as the next version and return that version; the newest one if nothing was left to commit.

        Args:
            hand_back: is given each group of files whose rewriting had to be left out, because others changed its
                files; it can be done again on the version that is returned.

        Raises:
            CommitConflictError: another writer's commit and this one cannot both stand, or there was no time.
            LakefmtError: as ``txn.commit``.
        """
        changes = self.plan(hand_back)
        if changes.is_empty:
            return self.snapshot
        return commit(self._writer, self.snapshot, changes)

    def _metrics(self, staged: Changes, num_rewritten: int) -> dict[str, int]:
        counts = {
            "numAddedFiles": len(staged.adds),
            "numRemovedFiles": len(staged.removes),
            "numDeletedRows": sum(each.rows.cardinality for each in staged.row_deletes),
            "numOutputRows": self._num_rows_in,
            "numDeletionVectorsAdded": sum(add.deletion_vector is not None for add in staged.adds),
            "numRewrittenFiles": num_rewritten,
        }
        return {name: count for name, count in counts.items() if count}

    def _stage(self, keys: Iterable[str]) -> None:
        self._changes = replace(self._changes, staged_files=(*self._changes.staged_files, *keys))

    def _take(self, paths: Iterable[str]) -> None:
        for path in paths:
            key = canonical_path(path)
            if key in self._taken:
                raise InvalidInputError(
                    "The transaction changes the file already",
                    table=self.snapshot.table_uri,
                    version=self.snapshot.version,
                    path=path,
                )
            self._taken.add(key)

    def _check_given(self) -> None:
        """Raise where a file that is added is part of the version and stays: checksum files would count it twice.

        A commit that only mends what is said of files is known by removing none.
        """
        new = {
            path
            for path, data_change in self._given.items()
            if path not in self._taken and (data_change or self._taken)
        }
        if not new:
            return
        there: list[Any] = self.snapshot.choose_files(PathPruner(frozenset(new))).table["path"].to_pylist()
        if there:
            raise InvalidInputError(
                "A file that is added is part of the table already",
                table=self.snapshot.table_uri,
                version=self.snapshot.version,
                path=there[0],
                hint="Remove it in the same transaction, or leave it out",
            )

    def _check_positions(self, before: FileRows, rows: DeletedRows, gone: DeletedRows) -> None:
        place: Any = {
            "table": self.snapshot.table_uri,
            "version": self.snapshot.version,
            "path": before.file.path,
        }
        if rows.end > before.num_rows:
            raise InvalidInputError(
                f"There is no row {rows.end - 1:,} in a file of {before.num_rows:,} rows", **place
            )
        if both := rows.bitmap & gone.bitmap:
            raise InvalidInputError(
                f"Row {both.min():,} of the file is deleted already",
                **place,
                hint="Positions are those of rows that are there in this version",
            )


def _vectors_allowed(snapshot: Snapshot) -> bool:
    """Whether writers may give files new deletion vectors ("Deletion Vectors")."""
    supported = "deletionVectors" in supported_features(snapshot.protocol)
    return supported and snapshot.properties.enable_deletion_vectors
