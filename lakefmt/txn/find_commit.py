"""Whether a commit was made, asked when the log no longer holds all that came since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.errors import VersionNotFoundError
from lakefmt.log.listing import list_commits
from lakefmt.log.paths import canonical_path
from lakefmt.snapshot.load import load_commits, load_snapshot

if TYPE_CHECKING:
    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store
    from lakefmt.txn.changes import Changes

__all__ = ["find_commit"]


def find_commit(store: Store, base: Snapshot, changes: Changes, txn_id: str) -> Snapshot | None:
    """Return a snapshot that holds the commit ``txn_id`` of ``changes``, made after ``base``; None: no trace is left.

    It is its own version's where the log still has its commit; else the newest, whose files are named by nobody else.
    None proves nothing: what it added may have been removed again.
    """
    files = [file for file in list_commits(store) if file.version > base.version]
    for place, (file, commit) in enumerate(zip(files, load_commits(store, files), strict=True)):
        if commit.info is not None and commit.info.txn_id == txn_id:
            if files[-1].version - file.version != len(files) - 1 - place:
                return None  # put below what had been cleaned: it is in no version that anybody reads
            try:
                return load_snapshot(store, file.version)
            except VersionNotFoundError:
                return load_snapshot(store)
    newest = load_snapshot(store)
    # Files whose vectors change were there before.
    before = {canonical_path(remove.path) for remove in changes.removes}
    new = [add.path for add in changes.adds if canonical_path(add.path) not in before]
    return newest if new and _holds_any(newest, new) else None


def _holds_any(snapshot: Snapshot, paths: list[str]) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.is_in(snapshot.files.table["path"], value_set=pa.array(paths, pa.string()))
    return bool(pc.any(found).as_py())
