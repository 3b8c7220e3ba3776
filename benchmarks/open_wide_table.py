"""Opening a table of 300,000 data files with statistics on 100 columns, and planning a query that names one of them.

delta-rs wrote the checkpoint: 3 KB of JSON text a file. Each run is a new process, its time starts after the imports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.fresh_process import FreshJob, added_memory
from benchmarks.planners import plan_with_delta_rs, plan_with_lakefmt
from benchmarks.results import Bar, Comparison, Counts, compare
from benchmarks.synthetic_logs import ROWS_PER_FILE, write_wide_log

if TYPE_CHECKING:
    from benchmarks.registry import Settings

__all__ = ["measure"]


def measure(settings: Settings) -> tuple[Comparison | Counts, ...]:
    """Compare time and added memory with delta-rs's."""
    files = settings.scaled(full=300_000, quick=500)
    path = settings.folder / "wide"
    write_wide_log(path, files)
    arguments = (str(path), f"c00 = {files // 3 * ROWS_PER_FILE + 7}")
    jobs = [
        FreshJob("lakefmt", plan_with_lakefmt, arguments, "subject"),
        FreshJob("delta-rs", plan_with_delta_rs, arguments),
    ]
    title = f"Open and plan, {files:,} files, 100 columns"
    comparison = compare(
        title,
        [job.contender() for job in jobs],
        bar=Bar(ratio=0.5),
        rounds=settings.fresh_rounds,
        warm_up_rounds=1,
    )
    return comparison, added_memory(f"{title}: memory", jobs, most_ratio=0.5)
