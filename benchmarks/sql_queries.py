"""SQL over lakefmt tables against DuckDB on the very Parquet files.

Both run the same text in one process that stays open, DuckDB 1.5 over views of `read_parquet`, its metadata cached. The small query is an aggregate over ten small files: what is more than DuckDB's time is planning. Planning alone is all that is done
before DuckDB is given the text, of ten thousand files, none of which can be left out; queries before it went over the same files, and their connection is used again (the first one over a list of files hands it to DuckDB, which took
12.6 ms in all before connections were kept). Point filters are of a thousand files laid out by the column that is asked for; there DuckDB's own
`read_parquet` of all files and its delta extension are the peers. Handles stay open; a query is parsed and checked anew each time.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from benchmarks.bare_files import connect_to_files, data_files
from benchmarks.planners import connect_duckdb_with_delta
from benchmarks.results import Bar, Comparison, compare
from benchmarks.rounds import Contender, Role, Run
from benchmarks.scan_deleted_rows import delete_tenth, write_trips

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.registry import Settings
    from lakefmt import Table

__all__ = ["measure", "numbers", "write_copies", "write_files"]


def measure(settings: Settings) -> tuple[Comparison, ...]:
    """Compare each kind of query with its peers."""
    return (
        _small(settings),
        _planning(settings),
        *_points(settings),
        _deleted(settings),
    )


def _small(settings: Settings) -> Comparison:
    calls = settings.scaled(full=20, quick=1)
    table = write_files(settings.folder / "small", numbers(10_000), 10)
    plain = connect_to_files({"t": data_files(table)})
    text = "SELECT city, sum(x) AS total FROM t GROUP BY city ORDER BY city"

    def with_lakefmt() -> pa.Table:
        import lakefmt

        return lakefmt.sql(text, {"t": table}).to_arrow()

    return compare(
        "A small query of ten small files, warm",
        [
            _contender("lakefmt", with_lakefmt, _rows, "subject"),
            _contender("DuckDB, the same files", lambda: plain.sql(text).to_arrow_table(), _rows),
        ],
        bar=Bar(ratio=1.2, allowance_ms=2 * calls),
        rounds=settings.rounds,
        calls_per_round=calls,
    )


def _planning(settings: Settings) -> Comparison:
    """Planning alone beside doing nothing: the difference is what a query pays."""
    files = settings.scaled(full=10_000, quick=100)
    table = write_copies(settings.folder / "many", files)

    def plan() -> int:
        import lakefmt

        query = lakefmt.sql("SELECT city, sum(x) AS total FROM t WHERE id >= 0 GROUP BY city", {"t": table})
        session = query._open()  # noqa: SLF001 - what a run does before it gives DuckDB the text
        session.close()
        return 0

    plan()  # footers are known, as in the second query of a process
    return compare(
        f"Planning a query of {files:,} files",
        [_contender("lakefmt", plan, lambda _: 0, "subject"), _contender("nothing", lambda: 0, lambda _: 0)],
        bar=Bar(difference_ms=10),
        rounds=settings.rounds,
    )


def _points(settings: Settings) -> tuple[Comparison, ...]:
    files = settings.scaled(full=1_000, quick=20)
    table = write_files(settings.folder / "points", numbers(files * 2_000), files)
    place = table.uri.removeprefix("file://")
    plain, delta = connect_to_files({"t": data_files(table)}), connect_duckdb_with_delta()
    delta.execute(f"CREATE VIEW t AS FROM delta_scan('{place}')")
    last = files * 2_000 - 1
    texts = {
        "One row": f"SELECT id, x, city FROM t WHERE id = {last // 3}",
        "1 % of the rows": f"SELECT id, x, city FROM t WHERE id BETWEEN {last // 3} AND {last // 3 + files * 20}",
    }

    def comparison(what: str, text: str) -> Comparison:
        def with_lakefmt() -> pa.Table:
            import lakefmt

            return lakefmt.sql(text, {"t": table}).to_arrow()

        return compare(
            f"{what} of {files:,} files",
            [
                _contender("lakefmt", with_lakefmt, _rows, "subject"),
                _contender("DuckDB read_parquet, all files", lambda: plain.sql(text).to_arrow_table(), _rows),
                _contender("DuckDB delta extension", lambda: delta.sql(text).to_arrow_table(), _rows),
            ],
            bar=Bar(ratio=0.5),
            rounds=settings.rounds,
        )

    return tuple(comparison(what, text) for what, text in texts.items())


def _deleted(settings: Settings) -> Comparison:
    """A two-column aggregate beside the same on the files without vectors, which have a ninth more rows."""
    import os

    import lakefmt

    rows = settings.scaled(full=10_000_000, quick=200_000)
    whole, with_vectors = settings.folder / "whole", settings.folder / "vectors"
    write_trips(whole, rows)
    shutil.copytree(whole, with_vectors, copy_function=os.link)
    delete_tenth(with_vectors)
    tables = {"whole": lakefmt.open(whole), "vectors": lakefmt.open(with_vectors)}
    text = "SELECT city, sum(fare) AS total FROM {} GROUP BY city"

    def run(name: str) -> Callable[[], pa.Table]:
        return lambda: lakefmt.sql(text.format(name), tables).to_arrow()

    return compare(
        f"Two columns of {rows:,} rows aggregated, a tenth deleted by vectors",
        [
            _contender("lakefmt", run("vectors"), lambda found: found.num_rows, "subject"),
            _contender("lakefmt, no row deleted", run("whole"), lambda found: found.num_rows),
        ],
        bar=Bar(ratio=2.5),
        rounds=settings.rounds,
    )


def _contender(
    name: str, call: Callable[[], Any], answer: Callable[[Any], object], role: Role = "peer"
) -> Contender:
    run = Run(call=call, answer=answer)
    return Contender(name, lambda: run, role)


def _rows(found: pa.Table) -> object:
    return sorted(map(repr, found.to_pylist()))


def numbers(rows: int) -> pa.Table:
    return pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "x": pa.array([number % 1000 / 8 for number in range(rows)]),
            "city": pa.array([f"city {number % 7}" for number in range(rows)]),
        }
    )


def write_files(folder: Path, rows: pa.Table, files: int) -> Table:
    """Write a table of so many files; a checkpoint is left to the log's own rules."""
    import lakefmt

    table = lakefmt.create(folder, rows.schema, storage_options={"fsync": False})
    size = -(-max(rows.num_rows, 1) // files)
    for start in range(0, max(rows.num_rows, 1), size):
        table.append(rows.slice(start, size))
    return lakefmt.open(folder)


def write_copies(folder: Path, files: int) -> Table:
    """Write a table of many files by linking one: what is measured opens none of them."""
    import os

    import lakefmt

    table = write_files(folder, numbers(100), 1)
    (path,) = table.files()["log_path"].to_pylist()
    log = folder / "_delta_log"
    actions = [json.loads(line) for line in (log / f"{1:020}.json").read_text().splitlines()]
    (add,) = [action["add"] for action in actions if "add" in action]
    lines = []
    for number in range(files - 1):
        os.link(folder / path, folder / f"part-{number}.parquet")
        lines.append(json.dumps({"add": add | {"path": f"part-{number}.parquet"}}))
    (log / f"{2:020}.json").write_text("\n".join(lines))
    return lakefmt.open(folder)
