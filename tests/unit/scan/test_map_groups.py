"""Functions that see all rows of a key together, and results that are combined."""

from __future__ import annotations

import collections
import os
import resource
import tempfile
import time

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import lakefmt
from lakefmt.errors import InvalidInputError, ObjectNotFoundError, OutOfMemoryError, StoreError

BOTH = pytest.mark.parametrize("executor", ["threads", "processes"])
SUMS = {"city": pa.string(), "n": pa.int64(), "s": pa.int64()}


def rows_of(count, skew=0):
    """Rows of 50 cities, a share of them in one; some cities are null."""
    cities = [None if n % 97 == 0 else "Zug" if n % 10 < skew else f"city {n % 49}" for n in range(count)]
    return pa.table({"id": pa.array(range(count), pa.int64()), "city": cities})


@pytest.fixture(scope="module")
def trips(tmp_path_factory):
    table = lakefmt.create(tmp_path_factory.mktemp("tables") / "trips", {"id": "long", "city": "string"})
    for start in range(0, 20_000, 5_000):
        table.append(rows_of(20_000, skew=5).slice(start, 5_000))
    return table


def expected_sums(rows):
    found = collections.defaultdict(lambda: [0, 0])
    for city, number in zip(rows["city"].to_pylist(), rows["id"].to_pylist(), strict=True):
        found[city][0] += 1
        found[city][1] += number
    return {city: tuple(values) for city, values in found.items()}


def sums(rows):
    found = rows.group_by("city").aggregate([([], "count_all"), ("id", "sum")])
    return pa.table({"city": found["city"], "n": found["count_all"], "s": found["id_sum"]})


def add_sums(rows):
    found = rows.group_by("city").aggregate([("n", "sum"), ("s", "sum")])
    return pa.table({"city": found["city"], "n": found["n_sum"], "s": found["s_sum"]})


def as_sums(table):
    cities = table["city"].to_pylist()
    assert len(set(cities)) == len(cities), "a key came in two calls"
    return dict(zip(cities, zip(table["n"].to_pylist(), table["s"].to_pylist(), strict=True), strict=True))


@BOTH
def test_function_sees_all_rows_of_a_key_together(trips, executor):
    found = trips.scan().map_batches(sums, SUMS, repartition_by="city", executor=executor).to_arrow()
    assert as_sums(found) == expected_sums(trips.scan().to_arrow())


@BOTH
def test_combined_results_are_those_of_all_rows(trips, executor):
    mapped = trips.scan().map_batches(
        sums, SUMS, repartition_by=["city"], combine=add_sums, executor=executor, batch_rows=1000
    )
    assert as_sums(mapped.to_arrow()) == expected_sums(trips.scan().to_arrow())
    explained = str(mapped.explain())
    assert "sums by city combined by add_sums" in explained
    assert "map-1, then combine-1, then map-2" in explained


def test_query_is_repartitioned_by_several_keys(trips):
    query = lakefmt.sql("SELECT id % 3 AS k, city, id FROM trips", {"trips": trips})
    seen = query.map_batches(
        lambda t: t.group_by(["k", "city"]).aggregate([("id", "count")]),
        {"k": pa.int64(), "city": pa.string(), "id_count": pa.int64()},
        repartition_by=["k", "city"],
        executor="threads",
        batch_rows=777,
    ).to_arrow()
    expected = lakefmt.sql(
        "SELECT id % 3 AS k, city, count(id) c FROM trips GROUP BY ALL", {"trips": trips}
    ).to_arrow()
    assert sorted(map(str, seen.to_pylist())) == sorted(
        str({"k": row["k"], "city": row["city"], "id_count": row["c"]}) for row in expected.to_pylist()
    )


def test_functions_before_and_after_an_exchange_and_a_second_exchange(trips):
    found = (
        trips.scan()
        .map_batches(lambda t: t.filter(pc.less(t["id"], 10_000)), executor="threads")
        .map_batches(sums, SUMS, repartition_by="city")
        .map_batches(
            lambda t: t.append_column("parity", pc.bit_wise_and(t["n"], 1)), {**SUMS, "parity": pa.int64()}
        )
        .map_batches(
            lambda t: t.group_by("parity").aggregate([("n", "sum")]),
            {"parity": pa.int64(), "n_sum": pa.int64()},
            repartition_by="parity",
        )
        .to_arrow()
    )
    assert sum(found["n_sum"].to_pylist()) == 10_000
    assert len(set(found["parity"].to_pylist())) == found.num_rows


def unique(rows):
    return rows.group_by(["id", "city"]).aggregate([])


def test_heavy_key_is_told_and_combined_in_pieces(tmp_path):
    table = lakefmt.create(tmp_path / "t", {"id": "long", "city": "string"})
    for _ in range(12):
        table.append(rows_of(10_000, skew=8))
    mapped = lakefmt.sql("FROM t", {"t": table}).map_batches(
        unique,
        repartition_by="city",
        combine=unique,
        executor="threads",
        workers=1,
        memory_limit="2MB",
        batch_rows=10_000,
    )
    found = mapped.to_arrow()
    assert sorted(map(str, found.to_pylist())) == sorted(map(str, rows_of(10_000, skew=8).to_pylist()))
    explained = mapped.explain(analyze=True)
    stages = {stage.name: stage for stage in explained.metrics.stages}
    assert len(stages["combine-1"].tasks) > 1
    # What came of the pieces is all that was read of them.
    assert stages["map-2"].rows_in < stages["map-1"].rows_out
    assert "a key in partition" in str(explained)


