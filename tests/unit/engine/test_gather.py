"""Rows that do not fit in memory, gathered in a file that is mapped."""

from __future__ import annotations

import errno
import gc
import os
import resource
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from lakefmt.engine.gather import gather_tables
from lakefmt.errors import ResourceError
from lakefmt.process_folders import own_folder

ROWS = pa.table(
    {
        "id": pa.array(range(10_000), pa.int64()),
        "text": [f"row {i}" if i % 7 else None for i in range(10_000)],
        "nested": [{"a": [i, None]} for i in range(10_000)],
        "flag": [i % 3 == 0 for i in range(10_000)],
    }
)


def pieces(rows=ROWS, size=1_000):
    return (rows.slice(start, size) for start in range(0, rows.num_rows, size))


def gathered(limit_bytes, tables=None):
    return pa.concat_tables(gather_tables(pieces() if tables is None else tables, ROWS.schema, limit_bytes))


def mapped_bytes():
    """Return how much of this process's memory are spilled results."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    spans = [line.split()[0].split("-") for line in lines if "/result-" in line]
    return sum(int(end, 16) - int(start, 16) for start, end in spans)


@pytest.mark.parametrize("limit_bytes", [None, ROWS.nbytes * 2, 100_000, 0])
def test_rows_are_the_same_and_in_order_whatever_the_limit(limit_bytes):
    assert gathered(limit_bytes).equals(ROWS)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="nothing tells what is mapped")
def test_rows_above_the_limit_are_mapped_from_a_file_without_a_name():
    before = pa.total_allocated_bytes()
    rows = gathered(100_000)
    assert mapped_bytes() >= ROWS.nbytes
    assert pa.total_allocated_bytes() - before < 100_000
    assert list(own_folder("spill").glob("result-*")) == []
    del rows
    gc.collect()
    assert mapped_bytes() == 0


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="nothing tells what is mapped")
def test_rows_below_the_limit_touch_no_disk():
    rows = gathered(ROWS.nbytes * 2)
    assert (mapped_bytes(), rows.num_rows) == (0, 10_000)


def test_tables_are_let_go_of_as_they_go_to_the_file():
    before, most = pa.total_allocated_bytes(), 0

    def made():
        nonlocal most
        for start in range(200):
            yield pa.table({"x": pa.array(range(start, start + 10_000), pa.int64())})
            most = max(most, pa.total_allocated_bytes() - before)

    schema = pa.schema({"x": pa.int64()})
    (rows,) = gather_tables(made(), schema, 1_000_000)
    assert rows.num_rows == 2_000_000
    assert most < 2_000_000  # of 16


def test_dictionaries_that_differ_from_table_to_table():
    kind = pa.dictionary(pa.int8(), pa.string())
    tables = [pa.table({"x": pa.array(values).cast(kind)}) for values in (["a", "b"], ["c", "a"], ["d"])]
    (rows,) = gather_tables(tables, pa.schema({"x": kind}), 0)
    assert rows["x"].to_pylist() == ["a", "b", "c", "a", "d"]


def test_input_that_fails_leaves_no_file_and_keeps_its_error():
    def failing():
        yield ROWS
        raise OSError(errno.EIO, "of the input")

    with pytest.raises(OSError, match="of the input"):
        gathered(0, failing())
    assert list(own_folder("spill").glob("result-*")) == []


@pytest.mark.skipif(sys.platform == "win32", reason="there are no limits of this kind")
def test_disk_that_is_full_is_told_and_nothing_is_left():
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # as a full disk: writes fail half-way
    try:
        with pytest.raises(ResourceError, match="cannot be written to") as caught:
            gathered(0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "TMPDIR" in str(caught.value)
    assert list(own_folder("spill").glob("result-*")) == []


_SPILLING = """
import os, signal, sys
import pyarrow as pa
from lakefmt.engine.gather import gather_tables

def tables():
    yield pa.table({"x": range(1000)})
    yield pa.table({"x": range(1000)})
    os.kill(os.getpid(), signal.SIGKILL)

gather_tables(tables(), pa.schema({"x": pa.int64()}), 0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="owners are told apart by /proc")
def test_file_of_a_killed_process_is_deleted_by_the_next_one(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", _SPILLING], env=environment, check=False, timeout=60)
    assert len(list(tmp_path.rglob("result-*.arrow"))) == 1
    following = _SPILLING.replace("SIGKILL", "SIGCONT")
    subprocess.run([sys.executable, "-c", following], env=environment, check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []
