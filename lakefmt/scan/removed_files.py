"""What ``remove`` actions without extended file metadata leave out: partition values and size of the files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.arrow_values import array_of
from lakefmt.errors import CorruptTableError, VersionNotFoundError
from lakefmt.log.actions import AddFile
from lakefmt.log.paths import canonical_path
from lakefmt.manifest.path_columns import canonical_paths
from lakefmt.scan.change_range import iterate_commits
from lakefmt.snapshot import load_snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lakefmt.log import Commit, RemoveFile
    from lakefmt.log.paths import LogFile
    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store

__all__ = ["RemovedFiles"]


class RemovedFiles:
    """Makes of ``remove`` actions, of old writers too ("extendedFileMetadata": false), the files that they removed.

    Nothing is looked up before such a remove comes; then its version's predecessor is loaded once, and the adds of
    the commits from there on are followed.

    Args:
        store: the table's.
        end: the last version of the range.
        files: the range's commits.
    """

    def __init__(self, store: Store, end: Snapshot, files: Sequence[LogFile]) -> None:
        self._store = store
        self._end = end
        self._files = files
        # Paths that some remove yet to come is about, and partition values and size of those that are there.
        self._wanted: frozenset[str] | None = None
        self._known: dict[str, tuple[Mapping[str, str | None], int]] = {}

    def complete(self, version: int, removes: Sequence[RemoveFile]) -> Iterator[AddFile]:
        """Return the files that a commit removed. Commits come in their order, and each is followed.

        Raises:
            CorruptTableError: such a remove is of a file that the table did not have.
        """
        if self._wanted is None and any(map(_lacks, removes)):
            self._wanted = self._find_wanted(version)
            self._load(version)
        for remove in removes:
            values, size = remove.partition_values, remove.size_bytes
            if _lacks(remove):
                values, size = self._known.pop(canonical_path(remove.path), (values, size))
            if values is None or size is None:
                raise CorruptTableError(
                    "A remove action without partition values or size is of a file that the table did not have",
                    table=self._store.uri,
                    version=version,
                    path=remove.path,
                    hint=f"Begin with version {version + 1}",
                )
            yield AddFile(remove.path, values, size, 0, deletion_vector=remove.deletion_vector)

    def follow(self, commit: Commit) -> None:
        """Note what a commit added."""
        if not self._wanted:
            return
        for add in commit.adds:
            if (path := canonical_path(add.path)) in self._wanted:
                self._known[path] = (add.partition_values, add.size_bytes)

    def _find_wanted(self, first: int) -> frozenset[str]:
        later = [file for file in self._files if file.version >= first]
        return frozenset(
            [
                canonical_path(remove.path)
                for _, commit in iterate_commits(self._store, later)
                for remove in commit.removes
                if remove.data_change and _lacks(remove)
            ]
        )

    def _load(self, version: int) -> None:
        """Note what is there before ``version``."""
        if version == 0:
            return
        import pyarrow.compute as pc

        try:
            files = load_snapshot(self._store, version - 1, self._end.catalog).files
        except VersionNotFoundError:
            # The log has been cleaned up to the range: what the range itself added is all that is known.
            for _, commit in iterate_commits(self._store, [f for f in self._files if f.version < version]):
                self.follow(commit)
            return
        wanted = array_of(self._wanted or (), pa.string())
        table = files.table.select(["path", "partition_values", "size_bytes"])
        found: Any = pc.is_in(canonical_paths(table["path"]), value_set=wanted)
        self._known = {
            canonical_path(row["path"]): (row["partition_values"] or {}, row["size_bytes"])
            for row in table.filter(found).to_pylist()
        }


def _lacks(remove: RemoveFile) -> bool:
    return remove.partition_values is None or remove.size_bytes is None
