"""Opening a table of 2,000 commits of one file each: a checkpoint at the tenth from last, nine commits after it.

delta-rs wrote the table. Open means that the file list is there to be used: lakefmt counts the files as well; what
delta-rs needs to name its files after opening is shown beside it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.generated_data import EVENT_SCHEMA, event
from benchmarks.results import Bar, Comparison, compare
from benchmarks.rounds import Contender, Run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.registry import Settings

__all__ = ["measure"]

COMMITS_AFTER_CHECKPOINT = 9


def measure(settings: Settings) -> tuple[Comparison, ...]:
    """Compare opening at the newest version."""
    commits = settings.scaled(full=2000, quick=60)
    path = settings.folder / "events"
    _write_table(path, commits)

    def contender(
        name: str, opener: Callable[[Path], Any], count: Callable[[Any], tuple[int, int]], role: Any
    ) -> Contender:
        return Contender(name, lambda: Run(call=partial(opener, path), answer=count), role)

    return (
        compare(
            f"Open a table of {commits:,} commits",
            [
                contender("lakefmt, files counted", _open_lakefmt, lambda opened: opened, "subject"),
                contender(
                    "delta-rs",
                    _open_delta_rs,
                    lambda table: (table.version(), len(table.file_uris())),
                    "peer",
                ),
                contender("delta-rs, files named", _open_delta_rs_files, lambda opened: opened, "shown"),
            ],
            bar=Bar(ratio=1.0),
            rounds=settings.rounds * 3,
        ),
    )


def _write_table(path: Path, commits: int) -> None:
    from deltalake import DeltaTable, PostCommitHookProperties, write_deltalake

    # Version 0 creates the table, so that the newest version is the number of appends.
    no_hooks = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
    table = DeltaTable.create(str(path), EVENT_SCHEMA)
    for number in range(1, commits):
        write_deltalake(table, event(number), mode="append", post_commithook_properties=no_hooks)
        if number == commits - 1 - COMMITS_AFTER_CHECKPOINT:
            table.create_checkpoint()


def _open_lakefmt(path: Path) -> tuple[int, int]:
    import lakefmt

    table = lakefmt.open(str(path))
    return table.version, table.files().num_rows


def _open_delta_rs(path: Path) -> Any:
    from deltalake import DeltaTable

    return DeltaTable(str(path))


def _open_delta_rs_files(path: Path) -> tuple[int, int]:
    from deltalake import DeltaTable

    table = DeltaTable(str(path))
    return table.version(), len(table.file_uris())
