"""Deleted rows as others see them: vectors that lakefmt encodes, and checkpoints of others that hold vectors."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

import lakefmt
from lakefmt.testing.deletion_vectors import delete_positions

deltalake: Any = pytest.importorskip("deltalake")

ROWS = pa.table({"id": range(200_000), "city": [f"city-{i % 7}" for i in range(200_000)]})
# A run, an array, a bitset, and single rows at the ends of containers.
DELETED = {
    *range(100, 40_000),
    *range(70_000, 72_000, 5),
    *range(131_072, 190_000, 2),
    0,
    65_535,
    65_536,
    199_999,
}


@pytest.fixture(params=["i", "u", "p"])
def storage_type(request: pytest.FixtureRequest) -> str:
    return request.param


def test_rows_deleted_by_every_kind_of_vector_are_gone_for_every_reader(
    tmp_path, reader, storage_type, assert_same_rows
):
    uri = str(tmp_path / "table")
    lakefmt.write(uri, ROWS)
    path = lakefmt.open(uri).files()["path"][0].as_py()
    delete_positions(uri, {path: DELETED}, storage_type=storage_type)
    expected = ROWS.filter(pa.array([i not in DELETED for i in range(200_000)]))
    assert_same_rows(reader.read(uri), expected)
    if reader.name != "polars":
        some = reader.read(uri, "id < 100000 AND city = 'city-3'")
        matches = pa.array([i < 100_000 and i % 7 == 3 for i in expected["id"].to_pylist()])
        assert_same_rows(some, expected.filter(matches))


def test_vectors_come_through_a_checkpoint_of_another_writer_and_commits_after_it(tmp_path):
    uri = str(tmp_path / "table")
    for start in (0, 10, 20):
        lakefmt.write(uri, ROWS.slice(start, 10), mode="append")
    paths = {row["path"]: row["num_rows"] for row in lakefmt.open(uri).files().to_pylist()}
    first, second, third = paths
    delete_positions(uri, {first: [0], second: [1, 2]})
    deltalake.DeltaTable(uri).create_checkpoint()
    expected = set(_ids(lakefmt.open(uri)))
    assert len(expected) == 27
    delete_positions(uri, {first: [0, 9], third: [5]}, storage_type="i")
    table = lakefmt.open(uri)
    assert table.count() == len(_ids(table)) == 25
    assert set(_ids(table)) < expected
    assert sorted(table.files()["deleted_rows"].to_pylist()) == [1, 2, 2]
    table.overwrite(ROWS.slice(0, 3))
    assert _ids(lakefmt.open(uri)) == [0, 1, 2]
    assert pa.table(deltalake.DeltaTable(uri).get_add_actions()).num_rows == 1


def _ids(table: lakefmt.Table) -> list[int]:
    return sorted(table.to_arrow()["id"].to_pylist())
