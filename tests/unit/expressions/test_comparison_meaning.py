"""Every comparison that is understood keeps the rows that DuckDB keeps, whatever the types beside each other."""

from __future__ import annotations

import contextlib
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest

from lakefmt.errors import InvalidInputError
from lakefmt.expressions import parse_predicate
from lakefmt.expressions.tree import Compare, OneOf
from lakefmt.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Iterator

VALUES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "tiny": (pa.int8(), [-128, -1, 0, 1, 2, 3, 127]),
    "big": (pa.int64(), [-(2**63), 0, 1, 2, 3, 2**53, 2**53 + 1, 2**63 - 1]),
    "f": (pa.float32(), [0.1, 0.5, -0.0, 0.0, 1.0, math.nan, math.inf, -math.inf, 16777216.0]),
    "x": (pa.float64(), [0.1, 0.1 + 2**-30, -0.0, 0.0, 1.0, 2.0**53, math.nan, math.inf, -math.inf]),
    "price": (pa.decimal128(5, 1), [Decimal("0.1"), Decimal("0.0"), Decimal("9999.9"), Decimal("2.5")]),
    "long_price": (pa.decimal128(38, 10), [Decimal("0.1"), Decimal("0.1000000001"), Decimal("2.5")]),
    "text": (pa.string(), ["", "a", "ab", "b", "1", "01", "2026-01-01", "\uffff", "\U0001f600"]),
    "bytes": (pa.binary(), [b"", b"a", b"ab", b"\xff"]),
    "flag": (pa.bool_(), [True, False]),
    "day": (pa.date32(), [date(1970, 1, 1), date(2026, 1, 1), date(2026, 1, 2), date(1, 1, 1)]),
    "instant": (
        pa.timestamp("us", "UTC"),
        [
            datetime(2026, 1, 1, tzinfo=UTC),
            datetime(2026, 1, 1, 12, tzinfo=UTC),
            datetime(2025, 12, 31, tzinfo=UTC),
        ],
    ),
    "local": (pa.timestamp("us"), [datetime(2026, 1, 1), datetime(2026, 1, 1, 12), datetime(1969, 12, 31)]),
}
LENGTH = 1 + max(len(values) for _, values in VALUES.values())
ROWS = pa.table(
    {name: pa.array(([*values, None] * LENGTH)[:LENGTH], type_) for name, (type_, values) in VALUES.items()}
)
SCHEMA = Schema.from_arrow(ROWS.schema)
LITERALS = [
    *[
        "0",
        "1",
        "-1",
        "128",
        "300",
        "2.5",
        "0.10",
        "1e0",
        "1e-1",
        "0.1::FLOAT",
        "0.1::DOUBLE",
        "'nan'::DOUBLE",
    ],
    *["16777217", "9007199254740992", "9007199254740993", "9223372036854775807", "9223372036854775808"],
    *[
        "99999999999999999999999999999999999.5",
        "0.10000000001",
        "9999.95",
        "10000",
        "1::HUGEINT",
        "1::TINYINT",
    ],
    *[
        "'1'",
        "'a'",
        "'2.5'",
        "'nan'",
        "'2026-01-01'",
        "'2026-1-2'",
        "'2026-01-01 12:00:00+01'",
        "'true'",
        "''",
    ],
    *["'ab'::BLOB", "true", "NULL", "NULL::DATE", "'a' || 'b'", "CAST('1' AS VARCHAR)", "INTERVAL 1 DAY"],
    *["DATE '2026-01-01'", "DATE '2026-01-01' + 1", "TIMESTAMP '2026-01-01'", "TIMESTAMP '2026-01-01 12:00'"],
    *["TIMESTAMPTZ '2026-01-01 13:00:00+01'", "'infinity'::TIMESTAMP", "TIMESTAMP_NS '2026-01-01'"],
]
BESIDE = {
    "number": ["1", "2.5", "1e0", "'1'", "NULL", "0.1::FLOAT"],
    "time": ["DATE '2026-01-01'", "'2026-01-02'", "TIMESTAMP '2026-01-01 12:00'", "NULL"],
    "other": ["'a'", "NULL", "'true'"],
}
KINDS = {
    "tiny": "number",
    "big": "number",
    "f": "number",
    "x": "number",
    "price": "number",
    "long_price": "number",
}
KINDS |= {"day": "time", "instant": "time", "local": "time"}


@pytest.fixture(scope="module")
def truth() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.register("candidates", ROWS)
    yield connection
    connection.close()


@pytest.mark.parametrize("column", VALUES)
def test_comparisons_with_literals_of_every_type_keep_duckdbs_rows(
    column: str, truth: duckdb.DuckDBPyConnection
) -> None:
    beside = BESIDE[KINDS.get(column, "other")]
    for number, literal in enumerate(LITERALS):
        other = beside[number % len(beside)]
        operator = ["=", "<>", "<", "<=", ">", ">="][number % 6]
        for where in (
            f"{column} {operator} {literal}",
            f"NOT ({literal} < {column})",
            f"{column} IS DISTINCT FROM {literal}",
            f"{column} NOT IN ({literal}, {other})",
            f"{column} BETWEEN {literal} AND {other}",
        ):
            _check(where, truth)


