"""How worker processes begin and end with their driver; drivers are real interpreters of their own."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lakefmt.testing.executor_contract import until

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 120

COMMON = """
import os, sys, time
from concurrent.futures import wait
from lakefmt.engine.tasks import Task
from lakefmt.engine.tasks.processes import ProcessExecutor

def square(value, context):
    return value * value

def pid(value, context):
    return os.getpid()

def stand_by(folder, context):
    path = os.path.join(folder, f"worker-{os.getpid()}")
    with open(path + ".part", "w") as file:
        file.write(context.scratch.folder())
    os.rename(path + ".part", path)
    time.sleep(600)

def search_for_ever(folder, context):
    import re
    open(os.path.join(folder, f"worker-{os.getpid()}"), "w").close()
    re.match("(a+)+$", "a" * 64 + "b")  # with the interpreter's lock held, for longer than anybody lives

executor = ProcessExecutor(2)
"""
SUM = "print(sum(executor.submit(Task(square, n, 's', n)).result(60) for n in range(10)))\n"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in which workers note their ids; whichever are left are ended after the test."""
    yield tmp_path
    for pid in worker_ids(tmp_path):
        if is_running(pid):
            os.kill(pid, signal.SIGKILL)


def worker_ids(folder: Path) -> list[int]:
    return [int(path.name.split("-")[1]) for path in folder.glob("worker-*") if path.suffix != ".part"]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def interpret(code: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        check=False,
        input=code,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        **options,
    )


def started(code: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], **options)


class TestBeginning:
    def test_in_a_script_without_a_main_guard(self, tmp_path: Path) -> None:
        script = tmp_path / "script.py"
        script.write_text("print('main runs')\n" + COMMON + SUM)
        done = interpret("", str(script), cwd=tmp_path)
        assert (done.stdout, done.stderr) == ("main runs\n285\n", "")

    def test_in_a_command_line(self) -> None:
        done = interpret("", "-c", COMMON + SUM)
        assert (done.stdout, done.stderr) == ("285\n", "")

    def test_in_a_program_read_from_standard_input(self) -> None:
        done = interpret(COMMON + SUM, "-")
        assert (done.stdout, done.stderr) == ("285\n", "")

    def test_in_a_notebook_whose_cells_define_functions_anew(self) -> None:
        cells = [
            COMMON,
            "offset = 1",
            "def add(value, context):\n    return value + offset",
            "print(executor.submit(Task(add, 1, 's', 0)).result(60))",
            "offset = 10",
            "def add(value, context):\n    return offset * value",
            "print(executor.submit(Task(add, 5, 's', 0)).result(60))",
        ]
        kernel = f"""
            import sys, types
            user = types.ModuleType("__main__")  # as a kernel has it: without a file
            sys.modules["__main__"] = user
            for number, cell in enumerate({cells!r}):
                exec(compile(cell, f"<cell {{number}}>", "exec"), user.__dict__)
        """
        done = interpret("", "-c", textwrap.dedent(kernel))
        assert (done.stdout, done.stderr) == ("2\n50\n", "")

    def test_in_a_thread(self) -> None:
        code = (
            "import threading\nthread = threading.Thread(target=lambda: "
            + SUM.strip()
            + ")\nthread.start(); thread.join()"
        )
        done = interpret("", "-c", COMMON + code)
        assert (done.stdout, done.stderr) == ("285\n", "")

    def test_where_lakefmt_is_found_by_a_changed_path_and_the_folder_has_modules_of_known_names(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "pyarrow.py").write_text("raise RuntimeError('not this one')\n")
        import lakefmt

        home = str(Path(lakefmt.__file__).parents[1])
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        code = f"import sys\nsys.path.insert(0, {home!r})\n" + COMMON + SUM
        done = interpret("", "-P", "-c", code, cwd=tmp_path, env=environment)
        assert (done.stdout, done.stderr) == ("285\n", "")

    def test_with_other_versions_is_refused(self) -> None:
        code = (
            "import lakefmt\nlakefmt.__version__ = '0.0.1'\n"
            "from lakefmt.errors import WorkerStartError\n"
            "try: executor.submit(Task(square, 1, 's', 0)).result(60)\n"
            "except WorkerStartError as error: print(error)\n"
        )
        done = interpret("", "-c", COMMON + code)
        assert "instead of 0.0.1" in done.stdout
        assert "start it again" in done.stdout

    def test_that_a_kill_ends_is_a_lost_worker_and_the_next_begins(self, folder: Path) -> None:
        (folder / "sitecustomize.py").write_text(
            "import os, sys\n"
            "if 'lakefmt.engine.worker' in ' '.join(sys.orig_argv) and not os.path.exists('killed'):\n"
            "    open('killed', 'w').close(); os.kill(os.getpid(), 9)\n"
        )
        code = (
            "sys.path.insert(0, os.getcwd())\n"
            "error = executor.submit(Task(square, 3, 's', 0)).exception(60)\n"
            "print(type(error).__name__, error.exit_code)\n"
            "print(executor.submit(Task(square, 3, 's', 0)).result(60))\n"
        )
        # What the package itself is found by, as the program stands elsewhere.
        done = interpret(
            "", "-c", f"import sys; sys.path.append({str(Path.cwd())!r})\n{COMMON}{code}", cwd=folder
        )
        assert (done.stdout, done.stderr) == ("WorkerLostError -9\n9\n", "")

    def test_without_an_interpreter_is_a_typed_error(self) -> None:
        code = (
            "from lakefmt.errors import WorkerStartError\n"
            "for sys.executable in ('/nowhere/python', '/bin/false'):\n"
            "    try: executor.submit(Task(square, 1, 's', 0)).result(60)\n"
            "    except WorkerStartError as error: print(error)\n"
        )
        done = interpret("", "-c", COMMON + code)
        assert "cannot be started" in done.stdout
        assert "ended as it began, with exit code 1" in done.stdout

    def test_and_what_tasks_print_appears_where_the_driver_prints(self) -> None:
        code = """
def speak(value, context):
    print("said")
    print("complained", file=sys.stderr)
executor.submit(Task(speak, None, 's', 0)).result(60)
print("done")
"""
        done = interpret("", "-c", COMMON + code)
        assert (done.stdout, done.stderr) == ("said\ndone\n", "complained\n")


