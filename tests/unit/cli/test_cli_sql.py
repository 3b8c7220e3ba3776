"""``lakefmt sql``: rows in every form, and what is said of mistakes."""

from __future__ import annotations

import csv
import io

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import lakefmt
from lakefmt.cli.app import app

ROWS = pa.table(
    {
        "id": [1, 2, 3],
        "city": ["Bern", None, "Chur, GR"],
        "tags": [["a"], None, []],
        "x": [1.5, float("nan"), -0.0],
    }
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "trips"
    lakefmt.write(folder, ROWS).append(ROWS.slice(0, 1))
    return folder


def run(*arguments, code=0):
    result = CliRunner().invoke(app, ["sql", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def test_rows_are_shown_as_a_table(place):
    lines = run(
        "SELECT id, city FROM t ORDER BY id, city LIMIT 3", "--table", f"t={place}"
    ).stdout.splitlines()
    assert [line.split() for line in lines] == [["id", "city"], ["1", "Bern"], ["1", "Bern"], ["2", "NULL"]]


def test_place_stands_in_the_text(place):
    assert "3" in run(f"SELECT count(*) AS n FROM '{place}' AT (VERSION => 1)").stdout


def test_long_results_are_cut_unless_asked_for(place):
    result = run("SELECT range AS i FROM range(100)", "-n", 3)
    assert result.stdout.split() == ["i", "0", "1", "2"]
    assert "--limit 0" in result.stderr
    assert len(run("SELECT range AS i FROM range(100)", "-n", 0).stdout.split()) == 101


def test_one_json_document(place):
    document = orjson.loads(run("FROM t ORDER BY id, x", "-t", f"t={place}", "--json").stdout)
    assert document["columns"][0] == {"name": "id", "type": "int64"}
    assert document["rows"][-1] == {"id": 3, "city": "Chur, GR", "tags": [], "x": -0.0}
    assert document["rows"][2]["x"] is None
    assert orjson.loads(run("FROM t WHERE id > 9", "-t", f"t={place}", "--json").stdout)["rows"] == []


def test_csv_on_stdout_and_in_a_file(place, tmp_path):
    text = "SELECT id, city, tags, INTERVAL 1 DAY AS i FROM t WHERE id > 1 ORDER BY id"
    result = run(text, "-t", f"t={place}", "--format", "csv")
    rows = list(csv.reader(io.StringIO(result.stdout)))
    assert rows[0] == ["id", "city", "tags", "i"]
    assert rows[2][:3] == ["3", "Chur, GR", "[]"]
    run(text, "-t", f"t={place}", "--output", tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_text() == result.stdout
    assert run("FROM t WHERE id > 9", "-t", f"t={place}", "-f", "csv").stdout.startswith('"id","city"')


def test_parquet_and_json_lines_in_files(place, tmp_path):
    run("FROM t ORDER BY id", "-t", f"t={place}", "--output", tmp_path / "rows.parquet")
    assert pq.read_table(tmp_path / "rows.parquet")["id"].to_pylist() == [1, 1, 2, 3]
    run("SELECT id FROM t ORDER BY id", "-t", f"t={place}", "--output", tmp_path / "rows.json")
    lines = (tmp_path / "rows.json").read_text().splitlines()
    assert [orjson.loads(line)["id"] for line in lines] == [1, 1, 2, 3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.json", "rows.parquet"]


def test_file_of_a_query_that_fails_is_not_there(place, tmp_path):
    run("SELECT CAST(city AS INTEGER) FROM t", "-t", f"t={place}", "--output", tmp_path / "rows.csv", code=1)
    assert list(tmp_path.iterdir()) == []


def test_explanation_without_a_run_and_with_one(place):
    arguments = ("SELECT sum(id) FROM t WHERE id = 3", "-t", f"t={place}")
    planned = run(*arguments, "--explain").stdout
    assert "files 1 of 2" in planned
    assert "spilled" not in planned
    analyzed = run(*arguments, "--analyze", "--memory-limit", "1GB").stdout
    assert analyzed.startswith("1 row in ")
    assert "of 954 MiB, nothing spilled" in analyzed
    document = orjson.loads(run(*arguments, "--analyze", "--json").stdout)
    assert (document["rows"], document["tables"][0]["files"]) == (1, 1)
    assert document["operators"]["children"]


def test_memory_limit_that_is_none_is_told():
    assert "no amount of memory" in run("SELECT 1", "--memory-limit", "lots", code=1).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("-t", "trips"),
        ("-t", "=x"),
        ("-t", "a=x", "-t", "a=y"),
        ("--output", "rows.txt"),
        ("-f", "table", "--output", "x"),
    ],
)
def test_wrong_command_line_is_exit_code_2(arguments):
    run("SELECT 1", *arguments, code=2)


def test_mistake_in_the_text_is_pointed_at(place):
    result = run("SELECT idd FROM t", "-t", f"t={place}", code=1)
    text, mark, error, hint = result.stderr.splitlines()
    assert (text, mark) == ("SELECT idd FROM t", "       ^")
    assert error.startswith("error: The query is not valid")
    assert "id" in hint
    assert "Traceback" not in result.stderr
    assert "DROP" in run("DROP TABLE t", "-t", f"t={place}", code=1).stderr
