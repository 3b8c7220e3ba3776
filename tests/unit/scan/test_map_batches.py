"""Python functions over the rows of scans and queries, on threads and on worker processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import lakefmt
from lakefmt.errors import (
    CorruptTableError,
    InvalidInputError,
    SchemaMismatchError,
    WorkerLostError,
)
from lakefmt.testing.deletion_vectors import delete_positions

DELETED = (3, 4, 777)
BOTH = pytest.mark.parametrize("executor", ["threads", "processes"])


@pytest.fixture(scope="module")
def trips(tmp_path_factory):
    """A table of some files, two of them with deleted rows, partitioned, of 1,000 rows with ids from 0."""
    schema = pa.schema({"id": pa.int64(), "city": pa.string(), "fare": pa.float64()})
    table = lakefmt.create(tmp_path_factory.mktemp("tables") / "trips", schema, partition_by=["city"])
    for start in range(0, 1000, 250):
        ids = range(start, start + 250)
        table.append(
            pa.table(
                {"id": ids, "city": ["Bern", "Basel"] * 125, "fare": [n / 2 for n in ids]}, schema=schema
            )
        )
    positions = {}
    for path in table.snapshot.files.table["path"].to_pylist():
        file = f"{table.uri.removeprefix('file://')}/{path}"
        ids = pq.ParquetFile(file).read(columns=["id"])["id"].to_pylist()
        if gone := [place for place, number in enumerate(ids) if number in DELETED]:
            positions[path] = gone
    delete_positions(table.uri, positions)
    return table.refresh()


def doubled(rows):
    return rows.set_column(2, "fare", pc.multiply(rows["fare"], 2))


def expected_fares(table, where=None):
    return sorted(fare * 2 for fare in table.scan(where=where).to_arrow()["fare"].to_pylist())


@BOTH
def test_function_sees_every_row_that_is_there_once(trips, executor):
    mapped = trips.scan().map_batches(doubled, executor=executor)
    found = mapped.to_arrow()
    assert found.schema == trips.schema.to_arrow()
    assert sorted(found["fare"].to_pylist()) == expected_fares(trips)
    assert found.num_rows == 997


@BOTH
def test_pruned_scan_and_projection_give_the_function_only_those(trips, executor):
    seen = trips.scan(columns=["id"], where="city = 'Bern' AND id < 100").map_batches(
        lambda t: t, executor=executor
    )
    assert sorted(seen.to_arrow()["id"].to_pylist()) == [n for n in range(0, 100, 2) if n != 4]
    assert seen.schema.names == ["id"]


@BOTH
def test_query_feeds_a_function(trips, executor):
    query = lakefmt.sql("SELECT city, sum(id)::BIGINT AS s FROM trips GROUP BY city", {"trips": trips})
    rows = query.map_batches(
        lambda t: t.append_column("n", pa.array([t.num_rows] * t.num_rows, pa.int64())),
        {"city": pa.string(), "s": pa.int64(), "n": pa.int64()},
        executor=executor,
        batch_rows=1,
    ).to_arrow()
    assert sorted(rows["city"].to_pylist()) == ["Basel", "Bern"]
    assert rows["n"].to_pylist() == [1, 1]


def test_batches_have_at_most_so_many_rows_and_never_none(trips):
    sizes = trips.scan().map_batches(
        lambda t: pa.table({"n": [t.num_rows]}), {"n": pa.int64()}, executor="threads", batch_rows=40
    )
    found = sizes.to_arrow()["n"].to_pylist()
    assert sum(found) == 997
    assert max(found) == 40
    assert min(found) > 0


@BOTH
def test_functions_follow_one_another_and_may_drop_rows(trips, executor):
    rows = (
        trips.scan()
        .map_batches(lambda t: t.filter(pc.less(t["id"], 10)), executor=executor)
        .map_batches(lambda t: None if t.num_rows == 0 else t.select(["id"]), {"id": pa.int64()})
    )
    assert sorted(rows.to_arrow()["id"].to_pylist()) == [0, 1, 2, 5, 6, 7, 8, 9]


def test_data_frames_and_batches_are_rows_too(trips):
    scan = trips.scan(columns=["id"])
    for function in (
        lambda t: t.to_pandas(),
        lambda t: t.to_pandas().query("id >= 0"),
        pl.from_arrow,
        lambda t: t.combine_chunks().to_batches()[0],
    ):
        assert scan.map_batches(function, executor="threads").to_arrow().num_rows == 997


@BOTH
def test_rows_come_in_every_form(trips, executor, tmp_path):
    mapped = trips.scan(where="id < 20").map_batches(doubled, executor=executor)
    expected = expected_fares(trips, "id < 20")
    assert sorted(mapped.to_pandas()["fare"]) == expected
    assert sorted(mapped.to_polars()["fare"]) == expected
    assert sorted(pa.table(mapped)["fare"].to_pylist()) == expected
    assert sorted(lakefmt.sql("SELECT fare FROM m", {"m": mapped}).to_arrow()["fare"].to_pylist()) == expected
    assert mapped.write_to(tmp_path / "t").count() == len(expected)


def test_large_results_come_through_files_that_are_gone_at_once(trips, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def grow(rows):
        return pa.table({"text": ["x" * 1000] * 50 * rows.num_rows})

    mapped = trips.scan(where="id < 500").map_batches(grow, {"text": pa.string()}, executor="threads")
    batches = mapped.to_batches()
    first = next(batches)
    rest = sum(batch.num_rows for batch in batches)
    assert first.num_rows + rest == 498 * 50
    assert [path for path in tmp_path.iterdir() if "lakefmt-job" in path.name] == []
    # What was taken stays readable.
    assert first["text"][0].as_py() == "x" * 1000


@BOTH
def test_error_of_a_function_names_the_file_it_read_and_leaves_nothing(
    trips, executor, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def fail(rows):
        raise ZeroDivisionError("no fares")

    with pytest.raises(ZeroDivisionError, match="no fares") as raised:
        trips.scan().map_batches(fail, executor=executor).to_arrow()
    assert any("city=B" in note and "version" in note for note in raised.value.__notes__)
    assert [path for path in tmp_path.iterdir() if "lakefmt-job" in path.name] == []


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda t: t.select(["id"]), "returned the columns id, and its schema has id, city, fare"),
        (lambda t: t.set_column(0, "id", pa.array(["x"] * t.num_rows)), "column 'id' as string.*has int64"),
        (lambda t: 3, "returned int, which is no rows"),
    ],
)
def test_what_is_returned_must_fit_the_schema(trips, function, words):
    with pytest.raises(InvalidInputError, match=words):
        trips.scan().map_batches(function, executor="threads").to_arrow()


def test_value_that_a_type_cannot_hold_is_refused_not_cut(trips):
    with pytest.raises(SchemaMismatchError, match="column 'id'"):
        trips.scan().map_batches(
            lambda t: pa.table({"id": [1.5]}), {"id": pa.int64()}, executor="threads"
        ).to_arrow()


def test_null_in_a_column_that_has_none_is_refused(trips):
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False)])
    for made in (pa.table({"id": [1, None]}), pa.table({"id": [1, None]}, schema=schema)):
        with pytest.raises(SchemaMismatchError, match="NULL in column 'id'"):
            trips.scan().map_batches(lambda _, made=made: made, schema, executor="threads").to_arrow()


def test_data_frame_that_is_no_arrow_rows_is_a_typed_error(trips):
    def frame(values, columns):
        import pandas as pd

        found = pd.DataFrame(values)
        found.columns = columns
        return found

    for values, columns in (([[1], ["x"]], ["id"]), ([[1, 2]], ["id", "id"])):
        made = frame(values, columns)
        with pytest.raises(SchemaMismatchError, match="returned DataFrame that cannot be had"):
            trips.scan().map_batches(
                lambda _, made=made: made, {"id": pa.int64()}, executor="threads"
            ).to_arrow()


@BOTH
def test_rows_without_columns_are_rows_too(trips, executor):
    counted = {"n": pa.int64()}

    def count(rows):
        return pa.table({"n": [rows.num_rows]})

    assert (
        trips.scan().map_batches(lambda t: t.select([]), pa.schema([]), executor=executor).to_arrow().num_rows
        == 997
    )
    scan = trips.scan(columns=[], limit=5)
    assert sum(scan.map_batches(count, counted, executor=executor).to_arrow()["n"].to_pylist()) == 5


@pytest.mark.parametrize(
    "schema",
    [
        {"n": "long", "price": "decimal(10,2)"},
        {"n": pa.int64(), "price": "decimal(10,2)"},
        lakefmt.Schema.from_arrow({"n": "long", "price": "decimal(10,2)"}),
    ],
)
def test_columns_of_a_function_are_told_as_those_of_a_table(trips, schema):
    mapped = trips.scan(limit=2).map_batches(
        lambda t: pa.table({"n": [t.num_rows], "price": [Decimal("1.50")]}), schema, executor="threads"
    )
    assert mapped.schema == pa.schema({"n": pa.int64(), "price": pa.decimal128(10, 2)})
    assert mapped.to_arrow().to_pylist() == [{"n": 2, "price": Decimal("1.50")}]


@BOTH
def test_error_of_a_function_is_the_error_of_the_write(trips, executor, tmp_path):
    def fail(rows):
        raise ZeroDivisionError("no fares")

    for function, error in ((fail, ZeroDivisionError), (lambda t: 3, InvalidInputError)):
        with pytest.raises(error):
            lakefmt.write(tmp_path / "written", trips.scan().map_batches(function, executor=executor))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"executor": "ray"}, "no executor 'ray'"),
        ({"workers": 0}, "workers"),
        ({"batch_rows": 1.5}, "batch_rows"),
        ({"memory_limit": "much"}, "much"),
        ({"schema": 7}, "no schema"),
        ({"schema": {"n": "int64"}}, "no type 'int64'"),
        ({"function": "f"}, "takes a function"),
    ],
)
def test_wrong_arguments_are_told_before_anything_runs(trips, arguments, words):
    with pytest.raises(InvalidInputError, match=words):
        trips.scan().map_batches(**{"function": doubled, **arguments})


def test_damaged_file_is_named_with_its_table(tmp_path):
    table = lakefmt.write(tmp_path / "t", pa.table({"id": range(100)}))
    (file,) = (tmp_path / "t").glob("*.parquet")
    file.write_bytes(b"PAR1" + b"x" * (file.stat().st_size - 8) + b"PAR1")
    with pytest.raises(CorruptTableError, match=r"version 1") as raised:
        lakefmt.open(tmp_path / "t").scan().map_batches(doubled, executor="processes").to_arrow()
    assert file.name in str(raised.value)
    assert table.uri in str(raised.value)


def test_first_rows_of_a_scan_are_all_that_a_function_sees(trips):
    assert trips.scan(limit=7).map_batches(lambda t: t, executor="threads").to_arrow().num_rows == 7


def test_table_in_memory_is_read_by_threads_and_processes_are_refused():
    table = lakefmt.write("memory://map-batches", pa.table({"id": range(10)}), mode="overwrite")
    mapped = table.scan().map_batches(lambda t: t)
    assert mapped.to_arrow().num_rows == 10
    assert "threads" in str(mapped.explain())
    with pytest.raises(InvalidInputError, match="in this process's memory"):
        table.scan().map_batches(lambda t: t, executor="processes").to_arrow()


def test_worker_that_is_killed_changes_nothing_but_the_metrics(trips, tmp_path):
    flag = str(tmp_path / "died")

    def die_once(rows):
        if not os.path.exists(flag):  # noqa: PTH110 - sent by value
            open(flag, "w").close()  # noqa: PTH123
            os.kill(os.getpid(), signal.SIGKILL)
        return rows

    explained = trips.scan().map_batches(die_once, executor="processes").explain(analyze=True)
    (stage,) = explained.metrics.stages
    assert stage.rows_out == 997
    assert sum(stage.failures.values()) >= 1
    assert "WorkerLostError" in str(explained)


def test_function_that_kills_every_worker_ends_in_one_error_that_names_the_input(trips):
    def die(rows):
        os._exit(3)

    with pytest.raises(WorkerLostError, match=r"it ended 3 workers.*city=B"):
        trips.scan(where="id = 5").map_batches(die, executor="processes").to_arrow()


def test_explain_tells_where_functions_run_and_why_and_what_they_did(trips):
    mapped = trips.scan().map_batches(doubled, workers=2)
    plain = mapped.explain()
    assert plain.metrics is None
    assert "executor: processes, 2 workers (Python functions in one process wait for one another)" in str(
        plain
    )
    analyzed = mapped.map_batches(lambda t: t).explain(analyze=True)
    assert analyzed.metrics.stages[0].rows_in == 997
    assert "doubled, then" in str(analyzed)
    assert all(task.worker.startswith("process ") for task in analyzed.metrics.stages[0].tasks)


def test_results_that_nobody_takes_hold_the_functions_back(trips):
    calls = []

    def count(rows):
        calls.append(rows.num_rows)
        return rows

    query = lakefmt.sql("SELECT * FROM range(100000) r(id)")
    batches = query.map_batches(count, executor="threads", batch_rows=10).to_batches()
    next(batches)
    time.sleep(0.05)
    assert len(calls) < 50
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lakefmt-task")]


SCRIPT = """
import sys, lakefmt, pyarrow as pa
factor = 3
class Shift:
    def __call__(self, rows):
        return pa.table({"id": [value * factor for value in rows["id"].to_pylist()]})
