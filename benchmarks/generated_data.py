"""The rows that the benchmarks write: made from a seed, the same on every machine."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EVENT_SCHEMA", "TRIP_SCHEMA", "event", "trip_batches"]

TRIP_SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("started_at", pa.timestamp("us", tz="UTC")),
        pa.field("city", pa.string()),
        pa.field("fare", pa.float64()),
        pa.field("distance", pa.float64()),
        pa.field("zone", pa.int32()),
    ]
)
"""Trips: ``id`` counts from 0 and ``started_at`` with it, a second each; ``city`` is one of 1,000, ``zone`` one of 100,
both without order; ``fare`` repeats (whole cents), ``distance`` does not."""

EVENT_SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("name", pa.string()),
        pa.field("amount", pa.float64()),
        pa.field("at", pa.timestamp("us", tz="UTC")),
        pa.field("day", pa.date32()),
        pa.field("done", pa.bool_()),
    ]
)
"""Events, appended one at a time."""

_START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def trip_batches(first_id: int, rows: int, batch_rows: int = 65_536) -> Iterator[pa.RecordBatch]:
    """Yield ``rows`` trips with ids from ``first_id`` on; a batch holds about 45 bytes a row."""
    # NumPy takes 50 ms to import, which the import benchmark's children must not pay for.
    import numpy as np

    cities = pa.array([f"city {number:03d}" for number in range(1000)])
    start_us = int(_START.timestamp()) * 1_000_000
    for first in range(first_id, first_id + rows, batch_rows):
        size = min(batch_rows, first_id + rows - first)
        draw = np.random.default_rng(first)
        ids = np.arange(first, first + size, dtype=np.int64)
        yield pa.record_batch(
            [
                pa.array(ids),
                pa.array(ids * 1_000_000 + start_us).cast(pa.timestamp("us", tz="UTC")),
                cities.take(pa.array(draw.integers(0, 1000, size))),
                pa.array(np.round(draw.gamma(2, 8, size), 2)),
                pa.array(draw.random(size)),
                pa.array(draw.integers(0, 100, size, dtype=np.int32)),
            ],
            schema=TRIP_SCHEMA,
        )


def event(number: int) -> pa.Table:
    """Return one event as a table of one row."""
    at = _START + dt.timedelta(seconds=number)
    row = {
        "id": number,
        "name": f"event {number}",
        "amount": number * 1.5,
        "at": at,
        "day": at.date(),
        "done": number % 2 == 0,
    }
    return pa.Table.from_pylist([row], schema=EVENT_SCHEMA)
