"""The bytes of deletion vectors: what the format means, and what bytes from strangers may not do."""

from __future__ import annotations

import struct

import pytest
from pyroaring import BitMap, BitMap64

from lakefmt.manifest.deletion_vectors import DeletedRows, decode_deletion_vector, encode_deletion_vector
from lakefmt.manifest.z85 import decode_z85, encode_z85

PORTABLE = struct.pack("<I", 1681511377)
ARRAY = range(0, 1000, 3)
BITSET = range(0, 60_000, 3)
RUNS = range(5, 40_000)


def positions(data: bytes) -> list[int]:
    return list(decode_deletion_vector(data).bitmap)


def encoded(*values: object, runs: bool = False) -> bytes:
    bitmap = BitMap64()
    for each in values:
        bitmap |= BitMap64(each)
    if runs:
        return encode_deletion_vector(DeletedRows(bitmap))
    return PORTABLE + bitmap.serialize()


def native(bitmaps: list[BitMap], order: str = "<") -> bytes:
    parts = [struct.pack(f"{order}II", 1681511376, len(bitmaps))]
    for bitmap in bitmaps:
        data = bitmap.serialize()
        parts += [struct.pack(f"{order}I", len(data)), data]
    return b"".join(parts)


def changed(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


# --- what the format means -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L",
        "wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L",  # the protocol's own, in the oldest form
    ],
)
def test_inline_vectors_of_the_documentation_are_read(text):
    assert positions(decode_z85(text)) == [3, 4, 7, 11, 18, 29]


@pytest.mark.parametrize("runs", [False, True])
@pytest.mark.parametrize(
    "values",
    [
        [],
        [0],
        [0, 65_535, 65_536, 1 << 32, (1 << 63) - (1 << 32) - 1],
        ARRAY,
        BITSET,
        RUNS,
        [*ARRAY, *(70_000 + i for i in BITSET), *(200_000 + i for i in RUNS), 1 << 40],
        range(1 << 17),
    ],
    ids=["none", "first", "sparse", "array", "bitset", "runs", "all kinds", "whole containers"],
)
def test_every_kind_of_container_comes_back(values, runs):
    assert positions(encoded(values, runs=runs)) == sorted(values)


def test_native_form_is_read():
    bitmaps = [BitMap([1, 70_000]), BitMap(), BitMap(RUNS)]
    bitmaps[2].run_optimize()
    expected = [1, 70_000, *((2 << 32) + i for i in RUNS)]
    assert positions(native(bitmaps)) == expected
    assert positions(native(bitmaps, ">")) == expected


def test_empty_bitmaps_and_bytes_after_the_last_do_not_matter():
    empty = BitMap().serialize()
    data = PORTABLE + struct.pack("<QI", 2, 0) + empty + struct.pack("<I", 7) + BitMap([1]).serialize()
    assert positions(data + b"\0\0\0") == [(7 << 32) + 1]


def test_positions_of_every_unit_are_those_of_the_file():
    rows = decode_deletion_vector(encoded(ARRAY, [70_000, 1 << 40]))
    assert (rows.cardinality, rows.end) == (len(ARRAY) + 2, (1 << 40) + 1)
    for start, length in [
        (0, 10),
        (1, 10),
        (998, 69_005),
        (69_990, 20),
        (0, 100_000),
        (5, 0),
        ((1 << 40) - 2, 5),
    ]:
        expected = [position not in rows.bitmap for position in range(start, start + length)]
        assert rows.keep(start, length).to_pylist() == expected
        assert rows.count(start, length) == sum(expected)


def test_text_of_bytes_is_filled_up_to_four_and_back():
    for data in (b"", b"\x00\x01\x02\x03", bytes(range(256))):
        assert decode_z85(encode_z85(data)) == data
    assert encode_z85(bytes.fromhex("864FD26FB559F75B")) == "HelloWorld"
    assert decode_z85(encode_z85(b"\x01\x02")) == b"\x01\x02\x00\x00"


@pytest.mark.parametrize("text", ["abcd", "abc;d", "%%%%%", "äbcde", "ab\0cd", "a cde"])
def test_text_that_stands_for_no_bytes_is_refused(text):
    with pytest.raises(ValueError):
        decode_z85(text)


