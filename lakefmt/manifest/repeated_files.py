"""Data files that a list names more than once, which no version may ("Action Reconciliation": unique path keys)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.arrow_values import row_numbers, scalar_of
from lakefmt.errors import CorruptTableError
from lakefmt.manifest.isolated_query import isolated_query
from lakefmt.manifest.logical_files import vector_ids
from lakefmt.manifest.path_columns import canonical_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.manifest.file_list import FileList

__all__ = ["PathsMet", "added_twice", "are_unique", "without_repeats"]

_FEW_FILES = 5_000  # of so many it costs less to count paths than to ask a database
_HELD_FILES = 200_000  # of more, hashes are held in place of paths
_FAILURE = "its paths cannot be compared"


def without_repeats(files: FileList, keys: Sequence[str]) -> FileList:
    """Return the list with each data file once.

    Of entries that name one logical file (path, deletion vector, partition values and size alike) the last stays, as
    Spark's replay has it.

    Args:
        files: some or all files of one state.
        keys: what the log calls the partition columns.

    Raises:
        ValueError: entries of one path are different logical files, of which a version can only have one; each would
            bring its rows. The message names the path.
    """
    paths = canonical_paths(files.table["path"])
    if are_unique(paths):
        return files
    import pyarrow.compute as pc

    met = paths.value_counts()
    repeats: Any = pc.struct_field(met, "values").filter(
        pc.greater(pc.struct_field(met, "counts"), scalar_of(1, pa.int64()))
    )
    repeated: Any = pc.is_in(paths, value_set=repeats)
    last = _last_entries(files.filter(repeated), paths.filter(repeated), repeated, keys)
    if len(last) > len(repeats):
        raise ValueError(f"it lists {repeats[0].as_py()!r} more than once, as different files")
    rows: Any = row_numbers(files.num_files)
    return files.filter(pc.or_(pc.invert(repeated), pc.is_in(rows, value_set=last)))


class PathsMet:
    """The paths of files that pass by, to know in the end whether all were different."""

    def __init__(self) -> None:
        self._paths: list[Any] = []
        self._hashes: list[Any] = []
        self._held = 0

    def add(self, paths: Any) -> None:
        """Take note of paths, a chunked array, spelled canonically."""
        self._paths += paths.chunks
        self._held += len(paths)
        if self._held > _HELD_FILES:
            self._hash_paths()

    def are_different(self) -> bool:
        """Return whether all paths were; False, wrongly, for about one in ten thousand million lists of 50,000 files."""
        if not self._hashes:
            return are_unique(pa.chunked_array(self._paths, pa.string()))
        import pyarrow.compute as pc

        self._hash_paths()
        hashes: Any = pa.chunked_array(self._hashes)
        return bool(pc.count_distinct(hashes).as_py() == len(hashes))

    def _hash_paths(self) -> None:
        with isolated_query(_FAILURE) as connection:
            paths: Any = pa.chunked_array(self._paths, pa.string())
            connection.register("files", pa.table({"path": paths}))
            found = connection.sql("SELECT hash(path) AS hash FROM files").to_arrow_table()
        self._hashes += found.column(0).chunks
        self._paths, self._held = [], 0


def added_twice(path: str) -> CorruptTableError:
    """Return the error of commits that add a file with another deletion vector than it has, which they do not remove."""
    return CorruptTableError(
        "A data file was added again with another deletion vector and is still there with the one it had: rows of "
        "it would be read twice",
        path=path,
        hint="Open a version before that commit, or have the log mended: a remove action of the file as it was is missing",
    )


def are_unique(paths: Any) -> bool:
    """Return whether no path, spelled canonically, is there twice."""
    import pyarrow.compute as pc

    if len(paths) <= _FEW_FILES:
        return bool(pc.count_distinct(paths).as_py() == len(paths))
    with isolated_query(_FAILURE) as connection:
        connection.register("files", pa.table({"path": paths}))
        # Hashes that are all different are those of different paths; it takes a third of the time and memory.
        query = "SELECT count(DISTINCT hash(path)) FROM files"
        found = cast("Any", connection.execute(query).fetchone())
    return bool(found[0] == len(paths) or pc.count_distinct(paths).as_py() == len(paths))


def _last_entries(files: FileList, paths: Any, repeated: Any, keys: Sequence[str]) -> Any:
    """Return for each logical file among some rows of a list the number of the last row that names it."""
    import pyarrow.compute as pc

    numbers: Any = pc.indices_nonzero(repeated).cast(pa.int64())
    columns: dict[str, Any] = {
        "path": paths,
        "vector": vector_ids(files.table["deletion_vector"]),
        "size": files.table["size_bytes"],
    }
    columns |= {f"value {place}": files.partition_texts(place) for place in range(len(keys))}
    grouped = pa.table({**columns, "row": numbers}).group_by(list(columns), use_threads=False)
    return grouped.aggregate([("row", "max")]).column("row_max")
