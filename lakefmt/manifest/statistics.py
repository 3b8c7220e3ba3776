"""``add.stats``: what the log says of the values in a data file (protocol section "Per-file Statistics").

Written so that every reader is safe: bounds are bounds even to a reader that takes them for exact values, rounded
outwards where the format cannot hold them (timestamps to milliseconds, texts to 32 characters) and left out where
it has no place for them (NaN, infinities, years that ISO 8601 has four digits for no more). As in Spark there are
null counts for every column, and bounds for numbers, texts, dates and times.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

import orjson
import pyarrow as pa

from lakefmt.arrow_values import scalar_of
from lakefmt.errors import CorruptTableError
from lakefmt.manifest.statistics_reader import Bounds, StatisticsReader
from lakefmt.manifest.text_values import format_day, format_instant
from lakefmt.schema.types import Field, FieldPath, PrimitiveType, StructType

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from lakefmt.schema.statistics import FileStatistics
    from lakefmt.schema.table_schema import Schema

__all__ = [
    "FLOAT_BOUNDS_TAG",
    "Bounds",
    "StatisticsReader",
    "encode_statistics",
    "nan_free_files",
    "statistics_columns",
    "statistics_fields",
    "statistics_tags",
    "widen_statistics",
]

FLOAT_BOUNDS_TAG = "lakefmt.floatBounds"
"""Tag of a file whose float maxima are true ones: a column that holds NaN, the greatest of all, has none."""

_NAN_FREE = "nan-free"
_DEFAULT_INDEXED_COLUMNS = 32
_INDEXED_COLUMNS_PROPERTY = "delta.dataSkippingNumIndexedCols"
_STATISTICS_COLUMNS_PROPERTY = "delta.dataSkippingStatsColumns"
_NAME = re.compile(r"\s*(?:`((?:[^`]|``)+)`|([^`.,]+?))\s*([.,]|$)")

_PREFIX_CHARACTERS = 32
_LAST_BEFORE_SURROGATES, _FIRST_AFTER_SURROGATES = "\ud7ff", "\ue000"


def encode_statistics(statistics: FileStatistics) -> str:
    """Return the JSON text of ``add.stats``; columns go by the names that the file was written with."""
    minima: dict[str, Any] = {}
    maxima: dict[str, Any] = {}
    null_counts: dict[str, Any] = {}
    for column in statistics.columns:
        if column.minimum is not None:
            _put(minima, column.path, _encode_bound(column.minimum, upper=False))
        if column.maximum is not None:
            _put(maxima, column.path, _encode_bound(column.maximum, upper=True))
        _put(null_counts, column.path, column.null_count)
    document = {
        "numRecords": statistics.num_records,
        "minValues": minima,
        "maxValues": maxima,
        "nullCount": null_counts,
        "tightBounds": True,
    }
    return orjson.dumps(document).decode()


def widen_statistics(stats: str | None, num_records: int) -> str:
    """Return a file's statistics as they are once some of its rows are deleted by a vector: wide bounds.

    Numbers stay the texts they are: a decimal of 38 digits is no float.

    Args:
        stats: JSON text that the log has for the file, if any; what is no statistics is left out.
        num_records: rows of the data file, which the protocol asks for beside a vector.
    """
    try:
        as_they_are: Any = orjson.Fragment
        document = json.loads(
            stats or "{}", parse_float=as_they_are, parse_int=as_they_are, parse_constant=as_they_are
        )
    except (ValueError, RecursionError):
        document = {}
    if not isinstance(document, dict):
        document = {}
    return orjson.dumps(document | {"numRecords": num_records, "tightBounds": False}).decode()


def statistics_tags(statistics: FileStatistics) -> dict[str, str]:
    """Return what ``add.tags`` says of the statistics beside them: whether its float maxima count NaN."""
    for column in statistics.columns:
        if column.maximum is not None and pa.types.is_floating(column.maximum.type):
            return {FLOAT_BOUNDS_TAG: _NAN_FREE}
    return {}


def nan_free_files(tags: Any) -> Any:
    """Return for each file whether its float maxima bound NaN too, from its tags (an array of map<string, string>).

    Other writers leave NaN out of the maximum, or do not say.
    """
    import pyarrow.compute as pc

    found = pc.map_lookup(tags, scalar_of(FLOAT_BOUNDS_TAG), "first")
    return pc.fill_null(pc.equal(found, scalar_of(_NAN_FREE)), scalar_of(value=False))


def statistics_columns(
    schema: Schema,
    partition_columns: Collection[str],
    properties: Mapping[str, str],
    *,
    also: Collection[FieldPath] = (),
) -> tuple[FieldPath, ...]:
    """Return the paths of ``statistics_fields``. Raises as it does."""
    return tuple([path for path, _ in statistics_fields(schema, partition_columns, properties, also=also)])


def statistics_fields(
    schema: Schema,
    partition_columns: Collection[str],
    properties: Mapping[str, str],
    *,
    also: Collection[FieldPath] = (),
) -> tuple[tuple[FieldPath, Field], ...]:
    """Return the leaf columns that statistics are written for, each by its path as files name it, in schema order.

    Never partition columns.

    Those that ``delta.dataSkippingStatsColumns`` names (a struct stands for all its leaves), else the first
    ``delta.dataSkippingNumIndexedCols`` (32; -1: all). Array, map and variant columns count as one leaf each.

    Args:
        schema: the table's.
        partition_columns: names in it.
        properties: the table's, as in its metadata.
        also: columns that have statistics whatever the properties say, by their paths in files.

    Raises:
        CorruptTableError: a property is no number, or no list of names.
    """
    fields = tuple(each for each in schema.fields if each.name not in partition_columns)
    leaves = [pair for pair in _leaves(fields) if pair[1][-1].type != PrimitiveType("void")]
    if (named := properties.get(_STATISTICS_COLUMNS_PROPERTY)) is not None:
        wanted = _parse_names(named)
        chosen = [any(path[: len(each)] == each for each in wanted) for path, _ in leaves]
    else:
        count = _parse_count(properties.get(_INDEXED_COLUMNS_PROPERTY))
        chosen = [count < 0 or place < count for place in range(len(leaves))]
    stored = [tuple([schema.physical_name(each) for each in chain]) for _, chain in leaves]
    return tuple(
        [
            (path, chain[-1])
            for path, (_, chain), is_chosen in zip(stored, leaves, chosen, strict=True)
            if is_chosen or path in also
        ]
    )


def _put(document: dict[str, Any], path: FieldPath, value: Any) -> None:
    if value is None:
        return
    for name in path[:-1]:
        document = document.setdefault(name, {})
    document[path[-1]] = value


def _encode_bound(value: pa.Scalar[Any], *, upper: bool) -> Any:
    """Return what stands for a bound in JSON, None where nothing can."""
    type_ = value.type
    kinds = pa.types
    if kinds.is_integer(type_):
        return value.as_py()
    if kinds.is_string(type_):
        return _encode_text(value, upper=upper)
    if kinds.is_floating(type_):
        # A float of 32 bits with all digits of its value as a double: right for readers of either.
        number = cast("float", value.as_py())
        return number if number - number == 0 else None
    if kinds.is_timestamp(type_):
        return _encode_instant(cast("Any", value).value, utc=cast("Any", type_).tz is not None, upper=upper)
    if kinds.is_date32(type_):
        return format_day(cast("Any", value).value)
    if kinds.is_decimal(type_):
        return orjson.Fragment(format(cast("Any", value).as_py(), "f").encode())
    return None


def _encode_text(value: pa.Scalar[Any], *, upper: bool) -> str | None:
    try:
        text = cast("str", value.as_py())
    except UnicodeDecodeError:  # bytes that someone called a string
        return None
    if len(text) <= _PREFIX_CHARACTERS:
        return text
    prefix = text[:_PREFIX_CHARACTERS]
    return _next_text(prefix) if upper else prefix


def _next_text(prefix: str) -> str | None:
    """Return a text above all that begin with ``prefix``, None if there is none.

    The order of code points is the order of UTF-8 bytes, which readers compare.
    """
    for last in range(len(prefix) - 1, -1, -1):
        character = prefix[last]
        if character != "\U0010ffff":
            after = (
                _FIRST_AFTER_SURROGATES if character == _LAST_BEFORE_SURROGATES else chr(ord(character) + 1)
            )
            return prefix[:last] + after
    return None


def _encode_instant(microseconds: int, *, utc: bool, upper: bool) -> str | None:
    milliseconds = -(-microseconds // 1000) if upper else microseconds // 1000
    text = format_instant(milliseconds * 1000, separator="T", timespec="milliseconds")
    return f"{text}Z" if utc and text is not None else text


def _leaves(
    fields: tuple[Field, ...], parents: tuple[Field, ...] = ()
) -> Iterator[tuple[FieldPath, tuple[Field, ...]]]:
    """Yield the leaf columns, each as its path and as the fields from the top-level column down to it."""
    for each in fields:
        chain = (*parents, each)
        if isinstance(each.type, StructType):
            yield from _leaves(each.type.fields, chain)
        else:
            yield tuple([field.name for field in chain]), chain


def _parse_count(text: str | None) -> int:
    try:
        return _DEFAULT_INDEXED_COLUMNS if text is None else int(text)
    except ValueError:
        raise CorruptTableError(
            f"the table property {_INDEXED_COLUMNS_PROPERTY} is {text!r}, which is no number"
        ) from None


def _parse_names(text: str) -> list[FieldPath]:
    """Parse ``a, b.c, `with.dot```: paths between commas, names between dots, backticks around odd ones."""
    paths: list[FieldPath] = []
    path: list[str] = []
    position = 0
    while position < len(text):
        match = _NAME.match(text, position)
        if match is None:
            raise CorruptTableError(
                f"the table property {_STATISTICS_COLUMNS_PROPERTY} is {text!r}, which is no list of columns"
            )
        path.append(match[1].replace("``", "`") if match[1] else match[2])
        if match[3] != ".":
            paths.append(tuple(path))
            path = []
        position = match.end()
    return paths
