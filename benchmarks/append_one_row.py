"""Appends of one row of six columns through one open handle, 200 in a round, each contender to a fresh table.

The contenders take turns call by call; a round's time is the sum of its 200 appends, so that a checkpoint or a slow
one among them counts. delta-rs syncs nothing to disk: lakefmt is measured with its default, which does, and with
`fsync` off. The floor is what Python pays with no table format at all: a Parquet file, a line of JSON, a link.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.answers import answer_of_files, live_files
from benchmarks.generated_data import EVENT_SCHEMA, event
from benchmarks.results import Bar, Comparison, compare
from benchmarks.rounds import Contender, Role, Run

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.registry import Settings

__all__ = ["measure"]

Append = Callable[[pa.Table], Any]


def measure(settings: Settings) -> tuple[Comparison, ...]:
    """Compare lakefmt without and with fsync, each with delta-rs."""
    appends = settings.scaled(full=200, quick=10)
    events = [event(number) for number in range(appends)]

    numbers = itertools.count()

    def contender(name: str, opener: Callable[[Path], Append], role: Role = "peer") -> Contender:
        def start() -> Run:
            path = settings.folder / f"table-{next(numbers)}"
            append, rows = opener(path), iter(events)
            return Run(call=lambda: append(next(rows)), answer=lambda _: answer_of_files(live_files(path)))

        return Contender(name, start, role)

    def against_delta_rs(title: str, opener: Callable[[Path], Append], bar: Bar) -> Comparison:
        return compare(
            f"{appends} appends of one row, {title}",
            [
                contender(f"lakefmt, {title}", opener, role="subject"),
                contender("delta-rs", _open_delta_rs),
                contender("floor: Parquet + JSON + link", _open_floor, role="shown"),
            ],
            bar=bar,
            rounds=settings.rounds,
            calls_per_round=appends,
        )

    return (
        against_delta_rs("fsync off", _open_lakefmt_unsynced, Bar(ratio=0.15)),
        against_delta_rs("fsync on", _open_lakefmt, Bar(ratio=0.35)),
    )


def _open_lakefmt(path: Path, **storage_options: Any) -> Append:
    import lakefmt

    return lakefmt.create(str(path), EVENT_SCHEMA, storage_options=storage_options or None).append


def _open_lakefmt_unsynced(path: Path) -> Append:
    return _open_lakefmt(path, fsync=False)


def _open_delta_rs(path: Path) -> Append:
    from deltalake import DeltaTable, write_deltalake

    # An open handle is the quickest way there is: it advances with each write, nothing is loaded again.
    table = DeltaTable.create(str(path), EVENT_SCHEMA)
    return lambda rows: write_deltalake(table, rows, mode="append")


def _open_floor(path: Path) -> Append:
    path.mkdir()
    numbers = itertools.count()

    def append(rows: pa.Table) -> None:
        number = next(numbers)
        data = path / f"{number}.parquet"
        pq.write_table(rows, data)
        temporary = path / "commit.tmp"
        temporary.write_text(json.dumps({"add": {"path": data.name, "size": data.stat().st_size}}))
        os.link(temporary, path / f"{number}.json")
        temporary.unlink()

    return append
