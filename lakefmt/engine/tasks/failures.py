"""What a task's error is to whoever waits for the task."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from lakefmt.errors import LakefmtError, OutOfMemoryError, TaskError

if TYPE_CHECKING:
    from lakefmt.engine.tasks.task import Task

__all__ = [
    "add_note",
    "as_task_error",
    "explain_failure",
    "is_of_memory",
    "name_task",
    "reason_of",
    "sentence",
]


def explain_failure(error: Exception, task: Task[Any]) -> OutOfMemoryError | None:
    """Name the task in a note of its error, and return what is to be raised instead: an OutOfMemoryError, or None.

    Memory may have run out in Python, Arrow or DuckDB.
    """
    name = str(task)
    name_task(error, name)
    if isinstance(error, LakefmtError) or not is_of_memory(error):
        return None
    reason = reason_of(error).partition("\n")[0].rstrip(". ")
    found = OutOfMemoryError(
        f"{sentence(name)} ran out of memory: {reason}",
        hint="Give it more memory (memory_limit), or make the pieces of work smaller",
    )
    name_task(found, name)
    return found


def as_task_error(error: BaseException, name: str) -> TaskError:
    """Return an error that can be raised anywhere for one that cannot, such as SystemExit: ``name`` failed, and how."""
    return TaskError(f"{sentence(name)} failed: {_kind_and_reason(error)}")


def name_task(error: BaseException, name: str) -> None:
    """Say in a note of an error, once, in which task it was raised."""
    note = f"In {name}"
    if note not in getattr(error, "__notes__", ()):
        add_note(error, note)


def add_note(error: BaseException, note: str) -> None:
    """Add a note to an error, if its class allows it."""
    with contextlib.suppress(Exception):  # a frozen dataclass, say
        error.add_note(note)


def reason_of(error: BaseException) -> str:
    """Return an error's text, or its kind where it has none."""
    try:
        text = str(error).strip()
    except Exception:  # noqa: BLE001 - an error's own text may raise anything
        text = ""
    return text or type(error).__name__


def sentence(name: str) -> str:
    """Return the name of a task as a message begins with it."""
    return name[:1].upper() + name[1:]


def is_of_memory(error: BaseException) -> bool:
    """Whether memory ran out in Python, Arrow or DuckDB."""
    if isinstance(error, MemoryError | OutOfMemoryError):  # pyarrow's is a MemoryError, too
        return True
    duckdb = sys.modules.get("duckdb")
    if duckdb is None:
        return False
    # A stream of DuckDB's through Arrow has lost the kind, and begins with its name.
    return isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory Error" in reason_of(error)


def _kind_and_reason(error: BaseException) -> str:
    kind, reason = type(error).__name__, reason_of(error)
    return kind if reason == kind else f"{kind}: {reason}"
