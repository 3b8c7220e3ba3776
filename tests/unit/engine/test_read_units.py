"""How much of a file is decoded in one go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakefmt.engine import ReadSpec, ReadTask, ThreadExecutor, read_batches
from lakefmt.engine import read as read_module
from lakefmt.engine.footers import forget_footers, load_footer
from lakefmt.engine.parquet_reader import Unit, row_group_runs
from lakefmt.engine.parquet_reader import read_unit as real_read_unit
from lakefmt.store import Store, open_store

if TYPE_CHECKING:
    from pathlib import Path

ROWS = pa.table({"id": pa.array(range(1_000)), "same": ["a text that comes again"] * 1_000})
SPEC = ReadSpec(ROWS.schema, ROWS.schema)


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    forget_footers()
    if request.param == "local":
        return open_store(tmp_path / "table", {"fsync": False})
    return open_store(f"memory://{tmp_path.name}-units-{id(request)}")


@pytest.fixture
def task(store: Store) -> ReadTask:
    sink = pa.BufferOutputStream()
    pq.write_table(ROWS, sink, row_group_size=100)
    store.put("file.parquet", sink.getvalue().to_pybytes())
    return ReadTask("file.parquet", sink.getvalue().size)


def test_runs_end_where_decoded_bytes_reach_the_limit(store: Store, task: ReadTask) -> None:
    footer = load_footer(store, task.key, task.size_bytes)
    groups = range(10)
    # 100 rows: 800 bytes of numbers, and 3,200 reckoned for texts of which the footer counts one.
    assert row_group_runs(footer, groups, 10_000, SPEC, 1 << 20) == [tuple(groups)]
    assert [len(run) for run in row_group_runs(footer, groups, 10_000, SPEC, 8_500)] == [2] * 5
    assert [len(run) for run in row_group_runs(footer, groups, 300, SPEC, 1 << 20)] == [3, 3, 3, 1]
    assert [len(run) for run in row_group_runs(footer, groups, 10_000, SPEC, 1)] == [1] * 10


def test_columns_that_are_not_read_do_not_count(store: Store, task: ReadTask) -> None:
    footer = load_footer(store, task.key, task.size_bytes)
    spec = ReadSpec(ROWS.schema, ROWS.schema, columns=("same",))
    assert [len(run) for run in row_group_runs(footer, range(10), 10_000, spec, 6_500)] == [2] * 5


def test_a_small_file_is_cut_and_one_thread_decodes_one_row_group(
    store: Store, task: ReadTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[int, ...]] = []

    def noting(store: Store, spec: ReadSpec, unit: Unit) -> pa.Table:
        assert unit.row_groups is not None
        read.append(unit.row_groups.chosen)
        return real_read_unit(store, spec, unit)

    monkeypatch.setattr(read_module, "read_unit", noting)
    batches: Any = read_batches(store, [task, task], SPEC, executor=ThreadExecutor(1))
    assert next(batches).num_rows == 100
    batches.close()
    assert read == [(0,)]
    read.clear()
    monkeypatch.setattr(read_module, "_UNIT_ROWS", 500)
    found = pa.Table.from_batches(read_batches(store, [task], SPEC, executor=ThreadExecutor(2)))
    assert found.equals(ROWS)
    assert sorted(read) == [(0, 1, 2, 3, 4), (5, 6, 7, 8, 9)]
