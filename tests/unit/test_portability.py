"""What only POSIX has is used where it is known to be there: everything is imported, and works, without it."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import lakefmt

PACKAGE = Path(lakefmt.__file__).parent
MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
NAMES = {
    "os": "fork register_at_fork getuid geteuid getgid killpg setsid sched_getaffinity sysconf uname pread pwrite statvfs"
    " fchmod fchown chown mkfifo wait WNOHANG O_ASYNC O_DIRECTORY O_NOFOLLOW O_NONBLOCK posix_fadvise getloadavg",
    "signal": "SIGKILL SIGIO SIGHUP SIGALRM SIGUSR1 SIGUSR2 SIGSTOP SIGCHLD alarm pthread_sigmask sigwait setitimer",
}
ATTRIBUTES = {(module, name) for module, names in NAMES.items() for name in names.split()}
# Used where there are worker processes alone, and to kill real processes in tests.
OF_PROCESSES = {"engine/worker.py", "engine/tasks/processes.py", "engine/tasks/worker_process.py"}
IN_FUNCTIONS = {*OF_PROCESSES, "testing"}

WITHOUT = f"""
import asyncio, multiprocessing, os, pkgutil, signal, ssl, subprocess, sys, tempfile, threading, concurrent.futures
import duckdb, fsspec, numpy, orjson, pandas, polars, pyarrow, pydantic, pyarrow.parquet, pyarrow.dataset
import cloudpickle, hypothesis, pytest, rich.progress, typer
for name in {sorted(MODULES)!r}:
    sys.modules[name] = None
for module, name in {sorted(ATTRIBUTES)!r}:
    vars(sys.modules[module]).pop(name, None)
import lakefmt
for found in pkgutil.walk_packages(lakefmt.__path__, "lakefmt."):
    if not found.name.endswith("__main__"):
        __import__(found.name)
place = tempfile.mkdtemp()
table = lakefmt.write(place + "/t", pyarrow.table({{"id": range(1000)}}))
table.append(pyarrow.table({{"id": range(1000)}}))
assert lakefmt.open(place + "/t").scan(where="id < 10").to_arrow().num_rows == 20
assert lakefmt.sql("SELECT sum(id) AS s FROM t", {{"t": table}}).to_arrow()["s"].to_pylist() == [999000]
mapped = table.scan().map_batches(lambda rows: rows, repartition_by="id")
assert mapped.to_arrow().num_rows == 2000
assert "threads" in str(mapped.explain()) and "(this system has no worker processes)" in str(mapped.explain())
try:
    table.scan().map_batches(lambda rows: rows, executor="processes").to_arrow()
except lakefmt.errors.UnsupportedFeatureError as error:
    print(error)
"""


def test_every_module_is_imported_and_tables_work_where_a_system_has_none_of_it():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Leave executor out, or write executor='threads'" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have less")
def test_what_is_taken_away_is_there():
    assert not [
        found for found in ATTRIBUTES if not hasattr({"os": os, "signal": signal}[found[0]], found[1])
    ]


def test_posix_is_used_behind_a_guard_only():
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        for line, what, in_function in _unguarded(ast.parse(path.read_text())):
            if not (in_function and (name in IN_FUNCTIONS or name.partition("/")[0] in IN_FUNCTIONS)):
                found.append(f"{name}:{line} uses {what}")
    assert found == []


def test_unguarded_uses_are_seen():
    bad = "import fcntl\nos.register_at_fork()\ndef f():\n    import pwd\n    os.fork()\n"
    assert [(line, what) for line, what, _ in _unguarded(ast.parse(bad))] == [
        (1, "fcntl"),
        (2, "os.register_at_fork"),
        (4, "pwd"),
        (5, "os.fork"),
    ]
    good = (
        "if hasattr(os, 'fork'):\n    os.fork()\nif sys.platform == 'linux':\n    import fcntl\n"
        "try:\n    os.sysconf('x')\nexcept AttributeError:\n    pass\ntry:\n    import pwd\nexcept ImportError:\n    pass\n"
    )
    assert list(_unguarded(ast.parse(good))) == []


def _unguarded(node, *, guarded=False, in_function=False):
    """Yield (line, name, is in a function) of what only POSIX has and stands behind no guard."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [node.module] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
        yield from ((node.lineno, name, in_function) for name in names if name in MODULES and not guarded)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and not guarded:
        name = (node.value.id, node.attr)
        if name in ATTRIBUTES:
            yield node.lineno, ".".join(name), in_function
    in_function |= isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for name, value in ast.iter_fields(node):
        within = guarded
        if name == "body" and isinstance(node, ast.If | ast.IfExp):
            within |= any(word in ast.unparse(node.test) for word in ("hasattr(", "sys.platform", "os.name"))
        if name == "body" and isinstance(node, ast.Try):
            within |= any("AttributeError" in caught or "ImportError" in caught for caught in _caught(node))
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _unguarded(child, guarded=within, in_function=in_function)


def _caught(node):
    return [ast.unparse(handler.type) for handler in node.handlers if handler.type is not None]
