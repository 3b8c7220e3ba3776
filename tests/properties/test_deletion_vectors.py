"""Deleted rows under any split, filter, limit and choice of columns; vectors of any bytes."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap64

from lakefmt.engine import (
    ReadSpec,
    ReadTask,
    ThreadExecutor,
    count_matching,
    parquet_reader,
    read_batches,
    read_table,
)
from lakefmt.engine import read as read_module
from lakefmt.engine.footers import forget_footers
from lakefmt.expressions import parse_predicate
from lakefmt.log import DeletionVectorDescriptor
from lakefmt.manifest.deletion_vectors import DeletedRows, decode_deletion_vector, encode_deletion_vector
from lakefmt.manifest.z85 import encode_z85
from lakefmt.scan.row_selection import VectorSelection
from lakefmt.schema import Schema
from lakefmt.store import open_store

ROWS = 300
TABLE = pa.table(
    {"id": range(ROWS), "day": [i // 50 for i in range(ROWS)], "name": [f"n{i % 5}" for i in range(ROWS)]}
)
PREDICATES: dict[str | None, Any] = {
    None: lambda i: True,
    "id >= 0": lambda i: True,
    "id % 3 = 1": lambda i: i % 3 == 1,
    "day = 2": lambda i: i // 50 == 2,
    "day IN (0, 4) AND name = 'n3'": lambda i: i // 50 in (0, 4) and i % 5 == 3,
    "id BETWEEN 45 AND 210": lambda i: 45 <= i <= 210,
    "id < 0": lambda i: False,
}
POSITIONS = st.one_of(
    st.sets(st.integers(0, ROWS - 1)),
    st.tuples(st.integers(0, ROWS - 1), st.integers(0, ROWS)).map(
        lambda r: set(range(r[0], min(sum(r), ROWS)))
    ),
)


def selection(deleted: set[int]) -> VectorSelection:
    data = encode_deletion_vector(DeletedRows(BitMap64(deleted)))
    descriptor = DeletionVectorDescriptor("i", encode_z85(data), len(data), len(deleted))
    return VectorSelection({name: getattr(descriptor, name) for name in descriptor.__slots__})


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.lists(POSITIONS, min_size=1, max_size=3),
    row_group=st.integers(7, 400),
    unit_rows=st.sampled_from([0, 20, 90, 10_000]),
    where=st.sampled_from(list(PREDICATES)),
    columns=st.sampled_from([("id",), ("name", "id"), ("id", "day", "name")]),
    threads=st.sampled_from([1, 2]),
)
def test_rows_are_those_that_are_there_and_match(
    tmp_path_factory, monkeypatch, *, files, row_group, unit_rows, where, columns, threads
):
    monkeypatch.setattr(read_module, "_UNIT_ROWS", unit_rows)
    monkeypatch.setattr(read_module, "_DUCKDB_ROWS", 100)
    monkeypatch.setattr(parquet_reader, "_RUN_ROWS", unit_rows)
    forget_footers()
    store = (
        open_store("memory://deleted-rows")
        if row_group % 2
        else open_store(tmp_path_factory.mktemp("table"), {"fsync": False})
    )
    sink = pa.BufferOutputStream()
    pq.write_table(TABLE, sink, row_group_size=row_group)
    data = sink.getvalue().to_pybytes()
    tasks = []
    for number, deleted in enumerate(files):
        store.put(f"{number}.parquet", data)
        rows = selection(deleted) if deleted else None
        tasks.append(ReadTask(f"{number}.parquet", len(data), rows=rows))
    predicate = None if where is None else parse_predicate(where, Schema.from_arrow(TABLE.schema))
    spec = ReadSpec(TABLE.schema, TABLE.schema, columns=columns, predicate=predicate)
    executor = ThreadExecutor(threads)
    expected = sorted(
        i for deleted in files for i in range(ROWS) if i not in deleted and PREDICATES[where](i)
    )
    assert sorted(read_table(store, tasks, spec, executor=executor)["id"].to_pylist()) == expected
    batches = read_batches(store, tasks, spec, executor=executor)
    assert sorted(i for batch in batches for i in batch.column("id").to_pylist()) == expected
    assert count_matching(store, tasks, spec, executor=executor) == len(expected)
    nothing = ReadSpec(TABLE.schema, TABLE.schema, columns=(), predicate=predicate)
    assert read_table(store, tasks, nothing, executor=executor).num_rows == len(expected)


SPREAD = st.sets(st.integers(0, (1 << 63) - 1) | st.integers(0, 200_000), max_size=50)
RUNS = st.tuples(st.integers(0, 200_000), st.integers(1, 150_000), st.integers(1, 3)).map(
    lambda run: set(range(run[0], run[0] + run[1], run[2]))
)


@settings(max_examples=60, deadline=None)
@given(SPREAD, RUNS, st.integers(0, 200_000), st.integers(0, 1_000))
@example({(1 << 63) - 1}, {0}, 0, 10)
def test_vector_comes_back_and_keeps_what_it_does_not_hold(spread, run, start, length):
    rows = decode_deletion_vector(encode_deletion_vector(DeletedRows(BitMap64(spread | run))))
    assert set(rows.bitmap) == spread | run
    kept = [position not in spread | run for position in range(start, start + length)]
    assert rows.keep(start, length).to_pylist() == kept
    assert rows.count(start, length) == sum(kept)


SEEDS = [
    encode_deletion_vector(DeletedRows(BitMap64(values)))
    for values in ([3, 4, 7], range(0, 900, 2), range(0, 20_000, 2), range(5, 70_000), [1, 1 << 16, 1 << 40])
]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_vector_of_any_bytes_is_refused_or_means_something(data):
    vector = bytearray(data.draw(st.sampled_from(SEEDS) | st.binary(max_size=60).map(SEEDS[0][:4].__add__)))
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=4)):
        vector[place % len(vector)] = byte
    vector = vector[: data.draw(st.integers(0, len(vector)) | st.just(len(vector)))]
    try:
        rows = decode_deletion_vector(bytes(vector))
    except ValueError:
        return
    assert rows.keep(0, 1_000).true_count == rows.count(0, 1_000)
    if rows.cardinality < 100_000:
        positions = rows.bitmap.to_array()
        assert len(set(positions)) == rows.cardinality
