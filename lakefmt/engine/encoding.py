"""How a data file is encoded: compression, dictionaries and footer statistics, chosen from its first rows.

The choices were measured (10 million rows of ids, timestamps, names and amounts, two cores):

* Row groups of 122,880 rows, as DuckDB's, prune finely. A dictionary of 122,880 distinct 8-byte values just fits
  Parquet's dictionary limit of 1 MiB, so with pyarrow's default such columns keep a useless one: without it they
  are written twice as fast and a quarter smaller. Hence a column gets a dictionary unless nearly all values of a
  sample differ.
* zstd makes some columns hardly smaller (random numbers, the packed indices of a dictionary), and what it saves
  there is paid at every read. Without it on the columns where it saves less than an eighth, the files are a
  twenty-fifth larger and read a sixth to a quarter faster, by DuckDB, polars and pyarrow alike.
* Setting up a zstd stream costs 30 microseconds a page, which is most of a one-row file; snappy costs none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

__all__ = ["Encoding", "choose_encoding", "find_useless_zstd", "leaf_paths", "nan_leaves"]

_TINY_BYTES = 16 << 10
_SAMPLE_ROWS = 8192
_DISTINCT_SHARE = 0.9
_ZSTD_LEVEL = 1
_PROBE_ROWS = 65_536
_PROBE_SHARE = 7 / 8
_CODECS = {"uncompressed": "none", "lz4_raw": "lz4"}  # pyarrow's names where they differ


@dataclass(frozen=True, slots=True)
class Encoding:
    """Parquet settings of one file.

    Attributes:
        compression: codec of every column, or of each leaf path.
        compression_level: level of that codec, or of each leaf path whose codec has one; None for its default.
        dictionary: leaf paths that are dictionary-encoded, or False for none.
        statistics: leaf paths with statistics in the footer, or False for none.
    """

    compression: str | dict[str, str]
    compression_level: int | dict[str, int] | None
    dictionary: list[str] | bool
    statistics: list[str] | bool

    def writer_options(self) -> dict[str, Any]:
        """Return the keyword arguments of ``pyarrow.parquet.ParquetWriter``."""
        return {
            "version": "2.6",
            "compression": self.compression,
            "compression_level": self.compression_level,
            "use_dictionary": self.dictionary,
            "write_statistics": self.statistics,
            # Every type of the table format is told by Parquet's own logical types.
            "store_schema": False,
        }


def choose_encoding(
    sample: pa.RecordBatch,
    size_bytes: int,
    *,
    compression: str,
    uncompressed: Collection[str],
    without_statistics: Collection[str],
) -> Encoding:
    """Choose how to encode a file that begins with the rows of ``sample``.

    Args:
        sample: the first row group, in the file's schema.
        size_bytes: its size, about.
        compression: codec by its name in table properties.
        uncompressed: leaf paths that the codec is not used for.
        without_statistics: leaf paths that get no footer statistics: partition columns, and float leaves that
            hold NaN, which writers leave out of the maximum, so that readers prune by it and lose rows.
    """
    tiny = size_bytes < _TINY_BYTES
    codec = compression.lower()
    codec = "snappy" if tiny and codec == "zstd" else _CODECS.get(codec, codec)
    leaves = (
        [path for field in sample.schema for path in leaf_paths(field)]
        if uncompressed or without_statistics
        else []
    )
    level = _ZSTD_LEVEL if codec == "zstd" else None
    encoding = Encoding(
        compression=codec,
        compression_level=level,
        dictionary=False if tiny else _dictionary_leaves(sample),
        statistics=not without_statistics
        or [path for path in leaves if path not in without_statistics]
        or False,
    )
    if not uncompressed:
        return encoding
    codecs = {path: "none" if path in uncompressed else codec for path in leaves}
    levels = {path: level for path in leaves if path not in uncompressed} if level is not None else None
    return replace(encoding, compression=codecs, compression_level=levels)


def find_useless_zstd(rows: pa.RecordBatch, schema: pa.Schema, encoding: Encoding) -> frozenset[str]:
    """Return the leaf paths that zstd makes hardly smaller, by encoding rows of a large file with it once.

    A few rows tell nothing (their dictionaries weigh more than in a full row group), and their size is no matter.
    """
    if encoding.compression != "zstd" or rows.num_rows < _PROBE_ROWS:
        return frozenset()
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema, **encoding.writer_options()) as writer:
        writer.write_batch(rows.slice(0, _PROBE_ROWS))
    group = pq.read_metadata(pa.BufferReader(sink.getvalue())).row_group(0)
    columns = [group.column(leaf) for leaf in range(group.num_columns)]
    return frozenset(
        column.path_in_schema
        for column in columns
        if column.total_compressed_size > _PROBE_SHARE * column.total_uncompressed_size
    )


def leaf_paths(field: pa.Field[Any], prefix: str = "") -> list[str]:
    """Return the Parquet paths of a field's leaf columns, such as ``a.list.element`` and ``m.key_value.key``."""
    path = prefix + field.name
    members = [member for _, member, _ in _members(field.type)]
    if not members:
        return [path]
    infixes = [infix for infix, _, _ in _members(field.type)]
    return [
        leaf
        for infix, member in zip(infixes, members, strict=True)
        for leaf in leaf_paths(member, f"{path}.{infix}")
    ]


