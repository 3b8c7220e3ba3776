"""What a task's error is to whoever waits for the task."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from lakefmt.errors import LakefmtError, OutOfMemoryError

if TYPE_CHECKING:
    from lakefmt.engine.tasks.task import Task

__all__ = ["explain_failure", "name_task", "sentence"]


def explain_failure(error: Exception, task: Task[Any]) -> OutOfMemoryError | None:
    """Name the task in a note of its error, and return what is to be raised instead: an OutOfMemoryError, or None.

    Memory may have run out in Python, Arrow or DuckDB.
    """
    name = str(task)
    name_task(error, name)
    if isinstance(error, LakefmtError) or not _is_of_memory(error):
        return None
    reason = str(error).partition("\n")[0].rstrip(". ") or type(error).__name__
    found = OutOfMemoryError(
        f"{sentence(name)} ran out of memory: {reason}",
        hint="Give it more memory (memory_limit), or make the pieces of work smaller",
    )
    name_task(found, name)
    return found


def name_task(error: BaseException, name: str) -> None:
    """Say in a note of an error, once, in which task it was raised."""
    note = f"In {name}"
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)


def sentence(name: str) -> str:
    """Return the name of a task as a message begins with it."""
    return name[:1].upper() + name[1:]


def _is_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError):  # pyarrow's is one, too
        return True
    duckdb = sys.modules.get("duckdb")
    if duckdb is None:
        return False
    # A stream of DuckDB's through Arrow has lost the kind, and begins with its name.
    return isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory Error" in str(error)
