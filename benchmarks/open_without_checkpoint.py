"""Opening a table of 10,000 commits of one file each that has no checkpoint, and listing its files.

Each run is a new process, its time starts after the imports; the commits are in the page cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.fresh_process import FreshJob, added_memory
from benchmarks.planners import list_files_with_delta_rs, list_files_with_lakefmt
from benchmarks.results import Bar, Comparison, Counts, compare
from benchmarks.synthetic_logs import write_many_commits

if TYPE_CHECKING:
    from benchmarks.registry import Settings

__all__ = ["measure"]


def measure(settings: Settings) -> tuple[Comparison | Counts, ...]:
    """Compare with delta-rs; what either adds to its memory is shown."""
    commits = settings.scaled(full=10_000, quick=100)
    path = settings.folder / "commits"
    write_many_commits(path, commits)
    jobs = [
        FreshJob("lakefmt", list_files_with_lakefmt, (str(path),), "subject"),
        FreshJob("delta-rs", list_files_with_delta_rs, (str(path),)),
    ]
    title = f"Open {commits:,} commits without a checkpoint"
    comparison = compare(
        title,
        [job.contender() for job in jobs],
        bar=Bar(ratio=0.7),
        rounds=settings.fresh_rounds,
        warm_up_rounds=1,
    )
    return comparison, added_memory(f"{title}: memory", jobs)