def nan_leaves(schema: pa.Schema) -> list[tuple[str, int, tuple[Callable[[Any], Any], ...]]]:
    """Return every floating-point leaf of a schema: Parquet path, column position, and the way down to its values.

    The steps turn the column's array into the leaf's, one level each; values under a null parent may come along.
    """

    def walk(
        field: pa.Field[Any], prefix: str, steps: tuple[Callable[[Any], Any], ...]
    ) -> Iterator[tuple[str, tuple[Callable[[Any], Any], ...]]]:
        path = prefix + field.name
        if pa.types.is_floating(field.type):
            yield path, steps
        for infix, member, step in _members(field.type):
            yield from walk(member, f"{path}.{infix}", (*steps, step))

    return [
        (path, position, steps)
        for position, field in enumerate(schema)
        for path, steps in walk(field, "", ())
    ]


def _dictionary_leaves(sample: pa.RecordBatch) -> list[str] | bool:
    import pyarrow.compute as pc

    chosen: list[str] = []
    rows = sample.slice(0, _SAMPLE_ROWS)
    for position, field in enumerate(sample.schema):
        if pa.types.is_boolean(field.type):
            continue  # Parquet has no dictionaries of booleans.
        if not pa.types.is_nested(field.type):
            distinct = pc.count_distinct(rows.column(position)).as_py()
            if distinct > _DISTINCT_SHARE * rows.num_rows:
                continue
        chosen.extend(leaf_paths(field))
    return chosen or False


def _members(kind: pa.DataType) -> list[tuple[str, pa.Field[Any], Callable[[Any], Any]]]:
    """Return a nested type's members: the path part before the name, the field, and how to get its array."""
    nested: Any = kind
    if pa.types.is_struct(kind):
        return [("", nested.field(i), partial(_member, position=i)) for i in range(nested.num_fields)]
    if pa.types.is_map(kind):
        return [
            ("key_value.", nested.key_field.with_name("key"), lambda array: _sliced(array, array.keys)),
            ("key_value.", nested.item_field.with_name("value"), lambda array: _sliced(array, array.items)),
        ]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        element = nested.value_field.with_name("element")
        return [("list.", element, lambda array: _sliced(array, array.values))]
    return []


def _member(array: Any, position: int) -> Any:
    return array.field(position)


def _sliced(array: Any, values: Any) -> Any:
    """Return the part of a list's or map's child array that the (possibly sliced) parent refers to."""
    if len(array) == 0:
        return values.slice(0, 0)
    start = array.offsets[0].as_py()
    return values.slice(start, array.offsets[len(array)].as_py() - start)
