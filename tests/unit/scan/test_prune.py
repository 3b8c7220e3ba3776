from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from lakefmt.errors import InvalidInputError
from lakefmt.expressions import ALL_ROWS, parse_predicate
from lakefmt.log.actions import AddFile
from lakefmt.manifest.file_list import FileList
from lakefmt.scan.prune import covers, prune
from lakefmt.schema import Field, PrimitiveType, Schema

SCHEMA = Schema.from_arrow(
    {
        "id": "long",
        "fare": "double",
        "city": "string",
        "month": "integer",
        "day": "date",
        "trip": pa.struct([("stops", pa.int32())]),
    }
)
PARTITIONED_BY = ["month", "city"]


def data_file(
    month: str | None,
    city: str | None,
    *,
    ids: tuple[int, int] | None = None,
    fares: tuple[float, float] | None = None,
    stats: Any = None,
    tags: dict[str, str | None] | None = None,
) -> AddFile:
    if stats is None and ids is not None:
        bounds = {"id": ids, **({"fare": fares} if fares else {})}
        stats = {
            "numRecords": 10,
            "minValues": {name: low for name, (low, _) in bounds.items()},
            "maxValues": {name: high for name, (_, high) in bounds.items()},
            "nullCount": dict.fromkeys(bounds, 0),
        }
    text = json.dumps(stats) if isinstance(stats, dict) else stats
    return AddFile("f.parquet", {"month": month, "city": city}, 1, 0, stats=text, tags=tags)


FILES = FileList.from_adds(
    [
        data_file("1", "Bern", ids=(0, 9)),
        data_file("1", "Basel", ids=(10, 19)),
        data_file("2", "Bern", ids=(20, 29)),
        data_file(None, "Chur", ids=(0, 99)),
        data_file("2", None),
        data_file("2", "Bern", stats="garbage {"),
    ],
    PARTITIONED_BY,
)


def pruned(where: Any, files: FileList = FILES, schema: Schema = SCHEMA) -> list[bool]:
    return prune(files, parse_predicate(where, schema), schema, PARTITIONED_BY).to_pylist()


def covered(where: Any, files: FileList = FILES, schema: Schema = SCHEMA) -> list[bool]:
    return covers(files, parse_predicate(where, schema), schema, PARTITIONED_BY).to_pylist()


def test_all_rows_keep_and_cover_every_file() -> None:
    assert pruned(None) == [True] * 6
    assert covered(None) == [True] * 6
    assert prune(FILES, ALL_ROWS, SCHEMA, PARTITIONED_BY).type == pa.bool_()


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("month = 1", [1, 1, 0, 0, 0, 0]),
        ("month IS NULL", [0, 0, 0, 1, 0, 0]),
        ("month <> 1", [0, 0, 1, 0, 1, 1]),
        ("NOT (month = 1 AND city = 'Bern')", [0, 1, 1, 1, 1, 1]),
        ("city LIKE 'B%'", [1, 1, 1, 0, 0, 1]),
        # Only DuckDB understands these; on partition columns alone it is asked.
        ("month % 2 = 1", [1, 1, 0, 0, 0, 0]),
        ("upper(city) = 'BERN' OR month IS NULL", [1, 0, 1, 1, 0, 1]),
        ("length(city) > month + 3", [0, 1, 0, 0, 0, 0]),
    ],
)
def test_predicates_on_partition_columns_alone_are_decided_exactly(where: str, expected: list[int]) -> None:
    assert pruned(where) == list(map(bool, expected))
    assert covered(where) == list(map(bool, expected))


