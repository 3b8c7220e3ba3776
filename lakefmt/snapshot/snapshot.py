"""Snapshot: one version of a table, immutable."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import orjson

from lakefmt.cached import cached_value
from lakefmt.errors import CorruptTableError, LakefmtError, VersionNotFoundError
from lakefmt.log.checksum import load_checksum
from lakefmt.log.codec import encode_metadata
from lakefmt.log.commit_times import InCommitTimestamps, load_commit_info
from lakefmt.log.features import check_readable, column_mapping_of
from lakefmt.log.listing import find_commit_file
from lakefmt.log.paths import LogFile, LogFileKind, commit_key
from lakefmt.log.row_tracking import RowTracking
from lakefmt.manifest.checkpoint import Checkpoint
from lakefmt.manifest.checkpoint.content import CheckpointContent
from lakefmt.manifest.file_list import FileList
from lakefmt.schema import FIELD_IDS_PROPERTY, FieldIds, assign_field_ids, parse_schema
from lakefmt.snapshot.file_source import FileSource, Lineage
from lakefmt.snapshot.replay import FileChanges, reconcile
from lakefmt.snapshot.source import load_source
from lakefmt.snapshot.totals import Totals
from lakefmt.snapshot.verify import find_discrepancies

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lakefmt.log import Catalog, Commit, CommitInfo, DomainMetadata, Metadata, Protocol, TransactionId
    from lakefmt.log.checksum import VersionChecksum
    from lakefmt.manifest import Pruner
    from lakefmt.properties import TableProperties
    from lakefmt.schema import ColumnMapping, Schema
    from lakefmt.snapshot.replay import TableState
    from lakefmt.store import Store

__all__ = ["Snapshot"]

_log = logging.getLogger("lakefmt.log")

# A list that nobody has asked for during so many commits is not carried on.
_MOST_LISTED_LATER = 256
# Parsed once for all versions that share metadata and protocol.
_FROM_METADATA = (
    "schema",
    "properties",
    "field_ids",
    "column_mapping",
    "partition_columns",
    "partition_keys",
    "metadata_json",
)
# A handle that commits reads the checksum file at its first commit; one that only refreshes forgets about it.
_MOST_COMMITS_SINCE_CHECKSUM = 64


@dataclass(frozen=True, slots=True)
class _Told:
    """A version's checksum file, not read yet, and the ``txnId`` of that version's commit."""

    file: LogFile
    txn_id: str | None

    def load(self, store: Store) -> VersionChecksum | None:
        """Read it; None where it tells nothing, or it is that of another commit: the table was replaced."""
        found = load_checksum(store, self.file)
        if found is not None and found.txn_id and self.txn_id and found.txn_id != self.txn_id:
            return None
        return found


class Snapshot:
    """One version of a table.

    Cheap to make and to advance: schema and properties are parsed when asked for, and the file list is replayed on
    the first use, from the checkpoint's columns or from the list of an older snapshot. Safe to share among threads.

    Attributes:
        version: the version.
        protocol: what it takes to read and write the table.
        metadata: name, schema text, partition columns, properties.
        catalog: the catalog that manages the table, if it was opened with one.
        log_bytes: length of the commits read since the checkpoint, which every reader reads.
        discrepancies: where the file list differs from what the version's checksum file says, once it has been
            replayed; a warning for readers, a refusal for writers (decision 9).
    """

    def __init__(
        self,
        store: Store,
        state: TableState,
        *,
        version: int,
        written_ms: int,
        last_commit: LogFile | None = None,
        checksum: LogFile | None = None,
        base: Checkpoint | FileList | None,
        commits: tuple[Commit, ...],
        log_bytes: int = 0,
        catalog: Catalog | None = None,
    ) -> None:
        if state.protocol is None or state.metadata is None:
            missing = "protocol" if state.protocol is None else "metaData"
            raise CorruptTableError(
                f"The log holds no {missing} action up to this version",
                table=store.uri,
                version=version,
                hint="Restore the first commit from a backup",
            )
        if not state.metadata.schema_string:
            raise CorruptTableError(
                "The table's metaData has no schemaString",
                table=store.uri,
                version=version,
                hint="Open a later version, or restore the commit from a backup",
            )
        self.version = version
        self.catalog = catalog
        self.protocol: Protocol = state.protocol
        self.metadata: Metadata = state.metadata
        self.state = state
        self._store = store
        self._last_commit = last_commit
        self._checksum = checksum
        self.discrepancies: tuple[str, ...] = ()
        self._written_ms = written_ms
        self._info = commits[-1].info if commits else None
        # What the files add up to, and the commits since; None where nobody has said.
        told = None if checksum is None else _Told(checksum, self._txn_id)
        self._totals: tuple[Totals | _Told | None, tuple[Commit, ...]] = (told, ())
        self.log_bytes = log_bytes
        # What the file list follows from. Threads that ask at once may replay twice, to the same list: no lock, so a
        # snapshot pickles and survives a fork.
        self._source = FileSource.of(base, commits, version)
        self._lineage = Lineage()
        self._reconciled: tuple[tuple[Commit, ...], FileChanges] | None = None
        self._listed: tuple[bool, FileList, tuple[Commit, ...]] | None = None
        # Keys of checkpoint files that turned out to be damaged when their columns were read.
        self._unreadable: frozenset[str] = frozenset()
        check_readable(
            self.protocol, self.metadata, table=store.uri, version=version, has_catalog=catalog is not None
        )

    def __repr__(self) -> str:
        return f"Snapshot({self.table_uri!r}, version={self.version})"

    @property
    def table_uri(self) -> str:
        """The table's location."""
        return self._store.uri

    @property
    def commit_info(self) -> CommitInfo | None:
        """Who made the version, where its commit was read; None where a checkpoint stands for it."""
        return self._info

    @property
    def checkpoint_version(self) -> int:
        """Version of the checkpoint that this snapshot was loaded from, or its predecessors; -1 for none."""
        base = self._source.base
        return base.version if isinstance(base, Checkpoint) else -1

    @property
    def written_ms(self) -> int:
        """When its commit file was written, milliseconds since the epoch: by this age a log is cleaned."""
        return self._written_ms

    @cached_value
    def row_tracking(self) -> RowTracking | None:
        """Where files keep the ids of moved rows, None where rows are not promised to keep theirs.

        Raises CorruptTableError where the table does not say, or names one of its columns.
        """
        table, version = self.table_uri, self.version
        tracking = RowTracking.of(self.protocol, self.metadata, table=table, version=version)
        if tracking is not None:
            stored = {self.schema.physical_name(field).lower() for field in self.schema.fields}
            tracking.check_apart(stored, table=table, version=version)
        return tracking

    @cached_value
    def in_commit_timestamps(self) -> InCommitTimestamps | None:
        """Since when commits say their time themselves, None if they do not."""
        return InCommitTimestamps.of(self.protocol, self.metadata, table=self.table_uri, version=self.version)

    @cached_value
    def timestamp_ms(self) -> int:
        """When the version was committed, milliseconds since the epoch, as time travel counts.

        Its in-commit timestamp where the table has them, read if it is not in hand, else its file's time.
        """
        since = self.in_commit_timestamps
        if since is None or self.version < since.first_version:
            return self._written_ms
        if self._info is not None and self._info.in_commit_timestamp_ms is not None:
            return self._info.in_commit_timestamp_ms
        if self._last_commit is None:
            return self._written_ms  # cleaned away, or made a moment ago by ourselves
        info = load_commit_info(self._store, self._last_commit)
        return since.date(info, self._last_commit, table=self.table_uri)

    @cached_value
    def partition_columns(self) -> tuple[str, ...]:
        """Names of the columns that the table's files are divided by, as the schema spells them."""
        found = [self.schema.find(name) for name in self.metadata.partition_columns]
        names = zip(self.metadata.partition_columns, found, strict=True)
        return tuple([name if field is None else field.name for name, field in names])

    @cached_value
    def column_mapping(self) -> ColumnMapping:
        """How files name columns ("Column Mapping")."""
        return column_mapping_of(self.protocol, self.metadata, table=self.table_uri, version=self.version)

    @cached_value
    def partition_keys(self) -> tuple[str, ...]:
        """What the log calls the partition columns: their physical names where columns are mapped."""
        if self.column_mapping == "none":
            return self.metadata.partition_columns
        schema = self.schema
        return tuple([schema.physical_name(schema.field(name)) for name in self.partition_columns])

    @property
    def transactions(self) -> Mapping[str, TransactionId]:
        """The latest transaction id of each application."""
        return self.state.transactions

    @property
    def domains(self) -> Mapping[str, DomainMetadata]:
        """The metadata domains in force."""
        return self.state.domains

    @cached_value
    def schema(self) -> Schema:
        """The table's schema."""
        try:
            return parse_schema(self.metadata.schema_string, column_mapping=self.column_mapping)
        except LakefmtError as error:
            error.table, error.version = self.table_uri, self.version
            raise

    @cached_value
    def properties(self) -> TableProperties:
        """The properties that this library acts on, typed."""
        from lakefmt.properties import TableProperties

        return TableProperties.parse(self.metadata.configuration, table=self.table_uri)

    @cached_value
    def field_ids(self) -> FieldIds:
        """The Parquet field id of every column: those the table keeps, and new ones for columns without."""
        kept = self.metadata.configuration.get(FIELD_IDS_PROPERTY)
        return assign_field_ids(self.schema, FieldIds.parse(kept) if kept else None)

    @property
    def files(self) -> FileList:
        """All live data files, read and replayed on first use, then kept; statistics of a checkpoint stay there."""
        return self._list_files(counts=False)

    @property
    def counted_files(self) -> FileList:
        """The same with their numbers of rows, for which the statistics of all files are looked at."""
        return self._list_files(counts=True)

    def _list_files(self, *, counts: bool) -> FileList:
        base, commits = self._source.base, self._source.commits
        if isinstance(base, FileList) and not commits:
            return base
        return self._read_around_damage(lambda: self._list_now(counts=counts))

    def _list_now(self, *, counts: bool) -> FileList:
        base, commits = self._source.base, self._source.commits
        listed = self._listed
        if listed is not None and (listed[0] or not counts):
            counts, files, later = listed
            if later:
                files = reconcile(later, self.partition_keys).apply(files)
                self._listed = (counts, files, ())
            return files
        if not isinstance(base, Checkpoint):
            files = self._changes(commits).apply(base or FileList.empty(self.partition_keys))
            self._verify(files)
            if self._source.is_long:
                self._source = self._source.fold(self._changes(commits), files)
                self._reconciled = None
            else:
                self._listed = (True, files, ())
            return files
        files = self._changes(commits).apply(base.files(self.partition_keys, counts=counts))
        if listed is None:
            self._verify(files)
        self._listed = (counts, files, ())
        return files

    def choose_files(self, pruner: Pruner) -> FileList:
        """Return the live data files that a read needs; of the checkpoint's others no more is read than tells so."""
        return self._read_around_damage(lambda: self._choose_now(pruner))

    def _choose_now(self, pruner: Pruner) -> FileList:
        base, commits = self._source.base, self._source.commits
        if not isinstance(base, Checkpoint):
            return self.files.filter(pruner.choose(self.files))
        kept = base.choose(
            pruner, self.partition_keys, schema=self.schema, partition_columns=self.partition_columns
        )
        changes = self._changes(commits)
        added = changes.added
        if added.num_files:
            added = added.filter(pruner.choose(added))
        return replace(changes, added=added).apply(kept)

    def first_files(self, count: int) -> FileList:
        """Return ``count`` live data files or more, all if there are fewer; reads no further than to have them."""
        return self._read_around_damage(lambda: self._read_first(count))

    def _read_first(self, count: int) -> FileList:
        base, commits = self._source.base, self._source.commits
        if not isinstance(base, Checkpoint):
            return self.files
        changes = self._changes(commits)
        # As many more as the later commits may take away.
        return changes.apply(base.first_files(count + len(changes.newest), self.partition_keys))

    def note_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Let the files of versions that follow from this one be read from a checkpoint that is there now, too."""
        self._lineage.checkpoint = checkpoint

    def checkpoint_content(
        self, newest: Checkpoint | None = None, without: frozenset[str] | None = None
    ) -> CheckpointContent:
        """Return what a checkpoint of the version is to hold, nothing of it read that is not in hand.

        Args:
            newest: a checkpoint of this version or an earlier one, to begin with if it is later than the one in hand.
            without: keys of checkpoint files that were found to be unreadable: the log is read again, around them. None
                where all is well.

        Raises:
            CorruptTableError, VersionNotFoundError: nothing else stands for the version.
        """
        if without is not None:
            loaded = load_source(self._store, self.version, self.catalog, without)
            source = FileSource.of(loaded.checkpoint, loaded.commits, self.version)
        else:
            source = self._source.follow(self._lineage.checkpoint, self.version).follow(newest, self.version)
        changes = self._changes(source.commits)
        return CheckpointContent(
            version=self.version,
            protocol=self.protocol,
            metadata=self.metadata,
            schema=self.schema,
            properties=self.properties,
            partition_columns=self.partition_columns,
            partition_keys=self.partition_keys,
            transactions=tuple(self.transactions.values()),
            domains=tuple(self.domains.values()),
            base=source.base,
            tombstones=source.tombstones,
            newest=changes.newest,
            added=changes.added,
        )

    def _changes(self, commits: tuple[Commit, ...]) -> FileChanges:
        """Return what the commits after the base do to its files, reconciled once."""
        known = self._reconciled
        if known is None or known[0] is not commits:
            known = self._reconciled = (commits, reconcile(commits, self.partition_keys))
        return known[1]

    def _read_around_damage(self, read: Callable[[], FileList]) -> FileList:
        """Return what ``read`` returns; where the checkpoint turns out to be damaged, from what else stands for it."""
        while True:
            base = self._source.base
            try:
                return read()
            except CorruptTableError as error:
                error.table, error.version = self.table_uri, error.version or self.version
                if not isinstance(base, Checkpoint) or not base.is_made_of(error.path):
                    raise
                if self._source.base is base:  # no other thread was quicker
                    self._replace_base(base, error)

    def _replace_base(self, base: Checkpoint, error: CorruptTableError) -> None:
        """Let the files follow from another checkpoint or from commits; raise ``error`` where nothing else is left.

        Every checkpoint is left behind for good, unless it was written again since, so this comes to an end.
        """
        unreadable = self._unreadable | base.damaged_keys()
        try:
            source = load_source(self._store, self.version, self.catalog, unreadable)
        except (CorruptTableError, VersionNotFoundError):
            raise error from None
        if (source.state.protocol, source.state.metadata) != (self.protocol, self.metadata):
            raise error
        if base.keys <= unreadable:
            _log.warning("%s Version %d was read without it", error, self.version)
        self._unreadable = unreadable
        self._source = FileSource.of(source.checkpoint, source.commits, self.version)
        self.log_bytes = sum([commit.size_bytes for commit in source.commits])

    def is_in_log(self) -> bool:
        """Whether the log still holds the commit of this version: it was not cleaned away, nor is it another table's.

        Costs one request.
        """
        file = self._last_commit
        if file is None and self._txn_id is not None:
            try:
                return self.is_of(LogFile(LogFileKind.COMMIT, self.version, commit_key(self.version), 0, 0))
            except CorruptTableError:
                return False  # not there, or no commit of ours
        found = find_commit_file(self._store, self.version)
        return found is not None and self.is_of(found)

    def is_of(self, file: LogFile) -> bool:
        """Whether a commit file under this version's name, as the store shows it, is the one that made this version.

        Length and time tell so. Where they differ, as they do of a log that was copied, or are not known, of a commit
        of our own, its ``txnId`` does; a commit without one is another where they differ.
        """
        known = self._last_commit
        seen = None if known is None else (known.size_bytes, known.modified_ms)
        if seen == (file.size_bytes, file.modified_ms) or self.catalog is not None:
            return True
        if self._txn_id is None:
            return seen is None
        info = load_commit_info(self._store, file)
        if info is None or info.txn_id != self._txn_id:
            return False
        if file.modified_ms:
            self._last_commit = file
        return True

    def is_same_version(self, other: Snapshot) -> bool:
        """Whether another snapshot of one table is of this version, made by the same commit as far as can be told."""
        if self.version != other.version:
            return False
        if self._txn_id is not None and other._txn_id is not None:
            return self._txn_id == other._txn_id
        ours, theirs = self._last_commit, other._last_commit
        if ours is None or theirs is None:
            return True
        return (ours.size_bytes, ours.modified_ms) == (theirs.size_bytes, theirs.modified_ms)

    @property
    def _txn_id(self) -> str | None:
        return None if self._info is None else self._info.txn_id

    def load_totals(self) -> Totals | None:
        """Return what the files add up to where that is known without reading a checkpoint's; else None.

        A checksum file may be read for it once; versions that follow from this one then know at once.
        """
        if self.discrepancies:
            return None
        start, commits = self._totals
        if isinstance(start, _Told):
            said = start.load(self._store)
            start = None if said is None else Totals.of_checksum(said)
        found = None if start is None else start.after(commits)
        if found is None and (files := self._files_in_hand()) is not None:
            found = Totals.of_files(files)
        self._totals = (found, ())
        return found

    def _files_in_hand(self) -> FileList | None:
        """Return the list of all files if it takes no reading."""
        if self._listed is not None or not isinstance(self._source.base, Checkpoint):
            return self.files
        return None

    @cached_value
    def metadata_json(self) -> bytes:
        """The metadata as JSON, for the files that repeat it with every version."""
        return orjson.dumps(encode_metadata(self.metadata))

    def check_adds_up(self) -> None:
        """Raise CorruptTableError where the version is known not to add up to its checksum file.

        Asked before something is written on top of it; a file list that was not needed has not been added up.
        """
        if self.discrepancies:
            raise CorruptTableError(
                f"The log does not add up to its checksum file ({'; '.join(self.discrepancies)})",
                table=self.table_uri,
                version=self.version,
                path=None if self._checksum is None else self._checksum.key,
                hint="Restore the log from a backup; if it is the checksum file that is wrong, delete that file",
            )

    def advance(
        self,
        commits: tuple[Commit, ...],
        state: TableState,
        version: int,
        written_ms: int,
        *,
        last_commit: LogFile | None = None,
    ) -> Snapshot:
        """Return the snapshot ``len(commits)`` versions on; only the new commits are looked at."""
        source, log_bytes = self._source.follow(self._lineage.checkpoint, self.version), self.log_bytes
        if source is not self._source:
            log_bytes = sum([commit.size_bytes for commit in source.commits])
        if source.is_long:
            source = source.fold(
                self._changes(source.commits), None if isinstance(source.base, Checkpoint) else self.files
            )
        after = Snapshot(
            self._store,
            state,
            version=version,
            written_ms=written_ms,
            last_commit=last_commit,
            base=source.base,
            commits=commits,
            log_bytes=log_bytes + sum([commit.size_bytes for commit in commits]),
            catalog=self.catalog,
        )
        after._source, after._lineage = source.extend(commits, version), self._lineage
        if (listed := self._listed) is not None and len(listed[2]) <= _MOST_LISTED_LATER:
            after._listed = (*listed[:2], listed[2] + commits)
        after.discrepancies = self.discrepancies
        start, since = self._totals
        if isinstance(start, Totals):
            after._totals = (start.after(commits), ())
        elif start is not None and len(since) <= _MOST_COMMITS_SINCE_CHECKSUM:
            after._totals = (start, since + commits)
        if after.metadata is self.metadata and after.protocol == self.protocol:
            after.__dict__.update(
                {name: self.__dict__[name] for name in _FROM_METADATA if name in self.__dict__}
            )
        return after

    def _verify(self, files: FileList) -> None:
        checksum = None if self._checksum is None else _Told(self._checksum, self._txn_id).load(self._store)
        if checksum is None:
            return
        self.discrepancies = tuple(find_discrepancies(checksum, files, self.protocol, self.metadata))
        if self.discrepancies:
            _log.warning(
                "%s: version %d does not add up to its checksum file: %s",
                self.table_uri,
                self.version,
                "; ".join(self.discrepancies),
            )