print(lakefmt.open(sys.argv[1]).scan(columns=["id"]).map_batches(Shift(), executor="processes").to_pandas()["id"].sum())
"""


def test_functions_of_a_script_without_main_guard_run_on_processes(trips, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    for command in ([str(script)], ["-c", SCRIPT]):
        found = subprocess.run(
            [sys.executable, *command, trips.uri.removeprefix("file://")],
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
            env={**os.environ, "PYTHONPATH": str(Path(lakefmt.__file__).parents[1])},
        )
        assert found.stdout.strip() == str(3 * (sum(range(1000)) - sum(DELETED))), found.stderr


INTERRUPTED = """
import sys, time, lakefmt
began = sys.argv[2] + "/began"
def slow(rows):
    open(began, "w").close()
    time.sleep(600)
lakefmt.open(sys.argv[1]).scan().map_batches(slow, executor="processes").to_arrow()
"""


def test_interrupt_leaves_no_process_and_no_file(trips, tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, trips.uri.removeprefix("file://"), str(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(lakefmt.__file__).parents[1])},
    ) as child:
        try:
            deadline = time.monotonic() + 60
            while not (tmp_path / "began").exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            workers = _children(child.pid)
            assert workers
            os.killpg(child.pid, signal.SIGINT)
            _, errors = child.communicate(timeout=60)
        finally:
            child.kill()
    assert "KeyboardInterrupt" in errors
    assert not [pid for pid in workers if _is_running(pid)]
    assert [path.name for path in tmp_path.iterdir()] == ["began"]


def _children(pid):
    # Of each of its threads: the one that runs a task starts its worker.
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(each) for path in lists for each in path.read_text().split()]


def _is_running(pid):
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_bytes().rpartition(b")")[2].split()[0] != b"Z"


def test_workers_read_an_object_store_with_the_secrets_that_this_process_was_given(
    s3_bucket, s3_options, monkeypatch
):
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    table = lakefmt.write(f"{s3_bucket}/t", pa.table({"id": range(10)}), storage_options=s3_options)
    mapped = table.scan().map_batches(lambda t: t, executor="processes", repartition_by="id")
    assert sorted(mapped.to_arrow()["id"].to_pylist()) == list(range(10))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
@pytest.mark.parametrize("executor", ["'threads'", "'processes'", None])
def test_forked_child_that_lets_go_of_rows_half_read_neither_waits_nor_takes_the_parents(trips, executor):
    code = f"""
import os, signal, warnings; warnings.simplefilter("ignore")
import lakefmt
scan = lakefmt.open({trips.uri!r}).scan()
rows = scan.to_batches() if not {executor} else scan.map_batches(
    lambda t: t, executor={executor}, batch_rows=10, repartition_by="id").to_batches()
count = next(rows).num_rows
child = os.fork()
if not child:
    signal.alarm(60)
    rows.close()
    os._exit(0)
print(os.waitpid(child, 0)[1], count + sum(batch.num_rows for batch in rows))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout, done.stderr) == ("0 997\n", "")
