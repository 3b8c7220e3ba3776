"""Parquet footers: read once, kept for as long as there is room.

A data file never changes under its key, so a footer that was read stays true; a file that is gone is noticed when its
pages are read. (On local disk, where somebody may put another file in its place, its time is looked at.) The cache belongs to the process, holds at most ``CACHE_BYTES`` and forgets what was used least
recently. On local disk it saves 80 us a file, on an object store one or two requests.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from contextlib import contextmanager
from itertools import accumulate, count
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import pyarrow as pa

from lakefmt.cached import cached_value
from lakefmt.engine.old_calendar import find_old_calendar
from lakefmt.errors import CorruptTableError, ObjectNotFoundError, StoreError
from lakefmt.parquet_chunks import ColumnChunks
from lakefmt.parquet_files import open_parquet_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakefmt.engine.old_calendar import OldCalendar
    from lakefmt.store.contract import Store

__all__ = [
    "CACHE_BYTES",
    "Footer",
    "forget_footers",
    "load_footer",
    "load_metadata",
    "open_parquet",
    "splits_any",
    "tells_of_shapes",
]

CACHE_BYTES = 64 << 20
_PARSED_SHARE = 8  # a footer in memory is several times its length in the file

_MARKED_KINDS = frozenset({"GEOGRAPHY", "GEOMETRY", "JSON"})
_SPLIT_INTEGERS = frozenset({"FIXED_LEN_BYTE_ARRAY", "INT32", "INT64"})

_lock = threading.Lock()
_cache: OrderedDict[tuple[str, int, str, int, int], Footer] = OrderedDict()
# Of stores that are not on local disk: one URI may lead to different servers, by options, environment or credentials.
_store_numbers: WeakKeyDictionary[Store, int] = WeakKeyDictionary()
_next_number = count(1)
_cached_bytes = 0


class Footer:
    """What a file's footer says.

    Attributes:
        key: the file's.
        metadata: pyarrow's ``FileMetaData``.
        size_bytes: memory it takes, about.
        bounds: what ``row_groups`` has made of its statistics, by leaf column.
    """

    def __init__(self, key: str, metadata: Any) -> None:
        self.key = key
        self.metadata = metadata
        self.size_bytes: int = metadata.serialized_size * _PARSED_SHARE
        self.bounds: dict[int, Any] = {}

    @cached_value
    def schema(self) -> pa.Schema:
        """The file's columns as Arrow types."""
        schema: pa.Schema = self.metadata.schema.to_arrow_schema()
        return schema

    @cached_value
    def row_counts(self) -> list[int]:
        """Rows of each row group."""
        return [self.metadata.row_group(i).num_rows for i in range(self.metadata.num_row_groups)]

    @cached_value
    def first_rows(self) -> list[int]:
        """For each row group the position of its first row in the file, and the file's number of rows at the end."""
        return list(accumulate(self.row_counts, initial=0))

    @cached_value
    def first_leaves(self) -> list[int]:
        """For each top-level column the number of its first leaf column, and one past the last at the end."""
        starts = [0]
        for field in self.schema:
            starts.append(starts[-1] + count_leaves(field.type))
        return starts

    @cached_value
    def old_calendar(self) -> OldCalendar | None:
        """Which values may be days of the old calendar; None in nearly all files."""
        return find_old_calendar(self.metadata.metadata)

    @cached_value
    def integer_leaves(self) -> list[int]:
        """The leaf columns that may be in BYTE_STREAM_SPLIT and are no floats ("Encodings")."""
        columns = self.metadata.schema
        leaves = range(len(columns))
        return [leaf for leaf in leaves if columns.column(leaf).physical_type in _SPLIT_INTEGERS]

    @cached_value
    def chunks(self) -> ColumnChunks:
        """What is said of the column chunks."""
        return ColumnChunks(self.metadata)

    @cached_value
    def splits_integers(self) -> bool:
        """Whether columns other than floats may be in BYTE_STREAM_SPLIT, which DuckDB 1.5 cannot decode."""
        return splits_any(self.integer_leaves, self.metadata)

    @cached_value
    def has_marked_kinds(self) -> bool:
        """Whether columns are marked as JSON or shapes on a map, which DuckDB has types for, and tables have not."""
        columns = self.metadata.schema
        if tells_of_shapes(self.metadata):
            return True
        return any(columns.column(leaf).logical_type.type in _MARKED_KINDS for leaf in range(len(columns)))

    def has_int96(self, position: int) -> bool:
        """Whether a top-level column, by its position, keeps something as INT96."""
        leaves = range(self.first_leaves[position], self.first_leaves[position + 1])
        return any(self.metadata.schema.column(leaf).physical_type == "INT96" for leaf in leaves)


