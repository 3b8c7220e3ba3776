"""A stage's function as executors run it: what it took is measured beside it, where it runs."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakefmt.engine.jobs.metrics import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefmt.engine.jobs.stage import TaskOutput
    from lakefmt.engine.tasks.task import TaskContext

__all__ = ["MeasuredFunction"]

_PEAK = re.compile(rb"VmHWM:\s+(\d+) kB")


@dataclass(frozen=True, slots=True)
class MeasuredFunction:
    """Calls a stage's function and returns its output with what it took.

    Attributes:
        function: the stage's.
        alone: a task has its process to itself.
    """

    function: Callable[[Any, TaskContext], TaskOutput]
    alone: bool

    def __call__(self, value: Any, context: TaskContext) -> tuple[TaskOutput, Usage]:
        """Run the task."""
        clock = time.process_time if self.alone else time.thread_time
        if self.alone:
            _forget_peak()
        began, processor = time.perf_counter(), clock()
        output = self.function(value, context)
        return output, Usage(
            time.perf_counter() - began,
            clock() - processor,
            _peak_memory() if self.alone else None,
            f"process {os.getpid()}" if self.alone else threading.current_thread().name,
        )


def _forget_peak() -> None:
    """Have the kernel count this process's peak from now on (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_memory() -> int | None:
    """Return the most memory this process had resident since then, in bytes."""
    with contextlib.suppress(OSError):
        found = _PEAK.search(Path("/proc/self/status").read_bytes())
        if found is not None:
            return int(found[1]) * 1024
    return None
