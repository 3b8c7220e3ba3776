"""Footers that contradict themselves, in the place of each Parquet file of a table: ``python -m tests.soak.fuzz_footers FIRST COUNT``.

A process of its own, as pyarrow and DuckDB are C++, and what they do not catch ends the process. The seed that is tried
is written before it is, so that the last line names it. Whatever is no error of lakefmt's ends the run, and so does memory far
beyond what a table of this size takes.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

import lakefmt
from benchmarks.memory import forget_peak, peak_mb, resident_mb
from lakefmt.engine import read as engine_read
from lakefmt.testing.parquet_footer import mutate_footer, rewrite_footer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_MB = 500
ROWS = pa.table(
    {
        "id": pa.array(range(200), pa.int64()),
        "day": pa.array([number // 50 for number in range(200)], pa.date32()),
        "at": pa.array([number * 10**9 for number in range(200)], pa.timestamp("us", tz="UTC")),
        "ratio": [None if number % 9 == 0 else number / 7 for number in range(200)],
        "text": [f"text {number % 11}" for number in range(200)],
        "price": pa.array(range(200), pa.decimal128(9, 0)),
        "nested": [{"x": number, "list": [number] * (number % 3)} for number in range(200)],
    }
)
LAYOUTS: tuple[dict[str, Any], ...] = (
    {"row_group_size": 50},
    {"row_group_size": 100, "use_dictionary": False, "write_page_index": True, "compression": "none"},
    {
        "data_page_version": "2.0",
        "store_schema": False,
        "store_decimal_as_integer": True,
        "compression": "zstd",
    },
)
WHERES = (
    "id = 77",
    "nested.x > 150 AND text = 'text 3'",
    "price < 5",
    "ratio > 20",
    "day = DATE '1970-01-02'",
)


def write_tables(folder: Path) -> list[tuple[Path, Path]]:
    """Write tables of a few files; return pairs of a table and a Parquet file of it."""
    found: list[tuple[Path, Path]] = []
    for name, policy in (("classic", "classic"), ("v2", "v2")):
        path = folder / name
        table = lakefmt.create(
            path, ROWS.schema, partition_by=["day"], properties={"delta.checkpointPolicy": policy}
        )
        for start in range(0, 200, 40):
            table.append(ROWS.slice(start, 40))
        table.checkpoint()
        for commit in (path / "_delta_log").glob("*.json"):
            if commit.name.count(".") == 1:
                commit.unlink()
        # A commit after it, so that there is something to replay.
        table.append(ROWS.slice(0, 10))
        found += [(path, file) for file in sorted((path / "_delta_log").rglob("*.parquet"))]
    path = folder / "data"
    table = lakefmt.write(path, ROWS)
    (file,) = path.glob("*.parquet")
    found.append((path, file))
    for number, layout in enumerate(LAYOUTS):
        path = folder / f"layout-{number}"
        shutil.copytree(folder / "data", path)
        (other,) = path.glob("*.parquet")
        pq.write_table(ROWS, other, **layout)
        found.append((path, other))
    return found


def uses(path: Path, file: Path) -> Iterator[Callable[[], Any]]:
    """Yield all that makes something of footers."""
    yield lambda: lakefmt.open(path).count()
    yield lambda: lakefmt.open(path).files()
    yield lambda: lakefmt.open(path).head(3)
    for where in WHERES:
        yield lambda where=where: lakefmt.open(path).scan(where=where).to_arrow()
    yield lambda: lakefmt.sql("SELECT count(*), min(id) FROM t WHERE id > 7", tables={"t": path}).to_arrow()
    yield lambda: lakefmt.open(path).to_arrow()
    yield lambda: lakefmt.open(path).checkpoint()
    yield lambda: lakefmt.write(path.parent / f"{path.name}-copy", str(file), mode="overwrite")


def try_seed(seed: int, tables: list[tuple[Path, Path]], folder: Path) -> collections.Counter[str]:
    """Damage one footer and read the table in every way; return what came of it, how often."""
    draw = random.Random(seed)
    table, file = draw.choice(tables)
    engine_read._DUCKDB_ROWS = draw.choice((1, 10**9))  # type: ignore[attr-defined]
    sys.stdout.write(f"seed {seed}: {table.name} {tables.index((table, file))}\n")
    sys.stdout.flush()
    path = folder / str(seed)
    shutil.copytree(table, path, copy_function=os.link)
    target = path / file.relative_to(table)
    data = target.read_bytes()
    target.unlink()
    target.write_bytes(data)
    rewrite_footer(target, lambda footer: mutate_footer(footer, draw))
    outcomes: collections.Counter[str] = collections.Counter()
    before = resident_mb()
    forget_peak()
    for use in uses(path, target):
        try:
            use()
            outcomes["rows"] += 1
        except lakefmt.LakefmtError as error:
            outcomes[type(error).__name__] += 1
    if peak_mb() - before > MOST_MB:
        raise MemoryError(f"{peak_mb() - before:.0f} MB for a table of a few kilobytes")
    for each in (path, folder / f"{seed}-copy"):
        shutil.rmtree(each, ignore_errors=True)
    return outcomes


def main(first: int, count: int) -> None:
    logging.disable()
    outcomes: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as name, contextlib.suppress(KeyboardInterrupt):
        folder = Path(name)
        tables = write_tables(folder)
        for seed in range(first, first + count):
            outcomes += try_seed(seed, tables, folder)
    sys.stdout.write(f"{dict(outcomes)}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
