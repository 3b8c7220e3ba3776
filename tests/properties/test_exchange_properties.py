"""Any rows through any exchange: the same rows, equal keys together, order as DuckDB has it."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from typing import Any

import duckdb
import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
from hypothesis import given, settings

from lakefmt.engine.exchange import (
    Exchange,
    HashKey,
    HashPartitioning,
    RangePartitioning,
    ShuffleInput,
    SortKey,
    choose_bounds,
    read_shuffle,
    sort_keys_of,
    write_shuffle_file,
)
from lakefmt.engine.sort_partition import sort_partition
from lakefmt.engine.tasks import TaskContext
from lakefmt.engine.tasks.scratch import Scratch

NUMBERS = st.sampled_from([None, 0.0, -0.0, float("nan"), 1.5]) | st.floats(width=32)
TEXTS = st.none() | st.text(alphabet="ab\0é\U0001f600", max_size=20)
COLUMNS = {
    "number": (pa.float64(), NUMBERS),
    "text": (pa.string(), TEXTS),
    "bytes": (pa.binary(), st.none() | st.binary(max_size=12)),
    "small": (pa.int16(), st.none() | st.integers(-(2**15), 2**15 - 1)),
    "whole": (pa.int64(), st.none() | st.integers(-(2**63), 2**63 - 1)),
    "list": (pa.list_(pa.float64()), st.none() | st.lists(NUMBERS, max_size=3)),
    "struct": (pa.struct({"a": pa.string()}), st.none() | st.fixed_dictionaries({"a": TEXTS})),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    names = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=3, unique=True))
    rows = draw(st.integers(0, 40))
    columns: dict[str, Any] = {"row": pa.array(range(rows), pa.int64())}
    for name in names:
        kind, values = COLUMNS[name]
        few = draw(st.lists(values, min_size=1, max_size=6))
        columns[name] = pa.array([few[draw(st.integers(0, len(few) - 1))] for _ in range(rows)], kind)
    return pa.table(columns)


def batches_of(table: pa.Table, draw: Any) -> list[pa.RecordBatch]:
    cuts = sorted(draw.draw(st.lists(st.integers(0, table.num_rows), max_size=4), label="cuts"))
    edges = [0, *cuts, table.num_rows]
    batch = table.combine_chunks().to_batches()
    whole = batch[0] if batch else pa.RecordBatch.from_pylist([], table.schema)
    return [whole.slice(start, stop - start) for start, stop in pairwise(edges)]


def context_in(folder: str, number: int, memory_bytes: int) -> TaskContext:
    return TaskContext("map", number, 0, memory_bytes, 1, folder, lambda: False, Scratch())


def rows_by_number(batches: Any) -> list[str]:
    return sorted(f"{row['row']:09} {row}" for batch in batches for row in batch.to_pylist())


@settings(deadline=None, max_examples=25)
@given(
    tables(),
    st.sampled_from([1, 5_000, 1 << 30]),
    st.integers(1, 9),
    st.sampled_from([0, 64 << 10]),
    st.data(),
)
def test_a_hash_exchange_keeps_rows_and_brings_equal_keys_together(
    table, memory_bytes, partitions, inline, data
):
    names = table.schema.names[1:]
    exchange = Exchange(table.schema, HashPartitioning(tuple(map(HashKey, names)), partitions))
    with tempfile.TemporaryDirectory() as folder:
        context = context_in(folder, 0, memory_bytes)
        halves = [table.slice(0, table.num_rows // 2), table.slice(table.num_rows // 2)]
        files = [
            write_shuffle_file(
                exchange,
                batches_of(half, data),
                context_in(folder, number, memory_bytes),
                inline_bytes=inline,
            )
            for number, half in enumerate(halves)
        ]
        found = [
            list(read_shuffle(ShuffleInput.of(exchange, files, each, each + 1), context))
            for each in range(partitions)
        ]
    assert rows_by_number(batch for each in found for batch in each) == rows_by_number(table.to_batches())
    numbered = pa.table(
        {
            "row": pa.array(
                [row for each in found for batch in each for row in batch["row"].to_pylist()], pa.int64()
            ),
            "part": pa.array(
                [n for n, each in enumerate(found) for batch in each for _ in range(batch.num_rows)],
                pa.int64(),
            ),
        }
    )
    with duckdb.connect() as connection:
        connection.register("given", table)
        connection.register("numbered", numbered)
        keys = ", ".join(f'given."{name}"' for name in names)
        torn = connection.sql(
            f"SELECT count(DISTINCT part) FROM given JOIN numbered USING (row) GROUP BY {keys} HAVING count(DISTINCT part) > 1"
        ).fetchall()
    assert torn == []


@settings(deadline=None, max_examples=25)
@given(
    tables(),
    st.tuples(st.booleans(), st.booleans()),
    st.sampled_from([2_000, 1 << 30]),
    st.integers(1, 6),
    st.data(),
)
def test_a_range_exchange_sorted_by_partitions_is_the_order_of_duckdb(
    table, direction, memory_bytes, partitions, data
):
    names = table.schema.names[1:]
    # Rows with equal keys keep their order, as if it were the last key.
    keys = tuple(SortKey(name, *direction) for name in names)
    batches = batches_of(table, data)
    sampled = [sort_keys_of(batch, keys) for batch in batches]
    chosen = [keys.take(np.arange(0, len(keys), 3)) for keys in sampled]
    bounds = choose_bounds(
        [(some, len(all_)) for some, all_ in zip(chosen, sampled, strict=True)], partitions
    )
    exchange = Exchange(table.schema, RangePartitioning(keys, bounds))
    with tempfile.TemporaryDirectory() as folder:
        context = context_in(folder, 0, memory_bytes)
        file = write_shuffle_file(exchange, batches, context)
        found = [
            row
            for each in range(exchange.partitions)
            for batch in sort_partition(ShuffleInput.of(exchange, [file], each, each + 1), keys, context)
            for row in batch["row"].to_pylist()
        ]
        context.scratch.delete()
    with duckdb.connect() as connection:
        connection.register("given", table)
        by = ", ".join(f'"{key.column}" {key.modifier}' for key in (*keys, SortKey("row")))
        wanted = [row for (row,) in connection.sql(f"SELECT row FROM given ORDER BY {by}").fetchall()]
    assert found == wanted
