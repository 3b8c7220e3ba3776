"""Functions that depend on the order of rows, on earlier calls, or on chance: one task calls them for all rows."""

from __future__ import annotations

import os
import signal

import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import InvalidInputError, LostOutputError

BOTH = pytest.mark.parametrize("executor", ["threads", "processes"])
NUMBERED = {"id": pa.int64(), "number": pa.int64()}


@pytest.fixture(scope="module")
def trips(tmp_path_factory):
    table = lakefmt.create(tmp_path_factory.mktemp("tables") / "trips", {"id": "long"})
    for start in range(0, 4000, 1000):
        table.append(pa.table({"id": [n * 7919 % 4000 for n in range(start, start + 1000)]}))
    return table


class Numbering:
    """Numbers rows as they come."""

    def __init__(self):
        self.count = 0

    def __call__(self, rows):
        numbers = range(self.count, self.count + rows.num_rows)
        self.count += rows.num_rows
        return rows.append_column("number", pa.array(numbers, pa.int64()))


@BOTH
def test_gathered_function_is_given_the_rows_of_a_query_in_its_order(trips, executor):
    query = lakefmt.sql("FROM trips ORDER BY id DESC", {"trips": trips})
    mapped = query.map_batches(Numbering(), NUMBERED, gather=True, executor=executor, batch_rows=300)
    found = mapped.to_arrow()
    assert found["id"].to_pylist() == list(range(3999, -1, -1))
    assert found["number"].to_pylist() == list(range(4000))
    assert "functions: Numbering gathered" in str(mapped.explain())


@BOTH
def test_gathered_function_of_a_scan_is_called_by_one_task_for_all_rows(trips, executor):
    sizes = []

    def numbered(rows):
        sizes.append(rows.num_rows)
        return pa.table({"call": [len(sizes)], "rows": [rows.num_rows], "process": [os.getpid()]})

    schema = {name: pa.int64() for name in ("call", "rows", "process")}
    found = (
        trips.scan().map_batches(numbered, schema, gather=True, executor=executor, batch_rows=1500).to_arrow()
    )
    assert found["call"].to_pylist() == [1, 2, 3]
    assert found["rows"].to_pylist() == [1500, 1500, 1000]
    assert len(set(found["process"].to_pylist())) == 1


@BOTH
def test_functions_before_are_run_by_many_tasks_and_those_after_where_the_gathered_one_is(trips, executor):
    found = (
        lakefmt.sql("FROM trips ORDER BY id", {"trips": trips})
        .map_batches(lambda t: t.slice(0, t.num_rows // 2), executor=executor, batch_rows=500)
        .map_batches(Numbering(), NUMBERED, gather=True)
        .map_batches(lambda t: t.rename_columns(["id", "place"]), {"id": pa.int64(), "place": pa.int64()})
        .to_arrow()
    )
    assert found["id"].to_pylist() == [n for n in range(4000) if n % 500 < 250]
    assert found["place"].to_pylist() == list(range(2000))


def test_gathered_rows_may_be_repartitioned_after(trips):
    mapped = (
        trips.scan()
        .map_batches(Numbering(), NUMBERED, gather=True, executor="processes")
        .map_batches(lambda t: t, repartition_by="id")
    )
    assert mapped.explain().stages == ("map-1", "map-2", "map-3")
    assert sorted(mapped.to_arrow()["number"].to_pylist()) == list(range(4000))


def test_worker_that_is_killed_gives_the_rows_once(trips, tmp_path):
    flag = str(tmp_path / "died")

    class NumberingOnce(Numbering):
        def __call__(self, rows):
            if self.count and not os.path.exists(flag):  # noqa: PTH110 - sent by value
                open(flag, "w").close()  # noqa: PTH123
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(rows)

    mapped = trips.scan().map_batches(
        NumberingOnce(), NUMBERED, gather=True, executor="processes", batch_rows=999
    )
    assert mapped.to_arrow()["number"].to_pylist() == list(range(4000))
    assert os.path.exists(flag)  # noqa: PTH110


def test_what_a_gathered_function_gave_to_others_is_not_made_again(trips, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    calls = []

    def spread(rows):
        calls.append(rows.num_rows)
        return pa.table({"id": rows["id"], "text": ["x" * 200] * rows.num_rows})

    def lose(rows):
        for path in tmp_path.glob("lakefmt-job-*/map-2-*"):
            path.unlink()
        return rows

    mapped = trips.scan().map_batches(
        spread,
        {"id": pa.int64(), "text": pa.string()},
        gather=True,
        executor="threads",
        workers=1,
        memory_limit="8MB",
    )
    with pytest.raises(LostOutputError, match="Run it all again"):
        mapped.map_batches(lose, repartition_by="id").to_arrow()
    assert sum(calls) == 4000


def test_empty_table_gives_no_call(tmp_path):
    table = lakefmt.create(tmp_path / "t", {"id": "long"})
    found = table.scan().map_batches(Numbering(), NUMBERED, gather=True, executor="threads").to_arrow()
    assert found.num_rows == 0


def test_gathering_and_dividing_at_once_is_refused(trips):
    with pytest.raises(InvalidInputError, match="gather=True gives the function all rows"):
        trips.scan().map_batches(Numbering(), NUMBERED, gather=True, repartition_by="id")
