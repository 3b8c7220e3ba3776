"""Log clean-up: what of the log nobody is promised any more is deleted ("Metadata Cleanup").

The newest commit at or before a midnight, ``delta.logRetentionDuration`` ago, is the cut-off commit; the newest
checkpoint not newer than that is what the log begins with afterwards. It and all that comes after it are kept.
"""

from __future__ import annotations

import logging
import re
from dataclasses import asdict, dataclass
from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from lakefmt.errors import CorruptTableError, InvalidInputError
from lakefmt.log import CommitTimes
from lakefmt.log.catalog import STAGED_FOLDER
from lakefmt.log.features import check_writable
from lakefmt.log.last_checkpoint import read_checkpoint_hint
from lakefmt.log.listing import CHECKPOINT_KINDS, list_log
from lakefmt.log.paths import LAST_CHECKPOINT, LOG_FOLDER, SIDECAR_FOLDER, LogFileKind, parse_log_file
from lakefmt.log.segment import complete_checkpoints
from lakefmt.manifest.checkpoint import Checkpoint
from lakefmt.manifest.checkpoint.write import CheckpointKind
from lakefmt.snapshot import advance_snapshot, load_snapshot
from lakefmt.threads import map_in_threads
from lakefmt.txn.commit import check_can_commit
from lakefmt.txn.environment import SYSTEM
from lakefmt.txn.result import count_of
from lakefmt.upkeep.checkpoint import write_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lakefmt.log.paths import LogFile
    from lakefmt.properties import TableProperties
    from lakefmt.snapshot import Snapshot
    from lakefmt.store import ObjectInfo, Store
    from lakefmt.txn.environment import Environment

__all__ = ["LogCleanup", "clean_log", "cutoff_ms", "has_expired", "is_enabled", "plan_cleanup"]

_log = logging.getLogger("lakefmt.upkeep")

_DAY_MS: Final = 86_400_000
_DELETED_AT_ONCE: Final = 1_000  # so many keys are one request to S3, and lost together at a crash
_READ_THREADS: Final = 8
_STAGED = re.compile(r"(\d{20})\.[0-9A-Za-z-]{36}\.json\Z")
_RETENTION: Final = "delta.logRetentionDuration"
_ENABLED: Final = "delta.enableExpiredLogCleanup"
_PROTECTION: Final = "checkpointProtection"
_PROTECTED_BEFORE: Final = "delta.requireCheckpointProtectionBeforeVersion"
_MOST_DIGITS: Final = 20  # of a version


@dataclass(frozen=True, slots=True)
class LogCleanup:
    """What a clean-up of the log came to.

    Attributes:
        oldest_version: the first version that can still be read; None where nothing was old enough.
        num_commits: commits deleted.
        num_checkpoint_files: files of checkpoints deleted.
        num_sidecars: sidecars deleted.
        num_other_files: checksum, log compaction and staged commit files deleted.
        size_bytes: of all of them.
        dry_run: nothing was deleted; this is what would be.
    """

    oldest_version: int | None = None
    num_commits: int = 0
    num_checkpoint_files: int = 0
    num_sidecars: int = 0
    num_other_files: int = 0
    size_bytes: int = 0
    dry_run: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return asdict(self)

    def __repr__(self) -> str:
        if not (self.num_commits or self.num_checkpoint_files or self.num_sidecars or self.num_other_files):
            return "clean_log: nothing is old enough"
        what = ", ".join(
            count_of(number, noun)
            for number, noun in (
                (self.num_commits, "commit"),
                (self.num_checkpoint_files, "checkpoint file"),
                (self.num_sidecars, "sidecar"),
                (self.num_other_files, "other file"),
            )
            if number
        )
        since = "" if self.oldest_version is None else f"; the log begins at version {self.oldest_version}"
        return f"clean_log: {what} ({self.size_bytes:,} bytes) {'would be ' * self.dry_run}deleted{since}"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


