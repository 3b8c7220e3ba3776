"""What a version's files add up to, carried from commit to commit without looking at the files; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lakefmt.log import AddFile, Commit, RemoveFile
    from lakefmt.log.checksum import VersionChecksum
    from lakefmt.manifest import FileList

__all__ = ["Totals"]

# Engines that carry these figures from commit to commit themselves, by how their ``engineInfo`` begins.
_COUNTING: Final = ("lakefmt/", "Apache-Spark/", "Databricks-Runtime/")


@dataclass(frozen=True, slots=True)
class Totals:
    """Figures of a version, as its checksum file has them ("Version Checksum File").

    Attributes:
        num_files: live data files.
        size_bytes: their sizes added up.
        num_deletion_vectors: how many of them have a deletion vector.
        num_deleted_records: the rows that those mark, added up.
    """

    num_files: int = 0
    size_bytes: int = 0
    num_deletion_vectors: int = 0
    num_deleted_records: int = 0

    @classmethod
    def of_files(cls, files: FileList) -> Totals:
        """Return what a list adds up to."""
        import pyarrow.compute as pc

        vectors = files.table["deletion_vector"]
        deleted: Any = pc.sum(pc.struct_field(vectors, "cardinality"))
        return cls(
            files.num_files, files.size_bytes, files.num_files - vectors.null_count, deleted.as_py() or 0
        )

    @classmethod
    def of_checksum(cls, said: VersionChecksum) -> Totals | None:
        """Return what a checksum file says, None where it leaves something out."""
        vectors, deleted = said.num_deletion_vectors, said.num_deleted_records
        features = None if said.protocol is None else said.protocol.writer_features
        if "deletionVectors" not in (features or ()):
            vectors, deleted = vectors or 0, deleted or 0  # nobody counts what cannot be there
        if said.num_files is None or said.size_bytes is None or vectors is None or deleted is None:
            return None
        return cls(said.num_files, said.size_bytes, vectors, deleted)

    def after(self, commits: Iterable[Commit]) -> Totals | None:
        """Return the totals after more commits; None where those do not tell for certain.

        They do as long as what they add was not there before and what they remove was. The protocol does not ask that
        of writers, and whoever lets users put commits together adds files twice; those that count so themselves see to
        it. But even their commits that only mend what is said of files (statistics, row ids) add files that are there,
        and some remove what is gone to keep its deletion vector: those are known by moving no rows in only one direction.
        """
        total = self
        for commit in commits:
            engine = None if commit.info is None else commit.info.engine_info
            if engine is None or not engine.startswith(_COUNTING):
                if commit.adds or commit.removes:
                    return None
                continue
            if _mends(commit.adds, commit.removes) or _mends(commit.removes, commit.adds):
                return None
            come, go = _add_up(commit.adds), _add_up(commit.removes)
            if come is None or go is None:
                return None
            total = Totals(
                total.num_files + come.num_files - go.num_files,
                total.size_bytes + come.size_bytes - go.size_bytes,
                total.num_deletion_vectors + come.num_deletion_vectors - go.num_deletion_vectors,
                total.num_deleted_records + come.num_deleted_records - go.num_deleted_records,
            )
        return total


def _mends(these: Sequence[AddFile | RemoveFile], others: Sequence[AddFile | RemoveFile]) -> bool:
    return not others and any(not file.data_change for file in these)


def _add_up(files: Iterable[AddFile | RemoveFile]) -> Totals | None:
    count = size_bytes = vectors = deleted = 0
    for file in files:
        if file.size_bytes is None:
            return None
        count += 1
        size_bytes += file.size_bytes
        if file.deletion_vector is not None:
            vectors += 1
            deleted += file.deletion_vector.cardinality
    return Totals(count, size_bytes, vectors, deleted)
