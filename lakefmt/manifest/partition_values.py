"""Partition values as the log writes them, and the folders that files of a partition lie in.

Protocol section "Partition Value Serialization". The texts are the ones that Spark writes, so that they compare
equal whoever wrote a file:

* Timestamps are instants in UTC, ``2026-01-01T00:00:00.000000Z``; both forms are read. Seen to be read right by
  Spark's own kernel, delta-rs 1.6.6, DuckDB 1.5.5 and (from the folder's name) polars 2.1.
* Without a time zone they have a blank for the ``T``: the ``T`` makes delta-rs and DuckDB fail.
* Floats are Java's: ``1.0E10``, ``NaN``, ``Infinity``; -0.0 is 0.0, which it equals. Decimals keep their scale and
  have no exponent, which delta-rs and DuckDB refuse.
* An empty text is null for every type; so an empty string or empty bytes cannot be told from null.

polars 2.1 takes a partition value from the folder's name, or from the file itself, never from the log; hence the
folders keep to the names of the log.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.arrow_values import scalar_of
from lakefmt.errors import CorruptTableError, InvalidInputError
from lakefmt.manifest.text_values import format_day, format_instant, parse_texts
from lakefmt.schema.arrow import arrow_type_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.schema.types import DataType

__all__ = ["format_partition_value", "parse_partition_values", "partition_folder"]

_NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"
# Spark's escapePathName: control characters and what some file system or URI syntax cannot have in a name.
_ESCAPES = {
    ord(character): f"%{ord(character):02X}"
    for character in [*map(chr, range(1, 0x20)), *"\"#%'*/:=?\\\x7f{[]^"]
}


def format_partition_value(value: pa.Scalar[Any]) -> str | None:
    """Return the text of a value in ``add.partitionValues``, None for null and for what the log cannot tell from it.

    Raises:
        InvalidInputError: the value has no text: bytes that are not UTF-8, a time out of range, a nested value.
    """
    if not value.is_valid:
        return None
    type_ = value.type
    kinds = pa.types
    if kinds.is_string(type_):
        return cast("str", value.as_py()) or None
    if kinds.is_binary(type_):
        return _format_bytes(cast("bytes", value.as_py()))
    if kinds.is_boolean(type_):
        return "true" if value.as_py() else "false"
    if kinds.is_integer(type_):
        return str(value.as_py())
    if kinds.is_floating(type_):
        return _format_float(value)
    if kinds.is_decimal(type_):
        return format(cast("Decimal", value.as_py()), "f")
    if kinds.is_date(type_):
        return _checked(format_day(cast("Any", value).value), value)
    if kinds.is_timestamp(type_):
        instant = cast("Any", value).value
        if cast("Any", type_).tz is None:
            return _checked(format_instant(instant, separator=" ", timespec="microseconds"), value)
        return _checked(format_instant(instant, separator="T", timespec="microseconds"), value) + "Z"
    raise InvalidInputError(f"a value of type {type_} cannot be a partition value")


def parse_partition_values(
    strings: pa.Array[Any] | pa.ChunkedArray[Any], type_: DataType
) -> pa.Array[Any] | pa.ChunkedArray[Any]:
    """Return the values that texts of ``add.partitionValues`` stand for, one per text.

    Args:
        strings: one per file, null for null; an empty one is null too.
        type_: of the partition column.

    Returns:
        The same shape, of the column's Arrow type.

    Raises:
        CorruptTableError: a text is no value of the type; it is named.
    """
    import pyarrow.compute as pc

    arrow_type = arrow_type_of(type_)
    texts: Any = pc.if_else(pc.equal(strings, scalar_of("")), scalar_of(None, pa.string()), strings)
    values: Any = parse_texts(texts, arrow_type)
    if values.null_count != texts.null_count:
        unread = pc.and_(pc.is_null(values), pc.is_valid(texts))
        text = texts.filter(unread)[0].as_py()
        raise CorruptTableError(
            f"the partition value {text!r} in the log is no {type_}",
            hint="Remove or repair the file that has it with the engine that wrote it",
        )
    return cast("pa.Array[Any] | pa.ChunkedArray[Any]", values)


def partition_folder(columns: Sequence[str], values: Sequence[str | None]) -> str:
    """Return the folder of a partition's files, such as ``month=1/city=S%C3...``, as a key of the store.

    Args:
        columns: the partition columns, in order.
        values: the text of each value as in the log, None for null.
    """
    return "/".join(
        f"{_escape(column)}={_NULL_FOLDER if value is None else _escape(value)}"
        for column, value in zip(columns, values, strict=True)
    )


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)


def _format_bytes(value: bytes) -> str | None:
    try:
        return value.decode() or None
    except UnicodeDecodeError:
        raise InvalidInputError(
            f"the bytes {value[:20]!r} cannot be a partition value, which the log writes as text",
            hint="Partition by another column, or store the bytes as text (hex, base64)",
        ) from None


def _format_float(value: pa.Scalar[Any]) -> str:
    """Return Java's text of a float: plain from 0.001 to 10,000,000, with an exponent outside."""
    plain = value.as_py()
    if plain != plain:  # noqa: PLR0124  (only NaN differs from itself)
        return "NaN"
    if plain in {float("inf"), float("-inf")}:
        return "Infinity" if plain > 0 else "-Infinity"
    if plain == 0:
        return "0.0"
    # Arrow gives the fewest digits that come back as the same float of the same width.
    digits = Decimal(value.cast(pa.string()).as_py())
    if 1e-3 <= abs(plain) < 1e7:
        text = format(digits.normalize(), "f")
        return text if "." in text else f"{text}.0"
    sign, figures, _ = digits.normalize().as_tuple()
    mantissa = "".join(map(str, figures))
    return f"{'-' if sign else ''}{mantissa[0]}.{mantissa[1:] or '0'}E{digits.adjusted()}"


def _checked(text: str | None, value: pa.Scalar[Any]) -> str:
    if text is None:
        raise InvalidInputError(
            f"a {value.type} outside the years 1 to 9999 cannot be a partition value",
            hint="Not all readers of the log know such years",
        )
    return text