def _check(where: str, truth: duckdb.DuckDBPyConnection) -> None:
    try:
        found = truth.execute(f"SELECT coalesce(({where}), false) FROM candidates").fetchall()
    except duckdb.Error:
        # What DuckDB refuses is refused at once, or left to DuckDB; an Arrow filter would answer.
        with contextlib.suppress(InvalidInputError):
            assert parse_predicate(where, SCHEMA).to_arrow() is None, where
        return
    predicate = parse_predicate(where, SCHEMA)
    if predicate.to_arrow() is not None:
        assert predicate.matches(ROWS).to_pylist() == [row[0] for row in found], where


@pytest.mark.parametrize(
    "where",
    [
        "big > 2.5",
        "big IN (1, 2.5, 3.0)",
        "big = '5'",
        "big < 1e6",
        "tiny < 300",
        "x > 1",
        "f = 0.1",
        "price = 1.105",
        "price > 1",
        "price < 1e0",
        "day >= '2026-01-01'",
        "day < TIMESTAMP '2026-01-01 12:00'",
        "day > TIMESTAMPTZ '2026-01-01 00:00:00+00'",
        "instant >= DATE '2026-01-01' - INTERVAL 7 DAY",
        "instant >= '2026-01-01'",
        "instant > now() - INTERVAL 1 HOUR",
        "local BETWEEN '2026-01-01' AND '2026-01-02 12:00'",
        "text = 'Bern'",
        "text LIKE 'a%'",
        "bytes = 'ab'",
        "NOT flag",
        "(big > 5) IS NOT TRUE",
    ],
)
def test_usual_predicates_are_understood(where: str) -> None:
    assert parse_predicate(where, SCHEMA).to_arrow() is not None


@pytest.mark.parametrize(
    "where",
    ["big + 1 > 5", "upper(text) = 'A'", "text ILIKE 'a%'", "price < 0.1::FLOAT", "big > tiny", "text = 5"],
)
def test_what_is_not_understood_is_left_to_duckdb_and_prunes_nothing(where: str) -> None:
    predicate = parse_predicate(where, SCHEMA)
    assert predicate.to_arrow() is None
    assert predicate.may_match(lambda _: None, 3).to_pylist() == [True, True, True]
    assert predicate.covers(lambda _: None, 3).to_pylist() == [False, False, False]


def test_comparison_between_two_values_of_the_column_becomes_one_with_its_neighbour() -> None:
    tree = parse_predicate("day < TIMESTAMP '2026-01-01 12:00'", SCHEMA).tree
    assert isinstance(tree, Compare)
    assert (tree.operator, tree.value.as_py()) == ("<=", date(2026, 1, 1))


def test_values_that_the_column_cannot_have_drop_out_of_a_list() -> None:
    tree = parse_predicate("tiny IN (3, 2.5, 1, 300, 3)", SCHEMA).tree
    assert isinstance(tree, OneOf)
    assert tree.values.equals(pa.array([1, 3], pa.int8()))


def test_equality_with_what_the_column_cannot_hold_is_false_for_values_and_null_for_null() -> None:
    assert parse_predicate("(tiny = 2.5) IS NULL", SCHEMA).matches(
        pa.table({"tiny": pa.array([1, None], pa.int8())})
    ).to_pylist() == [False, True]


@pytest.mark.parametrize(
    ("column", "operator", "value"),
    [
        ("big", ">", 1),
        ("big", ">", 1.5),
        ("big", "=", Decimal(3)),
        ("big", "=", "3"),
        ("x", "=", Decimal("0.1")),
        ("x", "=", 0.1),
        ("x", ">=", math.nan),
        ("f", "=", 0.1),
        ("price", "=", 0.1),
        ("price", "<", 2.5),
        ("text", "=", "it's"),
        ("bytes", "=", b"a"),
        ("day", "=", date(2026, 1, 1)),
        ("day", ">=", "2026-01-02"),
        ("day", "<", datetime(2026, 1, 1, 1)),
        ("instant", "=", datetime(2026, 1, 1, tzinfo=UTC)),
        ("instant", "=", datetime(2026, 1, 1)),
        ("local", "=", datetime(2026, 1, 1)),
        ("flag", "=", True),
        ("big", "=", None),
        ("big", ">", pa.scalar(2)),
    ],
)
def test_parameters_mean_what_they_mean_to_duckdb(
    column: str, operator: str, value: Any, truth: duckdb.DuckDBPyConnection
) -> None:
    where = f"{column} {operator} ?"
    plain = value.as_py() if isinstance(value, pa.Scalar) else value
    found = truth.execute(f"SELECT coalesce({where}, false) FROM candidates", [plain]).fetchall()
    predicate = parse_predicate(where, SCHEMA, [value])
    assert predicate.to_arrow() is not None
    assert predicate.matches(ROWS).to_pylist() == [row[0] for row in found]
    assert (
        parse_predicate(f"{column} {operator} $v", SCHEMA, {"v": value})
        .matches(ROWS)
        .equals(predicate.matches(ROWS))
    )
