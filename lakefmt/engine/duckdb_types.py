"""DuckDB's names of Arrow types."""

from __future__ import annotations

import pyarrow as pa

__all__ = ["duckdb_name_of"]


def duckdb_name_of(kind: pa.DataType) -> str | None:
    """Return DuckDB's name of a type that it keeps exactly on the way from Parquet to Arrow, else None."""
    if pa.types.is_decimal128(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    return _TYPE_NAMES.get(kind)


_TYPE_NAMES: dict[pa.DataType, str] = {
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.string(): "VARCHAR",
    pa.binary(): "BLOB",
    pa.date32(): "DATE",
    pa.timestamp("us"): "TIMESTAMP",
    pa.timestamp("us", "UTC"): "TIMESTAMP WITH TIME ZONE",
}