def load_footer(store: Store, key: str, size_bytes: int) -> Footer:
    """Return the footer of a data file.

    Args:
        store: where the file is.
        key: its key.
        size_bytes: its length as the log has it.

    Raises:
        CorruptTableError: the file is missing, or is no Parquet file of that length.
        StoreError: storage failed.
    """
    global _cached_bytes
    modified_ns = _modified_ns(store, key)
    with _lock:
        place = (store.uri, _store_number(store, key), key, size_bytes, modified_ns)
        footer = _cache.get(place)
        if footer is not None:
            _cache.move_to_end(place)
            return footer
    with open_parquet(store, key, size_bytes) as file:
        footer = Footer(key, file.metadata)
    with _lock:
        if place not in _cache and footer.size_bytes <= CACHE_BYTES:
            _cache[place] = footer
            _cached_bytes += footer.size_bytes
            while _cached_bytes > CACHE_BYTES:
                _, oldest = _cache.popitem(last=False)
                _cached_bytes -= oldest.size_bytes
    return footer


def load_metadata(store: Store, key: str, size_bytes: int) -> Any:
    """Return pyarrow's ``FileMetaData`` of a file whose footer is looked at once and not kept.

    Takes a quarter of the time of ``load_footer``, whose arguments and errors it has.
    """
    path = store.local_path(key)
    if path is not None:
        try:
            with pa.OSFile(path, "r") as source:  # a memory map takes longer for a few bytes
                return open_parquet_file(source).metadata
        except (OSError, pa.ArrowException):
            pass  # to be told in the table's terms
    return load_footer(store, key, size_bytes).metadata


def forget_footers() -> None:
    """Empty the cache."""
    global _cached_bytes
    with _lock:
        _cache.clear()
        _cached_bytes = 0


@contextmanager
def open_parquet(
    store: Store,
    key: str,
    size_bytes: int,
    *,
    footer: Footer | None = None,
    dictionaries: list[str] | None = None,
) -> Iterator[Any]:
    """Open a data file as a ``pyarrow.parquet.ParquetFile``; what goes wrong inside the block is mapped.

    Args:
        store: where the file is.
        key: its key.
        size_bytes: its length as the log has it.
        footer: its footer, where known.
        dictionaries: string columns to be read as dictionaries.

    Raises:
        CorruptTableError: the file is missing, or not the Parquet that it should be.
        StoreError: storage failed.
    """
    try:
        with _open(store, key, size_bytes) as source:
            yield open_parquet_file(
                source,
                metadata=None if footer is None else footer.metadata,
                read_dictionary=dictionaries,
                # Few large requests where a request costs; on a memory map it tells the system what comes next.
                pre_buffer=True,
                # Nanoseconds, the default, have no room for years before 1677 and after 2262, and wrap around.
                coerce_int96_timestamp_unit="us",
                # As the footer's schema tells types: plain ones, whatever extension the writer's library had.
                arrow_extensions_enabled=False,
            )
    except (ObjectNotFoundError, FileNotFoundError) as error:
        raise CorruptTableError(
            "a data file that the log names is missing",
            table=store.uri,
            path=key,
            hint="It was deleted outside of the table, or by a vacuum since this version was opened: refresh the "
            "table, or restore a version whose files are all there",
        ) from error
    except StoreError:
        raise
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise StoreError(
                f"cannot read a data file: {error.strerror}", table=store.uri, path=key
            ) from error
        raise CorruptTableError(
            f"a data file is not what the log says: {_first_line(error)}",
            table=store.uri,
            path=key,
            hint="It is truncated or was overwritten: restore the file, or a version of the table without it",
        ) from error


def tells_of_shapes(metadata: Any) -> bool:
    """Whether the writer told which binary columns are shapes on a map (GeoParquet)."""
    return b"geo" in (metadata.metadata or ())


def splits_any(leaves: list[int], metadata: Any) -> bool:
    """Whether one of some leaf columns may be in BYTE_STREAM_SPLIT; a writer is told so for a column, not for a row group."""
    if not leaves or not metadata.num_row_groups:
        return False
    return ColumnChunks(metadata).may_split_bytes(leaves)


def _store_number(store: Store, key: str) -> int:
    """Return 0 for local disk, else a number that no other store has had in this process; the lock is held."""
    if store.local_path(key) is not None:
        return 0
    number = _store_numbers.get(store)
    if number is None:
        number = _store_numbers[store] = next(_next_number)
    return number


def _modified_ns(store: Store, key: str) -> int:
    path = store.local_path(key)
    try:
        return 0 if path is None else os.stat(path).st_mtime_ns  # noqa: PTH116 - pathlib costs three times as much
    except OSError:
        return 0  # opening it will tell what is wrong


def _open(store: Store, key: str, size_bytes: int) -> pa.NativeFile:
    path = store.local_path(key)
    # Pages are decompressed straight from the page cache, which spares a copy of the file (a tenth of a whole scan).
    return store.open_input(key, size_bytes) if path is None else pa.memory_map(path)


def count_leaves(kind: pa.DataType) -> int:
    """Return how many Parquet columns a type is stored in."""
    nested: Any = kind
    if (
        pa.types.is_struct(kind)
        or pa.types.is_map(kind)
        or pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
    ):
        if pa.types.is_map(kind):
            return count_leaves(nested.key_type) + count_leaves(nested.item_type)
        return sum(count_leaves(nested.field(i).type) for i in range(nested.num_fields))
    return 1


def _forget_lock() -> None:
    # A thread of the parent may have held it at the fork; nobody in the child would ever release it.
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_lock)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")