@pytest.mark.parametrize(
    ("where", "kept", "whole"),
    [
        ("id < 10", [1, 0, 0, 1, 1, 1], [1, 0, 0, 0, 0, 0]),
        ("id >= 10 AND month = 1", [0, 1, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0]),
        ("id >= 10 OR month = 1", [1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]),
        ("id = 5 AND city = 'Chur'", [0, 0, 0, 1, 0, 0], [0] * 6),
        ("id > 1000 AND month = 7", [0] * 6, [0] * 6),
        ("id IS NOT NULL", [1] * 6, [1, 1, 1, 1, 0, 0]),
        ("id % 2 = 0 AND month = 2", [0, 0, 1, 0, 1, 1], [0] * 6),
        ("trip.stops > 3", [1] * 6, [0] * 6),
        ("trip IS NULL", [1] * 6, [0] * 6),
    ],
)
def test_statistics_decide_what_partition_values_leave(where: str, kept: list[int], whole: list[int]) -> None:
    assert pruned(where) == list(map(bool, kept))
    assert covered(where) == list(map(bool, whole))


def test_float_maxima_count_only_where_the_file_says_that_nan_was_looked_for() -> None:
    files = FileList.from_adds(
        [
            data_file("1", "Bern", ids=(0, 9), fares=(1.0, 3.0)),
            data_file("1", "Bern", ids=(0, 9), fares=(1.0, 3.0), tags={"lakefmt.floatBounds": "nan-free"}),
            data_file("1", "Bern", ids=(0, 9), fares=(7.0, 9.0)),
        ],
        PARTITIONED_BY,
    )
    assert pruned("fare > 5", files) == [True, False, True]
    assert pruned("fare < 5", files) == [True, True, False]
    assert covered("fare < 5", files) == [False, True, False]
    assert covered("fare > 5", files) == [False, False, True]


def test_wide_bounds_of_files_with_deleted_rows_still_bound() -> None:
    stats = {
        "numRecords": 10,
        "minValues": {"id": 5},
        "maxValues": {"id": 7},
        "nullCount": {"id": 3},
        "tightBounds": False,
    }
    files = FileList.from_adds([data_file("1", "Bern", stats=stats)], PARTITIONED_BY)
    assert pruned("id > 7", files) == [False]
    assert pruned("id IS NULL", files) == [True]
    assert covered("id <= 7", files) == [False]


def test_mapped_columns_are_looked_up_by_their_physical_names() -> None:
    schema = Schema(
        [
            Field("id", PrimitiveType("long"), True, {"delta.columnMapping.physicalName": "col-1"}),
            Field("month", PrimitiveType("integer"), True, {"delta.columnMapping.physicalName": "col-2"}),
            Field("city", PrimitiveType("string"), True, {"delta.columnMapping.physicalName": "id"}),
        ],
        column_mapping="name",
    )
    bounds = {"minValues": {"col-1": 5, "id": "a"}, "maxValues": {"col-1": 7, "id": "b"}}
    add = AddFile("f", {"col-2": "3"}, 1, 0, stats=json.dumps({"numRecords": 1, **bounds}))
    files = FileList.from_adds([add], ["col-2"])
    for where, kept in {"id = 6": True, "id = 9": False, "month = 3": True, "month = 4": False}.items():
        predicate = parse_predicate(where, schema)
        assert prune(files, predicate, schema, ["month"]).to_pylist() == [kept], where


def test_an_empty_list_has_an_empty_answer() -> None:
    empty = FileList.empty(PARTITIONED_BY)
    for where in ("month = 1", "id = 1", "month = 1 AND id = 1", "id % 2 = 1", "month % 2 = 1", None):
        assert pruned(where, empty) == []
        assert covered(where, empty) == []


def test_a_partition_value_that_the_predicate_cannot_take_is_an_error_of_the_predicate() -> None:
    with pytest.raises(InvalidInputError, match="Could not convert string 'Bern'"):
        pruned("CAST(city AS INTEGER) = 5")


def test_file_lists_in_chunks_are_pruned_alike() -> None:
    doubled = FILES.concat(FILES)
    for where in (
        "month = 1",
        "id < 10",
        "id >= 10 AND month = 1",
        "city LIKE 'B%' AND id < 25",
        "month % 2 = 1",
    ):
        assert pruned(where, doubled) == pruned(where) * 2
        assert covered(where, doubled) == covered(where) * 2
