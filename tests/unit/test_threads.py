"""Work that somebody waits for is done, by another thread or by whoever hands it over."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from lakefmt.threads import Threads, map_in_threads

LATE = """
import atexit, pathlib, sys
import lakefmt, pyarrow as pa
properties = {"delta.checkpointInterval": 3, "delta.checkpointPolicy": sys.argv[2]}
table = lakefmt.create(sys.argv[1], {"id": "long"}, properties=properties)
def late():
    for number in range(7):
        table.append(pa.table({"id": [number]}))
    again = lakefmt.open(sys.argv[1])
    print(again.count(), any(pathlib.Path(sys.argv[1], "_delta_log").glob("*.checkpoint.*")))
    print(again.scan(where="id >= 5").to_arrow().num_rows, len(again.history().to_dicts()))
    print(table.checkpoint().num_files)
    batch = pa.record_batch({"id": range(100_000)})
    table.append(pa.RecordBatchReader.from_batches(batch.schema, [batch] * 12))
    print(lakefmt.open(sys.argv[1]).count())
atexit.register(late)
table.append(pa.table({"id": [100]}))
"""


def no_thread(self):
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("policy", ["classic", "v2"])
def test_a_table_is_read_and_written_when_the_interpreter_is_already_ending(tmp_path, policy):
    done = subprocess.run(
        [sys.executable, "-c", LATE, str(tmp_path / "table"), policy],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["8", "True", "3", "9", "8", str(8 + 12 * 100_000)]


def test_work_is_done_in_line_and_once_where_no_thread_starts(monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    seen = []
    assert map_in_threads(lambda item: seen.append(item) or item * 2, range(5), 3, "test") == [0, 2, 4, 6, 8]
    assert seen == list(range(5))


def test_work_that_is_left_in_the_queue_is_not_done_twice(monkeypatch):
    began, may_end, seen = threading.Event(), threading.Event(), []

    def first():
        began.set()
        assert may_end.wait(10)

    with Threads(2, "test") as pool:
        pool.submit(first)
        assert began.wait(10)
        monkeypatch.setattr(threading.Thread, "start", no_thread)
        # No second thread starts, and the first one finds it queued.
        later = pool.submit(seen.append, "later")
        assert later.done()
        assert seen == ["later"]
        may_end.set()
    assert seen == ["later"]


def test_an_error_of_work_in_line_is_raised_where_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with Threads(1, "test") as pool:
        future = pool.submit(int, "no number")
        with pytest.raises(ValueError, match="no number"):
            future.result()
