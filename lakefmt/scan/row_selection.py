"""The rows of a plan's files that are there, by deletion vector, as the engine asks for them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakefmt.errors import CorruptTableError
from lakefmt.log import DeletionVectorDescriptor
from lakefmt.manifest.deletion_vector_files import load_deletion_vector
from lakefmt.manifest.deletion_vectors import DeletedRows
from lakefmt.scan.locate import locate

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from lakefmt.manifest import FileList
    from lakefmt.store import Store

__all__ = ["DifferenceSelection", "VectorSelection", "vector_selections"]


def vector_selections(files: FileList) -> Iterable[VectorSelection | None]:
    """Return for each file which rows its vector leaves, None for all; for the files of some tasks."""
    if not files.has_deletion_vectors:
        return [None] * files.num_files
    vectors = files.table["deletion_vector"].to_pylist()
    return [None if vector is None else VectorSelection(vector) for vector in vectors]


class VectorSelection:
    """What a file's deletion vector leaves of it: ``engine.RowSelection``.

    A vector is a request to storage, so it is read when the first of the file's units is, and then kept for the
    others as long as the task is. It is not pickled.

    Args:
        descriptor: a row of the file list's ``deletion_vector``, as found.
    """

    __slots__ = ("_descriptor", "_loaded", "_lock")

    def __init__(self, descriptor: dict[str, Any]) -> None:
        self._descriptor = descriptor
        self._loaded: DeletedRows | None = None
        self._lock = threading.Lock()

    def load(self, store: Store, key: str, num_rows: int) -> DeletedRows:
        """Return the deleted rows of file ``key``; see ``load_deletion_vector`` for the errors."""
        with self._lock:
            if self._loaded is None:
                self._loaded = load_deletion_vector(
                    store,
                    _complete(self._descriptor, store, key),
                    data_file=key,
                    num_rows=num_rows,
                    locate=locate,
                )
            return self._loaded

    def __reduce__(self) -> tuple[object, ...]:
        return VectorSelection, (self._descriptor,)


class DifferenceSelection:
    """The rows that are in one deletion vector of a file and not in another: ``engine.RowSelection``.

    They are what a commit deleted, or brought back, that gave the file another vector.

    Args:
        within: the one, a row of a ``deletion_vector`` column.
        without: the other, None for one that deletes nothing.
    """

    __slots__ = ("_within", "_without")

    def __init__(self, within: dict[str, Any], without: dict[str, Any] | None) -> None:
        self._within = VectorSelection(within)
        self._without = None if without is None else VectorSelection(without)

    def load(self, store: Store, key: str, num_rows: int) -> OnlyRows:
        """Return those rows of file ``key``; see ``load_deletion_vector`` for the errors."""
        rows = self._within.load(store, key, num_rows).bitmap
        if self._without is not None:
            rows = rows - self._without.load(store, key, num_rows).bitmap
        return OnlyRows(DeletedRows(rows))

    def __reduce__(self) -> tuple[object, ...]:
        without = None if self._without is None else self._without._descriptor  # noqa: SLF001 - its own kind
        return DifferenceSelection, (self._within._descriptor, without)  # noqa: SLF001


@dataclass(frozen=True, slots=True)
class OnlyRows:
    """The rows that a vector names: ``engine.PresentRows``."""

    rows: DeletedRows

    def keep(self, start: int, length: int) -> pa.BooleanArray:
        """Return, for ``length`` rows from row ``start`` on, whether each is one of them."""
        import pyarrow.compute as pc

        return pc.invert(self.rows.keep(start, length))

    def count(self, start: int, length: int) -> int:
        """Return how many of them are."""
        return length - self.rows.count(start, length)


def _complete(descriptor: dict[str, Any], store: Store, key: str) -> DeletionVectorDescriptor:
    """Return a descriptor that has all that one must have; a checkpoint's may not."""
    if missing := [name for name, value in descriptor.items() if value is None and name != "offset"]:
        raise CorruptTableError(
            f"the deletion vector of data file {key} lacks {', '.join(missing)}",
            table=store.uri,
            path=key,
            hint="Restore the checkpoint from a backup, or delete it if the commits before it are still there",
        )
    return DeletionVectorDescriptor(**descriptor)