@dataclass(frozen=True, slots=True)
class CleanupPlan:
    """What goes, and what the log begins with afterwards.

    Attributes:
        checkpoint: the files of the checkpoint that is kept.
        commits: older than it, oldest first.
        checkpoints: files of checkpoints older than it, oldest first.
        others: checksum files older than it, and log compaction files that begin at or before it.
    """

    checkpoint: tuple[LogFile, ...]
    commits: tuple[LogFile, ...]
    checkpoints: tuple[LogFile, ...]
    others: tuple[LogFile, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing goes."""
        return not (self.commits or self.checkpoints or self.others)


def clean_log(
    store: Store, snapshot: Snapshot, environment: Environment = SYSTEM, *, dry_run: bool = False
) -> LogCleanup:
    """Delete what has expired of the log of the table that ``snapshot`` is a version of.

    At every moment the versions that are kept can be read, and an older one can be or fails with a typed error: see
    the README of this package for what a crash leaves.

    Raises:
        UnsupportedFeatureError: the table asks writers for something this release does not have; among them are all
            that a catalog manages, whose log only the catalog's own maintenance may clean.
        InvalidInputError: a property that says how long the log is kept makes no sense.
        CorruptTableError: a commit must say its time and does not.
        StoreError: the store failed; the rest is for the next clean-up.
    """
    check_can_commit(store)
    snapshot = advance_snapshot(store, snapshot)  # how long the log is kept may have been changed since
    check_writable(snapshot.protocol, snapshot.metadata, table=store.uri, version=snapshot.version)
    cutoff = cutoff_ms(snapshot, environment.now_ms())
    files = list_log(store)
    commits = [file for file in files if file.kind is LogFileKind.COMMIT]
    newest = CommitTimes(store, commits, snapshot.in_commit_timestamps).newest_until(cutoff)
    plan = None if newest is None else _plan_with_readable_checkpoint(store, files, newest)
    if plan is not None and not _may_truncate_before(snapshot, plan.checkpoint[0].version):
        plan = None
    result = LogCleanup(dry_run=dry_run)
    if plan is not None:
        staged = [] if plan.is_empty else list(_staged_until(store, plan.checkpoint[0].version))
        if not dry_run and not plan.is_empty:
            _write_classic_name(store, files, environment)
            _delete_planned(store, plan, staged)
        gone: list[LogFile | ObjectInfo] = [*plan.commits, *plan.checkpoints, *plan.others, *staged]
        result = LogCleanup(
            oldest_version=None if plan.is_empty else plan.checkpoint[0].version,
            num_commits=len(plan.commits),
            num_checkpoint_files=len(plan.checkpoints),
            num_other_files=len(plan.others) + len(staged),
            size_bytes=sum(file.size_bytes for file in gone),
            dry_run=dry_run,
        )
    return _with_sidecars(store, snapshot, environment, result, plan)


def cutoff_ms(snapshot: Snapshot, now_ms: int) -> int:
    """Return the midnight, milliseconds since the epoch, up to which commits may go.

    Raises:
        InvalidInputError: the property that says how long they are kept makes no sense; what is deleted by a guess
            is gone.
    """
    retention_ms = _strictly(snapshot, _RETENTION).log_retention_ms
    if retention_ms < 0:
        raise InvalidInputError(
            f"Table property {_RETENTION} is negative: {snapshot.metadata.configuration[_RETENTION]!r}",
            table=snapshot.table_uri,
            hint="Set it to an interval such as 'interval 30 days'",
        )
    return _midnight(now_ms - retention_ms)


def is_enabled(snapshot: Snapshot) -> bool:
    """Whether the log may be cleaned without being asked to. Raises InvalidInputError where the property makes no sense."""
    return _strictly(snapshot, _ENABLED).enable_expired_log_cleanup


def has_expired(store: Store, snapshot: Snapshot, cutoff: int) -> bool:
    """Whether the oldest commit that is left is older than ``cutoff``: a look that costs one request."""
    parsed = (parse_log_file(info) for info in store.list(LOG_FOLDER))
    first = list(islice((f for f in parsed if f is not None and f.kind is LogFileKind.COMMIT), 1))
    times = CommitTimes(store, first, snapshot.in_commit_timestamps)
    return bool(first) and times.time_of(0) <= cutoff


def plan_cleanup(
    files: Iterable[LogFile], cutoff_version: int, without: frozenset[int] = frozenset()
) -> CleanupPlan | None:
    """Choose what goes from a listing of the whole log (pure); None where no checkpoint stands for it.

    Args:
        files: the listing, ordered by name.
        cutoff_version: the newest commit that is old enough to be the first that is kept.
        without: versions whose checkpoints stand for nothing.
    """
    files = list(files)
    checkpoints = complete_checkpoints(files)
    usable = [version for version in checkpoints if version <= cutoff_version and version not in without]
    if not usable:
        return None
    first = max(usable)
    older = [file for file in files if file.version < first]
    compacted = LogFileKind.COMPACTED
    return CleanupPlan(
        checkpoint=checkpoints[first],
        commits=tuple([file for file in older if file.kind is LogFileKind.COMMIT]),
        checkpoints=tuple([file for file in older if file.kind in CHECKPOINT_KINDS]),
        others=tuple(
            [file for file in files if file.kind is compacted and file.version <= first]
            + [file for file in older if file.kind is LogFileKind.CHECKSUM]
        ),
    )


def _plan_with_readable_checkpoint(
    store: Store, files: Sequence[LogFile], cutoff_version: int
) -> CleanupPlan | None:
    """Plan with the newest checkpoint that can be read: what it stands for is gone afterwards."""
    unreadable: frozenset[int] = frozenset()
    while (plan := plan_cleanup(files, cutoff_version, unreadable)) is not None:
        if plan.is_empty:
            return plan
        try:
            _check_readable(store, plan.checkpoint)
        except CorruptTableError as error:
            _log.warning("%s The log is not cleaned up to it", error)
            unreadable |= {plan.checkpoint[0].version}
        else:
            return plan
    return None


def _check_readable(store: Store, files: Sequence[LogFile]) -> None:
    """Raise CorruptTableError unless the checkpoint has protocol and metadata, and all its files are there."""
    state = Checkpoint(store, files).state
    if state.protocol is None or state.metadata is None:
        raise CorruptTableError(
            "The checkpoint holds no protocol or no metaData action",
            table=store.uri,
            version=files[0].version,
            path=files[0].key,
        )
    if not state.sidecars:
        return
    there = {info.key.rpartition("/")[2]: info.size_bytes for info in store.list(SIDECAR_FOLDER)}
    for sidecar in state.sidecars:
        if there.get(_name(sidecar.path)) != sidecar.size_bytes:
            raise CorruptTableError(
                "A sidecar of the checkpoint is gone, or of another length",
                table=store.uri,
                version=files[0].version,
                path=f"{SIDECAR_FOLDER}/{_name(sidecar.path)}",
            )


def _write_classic_name(store: Store, files: Sequence[LogFile], environment: Environment) -> None:
    """See to it that a checkpoint has the classic name, also where the newest has a UUID.

    "Handling Backward compatibility while moving to UUID-named v2 Checkpoints": who does not know those finds the
    protocol in it, and refuses; without it and without old commits they would find no table.
    """
    checkpoints = complete_checkpoints(files)
    newest = max(checkpoints)
    if checkpoints[newest][0].kind is LogFileKind.UUID_CHECKPOINT:
        write_checkpoint(store, load_snapshot(store, newest), environment, CheckpointKind.V2_CLASSIC_NAME)


def _may_truncate_before(snapshot: Snapshot, version: int) -> bool:
    """Whether ``checkpointProtection`` allows the log to begin at ``version``.

    By the letter older history may also go in pieces by whoever supports the protocol of every version that goes;
    here it goes in one piece or not at all.
    """
    if _PROTECTION not in (snapshot.protocol.writer_features or ()):
        return True
    text = snapshot.metadata.configuration.get(_PROTECTED_BEFORE, "0")
    # Longer than any version is none that makes sense, and Python reads no number of any length.
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and version >= int(text)


def _delete_planned(store: Store, plan: CleanupPlan, staged: Sequence[ObjectInfo]) -> None:
    """Delete in the order that keeps every moment right."""
    first = plan.checkpoint[0].version
    hint = read_checkpoint_hint(store)
    if hint is not None and hint < first:
        # It would name what is gone. Without one readers list the log, which has become short.
        store.delete([LAST_CHECKPOINT])
    # Commits before the checkpoints they follow ("checkpointProtection"), oldest first: what is left of them is always
    # the end of the log, without a gap.
    for group in (plan.others, plan.commits, plan.checkpoints):
        keys = [file.key for file in group]
        for begin in range(0, len(keys), _DELETED_AT_ONCE):
            store.delete(keys[begin : begin + _DELETED_AT_ONCE])
    store.delete([info.key for info in staged])
    _log.info("%s: the log begins at version %d now", store.uri, first)


def _with_sidecars(
    store: Store,
    snapshot: Snapshot,
    environment: Environment,
    result: LogCleanup,
    plan: CleanupPlan | None,
) -> LogCleanup:
    """Delete the sidecars that no checkpoint refers to, and count them in.

    Those younger than a day, as of midnight, may belong to a checkpoint that is being written.
    """
    if "v2Checkpoint" not in (snapshot.protocol.writer_features or ()):
        return result
    before_ms = _midnight(environment.now_ms()) - _DAY_MS
    old = {
        info.key.rpartition("/")[2]: info
        for info in store.list(SIDECAR_FOLDER)
        if info.modified_ms < before_ms
    }
    gone_with_plan = frozenset(file.key for file in plan.checkpoints) if plan is not None else frozenset()
    seen = _checkpoint_files(store)
    try:
        referred = _referred_sidecars(store, [file for file in seen if file.key not in gone_with_plan])
    except CorruptTableError as error:
        # What it refers to nobody knows; readers pass it over, and the log itself has been cleaned by now.
        _log.warning("%s: all sidecars stay, as a checkpoint cannot be read: %s", store.uri, error)
        return result
    orphans = [info for name, info in old.items() if name not in referred]
    if orphans and not result.dry_run:
        store.delete([info.key for info in orphans])
        _delete_broken_since(store, seen, frozenset(info.key.rpartition("/")[2] for info in orphans))
    fields = asdict(result)
    fields["num_sidecars"] = len(orphans)
    fields["size_bytes"] += sum(info.size_bytes for info in orphans)
    return LogCleanup(**fields)


def _delete_broken_since(store: Store, seen: Sequence[LogFile], deleted: frozenset[str]) -> None:
    """Delete checkpoints that appeared since the look at all of them and refer to a sidecar that was deleted.

    A writer may have taken sidecars over from a checkpoint that went in this clean-up. It looks whether they are there
    after it has written; here we look after we have deleted: one of the two sees it.
    """
    known = frozenset(file.key for file in seen)
    for file in _checkpoint_files(store):
        if file.key in known:
            continue
        try:
            is_broken = not _referred_sidecars(store, [file]).isdisjoint(deleted)
        except CorruptTableError as error:
            _log.warning("%s: a checkpoint cannot be read: %s", store.uri, error)
            continue
        if is_broken:
            _log.warning("%s: %s lost a sidecar to a clean-up and is deleted", store.uri, file.key)
            store.delete([file.key])


def _checkpoint_files(store: Store) -> list[LogFile]:
    """List the files that may refer to sidecars: of every checkpoint, not of the best of each version."""
    kinds = (LogFileKind.CHECKPOINT, LogFileKind.UUID_CHECKPOINT)
    return [file for file in list_log(store) if file.kind in kinds]


def _referred_sidecars(store: Store, files: Sequence[LogFile]) -> frozenset[str]:
    """Return the names of the sidecars that checkpoints refer to. Raises CorruptTableError: none can be called unused."""

    def names(file: LogFile) -> list[str]:
        return [_name(sidecar.path) for sidecar in Checkpoint(store, [file]).state.sidecars]

    if len(files) <= 1:
        return frozenset(name for file in files for name in names(file))
    found = map_in_threads(names, files, _READ_THREADS, "lakefmt-clean")
    return frozenset(name for each in found for name in each)


def _staged_until(store: Store, version: int) -> Iterator[ObjectInfo]:
    for info in store.list(STAGED_FOLDER):
        match = _STAGED.search(info.key.rpartition("/")[2])
        if match is not None and int(match[1]) <= version:
            yield info


def _strictly(snapshot: Snapshot, name: str) -> TableProperties:
    """Return the properties with a property that must not be guessed at, and without all others."""
    from lakefmt.properties import TableProperties

    configuration = snapshot.metadata.configuration
    told = {name: configuration[name]} if name in configuration else {}
    return TableProperties.parse_strictly(told, table=snapshot.table_uri)


def _name(path: str) -> str:
    return unquote(path).rpartition("/")[2]


def _midnight(moment_ms: int) -> int:
    return moment_ms // _DAY_MS * _DAY_MS
