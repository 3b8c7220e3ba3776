"""The command as users run it: a process of its own, its streams pipes or a terminal."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pyarrow as pa
import pytest

import lakefmt

_COMMAND = [sys.executable, "-m", "lakefmt.cli"]


def run(*arguments, **more):
    return subprocess.run(
        [*_COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False, **more
    )


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A table of 30 columns and 5,000 rows."""
    path = tmp_path_factory.mktemp("tables") / "wide"
    lakefmt.write(path, pa.table({f"column_{number:02d}": range(5_000) for number in range(30)}))
    return str(path)


def test_installed_script_prints_one_json_document(wide):
    script = Path(sys.executable).with_name("lakefmt")
    result = subprocess.run(
        [script, "info", wide, "--json"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert orjson.loads(result.stdout)["num_rows"] == 5_000


def test_missing_table_exits_1_without_a_traceback(tmp_path):
    result = run("info", tmp_path / "none")
    assert (result.returncode, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 2
    assert "Traceback" not in result.stderr


def test_traceback_comes_with_debug(tmp_path):
    result = run("info", tmp_path / "none", "--debug")
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_wrong_command_line_exits_2():
    assert run("no-such-command").returncode == 2


def test_pipe_gets_plain_text_as_wide_as_the_data(wide):
    result = run("head", wide, "-n", "3")
    assert result.stderr == ""
    assert "\x1b" not in result.stdout
    assert result.stdout.splitlines()[0].split()[-1] == "column_29"


def test_terminal_gets_the_columns_that_fit(wide):
    output = in_terminal([*_COMMAND, "head", wide, "-n", "3"], columns=80)
    assert "\x1b[" in output
    assert "column_00" in output
    assert "more columns to the right" in output


def test_history_in_a_narrow_terminal_has_a_line_a_commit(wide):
    lines = in_terminal([*_COMMAND, "history", wide], columns=80).splitlines()
    assert len(lines) == 2 + 2
    assert "WRITE" in lines[2]
    assert "CREATE TABLE" in lines[3]
    assert "…" in lines[3]


def test_reader_that_goes_away_ends_the_command_quietly(wide):
    process = subprocess.Popen(
        [*_COMMAND, "head", wide, "-n", "5000", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


def test_ctrl_c_ends_the_command_quietly(wide):
    process = subprocess.Popen(
        [*_COMMAND, "head", wide, "-n", "5000", "--json", "-v"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    # It writes more than a pipe holds, and nobody reads: once it has logged a request it is in the command.
    process.stderr.readline()
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert b"Traceback" not in process.stderr.read()
    process.stdout.close()
    process.stderr.close()


@pytest.mark.parametrize("more", [[], ["--analyze"]], ids=["rows", "analysis"])
def test_ctrl_c_ends_a_query_within_its_one_call_of_duckdb(more):
    endless = "SELECT count(*) FROM range(100000) a, range(10000000) b WHERE hash(a.range + b.range) % 3 = 1"
    process = subprocess.Popen(
        [sys.executable, "-c", _QUERY_THAT_TELLS_ITS_BEGIN, "sql", endless, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr.readline() == b"begun\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert process.stdout.read() == b""
    assert set(process.stderr.read().splitlines()) <= {b"begun"}
    process.stdout.close()
    process.stderr.close()


_QUERY_THAT_TELLS_ITS_BEGIN = """
import sys
from lakefmt.query.interrupts import InterruptibleCalls

run = InterruptibleCalls.run
def telling(self, call):
    print("begun", file=sys.stderr, flush=True)
    return run(self, call)

InterruptibleCalls.run = telling
from lakefmt.cli import main
main()
"""


def test_reader_that_goes_away_ends_a_query_quietly():
    process = subprocess.Popen(
        [*_COMMAND, "sql", "SELECT * FROM range(100000000)", "-f", "csv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.read(10) == b'"range"\n0\n'
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


def test_command_does_without_pandas(tmp_path):
    lakefmt.write(tmp_path / "trips", pa.table({"id": [1, 2]}))
    code = "import atexit, sys; atexit.register(lambda: print('pandas' in sys.modules)); from lakefmt.cli import main; main()"
    command = [sys.executable, "-c", code, "head", str(tmp_path / "trips")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.endswith("False\n")
    assert result.stderr == ""


def test_output_in_ascii_escapes_what_it_cannot_show(tmp_path):
    lakefmt.write(tmp_path / "names", pa.table({"name": ["Zürich"]}))
    result = run("head", tmp_path / "names", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert result.returncode == 0
    assert "Z\\xfcrich" in result.stdout


def in_terminal(command, columns):
    """Run ``command`` on a pseudo-terminal of that width and return all it printed."""
    master, slave = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(command, stdout=slave, stderr=slave, stdin=slave, env=environment)
    os.close(slave)
    chunks = []
    while True:
        try:
            chunk = os.read(master, 65_536)
        except OSError:
            break
        if not chunk:
            break
        chunks.append(chunk)
    process.wait(timeout=60)
    os.close(master)
    return b"".join(chunks).decode()
