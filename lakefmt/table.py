"""Table: the user's handle on a table. It stands at a version and delegates; the work is done in the packages below."""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Self

from lakefmt.cached import cached_value
from lakefmt.commit_timeout import COMMIT_TIMEOUT_S
from lakefmt.errors import InvalidInputError
from lakefmt.snapshot import advance_snapshot, load_snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    import duckdb
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from lakefmt.expressions import Expression, Predicate
    from lakefmt.log import Catalog, History
    from lakefmt.scan import Changes, Scan
    from lakefmt.schema import Schema
    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store
    from lakefmt.txn.result import WriteResult
    from lakefmt.upkeep import CheckpointResult, LogCleanup, LogCompaction
    from lakefmt.write_side import WriteSide

__all__ = ["Table", "open_at"]


class Table:
    """A handle on a table, standing at one version.

    Own writes advance it; what others commit is seen after ``refresh()``, never in the middle of a scan. A handle
    opened at a version or a time is read-only. Threads may share one; it pickles, without secrets.
    """

    def __init__(
        self,
        store: Store,
        snapshot: Snapshot,
        *,
        read_only: bool = False,
        commit_timeout_s: float | None = COMMIT_TIMEOUT_S,
    ) -> None:
        self._store = store
        self._snapshot = snapshot
        self._read_only = read_only
        self._commit_timeout_s = commit_timeout_s
        self._writing = threading.Lock()
        self._shown: tuple[str, int, pa.Table] | None = None
        _handles.add(self)

    # --- where it stands -------------------------------------------------------------------------------------

    @property
    def uri(self) -> str:
        """The table's location, without secrets."""
        return self._store.uri

    @property
    def version(self) -> int:
        """The version this handle stands at."""
        return self._snapshot.version

    @property
    def schema(self) -> Schema:
        """The columns and their types."""
        return self._snapshot.schema

    @property
    def partition_columns(self) -> tuple[str, ...]:
        """Names of the columns that the files are divided by."""
        return self._snapshot.partition_columns

    @property
    def properties(self) -> dict[str, str]:
        """The table properties, as stored."""
        return dict(self._snapshot.metadata.configuration)

    @property
    def snapshot(self) -> Snapshot:
        """The version as a value: protocol, metadata, file list."""
        return self._snapshot

    def at(self, *, version: int | None = None, timestamp: str | datetime | None = None) -> Table:
        """Return a read-only handle at another version or moment. Raises VersionNotFoundError."""
        if (version is None) == (timestamp is None):
            raise InvalidInputError("at() takes a version or a timestamp, one of them", table=self.uri)
        return open_at(self._store, version, timestamp, self._snapshot.catalog)

    def refresh(self) -> Table:
        """Advance to the newest version, reading only the commits that came since; return the handle itself."""
        if not self._read_only:
            with self._writing:
                self._snapshot = advance_snapshot(self._store, self._snapshot)
        return self

    def history(self, limit: int | None = None) -> History:
        """Return the commits up to this handle's version, newest first, from their provenance alone."""
        if limit is not None and (type(limit) is not int or limit < 0):
            raise InvalidInputError(f"limit is a number of commits from 0 on, not {limit!r}", table=self.uri)
        snapshot = self._snapshot
        from lakefmt.log import load_history

        return load_history(
            self._store,
            limit,
            up_to=snapshot.version,
            in_commit=snapshot.in_commit_timestamps,
            catalog=snapshot.catalog,
        )

    # --- reading ---------------------------------------------------------------------------------------------

    def scan(
        self,
        columns: Sequence[str] | None = None,
        where: str | Expression | None = None,
        *,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        limit: int | None = None,
        result_memory_limit: str | float | None = None,
    ) -> Scan:
        """Describe a read; nothing is read until the result is asked for. No row order is promised.

        Args:
            columns: names, in the order wanted; None for all. Where the table tracks its rows
                (``delta.enableRowTracking``) also ``_row_id``, which a row keeps wherever it moves, and
                ``_row_commit_version``, the version that last inserted or updated it; neither is part of all.
            where: one SQL expression in DuckDB's dialect (``"fare > 10 AND city = 'Bern'"``) or an expression made
                with ``lakefmt.col``; rows for which it is true are kept.
            params: values for ``?`` (a sequence) or ``$name`` (a mapping) in ``where``.
            limit: at most so many rows, any of them.
            result_memory_limit: rows that take more (``"2GB"``, ``"10%"`` of what this process may have, or bytes) come
                back from ``to_arrow`` mapped from a file in the system's folder for temporary files. By default 25 %.

        Raises:
            InvalidInputError: an unknown column, or a predicate that is not a boolean over this schema.
        """
        from lakefmt.scan import Scan

        return Scan(
            self._store,
            self._snapshot,
            columns=columns,
            where=where,
            params=params,
            limit=limit,
            result_memory_limit=result_memory_limit,
        )

    def changes(
        self,
        from_version: int | None = None,
        to_version: int | None = None,
        *,
        from_timestamp: str | datetime | None = None,
        to_timestamp: str | datetime | None = None,
        columns: Sequence[str] | None = None,
        where: str | Expression | None = None,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
    ) -> Changes:
        """Describe a read of row changes, version after version; nothing is read until the result is asked for.

        Each row is one of the table's as it was before or after a change, with ``_change_type`` (``insert``,
        ``delete``, ``update_preimage``, ``update_postimage``), ``_commit_version`` and ``_commit_timestamp``. A commit
        that recorded its changes (``delta.enableChangeDataFeed``) is read from what it recorded. Of any other they are
        inferred from the files it added and removed, and from the rows by which their deletion vectors differ: the
        net effect is right, but updates show as a ``delete`` and an ``insert``, and so does every row that the commit
        only copied from one file to another. To follow a table, begin with one version past the last one seen:
        ``changes(from_version=seen + 1)`` is empty while there is none.

        Args:
            from_version: the first version, included; None for 0.
            to_version: the last version, included; None for this handle's.
            from_timestamp: instead of the first version: that of the first commit at or after a time.
            to_timestamp: instead of the last version: that of the last commit at or before a time.
            columns: names, those of the change among them, in the order wanted; None for all.
            where: a predicate as for ``scan``, which may look at the columns of the change too.
            params: values for placeholders in ``where``.

        The columns are those of the last version; columns added, renamed or widened on the way are shown so.

        Raises:
            VersionNotFoundError: there is no such version, or its commit, or a file it needs, is gone.
            UnsupportedFeatureError: a column was dropped or changed its type on the way; the version is named.
            InvalidInputError: bounds, columns or predicate make no sense.
        """
        from lakefmt.scan import ChangeBounds, Changes

        bounds = ChangeBounds.parse(from_version, to_version, from_timestamp, to_timestamp, table=self.uri)
        return Changes(self._store, self._snapshot, bounds, columns=columns, where=where, params=params)

    def count(self, where: str | Expression | None = None, *, params: Any = None) -> int:
        """Return the number of rows; from metadata alone where there is no ``where`` and every file has a count."""
        return self.scan([], where, params=params).count()

    def head(self, n: int = 5) -> pa.Table:
        """Return some ``n`` rows, opening as few files as hold them."""
        return self.scan(limit=n).to_arrow()

    def files(self) -> pa.Table:
        """Return the live data files, one a row.

        Columns: ``path`` (decoded: below the table; with a ``/`` before it elsewhere in its bucket or on its disk, as
        in shallow clones), ``size_bytes``, ``num_rows`` (null where the log has no count), ``deleted_rows`` (left out
        by a deletion vector, still in the file and no part of ``num_rows``), ``modified``, ``partition_values`` (a
        struct, typed as the columns are), ``log_path`` (the path as the log has it).
        """
        return self.scan().files()

    def to_arrow(self) -> pa.Table:
        """Return all rows as an Arrow table."""
        return self.scan().to_arrow()

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        """Yield all rows in record batches, in bounded memory."""
        return self.scan().to_batches()

    def to_pandas(self) -> pd.DataFrame:
        """Return all rows as a pandas data frame."""
        return self.scan().to_pandas()

    def to_polars(self) -> pl.LazyFrame:
        """Return a polars lazy frame: its columns, filters and limits are pushed down into the scan."""
        return self.scan().to_polars()

    def to_duckdb(self, con: duckdb.DuckDBPyConnection, name: str) -> duckdb.DuckDBPyRelation:
        """Register this version as view ``name`` of a DuckDB connection, and return it."""
        return self.scan().to_duckdb(con, name)

    def __arrow_c_schema__(self) -> object:
        """Export the schema of the rows."""
        return self.scan().__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Stream all rows to any Arrow consumer."""
        return self.scan().__arrow_c_stream__(requested_schema)

    # --- writing ---------------------------------------------------------------------------------------------

    def append(
        self, data: Any, *, txn: tuple[str, int] | None = None, truncate_ns: bool = False
    ) -> WriteResult:
        """Add rows as one commit; only a change of schema, properties or protocol by another writer conflicts with it.

        Args:
            data: pyarrow, pandas, polars, a DuckDB relation, anything with an Arrow stream, an iterator of batches
                (may be larger than memory), or paths of Parquet files. Columns are matched by name; a value that
                does not fit its column exactly is an error that names column, row and value.
            txn: ``("job-7", 42)``, an application's name and the number of this write, greater than those of its
                earlier ones: however often the write is tried, it is in the table once. Where the table has that
                number, or a greater one, nothing is written (``data`` is not even looked at), and the result says so.
            truncate_ns: cut nanosecond timestamps to microseconds instead of refusing them.

        Raises:
            SchemaMismatchError, ConstraintViolationError: a row does not fit; nothing was committed.
            CommitConflictError: another writer changed schema, properties or protocol since this handle's version.
        """
        from lakefmt.txn.once import parse_txn
        from lakefmt.txn.operations.append import append

        self._check_writable("append")
        base, writer = self._snapshot, self._write_side.writer
        number = parse_txn(txn, writer.environment, table=self.uri)
        after, result = append(writer, base, data, txn=number, truncate_ns=truncate_ns)
        self._move_to(after)
        return result

    def overwrite(
        self,
        data: Any,
        where: str | Expression | None = None,
        *,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        dynamic_partitions: bool = False,
        txn: tuple[str, int] | None = None,
        truncate_ns: bool = False,
    ) -> WriteResult:
        """Replace rows by ``data`` in one commit: all of them, those of ``where``, or whole partitions.

        Args:
            data: all that ``append`` takes.
            where: which rows go: a predicate on partition columns; the new rows must match it too.
            params: values for placeholders in ``where``.
            dynamic_partitions: replace exactly the partitions that occur in ``data``.
            txn: as for ``append``.
            truncate_ns: cut nanosecond timestamps to microseconds instead of refusing them.

        Raises:
            InvalidInputError: the predicate looks at other columns, or a row does not fit.
            ConstraintViolationError: a new row does not match ``where``.
            CommitConflictError: another writer changed what is replaced here since this handle's version.
        """
        from lakefmt.txn.once import parse_txn
        from lakefmt.txn.operations.overwrite import overwrite

        self._check_writable("overwrite")
        base, writer = self._snapshot, self._write_side.writer
        after, result = overwrite(
            writer,
            base,
            data,
            where=self._predicate(where, params),
            dynamic_partitions=dynamic_partitions,
            txn=parse_txn(txn, writer.environment, table=self.uri),
            truncate_ns=truncate_ns,
        )
        self._move_to(after)
        return result

    # --- the log ---------------------------------------------------------------------------------------------

    def checkpoint(self) -> CheckpointResult:
        """Write a checkpoint of this handle's version: who opens it then reads that instead of the commits up to it.

        Every ``delta.checkpointInterval`` commits (10) this is done anyway, after the commit.
        Where the version has a classic checkpoint that can be read, that is it: readers may be in the middle of the file.

        Raises:
            VersionNotFoundError: the table was deleted or replaced since the handle looked.
            UnsupportedFeatureError: the table asks writers for something this release does not have.
        """
        self._check_writable("checkpoint")
        return self._write_side.checkpoints.write(self._snapshot)

    def compact_log(self, first_version: int | None = None, last_version: int | None = None) -> LogCompaction:
        """Write one log compaction file for several commits in a row: readers may read it instead; the commits stay.

        Args:
            first_version: None for the one after the newest checkpoint.
            last_version: included; None for this handle's.

        Raises:
            InvalidInputError: these are no two commits, up to this handle's version.
        """
        from lakefmt.upkeep import compact_log

        self._check_writable("compact_log")
        return compact_log(self._store, self._snapshot, first_version, last_version)

    def clean_log(self, *, dry_run: bool = False) -> LogCleanup:
        """Delete commits and checkpoints older than ``delta.logRetentionDuration`` (30 days), as far as a checkpoint stands for them.

        Versions before the checkpoint that is kept can no longer be opened; no data file is touched. This is done
        after checkpoints anyway, unless ``delta.enableExpiredLogCleanup`` is false.

        Args:
            dry_run: only say what would be deleted.

        Raises:
            InvalidInputError: the property that says how long the log is kept makes no sense.
        """
        from lakefmt.upkeep import clean_log

        self._check_writable("clean_log")
        return clean_log(self._store, self._snapshot, dry_run=dry_run)

    # --- the handle itself -----------------------------------------------------------------------------------

    def close(self) -> None:
        """Wait for what this process does for the table after commits, such as checkpoints; the handle stays usable.

        Without it that is finished when the process ends.
        """
        from lakefmt import background

        background.flush(self._store.identity)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        from lakefmt.display import format_rows

        return format_rows(self._title(), self.schema, self.partition_columns, self._first_rows)

    def _repr_html_(self) -> str:
        from lakefmt.display import format_rows_html

        return format_rows_html(self._title(), self.schema, self.partition_columns, self._first_rows)

    def __len__(self) -> int:
        raise TypeError("A table has no len(); use t.count() for its rows or t.files() for its files")

    def __reduce__(self) -> tuple[Any, ...]:
        return Table._restore, (self._store, self._snapshot, self._read_only, self._commit_timeout_s)

    @classmethod
    def _restore(
        cls,
        store: Store,
        snapshot: Snapshot,
        read_only: bool,  # noqa: FBT001 - called by pickle
        commit_timeout_s: float | None,
    ) -> Table:
        return cls(store, snapshot, read_only=read_only, commit_timeout_s=commit_timeout_s)

    def _title(self) -> str:
        return f"lakefmt.Table({self.uri!r}, version={self.version})"

    def _first_rows(self) -> pa.Table:
        """Read the rows that are shown, once a version: a debugger may ask at every step."""
        from lakefmt.display import FIRST_ROWS

        # A table that was put in the place of another one has versions of the same numbers.
        snapshot, shown = self._snapshot, self._shown
        if shown is None or shown[:2] != (snapshot.metadata.id, snapshot.version):
            shown = self._shown = snapshot.metadata.id, snapshot.version, self.head(FIRST_ROWS)
        return shown[2]

    def _predicate(self, where: Any, params: Any) -> Predicate | None:
        from lakefmt.expressions import parse_predicate

        return None if where is None else parse_predicate(where, self.schema, params, table=self.uri)

    def _check_writable(self, verb: str) -> None:
        if self._read_only:
            raise InvalidInputError(
                f"This handle stands at version {self.version}, read-only: it cannot {verb}",
                table=self.uri,
                version=self.version,
                hint="Open the table without version or timestamp to write; "
                "to go back to this version, overwrite with its rows (restore)",
            )
        from lakefmt.txn.commit import check_can_commit

        check_can_commit(self._store)

    @cached_value
    def _write_side(self) -> WriteSide:
        from lakefmt.write_side import WriteSide

        return WriteSide(self._store, self._commit_timeout_s)

    def _move_to(self, snapshot: Snapshot) -> None:
        # Two threads may append through one handle; it ends at the newest version either of them saw.
        with self._writing:
            if snapshot.version > self._snapshot.version:
                self._snapshot = snapshot


def open_at(
    store: Store,
    version: int | None = None,
    timestamp: str | datetime | None = None,
    catalog: Catalog | None = None,
    commit_timeout_s: float | None = COMMIT_TIMEOUT_S,
) -> Table:
    """Return a handle at a version or a moment, read-only, or at the newest version.

    Raises:
        InvalidInputError: both were given, or one that is none.
        VersionNotFoundError: the table never had that version, or no longer has it.
    """
    if version is not None and timestamp is not None:
        raise InvalidInputError("Give a version or a timestamp, not both", table=store.uri)
    if timestamp is not None:
        from lakefmt.log import CommitTimes
        from lakefmt.log.listing import list_commits
        from lakefmt.log.timestamps import parse_timestamp

        moment_ms = parse_timestamp(timestamp)
        newest = load_snapshot(store, catalog=catalog)
        commits = list_commits(store, catalog)
        version = CommitTimes(store, commits, newest.in_commit_timestamps).version_at(moment_ms)
    elif version is not None and (type(version) is not int or version < 0):
        raise InvalidInputError(f"A version is a number from 0 on, not {version!r}", table=store.uri)
    snapshot = load_snapshot(store, version, catalog)
    return Table(store, snapshot, read_only=version is not None, commit_timeout_s=commit_timeout_s)


# A fork copies locks in the state another thread left them in; the child's handles get fresh ones.
_handles: weakref.WeakSet[Table] = weakref.WeakSet()


def _renew_locks(handles: Iterable[Table]) -> None:
    for handle in handles:
        handle._writing = threading.Lock()  # noqa: SLF001 - this module's own


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _renew_locks(list(_handles)))
