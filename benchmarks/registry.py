"""The benchmarks, by name: each a module of its own, imported only when it runs."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from benchmarks.results import Comparison, Counts

__all__ = ["BENCHMARKS", "Settings", "run_benchmark", "summary_of"]

BENCHMARKS = (
    "append_one_row",
    "concurrent_appends",
    "concurrent_appends_on_s3",
    "concurrent_deletes",
    "late_commits",
    "scan_large_table",
    "open_many_commits",
    "plan_million_files",
    "write_checkpoint",
    "open_wide_table",
    "open_without_checkpoint",
    "scan_deleted_rows",
    "sql_queries",
    "tpch_queries",
    "first_queries",
    "sql_memory",
    "repartition",
    "sort_records",
    "files_touched",
    "import_time",
    "append_memory",
    "s3_requests",
)
"""Modules of this package with a docstring and ``measure(settings) -> tuple of tables``, in the report's order."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a benchmark runs.

    Attributes:
        folder: an empty folder of its own, removed afterwards.
        rounds: of every comparison.
        quick: small data, for a smoke run; its numbers mean nothing.
    """

    folder: Path
    rounds: int
    quick: bool

    @property
    def fresh_rounds(self) -> int:
        """Rounds of a comparison whose every call is a new process: those of a smoke run are few, imports take a second."""
        return self.scaled(full=self.rounds, quick=1)

    def scaled(self, full: int, quick: int) -> int:
        """Return the size for this run."""
        return quick if self.quick else full


def run_benchmark(name: str, settings: Settings) -> tuple[Comparison | Counts, ...]:
    """Run one benchmark by its name in `BENCHMARKS`."""
    tables: tuple[Comparison | Counts, ...] = _module(name).measure(settings)
    return tables


def summary_of(name: str) -> str:
    """Return the whole docstring of a benchmark's module: what is measured and how, for the report."""
    return (_module(name).__doc__ or "").strip()


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"benchmarks.{name}")
