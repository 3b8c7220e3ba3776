"""How much memory a query takes: while it runs, and with what it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lakefmt.engine.memory import parse_memory_limit, parse_result_limit

__all__ = ["MemoryLimits"]

# DuckDB counts nearly all that a query holds, whose rows leave as a stream. The rest is files decoded, and batches.
_DUCKDB_SHARE: Final = 0.8


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """The limits of a query, in bytes.

    Attributes:
        memory_bytes: of a run.
        result_bytes: of a result that is held in memory; a larger one is mapped from a file.
    """

    memory_bytes: int
    result_bytes: int

    @classmethod
    def parse(cls, memory_limit: str | float | None, result_memory_limit: str | float | None) -> MemoryLimits:
        """Return the limits that a user wrote. Raises InvalidInputError: one is no amount of memory."""
        memory_bytes = parse_memory_limit(memory_limit)
        return cls(memory_bytes, parse_result_limit(result_memory_limit, memory_bytes))

    @property
    def duckdb_bytes(self) -> int:
        """What of a run DuckDB counts."""
        return int(self.memory_bytes * _DUCKDB_SHARE)
