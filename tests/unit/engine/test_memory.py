"""The memory budget: what there is, what is asked for, and what DuckDB gets of it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from lakefmt.engine.memory import (
    available_memory,
    default_memory_limit,
    duckdb_share,
    kernel_connection,
    parse_memory_limit,
)
from lakefmt.engine.tasks import TaskContext, scratch
from lakefmt.errors import InvalidInputError, ResourceError

GB = 1_000_000_000
MIB = 1 << 20
V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "33 25 0:29 {top} /sys/fs/cgroup/memory rw,nosuid shared:12 - cgroup cgroup rw,memory\n"
OTHER_V1 = "34 25 0:30 / /sys/fs/cgroup/cpu rw,nosuid shared:13 - cgroup cgroup rw,cpu,cpuacct\n"


def machine(root: Path, ram_kb: int, cgroup: str = "", mounts: str = "", **limits: str) -> Path:
    files = {
        "proc/meminfo": f"MemTotal:       {ram_kb} kB\nMemFree: 1 kB\n",
        "proc/self/cgroup": cgroup,
        "proc/self/mountinfo": mounts,
        **limits,
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_a_cgroup_all_ram_may_be_used(tmp_path: Path) -> None:
    assert available_memory(machine(tmp_path, 8 << 20)) == 8 << 30


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"sys/fs/cgroup/user/job/memory.max": "1000000\n"}, 1_000_000),
        ({"sys/fs/cgroup/user/memory.max": "2000000\n"}, 2_000_000),  # of the group around it
        ({"sys/fs/cgroup/user/job/memory.high": "900000\n"}, 900_000),
        ({"sys/fs/cgroup/user/job/memory.max": "max\n"}, 8 << 30),
        ({"sys/fs/cgroup/user/job/memory.max": f"{64 << 30}\n"}, 8 << 30),  # more than the machine has
        (
            {
                "sys/fs/cgroup/user/job/memory.max": "5000000\n",
                "sys/fs/cgroup/user/memory.max": "3000000\n",
                "sys/fs/cgroup/other/memory.max": "1000000\n",
            },
            3_000_000,
        ),
    ],
)
def test_a_limit_of_version_2_counts_wherever_it_stands(
    tmp_path: Path, limits: dict[str, str], expected: int
) -> None:
    assert available_memory(machine(tmp_path, 8 << 20, "0::/user/job\n", V2, **limits)) == expected


def test_in_a_container_the_groups_root_is_the_containers(tmp_path: Path) -> None:
    limits = {"sys/fs/cgroup/memory.max": "1000000\n"}
    assert available_memory(machine(tmp_path, 8 << 20, "0::/\n", V2, **limits)) == 1_000_000


@pytest.mark.parametrize("top", ["/", "/docker/abc"])
def test_a_limit_of_version_1_counts(tmp_path: Path, top: str) -> None:
    where = "sys/fs/cgroup/memory" + ("/docker/abc" if top == "/" else "")
    limits = {
        f"{where}/memory.limit_in_bytes": "1000000\n",
        "sys/fs/cgroup/cpu/memory.limit_in_bytes": "1\n",
    }
    groups = "9:cpu,cpuacct:/docker/abc\n8:memory:/docker/abc\n1:name=systemd:/docker/abc\n"
    mounts = V1.format(top=top) + OTHER_V1
    assert available_memory(machine(tmp_path, 8 << 20, groups, mounts, **limits)) == 1_000_000


def test_no_limit_of_version_1_is_no_limit(tmp_path: Path) -> None:
    limits = {"sys/fs/cgroup/memory/memory.limit_in_bytes": f"{(1 << 63) - 4096}\n"}
    groups = "8:memory:/\n"
    assert available_memory(machine(tmp_path, 8 << 20, groups, V1.format(top="/"), **limits)) == 8 << 30


def test_files_that_nobody_understands_are_no_limit(tmp_path: Path) -> None:
    limits = {"sys/fs/cgroup/memory.max": "lots\n"}
    groups, mounts = "nonsense\n0::/a/../b\n", "nonsense\n - \n" + V2
    assert available_memory(machine(tmp_path, 8 << 20, groups, mounts, **limits)) == 8 << 30


def test_the_default_is_seventy_percent_of_this_machine() -> None:
    ram = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < available_memory() <= ram
    assert default_memory_limit() == parse_memory_limit(None) == int(available_memory() * 0.7)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("2GB", 2 * GB),
        ("2 gb", 2 * GB),
        ("1.5G", 1_500_000_000),
        ("512MiB", 512 * MIB),
        ("512mib", 512 * MIB),
        ("0.25TB", 250 * GB),
        ("1048576", MIB),
        ("1048576B", MIB),
        ("2048 KiB", 2 * MIB),
        (3 * GB, 3 * GB),
        (2e9, 2 * GB),
    ],
)
def test_limits_are_read_as_they_are_written(limit: Any, expected: int) -> None:
    assert parse_memory_limit(limit) == expected


def test_fractions_are_of_what_this_process_may_have() -> None:
    assert parse_memory_limit(0.5) == parse_memory_limit("50%") == int(available_memory() * 0.5)


@pytest.mark.parametrize(
    "limit",
    [
        "",
        "GB",
        "-2GB",
        "2 apples",
        "2GiBs",
        "nan",
        "infinity",
        0,
        -1,
        100,
        float("nan"),
        float("inf"),
        True,
        [],
        "1KB",
    ],
)
def test_what_is_no_amount_of_memory_is_refused(limit: Any) -> None:
    with pytest.raises(InvalidInputError, match="memory limit"):
        parse_memory_limit(limit)


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TaskContext:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "_known_prefix", None)
    return TaskContext("s", 0, 0, 100 * MIB, 1, "", lambda: False, scratch.Scratch())


def test_a_kernel_has_its_share_of_a_task_and_spills_to_the_tasks_folder(
    tmp_path: Path, context: TaskContext
) -> None:
    with kernel_connection(context) as connection:
        folder = Path(context.scratch.folder())
        found = connection.execute(
            "SELECT current_setting('threads'), current_setting('temp_directory'), current_setting('TimeZone')"
        ).fetchone()
        assert found == (1, str(folder), "UTC")
        assert connection.execute("SELECT current_setting('memory_limit')").fetchone() == ("60.0 MiB",)
        assert duckdb_share(100 * MIB) == 60 * MIB
        connection.execute("CREATE TABLE t AS SELECT range AS a, hash(range) AS b FROM range(8_000_000)")
        assert any(folder.iterdir())
        assert folder.stat().st_mode & 0o077 == 0
    context.scratch.delete()
    assert list(tmp_path.iterdir()) == []


def test_a_kernel_without_a_place_to_spill_to_is_a_typed_error(
    tmp_path: Path, context: TaskContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(ResourceError, match="no folder for rows"), kernel_connection(context):
        pass
