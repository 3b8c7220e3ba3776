"""What `import lakefmt` costs over `import pyarrow`, each in a process of its own, from its start to its end.

The interpreter's own start and end are in both times and cancel in the difference. lakefmt loads its parts when they
are first named, so a bare import says little: what naming `Table` and `open` loads is measured and held to the same.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.results import Bar, Comparison, compare
from benchmarks.rounds import Contender, Role, Run

if TYPE_CHECKING:
    from benchmarks.registry import Settings

__all__ = ["measure"]

ROOT = Path(__file__).parents[1]


def measure(settings: Settings) -> tuple[Comparison, ...]:
    """Compare the bare import and the first use with pyarrow's import; the other libraries' are shown."""
    others = [_contender(f"import {module}", role="shown") for module in ("deltalake", "duckdb", "polars")]
    pyarrow = _contender("import pyarrow")
    bar = Bar(difference_ms=150)
    return (
        compare(
            "Import in a fresh process",
            [_contender("import lakefmt", role="subject"), pyarrow, *others],
            bar=bar,
            rounds=settings.rounds * 2,
        ),
        compare(
            "Import of what the first call needs",
            [_contender("from lakefmt import Table, open", role="subject"), pyarrow],
            bar=bar,
            rounds=settings.rounds * 2,
        ),
    )


def _contender(statement: str, role: Role = "peer") -> Contender:
    call = partial(subprocess.run, [sys.executable, "-c", statement], check=True, cwd=ROOT)
    return Contender(statement, lambda: Run(call, answer=lambda done: done.returncode), role)
