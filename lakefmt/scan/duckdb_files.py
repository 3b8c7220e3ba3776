"""Which of a plan's files DuckDB reads by itself, and how: grouped by what has to be selected from them, as columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from lakefmt.arrow_values import array_of, repeat, scalar_of
from lakefmt.engine.duckdb_layout import FileLayout, choose_layout
from lakefmt.engine.file_shapes import shapes_of
from lakefmt.manifest import FileList
from lakefmt.manifest.path_columns import map_by_folder
from lakefmt.manifest.statistics import nan_free_files
from lakefmt.scan.locate import locate_all
from lakefmt.scan.spec import read_spec

if TYPE_CHECKING:
    from lakefmt.engine import ReadSpec
    from lakefmt.scan.plan import ScanPlan
    from lakefmt.store import Store

__all__ = ["DuckdbFiles", "FileGroup", "group_files"]

_MOST_KEPT = 100_000  # files of a list that keeps its groups
_GLOB_CHARACTERS = r"[*?\[]"


@dataclass(frozen=True, slots=True)
class FileGroup:
    """Files that one ``read_parquet`` reads.

    Attributes:
        layout: what to select from them.
        files: their rows of the file list.
        has_vectors: rows of theirs are deleted by vectors, in each of them; else in none.
        keys: theirs in the store, strings.
        paths: theirs on local disk, strings.
        num_rows: of each, deleted ones included.
    """

    layout: FileLayout
    files: FileList
    has_vectors: bool
    keys: pa.Array[Any]
    paths: pa.Array[Any]
    num_rows: pa.Array[Any]

    def slice(self, start: int, length: int) -> FileGroup:
        """Return a run of these files."""
        return FileGroup(
            self.layout,
            FileList(self.files.table.slice(start, length)),
            self.has_vectors,
            self.keys.slice(start, length),
            self.paths.slice(start, length),
            self.num_rows.slice(start, length),
        )


@dataclass(frozen=True, slots=True)
class DuckdbFiles:
    """The files of a plan.

    Attributes:
        groups: those that DuckDB reads.
        others: those that this library must read.
        folders: in which the groups' files are.
    """

    groups: tuple[FileGroup, ...]
    others: FileList
    folders: frozenset[str]


def group_files(store: Store, plan: ScanPlan) -> DuckdbFiles:
    """Return who reads the files of a plan; footers that are not known yet are read, those of its files alone.

    Raises:
        CorruptTableError: a file is missing or is no Parquet file.
        StoreError: storage failed.
    """
    files, snapshot = plan.files, plan.snapshot
    columns = (snapshot.metadata.schema_string, snapshot.column_mapping, *snapshot.partition_columns)
    name = ("duckdb", store.identity, columns, tuple(plan.schema.names))
    if files.num_files > _MOST_KEPT:
        return _group(store, plan, name)
    return files.kept.get(name, lambda: _group(store, plan, name))


def _group(store: Store, plan: ScanPlan, name: tuple[Any, ...]) -> DuckdbFiles:
    import pyarrow.compute as pc

    files, none = plan.files, FileList(plan.files.table.slice(0, 0))
    if not files.num_files or store.local_path("x") is None or not plan.schema.names:
        return DuckdbFiles((), files, frozenset())
    table = files.table
    keys = _flat(locate_all(store, table["path"]))
    paths, folders = _local_paths(store, keys)
    shapes = shapes_of(store.identity)
    found = shapes.find(store, keys, _flat(table["size_bytes"]))
    numbers, holds = _flat(found["shape"]), _flat(nan_free_files(table["tags"]))
    vectors = _flat(table["deletion_vector"].is_valid())
    globs: Any = pc.match_substring_regex(paths, _GLOB_CHARACTERS)
    # One number for each kind of file: its shape, whether its float bounds hold, whether it has a vector.
    compute: Any = pc
    bits = compute.add(vectors.cast(pa.int32()), compute.shift_left(holds.cast(pa.int32()), _int32(1)))
    kinds: Any = compute.add(bits, compute.shift_left(numbers, _int32(2)))
    kinds = compute.if_else(globs, _int32(-1), kinds)
    spec = read_spec(plan)
    groups: dict[tuple[FileLayout, bool], list[int]] = {}
    for kind in kinds.unique().to_pylist():
        layout = None
        if kind >= 0:
            shape, float_bounds_hold = shapes.shape(kind >> 2), bool(kind & 2)
            layout = _layout(shape, spec, (name, float_bounds_hold), float_bounds_hold=float_bounds_hold)
        if layout is not None:
            groups.setdefault((layout, bool(kind & 1)), []).append(kind)
    others = none
    read: list[FileGroup] = []
    left: Any = repeat(scalar_of(value=True), len(keys))
    for (layout, has_vectors), alike in groups.items():
        mask: Any = compute.is_in(kinds, value_set=array_of(alike, pa.int32()))
        left = compute.and_not(left, mask)
        own = files.filter(mask)
        columns = [keys, paths, _flat(found["num_rows"])]
        if own is not files:
            columns = [column.filter(mask) for column in columns]
        read.append(FileGroup(layout, own, has_vectors, *columns))
    if compute.any(left).as_py():
        others = files.filter(left)
    return DuckdbFiles(tuple(read), others, folders)


def _layout(
    shape: Any, spec: ReadSpec, name: tuple[Any, ...], *, float_bounds_hold: bool
) -> FileLayout | None:
    found: FileLayout | Literal[False] | None = shape.layouts.get(name, False)
    if found is False:
        found = choose_layout(shape.footer, spec, float_bounds_hold=float_bounds_hold)
        if len(shape.layouts) >= _MOST_LAYOUTS:
            shape.layouts.clear()  # other threads may be between their questions and answers
        shape.layouts[name] = found
    return found


_MOST_LAYOUTS = 16  # of a shape: versions of the schema, projections


def _local_paths(store: Store, keys: pa.Array[Any]) -> tuple[pa.Array[Any], frozenset[str]]:
    """Return the paths of some files, and their folders: the table's own, and others for shallow clones."""
    import pyarrow.compute as pc

    join: Any = pc.binary_join_element_wise
    own = (store.local_path("x") or "")[:-1]
    absolute: Any = pc.starts_with(keys, "/")
    if not pc.any(absolute).as_py():
        return join(scalar_of(own), keys, scalar_of("")), frozenset({own})
    paths: pa.Array[Any] = map_by_folder(keys, lambda key: store.local_path(key) or "")
    folders: Any = pc.replace_substring_regex(paths, r"[^/]*$", "")
    return paths, frozenset(folders.unique().to_pylist())


def _int32(number: int) -> pa.Scalar[Any]:
    return scalar_of(number, pa.int32())


def _flat(column: Any) -> Any:
    """Return a column as one array."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    combined: Any = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined
