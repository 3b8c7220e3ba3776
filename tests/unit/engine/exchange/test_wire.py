"""Any Arrow type travels by its values, or is refused by name before the first row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lakefmt.engine.exchange import (
    Exchange,
    HashKey,
    HashPartitioning,
    ShuffleInput,
    read_shuffle,
    write_shuffle_file,
)
from lakefmt.engine.exchange.wire import cut_rows
from lakefmt.errors import UnsupportedFeatureError

WORDS = pa.array(["a", None, "b", "a"])
ENCODED = WORDS.dictionary_encode()

COLUMNS = {
    "dictionary": (ENCODED, WORDS),
    "dictionary in a struct": (
        pa.StructArray.from_arrays([ENCODED], ["d"]),
        pa.StructArray.from_arrays([WORDS], ["d"]),
    ),
    "dictionary in a list": (
        pa.ListArray.from_arrays(pa.array([0, 1, 1, 2, 4], pa.int32()), ENCODED),
        pa.ListArray.from_arrays(pa.array([0, 1, 1, 2, 4], pa.int32()), WORDS),
    ),
    "dictionary in a map": (
        pa.MapArray.from_arrays(
            pa.array([0, 1, 1, 2, 4], pa.int32()), pa.array(["p", "q", "r", "s"]), ENCODED
        ),
        pa.MapArray.from_arrays(pa.array([0, 1, 1, 2, 4], pa.int32()), pa.array(["p", "q", "r", "s"]), WORDS),
    ),
    "text view": (WORDS.cast(pa.string_view()), WORDS.cast(pa.large_string())),
    "bytes view": (
        pa.array([b"a", None, b"b", b""], pa.binary_view()),
        pa.array([b"a", None, b"b", b""], pa.large_binary()),
    ),
    "list view": (
        pa.array([[1], None, [2, 3], []], pa.list_view(pa.int32())),
        pa.array([[1], None, [2, 3], []], pa.list_(pa.int32())),
    ),
    "runs": (pa.RunEndEncodedArray.from_arrays([3, 4], ["a", "b"]), pa.array(["a", "a", "a", "b"])),
    "large text": (WORDS.cast(pa.large_string()), WORDS.cast(pa.large_string())),
    "nothing": (pa.nulls(4), pa.nulls(4)),
    "half floats": (
        pa.array(np.array([1, 2, 3, 4], np.float16)),
        pa.array(np.array([1, 2, 3, 4], np.float16)),
    ),
    "uuid": (pa.array([b"0123456789abcdef"] * 4, pa.uuid()), pa.array([b"0123456789abcdef"] * 4, pa.uuid())),
    "decimal of 256 bits": (pa.array([1, 2, None, 4]).cast(pa.decimal256(60, 2)),) * 2,
}


@pytest.mark.parametrize("name", list(COLUMNS))
def test_values_travel_whatever_their_encoding(context_of, name):
    column, plain = COLUMNS[name]
    rows = pa.record_batch({"id": pa.array(range(4)), "v": column})
    exchange = Exchange(rows.schema, HashPartitioning((HashKey("id"),), 3))
    batches = [rows.slice(0, 1), rows.slice(1), rows.slice(2, 0)]
    file = write_shuffle_file(exchange, batches, context_of(), inline_bytes=0)
    found = pa.Table.from_batches(
        read_shuffle(ShuffleInput.of(exchange, [file], 0, 3), context_of()), exchange.wire_schema
    )
    wanted = pa.table({"id": pa.array(range(4)), "v": plain})
    assert found.schema == wanted.schema
    order = pa.array(np.argsort(found["id"].to_numpy()))
    assert found.take(order).combine_chunks() == wanted.combine_chunks()


def test_dictionaries_may_differ_from_batch_to_batch(context_of):
    first = pa.record_batch({"id": [1, 2], "v": pa.array(["a", "b"]).dictionary_encode()})
    second = pa.record_batch({"id": [3, 4], "v": pa.array(["z", "a"]).dictionary_encode()})
    exchange = Exchange(first.schema, HashPartitioning((HashKey("v"),), 2))
    file = write_shuffle_file(exchange, [first, second], context_of())
    found = pa.Table.from_batches(read_shuffle(ShuffleInput.of(exchange, [file], 0, 2), context_of()))
    assert sorted(found["v"].to_pylist()) == ["a", "a", "b", "z"]


def test_a_dictionary_in_a_union_is_refused_by_name():
    union = pa.UnionArray.from_sparse(pa.array([0, 0, 0, 0], pa.int8()), [ENCODED])
    with pytest.raises(UnsupportedFeatureError, match="'v'"):
        Exchange(pa.schema({"id": pa.int64(), "v": union.type}), HashPartitioning((HashKey("id"),), 3))


def test_rows_are_cut_where_they_are_long():
    rows = pa.record_batch({"t": ["x"] * 100 + ["y" * 10_000] * 4 + ["z"] * 100})
    pieces = list(cut_rows(rows, 15_000))
    assert pa.Table.from_batches(pieces) == pa.Table.from_batches([rows])
    assert max(piece.nbytes for piece in pieces) <= 30_000
    assert len(pieces) < 20
