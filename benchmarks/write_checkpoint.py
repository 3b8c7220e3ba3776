"""Checkpoints of tables of 100,000 and of 1,000,000 data files, by a process that holds the table's newest version.

The tables are logs of trips, as for planning; neither library syncs to disk. The classic checkpoint is of a table with
statistics as JSON text, from delta-rs's checkpoint and one commit, and the same with typed statistics, which delta-rs does
not write. For the V2 checkpoint one file of 1,000,000 has been replaced since the last one: lakefmt writes the sidecars
that list it, delta-rs the whole, in one file. "cold": the first checkpoint of a process that has just opened the table.
Every run is a new process on its own copy of the log; its time starts after imports and opening.
"""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.fresh_process import FreshJob, added_memory
from benchmarks.results import Bar, Comparison, Counts, compare
from benchmarks.synthetic_logs import (
    write_replacement,
    write_trips_log,
    write_trips_log_with_typed_statistics,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import lakefmt
    from benchmarks.registry import Settings

__all__ = ["measure"]


def measure(settings: Settings) -> tuple[Comparison | Counts, ...]:
    """Compare time and added memory with delta-rs's."""
    many = settings.scaled(full=1_000_000, quick=1_000)
    few = settings.scaled(full=100_000, quick=500)
    names = ("few", "typed", "many", "v2")
    text, typed, many_text, v2 = (settings.folder / name for name in names)
    write_trips_log(text, few)
    write_trips_log_with_typed_statistics(typed, few)
    write_trips_log(many_text, many)
    write_trips_log_with_typed_statistics(v2, many, "v2")
    classic = [
        FreshJob("lakefmt", checkpoint_with_lakefmt, (str(text),), "subject"),
        FreshJob("delta-rs", checkpoint_with_delta_rs, (str(text),)),
        FreshJob("lakefmt, typed statistics too", checkpoint_with_lakefmt, (str(typed),), "shown"),
    ]
    changed = [
        FreshJob("lakefmt", checkpoint_again_with_lakefmt, (str(v2),), "subject"),
        FreshJob("delta-rs", checkpoint_with_delta_rs, (str(many_text),)),
        FreshJob("lakefmt, cold", checkpoint_with_lakefmt, (str(v2),), "shown"),
    ]
    first, second = f"Classic checkpoint of {few:,} files", f"V2 checkpoint after 1 changed file of {many:,}"
    judge = partial(compare, rounds=settings.fresh_rounds, warm_up_rounds=1)
    return (
        judge(first, [job.contender() for job in classic], bar=Bar(ratio=0.7)),
        added_memory(f"{first}: memory", classic),
        judge(second, [job.contender() for job in changed], bar=Bar(ratio=0.05)),
        added_memory(f"{second}: memory", changed, most_mb=300),
    )


def checkpoint_with_lakefmt(path: str) -> Callable[[], bool]:
    """Write a checkpoint of a table in which a file has just been replaced; the answer is that it is there."""
    import lakefmt

    copy = _copy(path)
    _replace_file(copy)
    table = lakefmt.open(copy, storage_options={"fsync": False})
    _import_all(copy)
    return lambda: _checkpoint(table)


def checkpoint_again_with_lakefmt(path: str) -> Callable[[], bool]:
    """The same by a process that has written the last checkpoint, too."""
    import lakefmt

    copy = _copy(path)
    _replace_file(copy)
    table = lakefmt.open(copy, storage_options={"fsync": False})
    _checkpoint(table)
    _replace_file(copy)
    table.refresh()
    return lambda: _checkpoint(table)


def checkpoint_with_delta_rs(path: str) -> Callable[[], bool]:
    """The same with delta-rs, whose handle has loaded the table."""
    from deltalake import DeltaTable

    copy = _copy(path)
    _replace_file(copy)
    table = DeltaTable(str(copy))

    def checkpoint() -> bool:
        table.create_checkpoint()
        return (copy / "_delta_log" / f"{table.version():020}.checkpoint.parquet").exists()

    return checkpoint


def _checkpoint(table: lakefmt.Table) -> bool:
    return table.checkpoint().version == table.version


def _copy(path: str) -> Path:
    """Return a copy of a table beside it; it is removed with the benchmark's folder."""
    folder = Path(tempfile.mkdtemp(prefix=f"{Path(path).name}-", dir=Path(path).parent))
    return shutil.copytree(path, folder / "table")


def _replace_file(path: Path) -> None:
    newest = max(int(file.stem) for file in (path / "_delta_log").glob("*.json") if file.stem.isdigit())
    write_replacement(path, newest + 1)


def _import_all(beside: Path) -> None:
    """Write a checkpoint of a table of no files, so that what it takes is imported, nothing of the other table read."""
    import lakefmt

    small = lakefmt.create(beside.parent / "small", {"x": "long"}, storage_options={"fsync": False})
    small.checkpoint()
    small.close()