# --- what strangers may send -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [ARRAY, BITSET, RUNS, [*ARRAY, 1 << 33]])
@pytest.mark.parametrize("runs", [False, True])
def test_vector_cut_off_anywhere_is_refused(values, runs):
    data = encoded(values, runs=runs)
    for end in {*range(min(len(data), 120)), *range(0, len(data), 97), len(data) - 1}:
        with pytest.raises(ValueError):
            decode_deletion_vector(data[:end])


def test_bitset_that_has_more_values_than_it_says_is_refused():
    # Without a check of its own, as in its first releases, the library writes past the buffer that it makes for them.
    data = encoded(BITSET)
    place = 4 + 8 + 4 + 8 + 2  # magic, number of bitmaps, high bits, cookie and number of containers, key
    assert data[place : place + 2] == struct.pack("<H", len(BITSET) - 1)
    with pytest.raises(ValueError, match="cardinality is incorrect"):
        decode_deletion_vector(changed(data, place, struct.pack("<H", 5_000)))
    with pytest.raises(ValueError, match="cardinality is incorrect"):
        decode_deletion_vector(data[:-100] + b"\xff" * 100)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "magic"),
        (b"\x01\x02\x03\x04" + encoded(ARRAY)[4:], "01020304"),
        (PORTABLE, "nothing in it"),
        (PORTABLE + b"\xff" * 8, "Could not deserialize"),
        (PORTABLE + b"\xff" * 12, "Could not deserialize"),
        (PORTABLE + struct.pack("<QII", 1, 0, 99), "Could not deserialize"),
        (PORTABLE + struct.pack("<QIII", 1, 0, 12346, 70_000) + b"\0" * 400_000, "Could not deserialize"),
        (PORTABLE + struct.pack("<QI", 1, 1 << 31) + BitMap([1]).serialize(), "no position of a row"),
        (
            PORTABLE + struct.pack("<Q", 2) + 2 * (struct.pack("<I", 3) + BitMap([1]).serialize()),
            "deserialize",
        ),
        (changed(encoded([1, 70_000]), 28, b"\0\0"), "Could not deserialize"),
        (changed(encoded([1, 2, 3]), 32, struct.pack("<3H", 1, 3, 2)), "not strictly increasing"),
        (changed(encoded([1, 2, 3]), 32, struct.pack("<3H", 1, 1, 2)), "not strictly increasing"),
        (struct.pack("<III", 1681511376, 1, 19) + BitMap([1]).serialize() + b"\0", "not the 19"),
        (struct.pack("<III", 1681511376, 1, 17) + BitMap([1]).serialize(), "Could not deserialize"),
        (struct.pack("<II", 1681511376, 0xFFFF_FFFF), "ends before"),
        (struct.pack("<III", 1681511376, 1, 0), "ends before"),
    ],
)
def test_broken_vector_is_refused_by_what_is_wrong(data, why):
    with pytest.raises(ValueError, match=why):
        decode_deletion_vector(data)


def runs_of(*pairs: tuple[int, int]) -> bytes:
    """A vector of one container of runs, each its first value and how many follow."""
    head = struct.pack("<QIIBHHH", 1, 0, 12347, 1, 0, 9, len(pairs))
    return PORTABLE + head + b"".join(struct.pack("<HH", *pair) for pair in pairs)


def test_runs_are_checked_one_by_one():
    assert positions(runs_of((3, 1), (6, 0), (65_535, 0))) == [3, 4, 6, 65_535]
    for pairs, why in (
        ([], "zero run count"),
        ([(65_535, 1)], "too large"),
        ([(3, 1), (4, 0)], "less than last end"),
        ([(9, 0), (4, 0)], "less than last end"),
    ):
        with pytest.raises(ValueError, match=why):
            decode_deletion_vector(runs_of(*pairs))


def test_positions_that_no_memory_holds_take_none():
    # 65,536 containers of one run each: 2**32 positions in 900 kB, 32 GiB as a list.
    count = 1 << 16
    heads = b"".join(struct.pack("<HH", key, 0xFFFF) for key in range(count))
    data = struct.pack("<QII", 1, 0, 12347 | (count - 1) << 16) + b"\xff" * (count // 8) + heads
    data += b"\0" * 4 * count + struct.pack("<HHH", 1, 0, 0xFFFF) * count
    rows = decode_deletion_vector(PORTABLE + data)
    assert (rows.cardinality, rows.end) == (1 << 32, 1 << 32)
    assert rows.count((1 << 32) - 10, 20) == 10
    assert rows.keep((1 << 32) - 2, 4).to_pylist() == [False, False, True, True]
