"""Version checksum files: after a commit, what the version adds up to ("Version Checksum File")."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from lakefmt import background
from lakefmt.log.checksum import VersionChecksum, encode_checksum
from lakefmt.log.paths import checksum_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store

__all__ = ["checksum_writer", "write_checksum"]

# More of either are left out, as the protocol allows: the file is written with every commit.
_MOST_TOLD: Final = 100


def checksum_writer(store: Store) -> Callable[[Snapshot], None]:
    """Return what writes checksum files after commits: at once on a disk, in the background where requests take long."""

    def follow(after: Snapshot) -> None:
        if store.requests_are_cheap:
            write_checksum(store, after)
        else:
            background.submit(store.identity, "checksum", partial(write_checksum, store, after))

    return follow


def write_checksum(store: Store, snapshot: Snapshot) -> bool:
    """Write the checksum file of a version that was just committed; False where one is there, or the figures are not known.

    They are, as long as a checksum file or a list of the files stands at the beginning and every commit since says what
    it removed; no file list is read for it.
    """
    totals = snapshot.load_totals()
    if totals is None:
        return False
    transactions, domains = tuple(snapshot.transactions.values()), tuple(snapshot.domains.values())
    info = snapshot.commit_info
    dated = snapshot.in_commit_timestamps is not None
    checksum = VersionChecksum(
        num_files=totals.num_files,
        size_bytes=totals.size_bytes,
        num_deletion_vectors=totals.num_deletion_vectors,
        num_deleted_records=totals.num_deleted_records,
        protocol=snapshot.protocol,
        metadata=snapshot.metadata,
        txn_id=None if info is None else info.txn_id,
        in_commit_timestamp_ms=info.in_commit_timestamp_ms if info is not None and dated else None,
        transactions=transactions if len(transactions) <= _MOST_TOLD else None,
        domains=domains if len(domains) <= _MOST_TOLD else None,
    )
    return store.put_advisory(
        checksum_key(snapshot.version), encode_checksum(checksum, metadata=snapshot.metadata_json)
    )
