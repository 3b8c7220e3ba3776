"""The peak memory of a process that appends 4 GB of generated batches, far more than it may hold.

Each contender runs in a child of its own and takes the batches from a generator, 65,536 rows at a time, in one
append. The peak is the kernel's: resident pages of the child, its imports and the generator included.
"""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from benchmarks.answers import answer_of_files, check_same, live_files
from benchmarks.generated_data import TRIP_SCHEMA, trip_batches
from benchmarks.memory import peak_mb
from benchmarks.results import Counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.registry import Settings

__all__ = ["measure"]

LIMIT_MB = 1000
ROOT = Path(__file__).parents[1]


def measure(settings: Settings) -> tuple[Counts, ...]:
    """Measure lakefmt and delta-rs, one run each."""
    size_mb = settings.scaled(full=4000, quick=40)
    found = {name: _run_child(name, settings.folder / name, size_mb) for name in ("lakefmt", "delta-rs")}
    answers = {name: answer_of_files(live_files(settings.folder / name)) for name in found}
    check_same(answers)
    rows = answers["lakefmt"].rows
    return (
        Counts(
            title=f"One append of {size_mb:,} MB of batches ({rows:,} rows)",
            columns=("", "peak memory, MB", "before the append, MB", "seconds"),
            rows=tuple(
                (name, f"{peak:,.0f}", f"{before:,.0f}", f"{seconds:.1f}")
                for name, (peak, before, seconds) in found.items()
            ),
            bar=f"at most {LIMIT_MB:,} MB",
            verdict="met" if found["lakefmt"][0] <= LIMIT_MB else "missed",
        ),
    )


def _run_child(name: str, path: Path, size_mb: int) -> tuple[float, float, float]:
    """Return the child's peak and its memory before the append in MB, and the append's seconds."""
    command = [sys.executable, "-m", "benchmarks.append_memory", name, str(path), str(size_mb)]
    done = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    peak, before, seconds = map(float, done.stdout.split()[-3:])
    return peak, before, seconds


def _child(name: str, path: str, size_mb: int) -> None:
    """Append and print the three numbers; runs in the child."""

    def batches() -> Iterator[pa.RecordBatch]:
        left_bytes = size_mb * 1_000_000
        for batch in trip_batches(0, sys.maxsize):
            if left_bytes <= 0:
                return
            left_bytes -= batch.nbytes
            yield batch

    reader = pa.RecordBatchReader.from_batches(TRIP_SCHEMA, batches())
    if name == "lakefmt":
        import lakefmt

        append: Callable[..., Any] = lakefmt.create(path, TRIP_SCHEMA).append
    else:
        from deltalake import DeltaTable, write_deltalake

        append = partial(write_deltalake, DeltaTable.create(path, TRIP_SCHEMA), mode="append")
    before = peak_mb()
    started = time.perf_counter()
    append(reader)
    print(peak_mb(), before, time.perf_counter() - started)


if __name__ == "__main__":
    _child(sys.argv[1], sys.argv[2], int(sys.argv[3]))
