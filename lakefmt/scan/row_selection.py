"""The rows of a plan's files that are there, by deletion vector, as the engine asks for them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from lakefmt.errors import CorruptTableError
from lakefmt.log import DeletionVectorDescriptor
from lakefmt.manifest.deletion_vector_files import load_deletion_vector
from lakefmt.scan.locate import locate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lakefmt.manifest import FileList
    from lakefmt.manifest.deletion_vectors import DeletedRows
    from lakefmt.store import Store

__all__ = ["VectorSelection", "vector_selections"]


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
