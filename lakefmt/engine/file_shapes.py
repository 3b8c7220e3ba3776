"""What the footers of many files tell: a few shapes, and each file's shape and number of rows, as columns.

Files of one writer and one schema are read alike. So of a table of ten thousand files one footer a shape is looked at
closely; of the others only whether theirs is as that one, which takes a tenth of the time. A data file never changes
under its key, so what was found stays; it belongs to the process.
"""

from __future__ import annotations

import os
import threading
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.arrow_values import array_of, no_rows, scalar_of
from lakefmt.engine.footers import Footer, load_metadata, splits_any, tells_of_shapes
from lakefmt.engine.old_calendar import find_old_calendar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from lakefmt.store.contract import Store

__all__ = ["FileShape", "FileShapes", "shapes_of"]

_MOST_KNOWN = 1_000_000  # files that are kept in mind, some 100 bytes each
_FILES_A_TASK = 64
_COLUMNS = pa.schema([("size_bytes", pa.int64()), ("num_rows", pa.int64()), ("shape", pa.int32())])


@dataclass(frozen=True, slots=True, eq=False)
class FileShape:
    """All that decides how columns are read from a file, but for where its pages are: many files have one.

    Attributes:
        footer: of one of these files.
        layouts: what has been made of it, by whom it was made for; a shape is small, and so is each of them.
    """

    footer: Footer
    layouts: dict[Hashable, Any] = field(default_factory=dict)


class FileShapes:
    """Shapes of the files of a table, found as they are asked for. Safe among threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[str, int] = {}
        self._columns: pa.Table = no_rows(_COLUMNS)
        self._shapes: list[FileShape] = []

    def __len__(self) -> int:
        return len(self._places)

    def find(self, store: Store, keys: pa.Array[Any], sizes: pa.Array[Any]) -> pa.Table:
        """Return what the footers of some files tell; those not known yet are read.

        Args:
            store: where they are.
            keys: theirs, strings.
            sizes: their lengths as the log has them.

        Returns:
            A row a file: ``num_rows``, deleted ones included, and ``shape``, the number of its shape.

        Raises:
            CorruptTableError: a file is missing, or is no Parquet file.
            StoreError: storage failed.
        """
        import pyarrow.compute as pc

        names: list[Any] = keys.to_pylist()
        found = self._look_up(names)
        known: Any = pc.fill_null(pc.equal(found["size_bytes"], sizes), scalar_of(value=False))
        missing: Any = pc.indices_nonzero(pc.invert(known))
        if len(missing):
            places: list[int] = missing.to_pylist()
            self._load(
                store, [names[place] for place in places], cast("list[int]", sizes.take(missing).to_pylist())
            )
            found = self._look_up(names)
        return found

    def shape(self, number: int) -> FileShape:
        """Return a shape by its number."""
        return self._shapes[number]

    def forget_lock(self) -> None:
        """Make the lock anew, in a child: a thread of the parent may have held it at the fork."""
        self._lock = threading.Lock()

    def _look_up(self, names: list[str]) -> pa.Table:
        # Places first: whatever has a place has its row by then.
        places = array_of(map(self._places.get, names), pa.int64())
        return self._columns.take(places)

    def _load(self, store: Store, names: list[str], sizes: list[int]) -> None:
        if len(names) <= _FILES_A_TASK:
            rows = list(self._describe(store, names, sizes))
        else:
            rows = self._describe_in_threads(store, names, sizes)
        counts, shapes = zip(*rows, strict=True)
        columns = [
            array_of(values, kind)
            for values, kind in zip((sizes, counts, shapes), _COLUMNS.types, strict=True)
        ]
        table = pa.table(columns, schema=_COLUMNS)
        with self._lock:
            start = self._columns.num_rows
            self._columns = pa.concat_tables([self._columns, table]).combine_chunks()
            self._places.update(zip(names, range(start, start + len(names)), strict=True))

    def _describe_in_threads(self, store: Store, names: list[str], sizes: list[int]) -> list[tuple[int, int]]:
        from lakefmt.engine.reading_threads import default_executor
        from lakefmt.engine.tasks import map_tasks

        runs = [
            (names[start : start + _FILES_A_TASK], sizes[start : start + _FILES_A_TASK])
            for start in range(0, len(names), _FILES_A_TASK)
        ]

        def load(run: tuple[list[str], list[int]]) -> list[tuple[int, int]]:
            return list(self._describe(store, *run))

        with closing(default_executor(store)) as executor:
            return [row for run in map_tasks(executor, load, runs, stage="footers") for row in run]

    def _describe(self, store: Store, names: list[str], sizes: list[int]) -> Iterator[tuple[int, int]]:
        """Yield the number of rows and that of the shape of each of some files."""
        for key, size_bytes in zip(names, sizes, strict=True):
            metadata = load_metadata(store, key, size_bytes)
            yield metadata.num_rows, self._shape_of(key, metadata)

    def _shape_of(self, key: str, metadata: Any) -> int:
        number = self._find_shape(metadata)
        if number is not None:
            return number
        with self._lock:
            number = self._find_shape(metadata)
            if number is None:
                number = len(self._shapes)
                self._shapes.append(FileShape(Footer(key, metadata)))
            return number

    def _find_shape(self, metadata: Any) -> int | None:
        for number, shape in enumerate(self._shapes):
            if _is_alike(shape.footer, metadata):
                return number
        return None


def shapes_of(identity: Hashable) -> FileShapes:
    """Return the shapes of a table's files, by what tells its store from others."""
    with _lock:
        if sum(map(len, _tables.values())) > _MOST_KNOWN:
            _tables.clear()
        return _tables.setdefault(identity, FileShapes())


_lock = threading.Lock()
_tables: dict[Hashable, FileShapes] = {}


def _is_alike(footer: Footer, metadata: Any) -> bool:
    """Whether a file with this metadata is read as the one with that footer is."""
    known = footer.metadata
    if not metadata.schema.equals(known.schema):
        return False
    # The leaves are the same; now what they are members of, and the types that the writer noted beside.
    schema = metadata.schema.to_arrow_schema().remove_metadata()
    if not schema.equals(footer.schema.remove_metadata(), check_metadata=True):
        return False
    if find_old_calendar(metadata.metadata) != footer.old_calendar:
        return False
    if tells_of_shapes(metadata) != tells_of_shapes(known):
        return False
    return splits_any(footer.integer_leaves, metadata) == footer.splits_integers


def _forget_locks() -> None:
    global _lock
    _lock = threading.Lock()
    for shapes in _tables.values():
        shapes.forget_lock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_locks)
