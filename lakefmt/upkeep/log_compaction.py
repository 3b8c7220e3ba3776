"""Log compaction: one file that stands for several commits in a row ("Log Compaction Files")."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from lakefmt.errors import InvalidInputError
from lakefmt.log import Commit, encode_commit, load_segment
from lakefmt.log.features import check_writable
from lakefmt.log.listing import check_contiguous, list_log
from lakefmt.log.paths import LogFileKind, compaction_key
from lakefmt.snapshot.load import load_commits
from lakefmt.snapshot.replay import reconcile
from lakefmt.txn.commit import check_can_commit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store

__all__ = ["LogCompaction", "compact_log", "reconcile_commits"]


@dataclass(frozen=True, slots=True)
class LogCompaction:
    """A log compaction file.

    Attributes:
        first_version, last_version: the commits it stands for, both included.
        num_actions: actions in it.
        size_bytes: its length; the commits had ``commit_bytes`` together.
        seconds: what it took.
    """

    first_version: int
    last_version: int
    num_actions: int
    size_bytes: int
    commit_bytes: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return asdict(self)

    def __repr__(self) -> str:
        return (
            f"compact_log: versions {self.first_version} to {self.last_version}, {self.num_actions:,} actions, "
            f"{self.size_bytes:,} bytes for {self.commit_bytes:,}, {self.seconds:.2f} s"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


def compact_log(
    store: Store, snapshot: Snapshot, first_version: int | None = None, last_version: int | None = None
) -> LogCompaction:
    """Write the log compaction file of some commits; the commits stay.

    Args:
        store: the table's.
        snapshot: of the table, recent.
        first_version: None for the one after the newest checkpoint.
        last_version: included; None for the snapshot's.

    Raises:
        InvalidInputError: that is not two commits or more, up to the snapshot's version.
        CorruptTableError: one of the commits is missing or cannot be read.
        UnsupportedFeatureError: the table asks writers for something this release does not have.
        StoreError: the store failed.
    """
    check_can_commit(store)
    check_writable(snapshot.protocol, snapshot.metadata, table=store.uri, version=snapshot.version)
    began_s = time.perf_counter()
    last = snapshot.version if last_version is None else last_version
    checkpoint = load_segment(store, snapshot.version).checkpoint_version if first_version is None else -1
    first = checkpoint + 1 if first_version is None else first_version
    if not 0 <= first < last <= snapshot.version:
        raise InvalidInputError(
            f"Versions {first} to {last} are no two commits or more of versions 0 to {snapshot.version}"
            if first_version is not None or last_version is not None
            else f"There are no two commits since the checkpoint of version {checkpoint}",
            table=store.uri,
            version=snapshot.version,
            hint="Choose an earlier first version",
        )
    files = [
        file for file in list_log(store, first) if file.kind is LogFileKind.COMMIT and file.version <= last
    ]
    check_contiguous(files, first, table=store.uri, last=last)
    compacted = reconcile_commits(load_commits(store, files), snapshot.partition_keys)
    if compacted == Commit():
        raise InvalidInputError(
            f"Versions {first} to {last} changed nothing that a reader needs", table=store.uri, version=last
        )
    data = encode_commit(compacted)
    # Whoever was first wrote the same: it follows from the commits.
    store.put_if_absent(compaction_key(first, last), data)
    return LogCompaction(
        first_version=first,
        last_version=last,
        num_actions=data.count(b"\n"),
        size_bytes=len(data),
        commit_bytes=sum(file.size_bytes for file in files),
        seconds=time.perf_counter() - began_s,
    )


def reconcile_commits(commits: Sequence[Commit], partition_keys: tuple[str, ...]) -> Commit:
    """Return commits in a row as one that makes of any state before them what they make of it (pure).

    The newest action of each kind, name or logical file; removes and removed domains stay, since they take away what a
    checkpoint before them has. Who did what, and recorded row changes, are for readers of the commits themselves.
    """
    files = reconcile(commits, partition_keys).to_commit()
    protocols = [commit.protocol for commit in commits if commit.protocol is not None]
    metadata = [commit.metadata for commit in commits if commit.metadata is not None]
    transactions = {txn.app_id: txn for commit in commits for txn in commit.transactions}
    domains = {domain.domain: domain for commit in commits for domain in commit.domains}
    return Commit(
        protocol=protocols[-1] if protocols else None,
        metadata=metadata[-1] if metadata else None,
        adds=files.adds,
        removes=files.removes,
        transactions=tuple(transactions.values()),
        domains=tuple(domains.values()),
    )