class TestEnd:
    def test_a_driver_that_ends_waits_for_no_task_and_leaves_no_process(self, folder: Path) -> None:
        code = (
            "executor.submit(Task(stand_by, sys.argv[1], 's', 0)); executor.submit(Task(stand_by, sys.argv[1], 's', 1))\n"
            "waiting = [executor.submit(Task(stand_by, sys.argv[1], 's', n)) for n in range(2, 9)]\n"
            "while len([name for name in os.listdir(sys.argv[1]) if not name.endswith('.part')]) < 2: time.sleep(0.01)\n"
        )
        done = interpret("", "-c", COMMON + code, str(folder))
        assert (done.returncode, done.stderr) == (0, "")
        assert len(worker_ids(folder)) == 2
        assert not any(map(is_running, worker_ids(folder)))
        assert not any(map(os.path.exists, scratch_folders(folder)))

    def test_a_driver_that_ends_leaves_no_folder_that_its_workers_databases_spilled_to(
        self, folder: Path
    ) -> None:
        code = (
            "def spill(value, context):\n"
            "    from lakefmt.process_folders import own_folder\n"
            "    path = own_folder('spill')\n"
            "    if value: os.kill(os.getpid(), 9)\n"
            "    time.sleep(0.2)\n"
            "    return os.getpid()\n"
            "ends = [executor.submit(Task(spill, value, 's', value)) for value in (0, 0)]\n"
            "one, other = (end.result(60) for end in ends)\n"
            "print(type(executor.submit(Task(spill, 1, 's', 1)).exception(60)).__name__)\n"
            "executor.submit(Task(spill, 0, 's', 1)).result(60)\n"
            "for worker in {one, other}: os.kill(worker, 9) if os.path.exists(f'/proc/{worker}/cwd') else None\n"
        )
        done = interpret("", "-c", COMMON + code, env={**os.environ, "TMPDIR": str(folder)})
        assert (done.stdout, done.stderr) == ("WorkerLostError\n", "")
        assert list(folder.iterdir()) == []

    @pytest.mark.parametrize("task", ["stand_by", "search_for_ever"])
    def test_a_killed_driver_takes_its_workers_along(self, folder: Path, task: str) -> None:
        code = f"wait([executor.submit(Task({task}, sys.argv[1], 's', n)) for n in range(2)])"
        driver = started(COMMON + code, str(folder))
        until(lambda: len(worker_ids(folder)) == 2)
        driver.kill()
        driver.wait()
        until(lambda: not any(map(is_running, worker_ids(folder))))
        if task == "stand_by":  # what they leave is deleted by the next who has workers
            interpret("", "-c", COMMON + SUM)
            assert not any(map(os.path.exists, scratch_folders(folder)))

    def test_a_killed_driver_takes_its_workers_along_though_a_forked_child_lives(self, folder: Path) -> None:
        code = """
runs = [executor.submit(Task(stand_by, sys.argv[1], 's', n)) for n in range(2)]
while len([name for name in os.listdir(sys.argv[1]) if not name.endswith('.part')]) < 2: time.sleep(0.01)
import warnings; warnings.simplefilter("ignore")
child = os.fork()
if child == 0:
    time.sleep(600)
open(os.path.join(sys.argv[1], f"child-{child}"), "w").close()
wait(runs)
"""
        driver = started(COMMON + code, str(folder))
        until(lambda: list(folder.glob("child-*")))
        (child,) = (int(path.name.split("-")[1]) for path in folder.glob("child-*"))
        try:
            driver.kill()
            driver.wait()
            until(lambda: not any(map(is_running, worker_ids(folder))))
            assert is_running(child)
        finally:
            os.kill(child, signal.SIGKILL)

    def test_a_forked_child_has_workers_of_its_own(self) -> None:
        code = """
import warnings; warnings.simplefilter("ignore")
parents = executor.submit(Task(pid, None, 's', 0)).result(60)
child = os.fork()
if child == 0:
    own = executor.submit(Task(pid, None, 's', 0)).result(60)
    print("own" if own != parents else "the parent's", flush=True)
    executor.close()
    sys.exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(executor.submit(Task(pid, None, 's', 0)).result(60) == parents)
"""
        done = interpret("", "-c", COMMON + code)
        assert (done.stdout, done.stderr) == ("own\n0\nTrue\n", "")

    def test_a_child_forked_while_a_thread_pickles_can_pickle(self) -> None:
        code = """
import threading, warnings; warnings.simplefilter("ignore")
from lakefmt.engine.tasks import pickling

class Held:
    def __reduce__(self):
        inside.set(); go.wait(60)
        return int, ()

inside, go = threading.Event(), threading.Event()
thread = threading.Thread(target=pickling.encode, args=((lambda: 0, Held()),))
thread.start(); inside.wait(60)
child = os.fork()
if not child:
    import signal
    signal.alarm(30)
    pickling.encode(lambda: 0)
    os._exit(0)
print(os.waitpid(child, 0)[1])
go.set(); thread.join()
"""
        done = interpret("", "-c", COMMON + code)
        assert (done.stdout, done.stderr) == ("0\n", "")

    def test_ctrl_c_at_a_terminal_ends_driver_and_workers_and_says_so_once(self, folder: Path) -> None:
        code = "wait([executor.submit(Task(stand_by, sys.argv[1], 's', n)) for n in range(4)])"
        leader, follower = pty.openpty()
        # The terminal is the driver's own, so that what is typed reaches it and all its children.
        own_terminal = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        driver = started(
            own_terminal + COMMON + code,
            str(folder),
            stdin=follower,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        os.close(follower)
        until(lambda: len(worker_ids(folder)) == 2)
        os.write(leader, b"\x03")
        _, complaints = driver.communicate(timeout=PATIENCE_S)
        os.close(leader)
        assert driver.returncode == -signal.SIGINT
        assert complaints.count(b"KeyboardInterrupt") == 1
        assert not any(map(is_running, worker_ids(folder)))
        assert not any(map(os.path.exists, scratch_folders(folder)))

    def test_workers_go_on_when_their_driver_takes_ctrl_c_for_something_else(self) -> None:
        code = """
import signal
signal.signal(signal.SIGINT, lambda *_: None)
def slow(value, context):
    time.sleep(0.5)
    return value
run = executor.submit(Task(slow, 5, 's', 0))
idle = executor.submit(Task(pid, 5, 's', 0)).result(60)
for _ in range(5):
    os.killpg(0, signal.SIGINT)
    time.sleep(0.05)
print(run.result(60), os.path.exists(f"/proc/{idle}/cwd"), executor.submit(Task(pid, 5, 's', 0)).result(60) > 0)
"""
        done = interpret("", "-c", COMMON + code, start_new_session=True)
        assert (done.stdout, done.stderr) == ("5 True True\n", "")


def scratch_folders(folder: Path) -> list[str]:
    return [path.read_text() for path in folder.glob("worker-*")]
