from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lakefmt.errors import InvalidInputError
from lakefmt.expressions import col, duckdb_type, lit, quote_identifier, quote_literal
from lakefmt.schema import Schema


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (None, '"NULL"'),
        (True, "BOOLEAN"),
        (5, "INTEGER"),
        (-5, "INTEGER"),
        (-(2**63), "BIGINT"),
        (0.1, "DOUBLE"),
        (1e300, "DOUBLE"),
        (-0.0, "DOUBLE"),
        (-math.inf, "DOUBLE"),
        (Decimal("1.10"), "DECIMAL(3,2)"),
        (Decimal("0.001"), "DECIMAL(3,3)"),
        (Decimal("1E+3"), "DECIMAL(4,0)"),
        ("it's; -- \\ \n é", "VARCHAR"),
        (b"\x00a'\\", "BLOB"),
        (date(2026, 1, 31), "DATE"),
        (datetime(2026, 1, 31, 1, 2, 3, 4), "TIMESTAMP"),
    ],
)
def test_literals_are_read_back_as_the_value_and_type_they_were(
    value: Any, type_: str, connection: duckdb.DuckDBPyConnection
) -> None:
    row = connection.execute(f"SELECT {quote_literal(value)}, typeof({quote_literal(value)})").fetchone()
    assert row == (value, type_)


def test_instants_are_written_in_utc(connection: duckdb.DuckDBPyConnection) -> None:
    moment = datetime(2026, 1, 31, 1, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    sql = f"SELECT epoch_us({quote_literal(moment)}), typeof({quote_literal(moment)})"
    expected = (moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert connection.execute(sql).fetchone() == (expected, "TIMESTAMP WITH TIME ZONE")


def test_nan_and_arrow_scalars_have_literals(connection: duckdb.DuckDBPyConnection) -> None:
    assert connection.execute(f"SELECT isnan({quote_literal(math.nan)})").fetchone() == (True,)
    assert quote_literal(pa.scalar(5)) == "5"


@pytest.mark.parametrize("value", [[1], {"a": 1}, object(), "a\0b", timedelta(1), Decimal("NaN")])
def test_values_without_a_literal_are_refused(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="no literal"):
        quote_literal(value)


@pytest.mark.parametrize("name", ["a", "a b", 'say "hi"', "select", "é", "a.b"])
def test_any_name_can_be_quoted(name: str, connection: duckdb.DuckDBPyConnection) -> None:
    assert connection.execute(f"SELECT 1 AS {quote_identifier(name)}").description[0][0] == name  # type: ignore[index]


def test_every_column_type_has_its_duckdb_type(connection: duckdb.DuckDBPyConnection) -> None:
    schema = Schema.from_arrow(
        {
            **{
                name: name
                for name in ("binary", "boolean", "byte", "date", "double", "float", "integer", "long")
            },
            **{name: name for name in ("short", "string", "timestamp", "timestamp_ntz", "decimal(38,3)")},
            "list": pa.list_(pa.struct([("a b", pa.int32())])),
            "map": pa.map_(pa.string(), pa.float64()),
        }
    )
    columns = ", ".join(
        f"CAST(NULL AS {duckdb_type(each.type)}) AS {quote_identifier(each.name)}" for each in schema
    )
    read = pa.table(connection.sql(f"SELECT {columns} LIMIT 0")).schema  # type: ignore[call-overload]
    assert Schema.from_arrow(read).to_arrow().types == [each.type for each in schema.to_arrow()]


@pytest.mark.parametrize(
    ("expression", "sql"),
    [
        (col("a") > 1, '("a" > 1)'),
        (1 < col("a"), '("a" > 1)'),  # noqa: SIM300  the mirrored form is what is tested
        (col("a") == "x", "(\"a\" = 'x')"),
        (col("a") != None, '("a" <> NULL)'),  # noqa: E711
        (~(col("a") >= 1) | (col("b") <= lit(2)), '((NOT ("a" >= 1)) OR ("b" <= 2))'),
        ((col("a") < 1) & True, '(("a" < 1) AND true)'),
        (True & (col("a") < 1), '(true AND ("a" < 1))'),
        (col("a").is_in([1, 2]), '("a" IN (1, 2))'),
        (col("a").is_in([]), "false"),
        (col("a").between(1, 2), '("a" BETWEEN 1 AND 2)'),
        (col("a").is_null(), '("a" IS NULL)'),
        (col("a").is_not_null(), '("a" IS NOT NULL)'),
        (col("a").starts_with("x"), "starts_with(\"a\", 'x')"),
        (col("a").like("x%"), "(\"a\" LIKE 'x%')"),
        (col("s")["a b"] == col("c"), '("s"."a b" = "c")'),
    ],
)
def test_operators_write_sql(expression: Any, sql: str) -> None:
    assert str(expression) == sql


def test_python_and_or_and_not_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"&, \| and ~"):
        _ = (col("a") > 1) and (col("b") > 1)
