"""Names, values and types as DuckDB's SQL text: the one place that quotes."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from lakefmt.errors import InvalidInputError
from lakefmt.schema import ArrayType, DataType, DecimalType, MapType, PrimitiveType, StructType

__all__ = ["duckdb_type", "quote_identifier", "quote_literal"]

_PRIMITIVES = {
    "binary": "BLOB",
    "boolean": "BOOLEAN",
    "byte": "TINYINT",
    "date": "DATE",
    "double": "DOUBLE",
    "float": "FLOAT",
    "integer": "INTEGER",
    "long": "BIGINT",
    "short": "SMALLINT",
    "string": "VARCHAR",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "timestamp_ntz": "TIMESTAMP",
    "variant": "STRUCT(metadata BLOB, value BLOB)",
    "void": '"NULL"',
}


def quote_identifier(name: str) -> str:
    """Return a column's or table's name as SQL text, whatever characters it holds."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(value: Any) -> str:
    """Return a Python value as SQL text that DuckDB reads as the same value of the same kind.

    Args:
        value: None, bool, int, float, ``Decimal``, str, bytes, ``date``, ``datetime`` (without a time zone: a
            TIMESTAMP; with one: the instant), or a NumPy or Arrow scalar of these.

    Raises:
        InvalidInputError: there is no literal for such a value.
    """
    match plain_value(value):
        case None:
            return "NULL"
        case bool(truth):
            return "true" if truth else "false"
        case int(number):
            return str(number) if number >= 0 else f"({number})"
        case float(number):
            if math.isfinite(number):
                # The exponent makes it a DOUBLE: DuckDB takes 0.1 for a DECIMAL.
                return f"CAST('{number!r}' AS DOUBLE)"
            return f"CAST('{'nan' if math.isnan(number) else 'inf' if number > 0 else '-inf'}' AS DOUBLE)"
        case Decimal() as number if number.is_finite():
            digits = len(number.as_tuple().digits)
            scale = max(0, -int(number.as_tuple().exponent))
            width = max(digits + max(0, int(number.as_tuple().exponent)), scale, 1)
            return f"CAST('{number:f}' AS DECIMAL({width}, {scale}))"
        case str(text) if "\0" not in text:
            return "'" + text.replace("'", "''") + "'"
        case bytes(content):
            return "'" + "".join(f"\\x{byte:02X}" for byte in content) + "'::BLOB"
        case datetime() as moment if moment.tzinfo is not None:
            return f"TIMESTAMPTZ '{moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=' ')}+00'"
        case datetime() as moment:
            return f"TIMESTAMP '{moment.isoformat(sep=' ')}'"
        case date() as day:
            return f"DATE '{day.isoformat()}'"
    raise InvalidInputError(
        f"{value!r} is of type {type(value).__name__}, for which SQL has no literal here",
        hint="Use None, bool, int, float, Decimal, str, bytes, date or datetime",
    )


def plain_value(value: Any) -> Any:
    """Return the Python value that a NumPy or Arrow scalar stands for; other values as they are."""
    if isinstance(value, pa.Scalar):
        return value.as_py()
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        return value.item()
    return value


def duckdb_type(type_: DataType) -> str:
    """Return the DuckDB type of a column, as SQL text."""
    match type_:
        case PrimitiveType(name):
            return _PRIMITIVES[name]
        case DecimalType(precision, scale):
            return f"DECIMAL({precision}, {scale})"
        case ArrayType(element):
            return f"{duckdb_type(element)}[]"
        case MapType(key, value):
            return f"MAP({duckdb_type(key)}, {duckdb_type(value)})"
        case StructType(fields):
            members = ", ".join(f"{quote_identifier(each.name)} {duckdb_type(each.type)}" for each in fields)
            return f"STRUCT({members})"
