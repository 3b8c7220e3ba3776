"""What a write came to, for the user who called it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from typing import Any

__all__ = ["WriteResult", "count_of"]


def count_of(number: int, noun: str) -> str:
    """Return a number and its noun, in the plural where it is not one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class WriteResult:
    """The outcome of a write.

    Attributes:
        version: the version that it made; where nothing was committed, the newest one seen.
        operation: what was done: ``append``, ``overwrite``.
        num_rows: rows written.
        num_files: data files written.
        size_bytes: their bytes.
        num_removed_files: data files that are no longer part of the table.
        committed: False where there was nothing to commit: an append without rows, or a write with a ``txn`` that the
            table has already.
        notes: what the writer should know, such as empty strings that became NULL.
    """

    version: int
    operation: str
    num_rows: int = 0
    num_files: int = 0
    size_bytes: int = 0
    num_removed_files: int = 0
    committed: bool = True
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return asdict(self) | {"notes": list(self.notes)}

    def __repr__(self) -> str:
        if not self.committed:
            text = f"{self.operation}: nothing to commit, still version {self.version}"
            return "\n".join([text, *(f"  note: {note}" for note in self.notes)])
        removed = f", {count_of(self.num_removed_files, 'file')} removed" if self.num_removed_files else ""
        text = (
            f"{self.operation}: version {self.version}, {count_of(self.num_rows, 'row')} "
            f"in {count_of(self.num_files, 'file')} ({self.size_bytes:,} bytes){removed}"
        )
        return "\n".join([text, *(f"  note: {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"
