"""Work that follows commits: one at a time for each place, the newest only, done before the process ends."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time

import pytest

from lakefmt import background
from lakefmt.background import BackgroundWork


@pytest.fixture
def work():
    work = BackgroundWork(most_threads=2, idle_s=0.05, rests=0.0)
    yield work
    assert work.flush(timeout_s=10)


def test_of_jobs_that_wait_only_the_newest_is_done(work):
    began, may_end, done = threading.Event(), threading.Event(), []

    def first():
        began.set()
        assert may_end.wait(10)
        done.append(0)

    work.submit("table", "checkpoint", first)
    assert began.wait(10)
    for number in range(1, 6):
        work.submit("table", "checkpoint", lambda number=number: done.append(number))
    may_end.set()
    assert work.flush("table", 10)
    assert done == [0, 5]


def test_kinds_and_places_do_not_wait_for_each_other(work):
    both = threading.Barrier(2, timeout=10)
    work.submit("table", "checkpoint", both.wait)
    work.submit("table", "checksum", both.wait)
    assert work.flush(timeout_s=10)
    work.submit("one table", "checkpoint", both.wait)
    work.submit("another", "checkpoint", both.wait)
    assert work.flush(timeout_s=10)


def test_many_places_take_few_threads(work):
    at_once, most, lock = 0, 0, threading.Lock()

    def job():
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.002)
        with lock:
            at_once -= 1

    for place in range(50):
        work.submit(place, "checkpoint", job)
    assert work.flush(timeout_s=10)
    assert most == 2


def test_threads_end_when_there_is_nothing_to_do(work):
    ran_in = []
    work.submit("table", "checkpoint", lambda: ran_in.append(threading.current_thread()))
    assert work.flush(timeout_s=10)
    ran_in[0].join(10)
    assert not ran_in[0].is_alive()
    work.submit("table", "checkpoint", lambda: ran_in.append(threading.current_thread()))
    assert work.flush(timeout_s=10)
    assert len(ran_in) == 2


def test_place_rests_after_a_job_unless_somebody_waits_for_it():
    work = BackgroundWork(rests=1e6)
    done = []
    work.submit("table", "checkpoint", lambda: (time.sleep(0.001), done.append(1)))
    while not done:
        time.sleep(0.001)
    work.submit("table", "checkpoint", lambda: done.append(2))
    time.sleep(0.01)
    assert done == [1]  # it rests for a quarter of an hour or more
    assert work.flush("table", 10)
    assert done == [1, 2]


def test_waiting_gives_up_at_its_time(work):
    may_end = threading.Event()
    work.submit("table", "checkpoint", lambda: may_end.wait(10))
    assert not work.flush("table", 0.01)
    assert work.flush("another", 10)
    may_end.set()
    assert work.flush("table", 10)


def test_job_may_wait_for_its_own_place(work):
    done = []
    work.submit("table", "checkpoint", lambda: done.append(work.flush("table", 10)))
    assert work.flush("table", 10)
    assert done == [True]


def test_what_a_job_raises_is_logged_and_the_next_one_is_done(caplog):
    def fail():
        raise ValueError("no such thing")

    done = []
    with caplog.at_level(logging.ERROR, "lakefmt.background"):
        background.submit("table", "checkpoint", fail)
        assert background.flush("table", 10)
    assert "checkpoint failed" in caplog.text
    assert "no such thing" in caplog.text
    background.submit("table", "checkpoint", lambda: done.append(1))
    assert background.flush("table", 10)
    assert done == [1]


def test_in_line_means_in_the_callers_thread():
    ran_in = []
    with background.in_line():
        background.submit("table", "checkpoint", lambda: ran_in.append(threading.current_thread()))
        assert ran_in == [threading.current_thread()]
    background.submit("table", "checkpoint", lambda: ran_in.append(threading.current_thread()))
    assert background.flush("table", 10)
    assert ran_in[1] is not ran_in[0]


def run_python(code, **more):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **more,
    )


def test_process_finishes_what_is_due_before_it_ends():
    found = run_python(
        "import time\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from lakefmt import background\n"
        "def job():\n"
        "    time.sleep(0.2)\n"
        "    with ThreadPoolExecutor(2) as pool:\n"
        "        print(list(pool.map(str, range(3))))\n"
        "background.submit('table', 'checkpoint', lambda: time.sleep(0.1))\n"
        "time.sleep(0.05)\n"
        "background.submit('table', 'checkpoint', job)\n"
    )
    assert (found.stdout, found.stderr, found.returncode) == ("['0', '1', '2']\n", "", 0)


def test_process_does_not_wait_for_ever():
    found = run_python(
        "import time, threading\n"
        "from lakefmt import background\n"
        "background._EXIT_PATIENCE_S = 0.2\n"
        "background.submit('table', 'checkpoint', lambda: threading.Event().wait(30))\n"
        "time.sleep(0.05)\n"
        "print('end')\n"
    )
    assert (found.stdout, found.returncode) == ("end\n", 0)


def test_what_is_submitted_while_the_process_ends_is_done_at_once():
    found = run_python(
        "import atexit\n"
        "from lakefmt import background\n"
        "background.submit('table', 'checkpoint', lambda: print('before'))\n"
        "atexit.register(background.submit, 'table', 'checkpoint', lambda: print('at the end'))\n"
    )
    assert (found.stdout, found.stderr, found.returncode) == ("before\nat the end\n", "", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_forked_child_begins_anew():
    found = run_python(
        "import os, sys, threading, warnings\n"
        "from lakefmt import background\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "began, may_end = threading.Event(), threading.Event()\n"
        "def job():\n"
        "    began.set()\n"
        "    may_end.wait(10)\n"
        "    print('parent', os.getpid() == parent, flush=True)\n"
        "parent = os.getpid()\n"
        "background.submit('table', 'checkpoint', job)\n"
        "began.wait(10)\n"
        "background.submit('table', 'checkpoint', lambda: print('parent again', os.getpid() == parent, flush=True))\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    assert background.flush(timeout_s=0)\n"
        "    background.submit('table', 'checkpoint', lambda: print('child', os.getpid() != parent, flush=True))\n"
        "    sys.exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "may_end.set()\n"
    )
    assert (found.stdout, found.stderr, found.returncode) == (
        "child True\nparent True\nparent again True\n",
        "",
        0,
    )


def test_worker_of_multiprocessing_finishes_what_is_due():
    code = (
        "import multiprocessing, time\n"
        "from lakefmt import background\n"
        "def work():\n"
        "    background.submit('table', 'checkpoint', lambda: (time.sleep(0.1), print('done', flush=True)))\n"
        "if __name__ == '__main__':\n"
        "    process = multiprocessing.get_context('fork').Process(target=work)\n"
        "    process.start(); process.join(); print(process.exitcode)\n"
    )
    found = run_python(code)
    assert (found.stdout, found.stderr) == ("done\n0\n", "")
