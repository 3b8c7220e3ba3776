"""Random predicates over random tables: DuckDB's answer is the truth that pruning and Arrow must keep to."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from lakefmt.engine.statistics import StatisticsCollector
from lakefmt.expressions import Predicate, parse_predicate
from lakefmt.log.actions import AddFile
from lakefmt.manifest.file_list import FileList
from lakefmt.manifest.partition_values import format_partition_value
from lakefmt.manifest.statistics import encode_statistics, statistics_tags
from lakefmt.scan.prune import covers, prune
from lakefmt.schema import ColumnStatistics, Schema

ARROW_SCHEMA = pa.schema(
    [
        ("n", pa.int32()),
        ("big", pa.int64()),
        ("x", pa.float64()),
        ("f", pa.float32()),
        ("text", pa.string()),
        ("day", pa.date32()),
        ("instant", pa.timestamp("us", "UTC")),
        ("local", pa.timestamp("us")),
        ("price", pa.decimal128(7, 2)),
        ("flag", pa.bool_()),
        ("s", pa.struct([("n", pa.int32()), ("text", pa.string())])),
        ("part", pa.string()),
        ("part_x", pa.float64()),
    ]
)
SCHEMA = Schema.from_arrow(ARROW_SCHEMA)
PARTITION_COLUMNS = ("part", "part_x")
STATISTICS_COLUMNS = [path for path, _ in SCHEMA.leaves() if path[0] not in PARTITION_COLUMNS]

DATABASE = duckdb.connect(config={"threads": "1"})
DATABASE.execute("SET GLOBAL TimeZone = 'UTC'")

INTEGERS = [-(2**31), -1, 0, 1, 2, 3, 2**31 - 1]
BIG_INTEGERS = [-(2**63), -1, 0, 1, 2**53, 2**53 + 1, 2**63 - 1]
FLOATS = [-math.inf, -1.5, -0.0, 0.0, 0.1, 1.0, 2.5, math.inf, math.nan]
TEXTS = [
    "a",
    "A",
    "ab",
    "abc",
    "b",
    "ba",
    "a%b",
    "a\\b",
    "é",
    "\uffff",
    "\U0001f600",
    "z" * 40,
    "z" * 39 + "y",
]
DAYS = [date(1970, 1, 1), date(2026, 1, 1), date(2026, 1, 2), date(9999, 12, 31)]
MOMENTS = [
    datetime(1969, 12, 31, 23, 59, 59, 999999),
    datetime(2026, 1, 1),
    datetime(2026, 1, 1, 12),
    datetime(2026, 1, 1, 12, 0, 0, 500),
    datetime(2026, 1, 2),
]
PRICES = [
    Decimal("-0.01"),
    Decimal("0.00"),
    Decimal("1.00"),
    Decimal("1.10"),
    Decimal("2.50"),
    Decimal("99999.99"),
]


def _nullable(values: list[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), st.sampled_from(values))


ROWS = st.fixed_dictionaries(
    {
        "n": _nullable(INTEGERS),
        "big": _nullable(BIG_INTEGERS),
        "x": _nullable(FLOATS),
        "f": _nullable(FLOATS),
        "text": _nullable(["", *TEXTS]),
        "day": _nullable(DAYS),
        "instant": _nullable([moment.replace(tzinfo=UTC) for moment in MOMENTS]),
        "local": _nullable(MOMENTS),
        "price": _nullable(PRICES),
        "flag": _nullable([True, False]),
        "s": st.one_of(
            st.none(), st.fixed_dictionaries({"n": _nullable(INTEGERS), "text": _nullable(["", *TEXTS])})
        ),
    }
)
ORIGINS = ["ours", "foreign", "rows deleted", "no statistics"]
FILES = st.lists(
    st.tuples(
        _nullable(TEXTS), _nullable(FLOATS), st.lists(ROWS, min_size=0, max_size=6), st.sampled_from(ORIGINS)
    ),
    min_size=1,
    max_size=4,
)


def _text_literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


NUMBERS = ["-1", "0", "1", "2", "3", "2.5", "0.1", "1.10", "1e0", "-0.0", "1e-1"]
NUMBER_TEXTS = ["'1'", "'2'"]
FLOAT_LITERALS = [*NUMBERS, "'nan'", "'nan'::DOUBLE", "'inf'", "0.1::FLOAT"]
TEXT_LITERALS = [_text_literal(each) for each in ["", *TEXTS]]
TIME_LITERALS = [
    "DATE '2026-01-01'",
    "DATE '2026-01-01' + 1",
    "'2026-01-01'",
    "TIMESTAMP '2026-01-01 12:00:00'",
    "TIMESTAMP '2026-01-01 12:00:00.0005'",
    "TIMESTAMPTZ '2026-01-01 13:00:00+01'",
    "TIMESTAMP '2026-01-02' - INTERVAL 12 HOUR",
]
LITERALS = {
    "n": [*NUMBERS, *NUMBER_TEXTS, "2147483648", "NULL"],
    "big": [*NUMBERS, *NUMBER_TEXTS, "9007199254740992", "9007199254740993", "9223372036854775807", "NULL"],
    "x": [*FLOAT_LITERALS, "NULL"],
    "f": [*FLOAT_LITERALS, "NULL"],
    "text": [*TEXT_LITERALS, "NULL"],
    "day": [*TIME_LITERALS, "NULL"],
    "instant": [*TIME_LITERALS, "NULL"],
    "local": [*TIME_LITERALS, "NULL"],
    "price": [*NUMBERS, "1.105", "100000", "'1.1'", "NULL"],
    "s.n": [*NUMBERS, "NULL"],
    "s['text']": [*TEXT_LITERALS, "NULL"],
    "part": [*TEXT_LITERALS, "NULL"],
    "part_x": [*FLOAT_LITERALS, "NULL"],
}
PATTERNS = ["'a%'", "'%b'", "'%a%'", "'a%b'", "'_b%'", "'a'", "'%'", "'a\\%'", "'z%'", "NULL"]


@st.composite
def _comparisons(draw: st.DrawFn) -> str:
    column = draw(st.sampled_from(sorted(LITERALS)))
    literals = st.sampled_from(LITERALS[column])
    match draw(st.sampled_from(["compare", "compare", "mirrored", "distinct", "between", "in", "null"])):
        case "compare":
            return f"{column} {draw(st.sampled_from(['<', '<=', '=', '<>', '>', '>=']))} {draw(literals)}"
        case "mirrored":
            return f"{draw(literals)} {draw(st.sampled_from(['<', '<=', '=', '<>', '>', '>=']))} {column}"
        case "distinct":
            return f"{column} IS {draw(st.sampled_from(['', 'NOT ']))}DISTINCT FROM {draw(literals)}"
        case "between":
            return (
                f"{column} {draw(st.sampled_from(['', 'NOT ']))}BETWEEN {draw(literals)} AND {draw(literals)}"
            )
        case "in":
            values = draw(st.lists(literals, min_size=1, max_size=4))
            return f"{column} {draw(st.sampled_from(['', 'NOT ']))}IN ({', '.join(values)})"
    return f"{column.partition('[')[0]} IS {draw(st.sampled_from(['', 'NOT ']))}NULL"


@st.composite
def _texts(draw: st.DrawFn) -> str:
    column = draw(st.sampled_from(["text", "s.text", "part"]))
    literal = draw(st.sampled_from(TEXT_LITERALS))
    pattern = draw(st.sampled_from(PATTERNS))
    return draw(
        st.sampled_from(
            [
                f"{column} LIKE {pattern}",
                f"{column} NOT LIKE {pattern}",
                f"starts_with({column}, {literal})",
                f"{column} ^@ {literal}",
                f"contains({column}, {literal})",
                f"suffix({column}, {literal})",
                f"length({column}) = 2",
            ]
        )
    )


LEAVES = st.one_of(
    _comparisons(),
    _comparisons(),
    _texts(),
    st.sampled_from(["flag", "flag = false", "true", "NULL", "n + 1 > 2"]),
)
PREDICATES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}) AND ({pair[1]})"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}) OR ({pair[1]})"),
        inner.map(lambda each: f"NOT ({each})"),
        st.tuples(inner, st.sampled_from(["TRUE", "FALSE", "NULL", "NOT TRUE", "NOT FALSE", "NOT NULL"])).map(
            lambda pair: f"({pair[0]}) IS {pair[1]}"
        ),
    ),
    max_leaves=5,
)


@given(files=FILES, where=PREDICATES)
@settings(deadline=None, max_examples=60)
def test_pruned_files_hold_no_row_that_duckdb_returns_and_covered_files_no_other(
    files: list[Any], where: str
) -> None:
    predicate = _parse(where)
    if predicate is None:
        return
    written = [_rows_of_file(*file[:3]) for file in files]
    listed = _list_files(files, written)
    kept = prune(listed, predicate, SCHEMA, PARTITION_COLUMNS).to_pylist()
    covered = covers(listed, predicate, SCHEMA, PARTITION_COLUMNS).to_pylist()
    tables = [
        table.slice(1) if file[3] == "rows deleted" else table
        for file, table in zip(files, written, strict=True)
    ]
    for table, may_match, all_match in zip(tables, kept, covered, strict=True):
        truth = _ask_duckdb(table, where)
        assert may_match or not any(truth)
        assert all(truth) or not all_match
        if predicate.columns and predicate.only_columns(PARTITION_COLUMNS) and truth:
            assert may_match == all_match == truth[0]


@given(rows=st.lists(ROWS, max_size=12), part=_nullable(TEXTS), part_x=_nullable(FLOATS), where=PREDICATES)
@settings(deadline=None, max_examples=60)
def test_arrow_and_duckdb_keep_the_same_rows(rows: list[Any], part: Any, part_x: Any, where: str) -> None:
    predicate = _parse(where)
    if predicate is None:
        return
    table = _rows_of_file(part, part_x, rows)
    truth = _ask_duckdb(table, where)
    assert predicate.matches(table).to_pylist() == truth
    if (expression := predicate.to_arrow()) is not None:
        numbered = table.append_column("row", pa.array(range(table.num_rows)))
        expected = [row for row, is_meant in enumerate(truth) if is_meant]
        assert numbered.filter(expression)["row"].to_pylist() == expected


def _parse(where: str) -> Predicate | None:
    """Return the predicate, None where DuckDB cannot bind it either (a DATE beside a number)."""
    try:
        _ask_duckdb(_rows_of_file(None, None, []), where)
    except duckdb.Error:
        return None
    return parse_predicate(where, SCHEMA)


def _rows_of_file(part: Any, part_x: Any, rows: list[dict[str, Any]]) -> pa.Table:
    # -0.0 is 0.0 as a partition value.
    value = 0.0 if part_x == 0 else part_x
    return pa.Table.from_pylist([{**row, "part": part, "part_x": value} for row in rows], ARROW_SCHEMA)


def _list_files(files: list[Any], tables: list[pa.Table]) -> FileList:
    adds = []
    for number, ((part, part_x, _, origin), table) in enumerate(zip(files, tables, strict=True)):
        collector = StatisticsCollector(ARROW_SCHEMA, STATISTICS_COLUMNS)
        collector.update(table)
        statistics = collector.finish()
        if origin == "foreign":
            statistics = replace(
                statistics, columns=tuple(_without_nan(each, table) for each in statistics.columns)
            )
        text = encode_statistics(statistics)
        if origin == "rows deleted":
            text = text.replace('"tightBounds":true', '"tightBounds":false')
            assert "false" in text
        values = {"part": pa.scalar(part, pa.string()), "part_x": pa.scalar(part_x, pa.float64())}
        adds.append(
            AddFile(
                path=f"{number}.parquet",
                partition_values={name: format_partition_value(value) for name, value in values.items()},
                size_bytes=1,
                modified_ms=0,
                stats=None if origin == "no statistics" else text,
                tags=None if origin == "foreign" else statistics_tags(statistics),
            )
        )
    return FileList.from_adds(adds, PARTITION_COLUMNS)


def _without_nan(column: ColumnStatistics, table: pa.Table) -> ColumnStatistics:
    """Give a float column the maximum that other writers give it: of its numbers."""
    if column.path not in {("x",), ("f",)}:
        return column
    values = table[column.path[0]].to_pylist()
    numbers = [value for value in values if value is not None and not math.isnan(value)]
    maximum = pa.scalar(max(numbers), ARROW_SCHEMA.field(column.path[0]).type) if numbers else None
    return replace(column, maximum=maximum, has_nan=False)


def _ask_duckdb(table: pa.Table, where: str) -> list[bool]:
    connection = DATABASE.cursor()
    connection.register("rows_of_file", table)
    found = connection.execute(f"SELECT coalesce(({where}), false) FROM rows_of_file").fetchall()
    return [bool(row[0]) for row in found]
