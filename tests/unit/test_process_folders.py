"""Folders named after the process that owns them, and those whose owner is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from lakefmt.process_folders import make_folder, name_folder, outlives_owner

_MAKE = "import sys, time\nfrom lakefmt.process_folders import make_folder\n"
_MAKE += "print(make_folder('job', sys.argv[1]), flush=True)\ntime.sleep(60)"


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="the start of a process is read from /proc")  # noqa: PTH110
def test_folder_of_a_killed_process_is_deleted_by_the_next_and_of_a_live_one_is_not(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", _MAKE, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    theirs = child.stdout.readline().strip()
    make_folder("job", tmp_path)
    assert os.path.isdir(theirs)  # noqa: PTH112
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    make_folder("spill", tmp_path)
    assert os.path.isdir(theirs)  # noqa: PTH112
    mine = make_folder("job", tmp_path)
    assert not os.path.exists(theirs)  # noqa: PTH110
    assert len(list(tmp_path.iterdir())) == 3
    assert mine.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="the start of a process is read from /proc")  # noqa: PTH110
def test_folder_of_a_dead_process_that_nobody_waited_for_is_deleted(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", _MAKE, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    theirs = child.stdout.readline().strip()
    child.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    make_folder("job", tmp_path)
    assert not os.path.exists(theirs)  # noqa: PTH110
    child.wait()
    child.stdout.close()


def test_process_id_used_again_is_not_the_owner():
    name = name_folder("job")
    parts = name.split("-")
    parts[4] = str(int(parts[4]) + 1)
    assert not outlives_owner(name, 0)
    if int(parts[4]) > 1:
        assert outlives_owner("-".join(parts), time.time())


def test_folder_of_another_machine_goes_after_a_week():
    parts = name_folder("job").split("-")
    parts[2] = "0" * 8
    assert not outlives_owner("-".join(parts), time.time() - 6 * 24 * 3600)
    assert outlives_owner("-".join(parts), time.time() - 8 * 24 * 3600)


@pytest.mark.parametrize("name", ["lakefmt-job", "lakefmt-job-x", "other-job-00000000-1-1-00000000", "trips"])
def test_folder_that_is_not_named_so_is_nobodys_to_delete(name):
    assert not outlives_owner(name, 0)
