"""Changes below the level of files: rows that go by deletion vectors, and rows that move to other files; pure.

Both are kept as what they mean, apart from the actions they come to: after a lost race the same rows go, or have
moved, on top of vectors that others have written meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lakefmt.log.paths import canonical_path
from lakefmt.manifest.deletion_vectors import DeletedRows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakefmt.log import AddFile
    from lakefmt.txn.changes import Changes
    from lakefmt.txn.row_map import RowMap

__all__ = ["FileRows", "Rewrite", "RowDelete", "paths_of_rows", "vector_id"]


@dataclass(frozen=True, slots=True)
class FileRows:
    """A logical file, and which of its rows are there.

    Attributes:
        file: the file as the table has it, or will have it.
        num_rows: rows in the data file, deleted ones included.
        deleted: the rows that are not there; those of ``file.deletion_vector`` if it is in the table.
    """

    file: AddFile
    num_rows: int
    deleted: DeletedRows

    @property
    def path(self) -> str:
        """The file's path in the one spelling in which actions are compared."""
        return canonical_path(self.file.path)

    @property
    def is_empty(self) -> bool:
        """Whether no row is left."""
        return self.deleted.cardinality == self.num_rows

    @property
    def present(self) -> DeletedRows:
        """The rows that are there."""
        from pyroaring import BitMap64

        return DeletedRows(BitMap64(range(self.num_rows)) - self.deleted.bitmap)

    def without(self, rows: DeletedRows) -> FileRows:
        """Return the file with these rows deleted as well."""
        return replace(self, deleted=self.deleted | rows)


@dataclass(frozen=True, slots=True)
class RowDelete:
    """Rows of one file that go.

    Attributes:
        before: the file as the table has it.
        rows: the rows, all of which are there before.
    """

    before: FileRows
    rows: DeletedRows

    @property
    def after(self) -> FileRows:
        """The file as it will be."""
        return self.before.without(self.rows)


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A group of files whose rows have been written to other files, unchanged.

    Attributes:
        inputs: the files as the table has them.
        outputs: the new files, with the rows deleted that others have deleted in the inputs since they were read.
        row_map: from rows of the inputs to rows of the outputs.
        keeps_vectors: whether outputs may have vectors; where not, a group that others touch is given up.
        gone: paths, as ``FileRows.path``, of inputs that are no longer in the table, because others removed them.
    """

    inputs: tuple[FileRows, ...]
    outputs: tuple[FileRows, ...]
    row_map: RowMap
    keeps_vectors: bool
    gone: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether others have taken all its rows, so that nothing is left to commit."""
        return all(output.is_empty for output in self.outputs) and len(self.gone) == len(self.inputs)

    def moved(self, path: str, now: FileRows | None) -> Rewrite | None:
        """Return the rewrite with an input as others left it, None for gone; None if it cannot stand any more."""
        place = next(place for place, each in enumerate(self.inputs) if each.path == path)
        before = self.inputs[place]
        if now is None:
            taken, gone = before.present, self.gone | {path}
        elif path in self.gone or before.deleted.bitmap - now.deleted.bitmap:
            return None  # rows came back, which the outputs may not have
        else:
            taken, gone = DeletedRows(now.deleted.bitmap - before.deleted.bitmap), self.gone
        if taken.cardinality and not self.keeps_vectors:
            return None
        return replace(
            self,
            inputs=(*self.inputs[:place], now or before.without(taken), *self.inputs[place + 1 :]),
            outputs=tuple(self._carry(place, taken)),
            gone=gone,
        )

    def _carry(self, place: int, taken: DeletedRows) -> Iterator[FileRows]:
        """Yield the outputs without rows that were taken from an input."""
        found: dict[int, DeletedRows] = {}
        for number, positions in self.row_map.outputs_of(place, taken):
            rows = DeletedRows.of(positions)
            found[number] = found[number] | rows if number in found else rows
        for number, output in enumerate(self.outputs):
            yield output.without(found[number]) if number in found else output


def vector_id(file: AddFile) -> str | None:
    """Return the part of a logical file's key that its vector is ("Derived Fields", ``uniqueId``)."""
    return None if file.deletion_vector is None else file.deletion_vector.unique_id


def paths_of_rows(changes: Changes) -> frozenset[str]:
    """Return the paths, as ``FileRows.path``, of the files whose ``adds`` and ``removes`` follow from row deletes and rewrites."""
    paths = {delete.before.path for delete in changes.row_deletes}
    for rewrite in changes.rewrites:
        paths |= {each.path for each in (*rewrite.inputs, *rewrite.outputs)}
    return frozenset(paths)
