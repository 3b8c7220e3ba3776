"""A table whose log begins with a checkpoint that lakefmt wrote, for readers to be held against it."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

import lakefmt
from lakefmt.snapshot import load_snapshot
from lakefmt.snapshot.checkpoint import checkpoint_snapshot
from lakefmt.store import open_store
from lakefmt.testing.deletion_vectors import delete_positions

KINDS = {
    "classic": {},
    "classic, statistics as JSON alone": {"delta.checkpoint.writeStatsAsStruct": "false"},
    "classic, typed statistics alone": {"delta.checkpoint.writeStatsAsJson": "false"},
    "v2": {"delta.checkpointPolicy": "v2"},
    "v2, typed statistics alone": {
        "delta.checkpointPolicy": "v2",
        "delta.checkpoint.writeStatsAsJson": "false",
    },
}


def rows(first: int, count: int) -> pa.Table:
    ids = range(first, first + count)
    epoch = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "small": pa.array([i % 100 - 50 for i in ids], pa.int8()),
            "text": [None if i % 7 == 0 else f"Zürich {i:05}" for i in ids],
            "price": [float("nan") if i % 50 == 49 else i / 8 for i in ids],
            "amount": pa.array([Decimal(i).scaleb(-2) for i in ids], pa.decimal128(20, 2)),
            "at": pa.array(
                [epoch + dt.timedelta(seconds=i, microseconds=i) for i in ids], pa.timestamp("us", "UTC")
            ),
            "local": pa.array(
                [dt.datetime(2026, 1, 1) + dt.timedelta(hours=i) for i in ids], pa.timestamp("us")
            ),
            "inner": [{"x": i, "tags": ["a"]} for i in ids],
            "day": pa.array([dt.date(2026, 1, 1 + i % 3) for i in ids], pa.date32()),
            "city": [["Bern", "x=y/ü", None][i % 3] for i in ids],
        }
    )


def write_checkpointed(uri: str, properties: dict[str, str], *, vectors: bool = True) -> pa.Table:
    """Write a table of several commits with several checkpoints, delete what the last one stands for, and return its rows."""
    log = Path(uri) / "_delta_log"
    own = {"delta.checkpointInterval": "1000000", "delta.enableDeletionVectors": str(vectors).lower()}
    table = lakefmt.create(uri, rows(1, 1).schema, partition_by=["day", "city"], properties=own | properties)
    for start in range(0, 300, 100):
        table.append(rows(start, 100))
    write_checkpoint(uri)
    more = rows(1_000, 50)
    first_day = pa.scalar(dt.date(2026, 1, 1))
    table.overwrite(more.filter(pc.equal(more["day"], first_day)), where="day = DATE '2026-01-01'")
    if vectors:
        paths = lakefmt.open(uri).files()["path"].to_pylist()
        delete_positions(uri, {paths[-1]: [0, 2]})
    write_checkpoint(uri)
    table.refresh()
    table.append(rows(2_000, 10), txn=("job", 7))
    expected = table.to_arrow()
    table.close()
    written = write_checkpoint(uri)
    # As a clean-up leaves a log: with the commit of the checkpoint's version ("Metadata Cleanup"), which Spark asks for.
    kept = {f"{written.version:020}.json", written.key.rpartition("/")[2]}
    for file in log.iterdir():
        if file.is_file() and file.name not in kept:
            file.unlink()
    (log / "_last_checkpoint").write_text(f'{{"version":{written.version},"size":{written.num_actions}}}')
    return expected


def write_checkpoint(uri: str):
    store = open_store(uri)
    return checkpoint_snapshot(
        store, load_snapshot(store), now_ms=int(time.time() * 1000), new_id=lambda: str(uuid.uuid4())
    )
