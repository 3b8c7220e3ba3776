"""Opening a table of 1,000,000 data files and planning a query of one row, in a new process each time.

The table is a log only (1,000 days of 1,000 files, partitioned by day, statistics on six columns), but for the one file
that the query reads. Times start after the imports and include opening; the checkpoint is in the page cache. Two
checkpoints hold the same files: delta-rs's, one row group with statistics as JSON text, and one as lakefmt is to write it,
with typed statistics too, in partition order and row groups of 10,000. DuckDB has no way to plan alone: it counts
the rows of a file of 1,000 as well. `refresh()` is that of a handle whose files are known, with one new commit of one file.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from benchmarks.fresh_process import FreshJob, added_memory
from benchmarks.planners import (
    list_files_with_delta_rs,
    list_files_with_lakefmt,
    plan_with_delta_rs,
    plan_with_duckdb,
    plan_with_lakefmt,
)
from benchmarks.results import Bar, Comparison, Counts, compare, compare_with_each
from benchmarks.rounds import Contender, Run
from benchmarks.synthetic_logs import (
    ROWS_PER_FILE,
    write_next_commit,
    write_trip_file,
    write_trips_log,
    write_trips_log_with_typed_statistics,
)

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.registry import Settings

__all__ = ["measure"]


def measure(settings: Settings) -> tuple[Comparison | Counts, ...]:
    """Compare planning on both checkpoints, the whole list of files, and `refresh()`."""
    files = settings.scaled(full=1_000_000, quick=2_000)
    with_text, classic, v2 = (settings.folder / name for name in ("text", "classic", "v2"))
    write_trips_log(with_text, files)
    write_trips_log_with_typed_statistics(classic, files)
    write_trips_log_with_typed_statistics(v2, files, "v2")
    wanted = files * 3 // 4
    for path in (with_text, classic, v2):
        write_trip_file(path, wanted)
    where = f"id = {wanted * ROWS_PER_FILE + 7}"
    return (
        *_plan_with_text(with_text, where, settings),
        *_plan_with_types("our classic checkpoint", classic, where, settings, most_ms=300),
        *_plan_with_types("our V2 checkpoint", v2, where, settings, most_ms=100),
        *_list_files(with_text, settings),
        # Last, as it adds commits.
        _refresh(with_text, settings),
    )


def _plan_with_text(path: Path, where: str, settings: Settings) -> tuple[Comparison | Counts, ...]:
    arguments = (str(path), where)
    jobs = [
        FreshJob("lakefmt", plan_with_lakefmt, arguments, "subject"),
        FreshJob("delta-rs", plan_with_delta_rs, arguments),
        FreshJob("DuckDB delta extension", plan_with_duckdb, arguments),
    ]
    title = "Open and plan one row, delta-rs's checkpoint"
    comparisons = compare_with_each(
        title,
        [job.contender() for job in jobs],
        bars={"delta-rs": Bar(ratio=0.2), "DuckDB delta extension": Bar(ratio=0.06)},
        rounds=settings.fresh_rounds,
        warm_up_rounds=1,
    )
    return (*comparisons, added_memory(f"{title}: memory", jobs))


def _plan_with_types(
    name: str, path: Path, where: str, settings: Settings, *, most_ms: float
) -> tuple[Comparison | Counts, ...]:
    arguments = (str(path), where)
    jobs = [
        FreshJob("lakefmt", plan_with_lakefmt, arguments, "subject"),
        FreshJob("DuckDB delta extension", plan_with_duckdb, arguments),
    ]
    title = f"Open and plan one row, {name}"
    comparison = compare(
        title,
        [job.contender() for job in jobs],
        bar=Bar(median_ms=most_ms),
        rounds=settings.fresh_rounds,
        warm_up_rounds=1,
    )
    return comparison, added_memory(f"{title}: memory", jobs, most_mb=150)


def _list_files(path: Path, settings: Settings) -> tuple[Comparison | Counts, ...]:
    jobs = [
        FreshJob("lakefmt", list_files_with_lakefmt, (str(path),), "subject"),
        FreshJob("delta-rs", list_files_with_delta_rs, (str(path),)),
    ]
    title = "Open and list all files as Arrow, delta-rs's checkpoint"
    comparison = compare(
        title,
        [job.contender() for job in jobs],
        bar=Bar(ratio=0.4),
        rounds=settings.fresh_rounds,
        warm_up_rounds=1,
    )
    return comparison, added_memory(f"{title}: memory", jobs)


def _refresh(path: Path, settings: Settings) -> Comparison:
    from deltalake import DeltaTable

    import lakefmt

    versions = itertools.count(lakefmt.open(str(path)).version + 1)

    def open_lakefmt() -> lakefmt.Table:
        table = lakefmt.open(str(path))
        table.files()
        return table

    def start_lakefmt() -> Run:
        # The first contender to start writes the commit that all of them find.
        write_next_commit(path, next(versions))
        return Run(lambda: refreshed.refresh().version, answer=lambda version: version)

    def refresh_and_list() -> int:
        listed.refresh().files()
        return listed.version

    def start_delta_rs() -> Run:
        table = next(handles)
        return Run(table.update_incremental, answer=lambda _: table.version())

    refreshed, listed = open_lakefmt(), open_lakefmt()
    # One for itself and one for its second self: either finds a new commit in every round.
    handles = itertools.cycle([DeltaTable(str(path)), DeltaTable(str(path))])
    return compare(
        "refresh() with one new commit",
        [
            Contender("lakefmt", start_lakefmt, "subject"),
            Contender("delta-rs", start_delta_rs),
            Contender(
                "lakefmt, files listed again",
                lambda: Run(refresh_and_list, answer=lambda version: version),
                "shown",
            ),
        ],
        bar=Bar(median_ms=10),
        rounds=settings.rounds,
    )
