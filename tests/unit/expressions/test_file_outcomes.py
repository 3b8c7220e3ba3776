"""Which outcomes bounds leave possible, case by case; soundness on random tables is a property test."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest

from lakefmt.expressions import Column, parse_predicate
from lakefmt.schema import Schema

SCHEMA = Schema.from_arrow({"n": "long", "x": "double", "text": "string", "flag": "boolean"})


@dataclass(frozen=True)
class KnownBounds:
    minimum: Any
    maximum: Any
    null_count: Any
    num_records: Any


def judge(where: str, **columns: list[tuple[Any, Any, int | None, int | None]]) -> list[tuple[bool, bool]]:
    """Return (may match, all match) for files given as (minimum, maximum, null count, rows) of each column."""
    predicate = parse_predicate(where, SCHEMA)
    num_files = len(next(iter(columns.values())))

    def bounds_of(column: Column) -> KnownBounds | None:
        files = columns.get(column.path[0])
        if files is None:
            return None
        low, high, nulls, rows = zip(*files, strict=True)
        return KnownBounds(
            pa.array(low, column.type),
            pa.array(high, column.type),
            pa.array(nulls, pa.int64()),
            pa.array(rows, pa.int64()),
        )

    may, every = predicate.may_match(bounds_of, num_files), predicate.covers(bounds_of, num_files)
    return list(zip(may.to_pylist(), every.to_pylist(), strict=True))


NONE, SOME, ALL = (False, False), (True, False), (True, True)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        # files: [1, 3], [3, 3], [5, 9]
        ("n < 3", [SOME, NONE, NONE]),
        ("n <= 3", [ALL, ALL, NONE]),
        ("n = 3", [SOME, ALL, NONE]),
        ("n <> 3", [SOME, NONE, ALL]),
        ("n > 3", [NONE, NONE, ALL]),
        ("n >= 3", [SOME, ALL, ALL]),
        ("NOT (n >= 3)", [SOME, NONE, NONE]),
        ("n IN (0, 3, 4)", [SOME, ALL, NONE]),
        ("n NOT IN (0, 3, 4)", [SOME, NONE, ALL]),
        ("n BETWEEN 2 AND 4", [SOME, ALL, NONE]),
        ("n = 3 OR n > 4", [SOME, ALL, ALL]),
        ("n IS NULL", [NONE, NONE, NONE]),
        ("n IS NOT NULL", [ALL, ALL, ALL]),
        ("n IS NOT DISTINCT FROM 3", [SOME, ALL, NONE]),
        ("(n > 3) IS NOT TRUE", [ALL, ALL, NONE]),
        ("n = 2.5", [NONE, NONE, NONE]),
        ("true", [ALL, ALL, ALL]),
        ("NULL", [NONE, NONE, NONE]),
        ("n > 3 OR n + 1 = 0", [SOME, SOME, ALL]),
        ("n > 3 AND n + 1 = 0", [NONE, NONE, SOME]),
    ],
)
def test_bounds_of_numbers(where: str, expected: list[tuple[bool, bool]]) -> None:
    assert judge(where, n=[(1, 3, 0, 10), (3, 3, 0, 10), (5, 9, 0, 10)]) == expected


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        # files: [1, 3] and a null; nothing but nulls; nulls not counted; nothing known; no rows
        ("n <= 3", [SOME, NONE, SOME, SOME, ALL_OF_NOTHING := (False, True)]),
        ("n > 3", [NONE, NONE, NONE, SOME, ALL_OF_NOTHING]),
        ("NOT (n > 3)", [SOME, NONE, SOME, SOME, ALL_OF_NOTHING]),
        ("n IS NULL", [SOME, ALL, SOME, SOME, ALL_OF_NOTHING]),
        ("n IS NOT NULL", [SOME, NONE, SOME, SOME, ALL_OF_NOTHING]),
        ("(n > 3) IS NULL", [SOME, ALL, SOME, SOME, ALL_OF_NOTHING]),
        ("(n > 3) IS NOT TRUE", [ALL, ALL, ALL, SOME, ALL_OF_NOTHING]),
        ("n NOT IN (7, NULL)", [NONE, NONE, NONE, NONE, ALL_OF_NOTHING]),
        ("n IN (1, NULL)", [SOME, NONE, SOME, SOME, ALL_OF_NOTHING]),
    ],
)
def test_nulls_and_unknown_bounds(where: str, expected: list[tuple[bool, bool]]) -> None:
    files = [
        (1, 3, 1, 10),
        (None, None, 10, 10),
        (1, 3, None, 10),
        (None, None, None, None),
        (None, None, 0, 0),
    ]
    found = judge(where, n=files)
    # A list with NULL in it is never FALSE for all, not even of no rows, as far as the list can tell.
    assert found[:4] == expected[:4]
    assert found[4][0] is False


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        # files: numbers from 1 to 3 and perhaps NaN; the same without NaN; a partition value NaN
        ("x > 5", [SOME, NONE, ALL]),
        ("x >= 'nan'", [SOME, NONE, ALL]),
        ("x = 'nan'", [SOME, NONE, ALL]),
        ("x <> 'nan'", [SOME, ALL, NONE]),
        ("x < 'nan'", [SOME, ALL, NONE]),
        ("x <= 'nan'", [ALL, ALL, ALL]),
        ("x < 5", [SOME, ALL, NONE]),
        ("x < 1", [NONE, NONE, NONE]),
        ("x = 2", [SOME, SOME, NONE]),
        ("x = 0.5", [NONE, NONE, NONE]),
        ("x IN (0.5, 'nan'::DOUBLE)", [SOME, NONE, ALL]),
    ],
)
def test_nan_is_the_greatest_and_equal_to_itself(where: str, expected: list[tuple[bool, bool]]) -> None:
    assert judge(where, x=[(1.0, None, 0, 10), (1.0, 3.0, 0, 10), (math.nan, math.nan, 0, 1)]) == expected


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        # files: [a, b], [ab, abz], [abc, abc], [b, c]
        ("text LIKE 'ab%'", [SOME, ALL, ALL, NONE]),
        ("text NOT LIKE 'ab%'", [SOME, NONE, NONE, ALL]),
        ("text LIKE '%c'", [SOME, SOME, ALL, SOME]),
        ("text NOT LIKE '%c'", [SOME, SOME, NONE, SOME]),
        ("text LIKE 'ab_%'", [SOME, SOME, SOME, NONE]),
        ("text LIKE '%b'", [SOME, SOME, NONE, SOME]),
        ("contains(text, 'x')", [SOME, SOME, NONE, SOME]),
        ("contains(text, 'b')", [SOME, SOME, ALL, SOME]),
        ("text = 'b'", [SOME, NONE, NONE, SOME]),
        ("text > 'b'", [NONE, NONE, NONE, SOME]),
    ],
)
def test_bounds_of_texts(where: str, expected: list[tuple[bool, bool]]) -> None:
    files = [("a", "b", 0, 5), ("ab", "abz", 0, 5), ("abc", "abc", 0, 5), ("b", "c", 0, 5)]
    assert judge(where, text=files) == expected


def test_texts_are_compared_by_their_bytes() -> None:
    # U+FFFF sorts before U+1F600 in UTF-8, after it in UTF-16.
    assert judge("text > '\uffff'", text=[("a", "\U0001f600", 0, 2), ("a", "\uffff", 0, 2)]) == [SOME, NONE]


def test_long_lists_keep_every_file_that_holds_one_of_their_values() -> None:
    values = list(range(0, 10_000, 10))
    files = [(number, number, 0, 1) for number in range(0, 10_000, 7)]
    found = judge(f"n IN ({', '.join(map(str, values))})", n=files)
    assert all(may for (low, *_), (may, _) in zip(files, found, strict=True) if low % 10 == 0)
    assert all(every == (low % 10 == 0) for (low, *_), (_, every) in zip(files, found, strict=True))
    assert judge(f"n IN ({', '.join(map(str, values))})", n=[(-5, -1, 0, 9), (9_991, 9_999, 0, 9)]) == [
        NONE,
        NONE,
    ]


def test_bare_boolean_columns() -> None:
    files = [(True, True, 0, 3), (False, False, 0, 3), (False, True, 0, 3)]
    assert judge("flag", flag=files) == [ALL, NONE, SOME]
    assert judge("NOT flag", flag=files) == [NONE, ALL, SOME]
