import contextlib
import os
import subprocess
import sys
from types import SimpleNamespace

import pyarrow as pa
import pytest

import lakefmt
from lakefmt.engine.notebook_bars import is_notebook


class Recorder:
    def __init__(self):
        self.rows = {}
        self.finished = []
        self.names = []

    def start(self, what, total_rows):
        self.names.append(what)
        self.rows[len(self.names)] = 0
        return len(self.names)

    def advance(self, number, rows):
        self.rows[number] += rows

    def finish(self, number):
        self.finished.append(number)


def batches(count, fail_at=None):
    for number in range(count):
        if number == fail_at:
            raise RuntimeError("broken")
        yield pa.record_batch({"id": list(range(100))})


def test_rows_of_writes_and_reads_are_told(tmp_path):
    seen = Recorder()
    with lakefmt.show_progress(seen):
        table = lakefmt.write(tmp_path / "t", batches(7))
        table.to_arrow()
        assert sum(batch.num_rows for batch in table.to_batches()) == 700
    table.to_arrow()
    assert seen.names == ["write", "read", "read"]
    assert list(seen.rows.values()) == [700, 700, 700]
    assert seen.finished == [1, 2, 3]


def test_a_failed_write_ends_its_progress(tmp_path):
    seen = Recorder()
    with lakefmt.show_progress(seen), pytest.raises(RuntimeError):
        lakefmt.write(tmp_path / "t", batches(7, fail_at=3))
    assert seen.finished == [1]


PROGRAM = """
import sys, lakefmt
with lakefmt.show_progress():
    table = lakefmt.write(sys.argv[1], {"id": [1, 2, 3]})
print(table.count())
table.to_arrow()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are a matter of POSIX")
def test_bars_are_drawn_on_a_terminal_beside_the_output(tmp_path):
    import pty

    ours, terminal = pty.openpty()
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "t")]
    environment = {**os.environ, "TERM": "xterm"}
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=terminal, env=environment)
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # how the end of a pseudo-terminal is told
        while found := os.read(ours, 65_536):
            shown += found
    os.close(ours)
    assert b"write" in shown
    assert b"3/3" in shown
    assert b"read" not in shown
    assert ran.stdout == b"3\n"


def test_nothing_is_drawn_where_there_is_no_terminal(tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "t")]
    environment = {name: value for name, value in os.environ.items() if "COLOR" not in name}
    ran = subprocess.run(command, check=True, capture_output=True, env=environment)
    assert (ran.stdout, ran.stderr) == (b"3\n", b"")


class Shown:
    """What IPython's display is, as far as bars use it: a notebook's kernel is not in this environment."""

    def __init__(self):
        self.texts = []

    def display(self, shown, *, display_id):
        assert display_id is True
        self.update(shown)
        return self

    def update(self, shown):
        self.texts.append(repr(shown))
        assert shown._repr_html_().startswith("<pre>")


@pytest.fixture
def notebook(monkeypatch):
    shown = Shown()
    for name, module in (
        ("IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))),
        ("IPython.display", SimpleNamespace(display=shown.display)),
    ):
        monkeypatch.setitem(sys.modules, name, module)
    return shown


def test_a_notebook_shows_one_output_that_ends_with_all_rows(tmp_path, notebook, capsys):
    with lakefmt.show_progress():
        table = lakefmt.write(tmp_path / "t", batches(7))
        table.to_arrow()
    write, read = notebook.texts[-1].splitlines()
    assert write.startswith("write ━━━")
    assert " 700 of 700 rows, " in write
    assert " 700 of 700 rows, " in read
    assert notebook.texts[0].startswith("write ───")
    assert capsys.readouterr().out == ""


def test_a_terminals_ipython_is_no_notebook(monkeypatch):
    for shell in (None, SimpleNamespace()):
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda shell=shell: shell))
        assert not is_notebook()
