"""A checkpoint of a snapshot, and the hint that leads to it."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from lakefmt.errors import VersionNotFoundError
from lakefmt.log.features import check_writable
from lakefmt.log.last_checkpoint import LastCheckpoint, put_last_checkpoint
from lakefmt.manifest.checkpoint.write import CheckpointKind
from lakefmt.snapshot.checkpoint import checkpoint_snapshot
from lakefmt.txn.commit import check_can_commit
from lakefmt.txn.environment import SYSTEM
from lakefmt.txn.result import count_of

if TYPE_CHECKING:
    from lakefmt.manifest.checkpoint.write import WrittenCheckpoint
    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store
    from lakefmt.txn.environment import Environment

__all__ = ["CheckpointResult", "write_checkpoint"]

_log = logging.getLogger("lakefmt.upkeep")


@dataclass(frozen=True, slots=True)
class CheckpointResult:
    """A checkpoint that was written, or was there already.

    Attributes:
        version: the version that it holds.
        kind: ``classic``, ``v2``.
        num_files: live data files in it.
        num_sidecars: files that hold them, beside its own.
        size_bytes: of all its files.
        written_bytes: of those that had to be written; the others an earlier checkpoint has as well. 0 where the
            version had this checkpoint already.
        seconds: what it took.
    """

    version: int
    kind: str
    num_files: int
    num_sidecars: int
    size_bytes: int
    written_bytes: int
    seconds: float

    @classmethod
    def of(cls, written: WrittenCheckpoint, seconds: float) -> CheckpointResult:
        """Return the result of what was written."""
        return cls(
            version=written.version,
            kind=written.kind.value,
            num_files=written.num_adds,
            num_sidecars=len(written.sidecars),
            size_bytes=written.size_bytes,
            written_bytes=written.written_bytes,
            seconds=seconds,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return asdict(self)

    def __repr__(self) -> str:
        sidecars = f" in {count_of(self.num_sidecars, 'sidecar')}" if self.num_sidecars else ""
        reused = f", {self.written_bytes:,} of them written" if self.written_bytes != self.size_bytes else ""
        return (
            f"checkpoint: version {self.version}, {self.kind}, {count_of(self.num_files, 'data file')}{sidecars} "
            f"({self.size_bytes:,} bytes{reused}), {self.seconds:.2f} s"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


def write_checkpoint(
    store: Store,
    snapshot: Snapshot,
    environment: Environment = SYSTEM,
    kind: CheckpointKind | None = None,
) -> WrittenCheckpoint:
    """Write a checkpoint of ``snapshot`` unless there is one by its name, then the hint that leads to it, unless that leads to a later one.

    Args:
        store: the table's.
        snapshot: a version whose commit is in the log ("Checkpoints": only then).
        environment: clock and ids.
        kind: which checkpoint; None for the one that the table asks for.

    Raises:
        VersionNotFoundError: the version's commit is not in the log: the table was deleted or replaced.
        UnsupportedFeatureError: the table asks writers for something this release does not have.
        CorruptTableError: the version contradicts itself or its checksum file, or its last checkpoint cannot be read.
        StoreError: the store failed. No reader sees half a checkpoint.
    """
    check_can_commit(store)
    check_writable(snapshot.protocol, snapshot.metadata, table=store.uri, version=snapshot.version)
    snapshot.check_adds_up()
    _check_is_in_log(snapshot)
    written = checkpoint_snapshot(
        store,
        snapshot,
        now_ms=environment.now_ms(),
        new_id=environment.new_id,
        kind=kind,
    )
    snapshot.check_adds_up()  # known now, where the files had to be listed
    try:
        # The table may have been deleted meanwhile: what was just written would come back as one without commits.
        _check_is_in_log(snapshot)
    except VersionNotFoundError:
        if written.written_bytes:
            store.delete([written.key])
        raise
    put_last_checkpoint(store, _hint(written))
    _log.info("%s: checkpoint of version %d, %s", store.uri, written.version, written.kind.value)
    return written


def _hint(written: WrittenCheckpoint) -> LastCheckpoint:
    hint = LastCheckpoint(
        written.version, written.num_actions, size_bytes=written.size_bytes, num_adds=written.num_adds
    )
    if written.kind is not CheckpointKind.V2:
        return hint
    return LastCheckpoint(
        hint.version,
        hint.num_actions,
        size_bytes=hint.size_bytes,
        num_adds=hint.num_adds,
        v2_name=written.key.rpartition("/")[2],
        v2_size_bytes=written.file_size_bytes,
        v2_modified_ms=written.modified_ms,
    )


def _check_is_in_log(snapshot: Snapshot) -> None:
    """Raise VersionNotFoundError unless the log has the snapshot's own commit, not another table's of that version."""
    if not snapshot.is_in_log():
        raise VersionNotFoundError(
            f"Version {snapshot.version} is no longer in the log",
            table=snapshot.table_uri,
            version=snapshot.version,
            hint="Open the table again: it was deleted or replaced",
        )
