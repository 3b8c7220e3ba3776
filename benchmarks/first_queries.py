"""The first query of a process: small, imports included; and over many files whose footers nobody has read yet.

Each query runs in a process of its own. The small one is timed from the first import to the rows as an Arrow table: DuckDB connects and
reads the very files, lakefmt opens the table and runs the same text. Of the large one imports and opening are left out; its ten thousand
files are one, linked under as many names, so that what is timed is looking at footers and going through files, not reading rows.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.fresh_process import ROOT, FreshJob
from benchmarks.results import Bar, Comparison, compare
from benchmarks.rounds import Contender, Role, Run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.registry import Settings

__all__ = ["many_with_duckdb", "many_with_lakefmt", "measure"]

_SMALL = "SELECT city, sum(x) AS total FROM t GROUP BY city ORDER BY city"
_LAKEFMT = """
import lakefmt
rows = lakefmt.sql(text, {"t": lakefmt.open(place)}).to_arrow()
"""
_DUCKDB = """
import duckdb
connection = duckdb.connect()
connection.execute(f"CREATE VIEW t AS FROM read_parquet('{place}/*.parquet')")
rows = connection.sql(text).to_arrow_table()
"""
_MANY = "SELECT city, sum(x) AS total FROM t WHERE id >= 0 GROUP BY city ORDER BY city"


def measure(settings: Settings) -> tuple[Comparison, ...]:
    """Compare both with DuckDB on the same files."""
    from benchmarks.sql_queries import numbers, write_copies, write_files

    files = settings.scaled(full=10_000, quick=50)
    small, many = settings.folder / "small", settings.folder / "many"
    write_files(small, numbers(10_000), 10)
    write_copies(many, files)
    jobs = [
        FreshJob("lakefmt", many_with_lakefmt, (str(many),), "subject"),
        FreshJob("DuckDB, the same files", many_with_duckdb, (str(many),)),
    ]
    contenders = {
        "A small query of ten small files, imports included": (
            Bar(ratio=1.5),
            [
                _script("lakefmt", _LAKEFMT, small, "subject"),
                _script("DuckDB, the same files", _DUCKDB, small),
            ],
        ),
        f"The first query of {files:,} files": (Bar(ratio=2), [job.contender() for job in jobs]),
    }
    return tuple(
        compare(title, each, bar=bar, rounds=settings.fresh_rounds, warm_up_rounds=1)
        for title, (bar, each) in contenders.items()
    )


def many_with_lakefmt(place: str) -> Callable[[], object]:
    """Return what runs the large query on an open table."""
    import lakefmt

    table = lakefmt.open(place)
    return lambda: _plain(lakefmt.sql(_MANY, {"t": table}).to_arrow())


def many_with_duckdb(place: str) -> Callable[[], object]:
    """Return what runs the large query on a list of the files."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET GLOBAL parquet_metadata_cache = true")
    paths = [path for (path,) in connection.execute(f"FROM glob('{place}/*.parquet')").fetchall()]
    files = ", ".join(f"'{path}'" for path in paths)
    text = _MANY.replace("FROM t", f"FROM read_parquet([{files}])")
    return lambda: _plain(connection.sql(text).to_arrow_table())


def _script(name: str, code: str, place: Path, role: Role = "peer") -> Contender:
    """Return a contender that runs code in a process of its own and takes the time from its first line to its last."""
    text = "\n".join(
        (
            "import time; started = time.perf_counter()",
            f"place, text = {str(place)!r}, {_SMALL!r}",
            code,
            "seconds = time.perf_counter() - started",
            "import json; print(json.dumps([seconds, [list(row.values()) for row in rows.to_pylist()]]))",
        )
    )

    def call() -> Any:
        done = subprocess.run([sys.executable, "-c", text], check=True, cwd=ROOT, stdout=subprocess.PIPE)
        return json.loads(done.stdout)

    run = Run(call, answer=lambda found: found[1], seconds=lambda found: found[0])
    return Contender(name, lambda: run, role)


def _plain(rows: Any) -> object:
    """Return rows as what JSON can hold."""
    return [list(row.values()) for row in rows.to_pylist()]
