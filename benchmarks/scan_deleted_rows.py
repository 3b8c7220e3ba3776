"""Full scans of a table of 10 million rows of which deletion vectors delete 10 % in each of its four files.

lakefmt wrote the files, once; the deleted rows lie scattered. The bar is against lakefmt itself on the same files without the
vectors, which has a ninth more rows to give: reading by position must cost little. Handles stay open; all columns are
returned as an Arrow table of the table's own types.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from benchmarks.answers import answer_of_rows
from benchmarks.generated_data import TRIP_SCHEMA, trip_batches
from benchmarks.planners import connect_duckdb_with_delta
from benchmarks.results import Bar, Comparison, compare
from benchmarks.rounds import Contender, Role, Run
from lakefmt.manifest.deletion_vector_files import encode_vector_file
from lakefmt.manifest.deletion_vectors import DeletedRows, encode_deletion_vector
from lakefmt.manifest.z85 import encode_z85

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.registry import Settings

__all__ = ["delete_tenth", "measure", "write_trips"]

FILES = 4


def measure(settings: Settings) -> tuple[Comparison, ...]:
    """Compare with the same files without vectors; the peers are shown."""
    rows = settings.scaled(full=10_000_000, quick=200_000)
    whole, with_vectors = settings.folder / "whole", settings.folder / "vectors"
    write_trips(whole, rows)
    shutil.copytree(whole, with_vectors, copy_function=os.link)
    delete_tenth(with_vectors)

    def contender(name: str, scan: Callable[[], pa.Table], role: Role = "shown") -> Contender:
        run = Run(call=lambda: scan().cast(TRIP_SCHEMA), answer=answer_of_rows)
        return Contender(name, lambda: run, role)

    # What is left of the whole table after its time is taken is what the others return.
    all_rows = Run(
        call=_open_lakefmt(whole), answer=lambda found: answer_of_rows(found.filter(_kept(found["id"])))
    )
    return (
        compare(
            f"All of {rows:,} rows but the deleted tenth",
            [
                contender("lakefmt", _open_lakefmt(with_vectors), "subject"),
                Contender("lakefmt, no row deleted", lambda: all_rows, "peer"),
                contender("DuckDB delta extension", _open_duckdb(with_vectors)),
                contender("delta-rs DataFusion", _open_delta_rs(with_vectors)),
            ],
            bar=Bar(ratio=1.3),
            rounds=settings.rounds,
        ),
    )


def write_trips(path: Path, rows: int) -> None:
    """Write so many trips in four files."""
    import lakefmt

    table = lakefmt.create(str(path), TRIP_SCHEMA)
    each = rows // FILES
    for number in range(FILES):
        table.append(pa.RecordBatchReader.from_batches(TRIP_SCHEMA, trip_batches(number * each, each)))


def _kept(ids: Any) -> Any:
    """Return which of the trips are left: nine of ten, scattered."""
    import numpy as np

    numbers = ids.to_numpy().astype(np.uint64)
    return pa.array((numbers * np.uint64(2_654_435_761) % np.uint64(1 << 32)) % np.uint64(10) != 0)


def delete_tenth(path: Path) -> None:
    """Commit a deletion vector for each file, all of them in one file; that the peers find the same rows is checked."""
    import numpy as np
    import pyarrow.parquet as pq
    from pyroaring import BitMap64

    log = path / "_delta_log"
    commits = sorted(log.glob("*.json"))
    adds = [action["add"] for commit in commits for action in _actions(commit) if "add" in action]
    deleted = []
    for add in adds:
        kept = _kept(pq.read_table(path / add["path"], columns=["id"])["id"])
        deleted.append(
            DeletedRows(BitMap64(np.flatnonzero(~kept.to_numpy(zero_copy_only=False)).astype("u8")))
        )
    name = uuid.UUID(int=7)
    vectors = [encode_deletion_vector(rows) for rows in deleted]
    data, offsets = encode_vector_file(vectors)
    (path / f"deletion_vector_{name}.bin").write_bytes(data)
    actions: list[dict[str, Any]] = []
    for add, rows, vector, offset in zip(adds, deleted, vectors, offsets, strict=True):
        descriptor = {
            "storageType": "u",
            "pathOrInlineDv": encode_z85(name.bytes),
            "offset": offset,
            "sizeInBytes": len(vector),
            "cardinality": rows.cardinality,
        }
        statistics = json.loads(add["stats"]) | {"tightBounds": False}
        actions.append({"remove": {"path": add["path"], "deletionTimestamp": 0, "dataChange": True}})
        actions.append({"add": add | {"deletionVector": descriptor, "stats": json.dumps(statistics)}})
    text = "".join(f"{json.dumps(action)}\n" for action in actions)
    (log / f"{len(commits):020}.json").write_text(text)


def _actions(commit: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in commit.read_text().splitlines()]


def _open_lakefmt(path: Path) -> Callable[[], pa.Table]:
    import lakefmt

    return lakefmt.open(str(path)).to_arrow


def _open_duckdb(path: Path) -> Callable[[], pa.Table]:
    connection = connect_duckdb_with_delta()
    connection.execute("SET preserve_insertion_order = false")
    return lambda: connection.sql(f"SELECT * FROM delta_scan('{path}')").to_arrow_table()


def _open_delta_rs(path: Path) -> Callable[[], pa.Table]:
    from deltalake import DeltaTable, QueryBuilder

    session = QueryBuilder().register("trips", DeltaTable(str(path)))
    return lambda: pa.table(session.execute("SELECT * FROM trips"))
