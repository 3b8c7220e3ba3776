"""Slices of one partition in its order: rows of them all are the partition's, each once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lakefmt.engine.exchange import (
    Exchange,
    RangePartitioning,
    ShuffleInput,
    SortBounds,
    SortKey,
    write_shuffle_file,
)
from lakefmt.engine.sort_partition import sort_partition
from lakefmt.errors import UnsupportedFeatureError

ROWS = 20_000
KEYS = (SortKey("k"),)
TABLE = pa.table({"k": np.random.default_rng(3).integers(0, 5_000, ROWS), "n": np.arange(ROWS)})


def one_partition(schema):
    return Exchange(schema, RangePartitioning(KEYS, SortBounds((), (False,))))


def test_slices_are_the_same_rows_when_an_output_is_made_again_in_other_batches(context_of):
    exchange = one_partition(TABLE.schema)

    def numbers(which, memory_bytes):
        # What a lost output is made again with may be all of the memory, and halves of what it read.
        context = context_of(which, memory_bytes=memory_bytes)
        file = write_shuffle_file(exchange, TABLE.to_batches(), context)
        part = ShuffleInput.of(exchange, [file], 0, 1, (which, 4))
        batches = sort_partition(part, KEYS, context_of())
        return [n for batch in batches for n in batch["n"].to_pylist()]

    found = [numbers(which, 64 << 20 if which % 2 else 60_000) for which in range(4)]
    assert min(map(len, found)) > ROWS / 8
    wanted = TABLE.sort_by([("k", "ascending"), ("n", "ascending")])["n"].to_pylist()
    assert [n for numbers_of_slice in found for n in numbers_of_slice] == wanted


@pytest.mark.parametrize(
    "kind", [pa.month_day_nano_interval(), pa.list_(pa.struct([("of", pa.month_day_nano_interval())]))]
)
def test_intervals_are_no_sort_keys_as_equal_ones_have_keys_that_differ(kind):
    with pytest.raises(UnsupportedFeatureError, match="order of column 'k'"):
        one_partition(pa.schema([("k", kind)]))
