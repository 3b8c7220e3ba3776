"""A few logical files by their keys, to be found in long columns ("Add File and Remove File": path and vector id)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.arrow_values import array_of, scalar_of
from lakefmt.manifest.path_columns import canonical_paths

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LogicalFiles", "vector_ids"]


class LogicalFiles:
    """Keys of logical files.

    Args:
        keys: path, spelled as ``log.paths.canonical_path`` does it, and ``deletionVector.uniqueId`` of each, None for a
            file without a vector.
    """

    def __init__(self, keys: Iterable[tuple[str, str | None]]) -> None:
        plain, with_vector = [], []
        for path, vector_id in keys:
            if vector_id is None:
                plain.append(path)
            else:
                with_vector.append(f"{path}\0{vector_id}")
        self._plain = array_of(plain, pa.string())
        self._with_vector = array_of(with_vector, pa.string())

    def __len__(self) -> int:
        return len(self._plain) + len(self._with_vector)

    def among(self, paths: Any, vectors: Any) -> Any:
        """Return for each file whether it is one of these.

        Args:
            paths: a chunked array, spelled in any way.
            vectors: descriptors of deletion vectors, structs whose first three members are those of its id; null for none.
        """
        import pyarrow.compute as pc

        paths = canonical_paths(paths)
        found = pc.is_in(paths, value_set=self._plain)
        if vectors.null_count == len(vectors):
            return found
        found = pc.and_(found, pc.is_null(vectors))
        if not len(self._with_vector):
            return found
        join: Any = pc.binary_join_element_wise
        ids = join(paths, vector_ids(vectors), "\0")
        return pc.or_(found, pc.is_in(ids, value_set=self._with_vector))


def vector_ids(vectors: Any) -> Any:
    """Return ``deletionVector.uniqueId`` of each descriptor ("Derived Fields"), null where there is none.

    Args:
        vectors: structs that begin with the storage type, the path or inline vector, and the offset.
    """
    import pyarrow.compute as pc

    storage, place, offset = (pc.struct_field(vectors, [member]) for member in range(3))
    base = pc.binary_join_element_wise(storage, place, scalar_of(""))
    return pc.coalesce(pc.binary_join_element_wise(base, pc.cast(offset, pa.string()), scalar_of("@")), base)
