from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pytest

from lakefmt.databases import isolated
from lakefmt.expressions import parse_predicate
from lakefmt.expressions.evaluation import evaluate
from lakefmt.schema import Schema

SCHEMA = Schema.from_arrow({"n": "long", "ts": "timestamp"})


def test_threads_share_it() -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(
            pool.map(
                lambda number: parse_predicate(f"n > {number} AND ts > '2026-01-01 01:00'", SCHEMA), range(64)
            )
        )
    assert [each.sql.split()[2] for each in found] == [str(number) for number in range(64)]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_makes_its_own() -> None:
    parse_predicate("n > 1", SCHEMA)
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write_end, parse_predicate("n > 2 AND ts > '2026-01-01'", SCHEMA).sql.encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as answer:
        assert answer.read() == b"n > 2 AND ts > '2026-01-01'"
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_child_ends_as_it_would() -> None:
    """At the interpreter's end what it inherited is not destroyed: the threads that are waited for are not there."""
    program = (
        "import os, sys, lakefmt\n"
        "lakefmt.sql('SELECT 1').to_arrow()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    lakefmt.sql('SELECT 2').to_arrow()\n"
        "    sys.exit(7)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", program], timeout=60, check=False)
    assert ended.returncode == 7


def test_it_reaches_no_file_and_no_python_variable(tmp_path: os.PathLike[str]) -> None:
    variable = SCHEMA.to_arrow().empty_table()
    assert variable.num_rows == 0
    with pytest.raises(duckdb.Error):
        evaluate(f"FROM read_text('{os.fspath(tmp_path)}/*')")
    with pytest.raises(duckdb.Error):
        evaluate("FROM variable")
    with pytest.raises(duckdb.Error):
        isolated.cursor().execute("INSTALL httpfs")


def test_its_time_zone_is_utc() -> None:
    assert evaluate("SELECT current_setting('TimeZone') AS zone").to_pylist() == [{"zone": "UTC"}]
