"""Equal keys come to one place, whatever their types; the order of partitions is the order of keys."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from lakefmt.engine.exchange import (
    Exchange,
    HashKey,
    HashPartitioning,
    RangePartitioning,
    SortBounds,
    SortKey,
    choose_bounds,
    common_type,
    sort_keys_of,
)
from lakefmt.errors import InvalidInputError, UnsupportedFeatureError

NAN, OTHER_NAN = np.array([0x7FF8000000000000, 0xFFF8000000000123], np.uint64).view(np.float64)


def hashes(values, type_=None, compared_in=None):
    rows = pa.record_batch({"k": pa.array(values, type_)})
    return HashPartitioning((HashKey("k", compared_in),), 7).assign(rows).hashes.tolist()


@pytest.mark.parametrize(
    ("left", "right", "both"),
    [
        ("INTEGER", "BIGINT", "BIGINT"),
        ("FLOAT", "DOUBLE", "DOUBLE"),
        ("DECIMAL(4,1)", "DECIMAL(18,4)", "DECIMAL(18,4)"),
        ("DECIMAL(4,1)", "BIGINT", "DECIMAL(20,1)"),
        ("VARCHAR", "INTEGER", "INTEGER"),
        ("DATE", "TIMESTAMP", "TIMESTAMP"),
        ("ENUM('b', 'a')", "VARCHAR", "VARCHAR"),
        ("HUGEINT", "INTEGER", "HUGEINT"),
        ("STRUCT(a INTEGER)", "STRUCT(a BIGINT)", "STRUCT(a BIGINT)"),
        ("UUID", "UUID", "UUID"),
    ],
)
def test_two_sides_are_compared_in_the_type_that_duckdb_compares_them_in(left, right, both):
    assert common_type(left, right) == common_type(right, left) == both


def test_a_type_that_duckdb_does_not_know_is_told():
    with pytest.raises(InvalidInputError, match="NOTYPE and INTEGER"):
        common_type("NOTYPE", "INTEGER")


def test_a_comparison_that_is_none_in_one_type_is_refused():
    with pytest.raises(UnsupportedFeatureError, match="INTERVAL with INTEGER"):
        common_type("INTERVAL", "INTEGER")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (pa.array([1.5, -0.0, NAN], pa.float32()), pa.array([1.5, 0.0, OTHER_NAN], pa.float64())),
        (pa.array([-1, 3], pa.int32()), pa.array([-1, 3], pa.decimal128(38, 0))),
        (pa.array(["1.5"]).cast(pa.decimal128(4, 1)), pa.array(["1.5"]).cast(pa.decimal128(20, 6))),
        (pa.array([18262], pa.date32()), pa.array([18262 * 86_400_000_000], pa.timestamp("us"))),
        (pa.array([None], pa.int8()), pa.array([None], pa.int64())),
    ],
)
def test_equal_values_of_two_types_hash_alike_in_their_common_type(left, right):
    with duckdb.connect() as connection:
        types = [str(connection.from_arrow(pa.table({"k": column})).types[0]) for column in (left, right)]
    both = common_type(*types)
    assert hashes(left, compared_in=both) == hashes(right, compared_in=both)


def test_nulls_go_together_and_so_do_zeros_and_nans():
    found = hashes([0.0, -0.0, NAN, OTHER_NAN, None, None], pa.float64())
    assert found[0] == found[1] != found[2]
    assert found[2] == found[3] != found[4]
    assert found[4] == found[5]


def test_partitions_are_even_and_free_of_single_bits_of_the_hash():
    rows = pa.record_batch({"k": np.arange(100_000)})
    found = HashPartitioning((HashKey("k"),), 16).assign(rows)
    counts = np.bincount(found.numbers, minlength=16)
    assert counts.min() > 5_500
    assert counts.max() < 7_000
    # DuckDB's tables look at single bits of the same hash: within a partition each has both values.
    mine = found.hashes[found.numbers == 3]
    for bit in range(64):
        ones = int(((mine >> np.uint64(bit)) & np.uint64(1)).sum())
        assert 0.3 < ones / len(mine) < 0.7, f"bit {bit}"


def test_a_key_that_is_no_column_is_told_when_the_exchange_is_planned():
    with pytest.raises(InvalidInputError, match="no column 'z'"):
        Exchange(pa.schema({"a": pa.int64()}), HashPartitioning((HashKey("z"),), 2))


def test_a_value_that_is_not_of_the_keys_type_is_told():
    rows = pa.record_batch({"k": ["1", "x"]})
    with pytest.raises(InvalidInputError, match="The keys k cannot be evaluated"):
        HashPartitioning((HashKey("k", "INTEGER"),), 2).assign(rows)


def test_columns_named_oddly_are_keys_like_others():
    rows = pa.record_batch({'a "quoted" name, and more': [1, 2], "b": [3, 4]})
    assert len(HashPartitioning((HashKey('a "quoted" name, and more'),), 2).assign(rows).numbers) == 2


VALUES = {
    "numbers": pa.array([3, None, -1, 7, 7, 2**62, -(2**63)], pa.int64()),
    "small numbers": pa.array([3, None, -1, 7, 2**31 - 1, -(2**31), 0], pa.int32()),
    "floats": pa.array([1.0, NAN, None, float("-inf"), float("inf"), -0.0, 0.0], pa.float64()),
    "texts": pa.array(["b", "", None, "ab", "a", "ä", "a longer text than eight bytes"]),
    "other texts": pa.array(
        ["a longer text", "a longer texu", "a longer", "a longer tex", "a longer text\0", "z", None]
    ),
    "bytes": pa.array([b"\0", b"", b"\0\0", b"\xff\xff", b"\xff", None, b"a" * 30]),
    "lists": pa.array([[1], [], None, [1, None], [None], [1, 2], [2]], pa.list_(pa.int32())),
    "structs": pa.array([{"a": 1}, {"a": None}, None, {"a": -1}, {"a": 5}, {"a": 2}, {"a": 3}]),
}


@pytest.mark.parametrize("name", list(VALUES))
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("nulls_first", [False, True])
def test_the_order_is_that_of_duckdb(name, descending, nulls_first):
    rows = pa.record_batch({"k": VALUES[name], "n": pa.array(range(7))})
    key = SortKey("k", descending, nulls_first)
    order = sort_keys_of(rows, [key, SortKey("n")]).order()
    assert sort_keys_of(rows, [key]).order().tolist() == order.tolist(), "equal keys keep their places"
    with duckdb.connect() as connection:
        connection.register("rows", pa.Table.from_batches([rows]))
        wanted = connection.sql(f"SELECT n FROM rows ORDER BY k {key.modifier}, n").fetchall()
    assert order.tolist() == [n for (n,) in wanted]


def test_equal_keys_keep_their_places():
    rows = pa.record_batch({"k": pa.array(np.arange(10_000) % 3), "t": ["the same text"] * 10_000})
    order = sort_keys_of(rows, [SortKey("k"), SortKey("t")]).order()
    for number in range(3):
        places = [n for n in order.tolist() if n % 3 == number]
        assert places == sorted(places)


@pytest.mark.parametrize("keys", [("k",), ("t",), ("t", "k")])
def test_partitions_are_in_the_order_of_their_keys(keys):
    draw = np.random.default_rng(3)
    numbers = draw.integers(0, 500, 40_000)
    rows = pa.record_batch({"k": numbers, "t": [f"a common beginning {n % 97:03}" for n in numbers]})
    by = tuple(SortKey(key, descending=key == "t") for key in keys)
    found = sort_keys_of(rows, by)
    partitioning = RangePartitioning(
        by, choose_bounds([(found.take(draw.integers(0, 40_000, 3_000)), 40_000)], 24)
    )
    assert 16 <= partitioning.partitions <= 48
    assigned = partitioning.assign(rows)
    numbers = assigned.numbers
    wanted = [sum(bound <= found.key(row) for bound in partitioning.bounds.keys) for row in range(40_000)]
    assert numbers.tolist() == wanted
    assert max(np.bincount(numbers)) < 2 * 40_000 / 24


@pytest.mark.parametrize("name", ["numbers", "texts"])
def test_words_of_a_partition_tell_more_than_its_keys_have_in_common(name):
    draw = np.random.default_rng(3)
    numbers = draw.integers(0, 100_000, 5_000)
    rows = pa.record_batch(
        {"k": numbers if name == "numbers" else [f"https://a.example/{n:06}" for n in numbers]}
    )
    keys = sort_keys_of(rows, [SortKey("k")])
    partitioning = RangePartitioning((SortKey("k"),), choose_bounds([(keys, 5_000)], 8))
    assigned = partitioning.assign(rows)
    for part in range(1, partitioning.partitions - 1):
        mine = np.flatnonzero(assigned.numbers == part)
        order = mine[np.argsort(assigned.words[mine], kind="stable")]
        assert (np.diff(numbers[order]) >= 0).all()
        assert len(np.unique(assigned.words[mine])) == len(np.unique(numbers[mine]))


def test_a_heavy_key_has_a_partition_of_its_own():
    rows = pa.record_batch(
        {"k": np.concatenate([np.arange(5_000), np.full(10_000, 7_000), np.arange(9_000, 14_000)])}
    )
    by = (SortKey("k"),)
    bounds = choose_bounds([(sort_keys_of(rows, by), 20_000)], 8)
    found = RangePartitioning(by, bounds).assign(rows).numbers
    heavy = int(found[10_000])
    assert bounds.single[heavy]
    assert set(rows["k"].to_numpy()[found == heavy]) == {7_000}
    assert (found == heavy).sum() == 10_000
    assert (found[rows["k"].to_numpy() < 7_000] < heavy).all()
    assert (found[rows["k"].to_numpy() > 7_000] > heavy).all()


def test_one_key_alone_is_one_partition():
    rows = pa.record_batch({"k": ["the only one"] * 100})
    by = (SortKey("k"),)
    partitioning = RangePartitioning(by, choose_bounds([(sort_keys_of(rows, by), 100)], 8))
    assert len(set(partitioning.assign(rows).numbers.tolist())) == 1


def test_no_rows_are_in_order():
    rows = pa.record_batch({"k": pa.array([], pa.string())})
    keys = sort_keys_of(rows, [SortKey("k")])
    assert keys.order().tolist() == []
    assert choose_bounds([(keys, 0)], 4) == SortBounds((), (False,))
    assert RangePartitioning((SortKey("k"),), SortBounds((), (False,))).assign(rows).numbers.tolist() == []


def test_samples_count_by_the_rows_they_stand_for():
    few = sort_keys_of(pa.record_batch({"k": np.arange(1_000)}), [SortKey("k")])
    many = sort_keys_of(pa.record_batch({"k": np.arange(1_000, 2_000)}), [SortKey("k")])
    bounds = choose_bounds([(few, 10), (many, 990_000)], 10)
    rows = pa.record_batch({"k": np.arange(1_000, 2_000)})
    counts = np.bincount(RangePartitioning((SortKey("k"),), bounds).assign(rows).numbers, minlength=10)
    assert counts.tolist() == pytest.approx([100] * 10, abs=3)
