"""How much memory there is, how much of it is used, and who gets which part.

One number bounds the work of an engine: ``memory_limit``, by default 70 % of what this process may have (its cgroup's
limit or the machine's RAM, the smaller), as other things need memory, too. Tasks that run at once share it equally. Of a
task's share DuckDB gets 60 %: it counts what its operators hold, and neither the result on its way to Arrow nor the
interpreter.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lakefmt.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

    from lakefmt.engine.tasks.task import TaskContext

__all__ = [
    "available_memory",
    "default_memory_limit",
    "duckdb_share",
    "kernel_connection",
    "parse_memory_limit",
    "parse_result_limit",
]

_DEFAULT_SHARE: Final = 0.7
_DUCKDB_SHARE: Final = 0.6
_RESULT_SHARE: Final = 0.25
_LEAST: Final = 1 << 20  # below this nothing runs at all, and it is a unit that was forgotten
_UNITS: Final = {"": 1, "B": 1} | {
    f"{letter}{ending}": base**power
    for power, letter in enumerate("KMGT", start=1)
    for ending, base in (("", 1000), ("B", 1000), ("IB", 1024))
}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*|%)\s*")


def parse_memory_limit(limit: str | float | None) -> int:
    """Return a limit in bytes.

    Args:
        limit: ``"2GB"``, ``"512MiB"``, ``"50%"`` of what this process may have, a number of bytes, a fraction below 1
            of what this process may have; None for the default.

    Raises:
        InvalidInputError: it is none of these, or less than 1 MiB.
    """
    if limit is None:
        return default_memory_limit()
    size = _bytes_of(limit)
    if size is None or not _LEAST <= size < float("inf"):
        raise InvalidInputError(
            f"The memory limit {limit!r} is no amount of memory",
            hint="Write it as '2GB', '512MiB', '50%', a number of bytes from 1 MiB on, or a fraction below 1",
        )
    return int(size)


@functools.cache
def default_memory_limit() -> int:
    """Return the limit where none was given, in bytes: 70 % of what this process may have, as it was at the first call."""
    return int(available_memory() * _DEFAULT_SHARE)


def parse_result_limit(limit: str | float | None, memory_bytes: int | None = None) -> int:
    """Return up to how many bytes a result is held in memory; a larger one is mapped from a file.

    Args:
        limit: as of ``parse_memory_limit``; None for a quarter of what this process may have.
        memory_bytes: the limit of the query, which that default is never above.

    Raises:
        InvalidInputError: it is no amount of memory.
    """
    if limit is not None:
        return parse_memory_limit(limit)
    default = _default_result_limit()
    return default if memory_bytes is None else min(default, memory_bytes)


@functools.cache
def _default_result_limit() -> int:
    return int(available_memory() * _RESULT_SHARE)


def available_memory(root: Path = Path("/")) -> int:
    """Return how many bytes of memory this process may have: its cgroup's limit or the machine's RAM, the smaller.

    Args:
        root: where ``/proc`` and ``/sys`` are found.
    """
    return min([_ram(root), *_cgroup_limits(root)])


def duckdb_share(memory_bytes: int) -> int:
    """Return how much of a task's memory is DuckDB's, in bytes."""
    return int(memory_bytes * _DUCKDB_SHARE)


@contextlib.contextmanager
def kernel_connection(
    context: TaskContext, *, preserve_order: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB database for one task, in its share of memory and threads; it spills to the task's scratch folder.

    It reads local files and Arrow data that is registered, in UTC, and loads no extension. Making one takes some 8 ms.

    Args:
        context: the task's.
        preserve_order: rows without ORDER BY keep the order of their source, which takes more memory.

    Raises:
        ResourceError: there is no folder to spill to.
    """
    import duckdb

    with duckdb.connect(
        config={
            "threads": str(context.threads),
            "memory_limit": f"{duckdb_share(context.memory_bytes)}B",
            "temp_directory": context.scratch.folder(),
            "preserve_insertion_order": "true" if preserve_order else "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
        }
    ) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")  # it would print from a worker
        yield connection


def _bytes_of(limit: object) -> float | None:
    if isinstance(limit, str):
        found = _SIZE.fullmatch(limit)
        if found is None:
            return None
        if found[2] == "%":
            return available_memory() * float(found[1]) / 100
        unit = _UNITS.get(found[2].upper())
        return None if unit is None else float(found[1]) * unit
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        return None
    return limit * available_memory() if isinstance(limit, float) and 0 < limit < 1 else limit


def _ram(root: Path) -> int:
    text = _read(root / "proc/meminfo")
    if text is not None and (found := re.search(r"^MemTotal:\s+(\d+) kB", text, re.MULTILINE)):
        return int(found[1]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 4 << 30  # a system that does not tell, such as Windows: a small machine of today


def _cgroup_limits(root: Path) -> Iterator[int]:
    """Yield the limits of this process's cgroup and of those around it, both versions."""
    groups = _read(root / "proc/self/cgroup") or ""
    mounts = _read(root / "proc/self/mountinfo") or ""
    for line in groups.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if number == "0" and not controllers:
            kind, names = "cgroup2", ["memory.max", "memory.high"]
        elif "memory" in controllers.split(","):
            kind, names = "cgroup", ["memory.limit_in_bytes"]
        else:
            continue
        for top, mounted in _mounts(mounts, kind):
            # In a container the group's path may be the host's, of which the mount shows a part.
            within = group[len(top) :] if top != "/" and (group + "/").startswith(top + "/") else group
            parts = [part for part in within.split("/") if part not in {"", ".."}]
            for depth in range(len(parts), -1, -1):
                folder = root.joinpath(mounted.lstrip("/"), *parts[:depth])
                for name in names:
                    text = (_read(folder / name) or "").strip()
                    if text.isdigit():  # else "max", or there is no such file
                        yield int(text)


def _mounts(mountinfo: str, kind: str) -> Iterator[tuple[str, str]]:
    """Yield what part of its file system each cgroup mount shows, and where."""
    for line in mountinfo.splitlines():
        place, _, system = line.partition(" - ")
        fields, (found_kind, *options) = place.split(" "), (system.split(" ") or [""])
        if (
            found_kind == kind
            and len(fields) > 4
            and (kind == "cgroup2" or "memory" in options[-1].split(","))
        ):
            yield fields[3], fields[4]


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return None
