"""Tables to damage, and what reading a damaged one may do."""

from __future__ import annotations

import json
import os
import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings

import lakefmt
from benchmarks.memory import forget_peak, peak_mb, resident_mb
from lakefmt.testing.deletion_vectors import delete_positions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CORPUS = Path(__file__).parents[3] / "shared" / "corpora" / "delta"

SOAK = int(os.environ.get("LAKEFMT_SOAK", "0"))
"""How many times the examples of a quick run a soak takes; 0 for the quick run, which always takes the same ones."""

settings.register_profile(
    "fuzz",
    max_examples=25 * max(SOAK, 1),
    derandomize=not SOAK,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)

MOST_MB = 500  # that reading a table of a few kilobytes may add, whatever its log says


@pytest.fixture(scope="session")
def seed_tables(tmp_path_factory) -> list[Path]:
    """Small tables: our own, and the small ones of other writers where the corpus is beside the checkout."""
    return [write_own_table(tmp_path_factory.mktemp("seeds") / "own"), *small_tables_of_the_corpus()]


def write_own_table(path: Path) -> Path:
    """Write a table with partitions, nested columns, a checkpoint of delta-rs's, a commit after it, rows deleted by a vector."""
    from deltalake import DeltaTable

    rows = pa.table(
        {
            "id": pa.array([1, 2, 3, 4], pa.int64()),
            "day": pa.array([1, 1, 2, None], pa.date32()),
            "name": ["ä", "b c", "", None],
            "at": pa.array([0, 1, None, 3], pa.timestamp("us", tz="UTC")),
            "price": pa.array([1, 2, 3, None], pa.decimal128(9, 2)),
            "nested": [{"x": 1.5, "list": [1, 2]}, None, {"x": None, "list": []}, {"x": 2.5, "list": None}],
        }
    )
    table = lakefmt.write(path, rows, partition_by=["day"])
    table.append(rows)
    DeltaTable(str(path)).create_checkpoint()
    first = table.refresh().snapshot.files.table["path"][0].as_py()
    delete_positions(path, {first: [0]})
    delete_positions(path, {table.refresh().snapshot.files.table["path"][1].as_py(): [0]}, storage_type="i")
    return path


def small_tables_of_the_corpus() -> list[Path]:
    """Return the tables of the corpus that a copy of takes no time."""
    index = CORPUS / "index.json"
    if not index.exists():
        return []
    tables = [CORPUS / entry["table"] for entry in json.loads(index.read_bytes()) if entry["complete"]]
    return [table for table in tables if len(sizes := list(_sizes(table))) < 60 and sum(sizes) < 200_000]


@pytest.fixture(scope="session")
def read_undamaged(read_in_every_way) -> Callable[[Path], list[Any]]:
    """A function that returns what reading a seed table in every way gives; it is read once."""
    return cache(read_in_every_way)


@pytest.fixture(scope="session")
def damaged(tmp_path_factory) -> Callable[..., Path]:
    """A function that returns a copy of a table in which one file is replaced; the next call takes the copy away.

    ``alone``: without the first commit, so that no commits stand for a checkpoint that cannot be read.
    """
    folder = tmp_path_factory.mktemp("damaged") / "table"

    def copy(table: Path, file: Path, data: bytes, *, alone: bool = False) -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        # Links: of thousands of copies only the damaged file is new.
        shutil.copytree(table, folder, copy_function=os.link)
        target = folder / file.relative_to(table)
        target.unlink()
        target.write_bytes(data)
        if alone:
            (folder / "_delta_log" / f"{0:020d}.json").unlink(missing_ok=True)
        return folder

    return copy


@pytest.fixture(scope="session")
def read_in_every_way() -> Callable[[Path], list[Any]]:
    """A function that reads a table in every way there is and returns what came of each: a value, or the typed error.

    Any other error fails the test, and so does memory far beyond what a table of this size takes.
    """

    def read(path: Path) -> list[Any]:
        before = resident_mb()
        forget_peak()
        found = []
        for use in _uses(path):
            try:
                found.append(use())
            except lakefmt.LakefmtError as error:
                found.append(error)
        assert peak_mb() - before < MOST_MB
        return found

    return read


def _uses(path: Path) -> Iterator[Callable[[], Any]]:
    yield lambda: lakefmt.open(path).version
    try:
        table = lakefmt.open(path)
        names = table.schema.names
    except lakefmt.LakefmtError:
        return
    yield table.files
    yield table.count
    yield table.to_arrow
    yield lambda: table.head(3)
    yield lambda: list(table.history())
    yield lambda: repr(table)
    yield lambda: table.at(version=0).count()
    if names:
        quoted = '"' + names[0].replace('"', '""') + '"'
        yield lambda: table.scan(where=f"{quoted} IS NOT NULL").to_arrow()
        yield lambda: table.scan(where=f"{quoted} = {quoted}").files()


def _sizes(table: Path) -> Iterator[int]:
    return (file.stat().st_size for file in table.rglob("*") if file.is_file())