def test_key_that_does_not_fit_is_an_error_that_says_what_helps(tmp_path):
    table = lakefmt.write(tmp_path / "t", rows_of(200_000, skew=9))
    mapped = table.scan().map_batches(
        sums, SUMS, repartition_by="city", executor="threads", memory_limit="4MB", workers=1, batch_rows=1000
    )
    with pytest.raises(OutOfMemoryError, match="pass combine="):
        mapped.to_arrow()


def largest_and_process(rows):
    return pa.table({"rows": [rows.num_rows], "process": [os.getpid()]})


@pytest.mark.parametrize("executor", ["threads", "processes", None])
def test_key_that_is_too_much_for_a_share_of_the_memory_is_given_all_of_it(tmp_path, executor):
    place = "memory://heavy-key" if executor is None else tmp_path / "t"
    mapped = (
        lakefmt.write(place, rows_of(200_000, skew=9))
        .scan()
        .map_batches(
            largest_and_process,
            {"rows": pa.int64(), "process": pa.int64()},
            repartition_by="city",
            executor=executor,
            memory_limit="20MB",
            workers=4,
            batch_rows=1000,
        )
    )
    found = mapped.to_arrow()
    heavy = found.filter(pc.equal(found["rows"], pc.max(found["rows"])))
    assert heavy["rows"][0].as_py() == pc.sum(pc.equal(rows_of(200_000, skew=9)["city"], "Zug")).as_py()
    # Threads that nobody asked for move.
    assert (heavy["process"][0].as_py() == os.getpid()) is (executor == "threads")
    explained = str(mapped.explain(analyze=True))
    assert "map-2: 1 x run by itself, with all of the memory" in explained
    assert ("on processes, 1 worker, where these ran out of memory" in explained) is (executor is None)


def test_repartitioning_leaves_no_file(trips, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    query = lakefmt.sql("SELECT * FROM trips", {"trips": trips})
    for source in (trips.scan(), query):
        assert (
            source.map_batches(lambda t: t, repartition_by="city", executor="threads").to_arrow().num_rows
            == 20_000
        )
        batches = source.map_batches(lambda t: t, repartition_by="city", executor="threads").to_batches()
        next(batches)
        batches.close()
    assert [path.name for path in tmp_path.iterdir() if "lakefmt-job" in path.name] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"repartition_by": "town"}, "no column 'town' of the rows"),
        ({"combine": add_sums}, "names no key"),
        (
            {"repartition_by": "id", "combine": add_sums, "schema": SUMS},
            "no column 'id' that the function returns",
        ),
    ],
)
def test_keys_that_are_not_there_are_told_at_once(trips, arguments, words):
    with pytest.raises(InvalidInputError, match=words):
        trips.scan().map_batches(sums, **arguments)


class Told:
    def __init__(self):
        self.started, self.rows, self.finished = {}, collections.Counter(), []

    def start(self, what, total_rows):
        self.started[what] = total_rows
        return what

    def advance(self, number, rows):
        self.rows[number] += rows

    def finish(self, number):
        self.finished.append(number)


def test_progress_of_each_stage_is_told_with_what_there_is_to_do(trips):
    told = Told()
    with lakefmt.show_progress(told):
        trips.scan().map_batches(sums, SUMS, repartition_by="city", executor="threads").to_arrow()
    assert told.started == {"map-1": 20_000, "map-2": 20_000}
    assert told.rows == told.started
    assert sorted(told.finished) == ["map-1", "map-2"]
    told = Told()
    with lakefmt.show_progress(told):
        trips.scan(where="id < 5").map_batches(lambda t: t, executor="threads").to_arrow()
    assert told.started == {"map": None}
    assert told.rows == {"map": 5}


@BOTH
def test_progress_moves_while_a_task_runs(trips, tmp_path, executor):
    flag = str(tmp_path / "told")

    class Telling(Told):
        def advance(self, number, rows):
            super().advance(number, rows)
            open(flag, "w").close()  # noqa: PTH123

    def slow_until_told(rows):
        told = os.path.exists(flag)  # noqa: PTH110 - sent by value
        time.sleep(0 if told else 0.01)
        return pa.table({"told": [told]})

    sink = Telling()
    with lakefmt.show_progress(sink):
        mapped = trips.scan().map_batches(
            slow_until_told, {"told": pa.bool_()}, executor=executor, batch_rows=20
        )
        told = mapped.explain(analyze=True).metrics
        assert len(told.stages[0].tasks) == 1
        os.remove(flag)  # noqa: PTH107
        rows = mapped.to_arrow()["told"].to_pylist()
    assert (rows[0], rows[-1], len(rows)) == (False, True, 1000)
    assert sink.rows == {"map": 40_000}


def test_full_disk_under_an_exchange_is_a_typed_error_that_names_what_was_read(trips):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))  # as a full disk: writes fail half-way
    try:
        with pytest.raises(StoreError, match="cannot write it") as raised:
            trips.scan().map_batches(lambda t: t, repartition_by="id", executor="threads").to_arrow()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert any("tried 4 times" in note for note in raised.value.__notes__)


def test_rows_of_a_query_that_are_deleted_while_they_wait_are_told(trips, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def delete(rows):
        for path in tmp_path.glob("lakefmt-job-*/rows-*"):
            path.unlink()
        return rows

    query = lakefmt.sql("SELECT * FROM trips", {"trips": trips})
    mapped = query.map_batches(delete, executor="threads", workers=1, batch_rows=1000)
    with pytest.raises(ObjectNotFoundError, match="are gone"):
        mapped.map_batches(lambda t: t, repartition_by="id").to_arrow()
