"""Appends of one row to a table with a long history, through one open handle: after 5,000 commits against after 100.

A checkpoint is written every 10 commits, by lakefmt in the background and by delta-rs in line. A round's time is the
sum of 20 appends, so that two checkpoints are among them. The long history is lakefmt's for both libraries: what is
measured is what the next commit costs then. Nobody syncs to disk.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from benchmarks.generated_data import EVENT_SCHEMA, event
from benchmarks.results import Bar, Comparison, compare
from benchmarks.rounds import Contender, Role, Run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pyarrow as pa

    from benchmarks.registry import Settings

__all__ = ["measure"]

APPENDS = 20
PROPERTIES = {"delta.checkpointInterval": "10"}


def measure(settings: Settings) -> tuple[Comparison, ...]:
    """Compare late commits with early ones, and with delta-rs's late ones."""
    late, early = settings.scaled(full=5000, quick=60), settings.scaled(full=100, quick=20)
    numbers = itertools.count(late)
    grown = _grow(settings.folder / "late", late)
    _grow(settings.folder / "late-delta-rs", late)
    theirs = _open_delta_rs(settings.folder / "late-delta-rs")

    def start_early() -> Run:
        path = settings.folder / f"early-{next(numbers)}"
        return run(_grow(path, early))

    def run(append: Callable[[pa.Table], Any]) -> Run:
        return Run(call=lambda: append(event(next(numbers))), answer=lambda _: "appended")

    def contender(name: str, start: Callable[[], Run], role: Role) -> Contender:
        return Contender(name, start, role)

    subject = contender(f"lakefmt, after {late:,} commits", lambda: run(grown), "subject")
    return (
        compare(
            f"{APPENDS} appends after {late:,} commits, against after {early}",
            [subject, contender(f"lakefmt, after {early} commits", start_early, "peer")],
            bar=Bar(ratio=1.2),
            rounds=settings.rounds,
            calls_per_round=APPENDS,
        ),
        compare(
            f"{APPENDS} appends after {late:,} commits, against delta-rs",
            [subject, contender(f"delta-rs, after {late:,} commits", lambda: run(theirs), "peer")],
            bar=Bar(ratio=0.1),
            rounds=settings.rounds,
            calls_per_round=APPENDS,
        ),
    )


def _grow(path: Path, commits: int) -> Callable[[pa.Table], Any]:
    import lakefmt

    table = lakefmt.create(str(path), EVENT_SCHEMA, properties=PROPERTIES, storage_options={"fsync": False})
    for number in range(commits):
        table.append(event(number))
    table.close()
    return table.append


def _open_delta_rs(path: Path) -> Callable[[pa.Table], Any]:
    from deltalake import DeltaTable, write_deltalake

    table = DeltaTable(str(path))
    return lambda rows: write_deltalake(table, rows, mode="append")
