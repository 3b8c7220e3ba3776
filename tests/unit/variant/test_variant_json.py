"""Variants as JSON: every type of value, and bytes that are no variant."""

import json
import struct

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import lakefmt
from lakefmt.errors import CorruptTableError, InvalidInputError, LakefmtError, UnsupportedFeatureError

EMPTY = b"\x01\x00\x00"
AB = b"\x11\x02\x00\x01\x02ab"  # names a and b
ONE = b"\x0c\x01"  # int8 1


def column(*pairs):
    type_ = pa.struct([pa.field("metadata", pa.binary()), pa.field("value", pa.binary())])
    rows = [None if pair is None else {"metadata": pair[0], "value": pair[1]} for pair in pairs]
    return pa.array(rows, type_)


def text_of(value, metadata=EMPTY):
    return lakefmt.variant_to_json(column((metadata, value)))[0].as_py()


def primitive(number, data=b""):
    return bytes([number << 2]) + data


def little(value, width):
    return value.to_bytes(width, "little", signed=True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (primitive(0), "null"),
        (primitive(1), "true"),
        (primitive(2), "false"),
        (primitive(3, little(-128, 1)), "-128"),
        (primitive(4, little(-300, 2)), "-300"),
        (primitive(5, little(70_000, 4)), "70000"),
        (primitive(6, little(-(2**63), 8)), "-9223372036854775808"),
        (primitive(7, struct.pack("<d", 0.1)), "0.1"),
        (primitive(7, struct.pack("<d", float("nan"))), '"NaN"'),
        (primitive(7, struct.pack("<d", float("-inf"))), '"-Infinity"'),
        (primitive(8, b"\x02" + little(-125, 4)), "-1.25"),
        (primitive(9, b"\x00" + little(10**17, 8)), "100000000000000000"),
        (primitive(10, b"\x26" + little(10**38 - 1, 16)), "0." + "9" * 38),
        (primitive(11, little(-1, 4)), '"1969-12-31"'),
        (primitive(12, little(1_500_000, 8)), '"1970-01-01 00:00:01.5+00:00"'),
        (primitive(13, little(-1, 8)), '"1969-12-31 23:59:59.999999"'),
        (primitive(14, struct.pack("<f", 0.1)), "0.1"),
        (primitive(14, struct.pack("<f", 3.4028235e38)), "3.4028235e+38"),
        (primitive(14, struct.pack("<f", 16_777_216)), "16777216"),
        (primitive(15, b"\x02\0\0\0\x00\xff"), '"AP8="'),
        (primitive(16, b"\x03\0\0\0" + "ü!".encode()), '"ü!"'),
        (primitive(17, little(3_600_000_000, 8)), '"01:00:00"'),
        (primitive(18, little(1, 8)), '"1970-01-01 00:00:00.000000001+00:00"'),
        (primitive(19, little(-1, 8)), '"1969-12-31 23:59:59.999999999"'),
        (primitive(20, bytes(range(16))), '"00010203-0405-0607-0809-0a0b0c0d0e0f"'),
        (b"\x09hi", '"hi"'),
        (b'\x05"', '"\\""'),
        (b"\x03\x00\x00", "[]"),
        (b"\x03\x02\x00\x02\x03" + ONE + b"\x00", "[1,null]"),
        (b"\x13\x01\x00\x00\x00\x00\x02" + ONE, "[1]"),  # with a count of four bytes
        (b"\x02\x00\x00", "{}"),
    ],
)  # fmt: skip
def test_value_of_every_type_has_a_text(value, expected):
    assert text_of(value) == expected
    json.loads(expected)


def test_members_have_the_names_of_the_metadata_wherever_their_values_lie():
    swapped = b"\x02\x02\x00\x01\x01\x00\x03" + b"\x00" + ONE  # a lies behind b
    assert text_of(swapped, AB) == '{"a":1,"b":null}'


def test_rows_without_a_variant_are_null_and_chunks_stay_chunks():
    values = column((EMPTY, ONE), None)
    assert lakefmt.variant_to_json(values).to_pylist() == ["1", None]
    assert lakefmt.variant_to_json(values.slice(1)).to_pylist() == [None]
    chunked = pa.chunked_array([values, values.slice(1)])
    assert lakefmt.variant_to_json(chunked).to_pylist() == ["1", None, None]
    assert lakefmt.variant_to_json(chunked).num_chunks == 2


@pytest.mark.parametrize("values", [pa.array([1]), pa.array([{"value": b"\0"}]), ["text"]])
def test_other_columns_are_refused(values):
    with pytest.raises(InvalidInputError, match="holds no variants"):
        lakefmt.variant_to_json(values)


@pytest.mark.parametrize(
    ("metadata", "value", "reason"),
    [
        (b"", ONE, "version"),
        (b"\x02\x00\x00", ONE, "version"),
        (b"\xc1\xff\xff\xff\xff", ONE, "too early"),  # four billion names
        (b"\x01\x01\x00\x01\xff", ONE, "UTF-8"),
        (b"\x01\x02\x00\x02\x01ab", ONE, "overlap"),
        (EMPTY, b"", "too early"),
        (EMPTY, b"\x0c", "too early"),
        (EMPTY, b"\x09h", "too early"),
        (EMPTY, primitive(16, b"\xff\xff\xff\xffx"), "too early"),
        (EMPTY, primitive(21), "type 21"),
        (EMPTY, b"\x05\xff", "UTF-8"),
        (EMPTY, b"\x02\x01\x00\x00\x02" + ONE, "lacks a name"),
        (AB, b"\x02\x02\x00\x00\x00\x02\x04" + ONE + ONE, "two members of one name"),
        (EMPTY, b"\x13\xff\xff\xff\xff", "too early"),
        (EMPTY, b"\x03\x01\x05\x02" + ONE, "behind its end"),
    ],
)
def test_bytes_that_are_no_variant_are_corruption(metadata, value, reason):
    with pytest.raises(CorruptTableError, match=reason):
        text_of(value, metadata)


def test_members_that_share_their_bytes_do_not_multiply():
    value = ONE
    for _ in range(30):  # each an array of 200 members that all are the one below
        width = max(1, (len(value).bit_length() + 7) // 8)
        offsets = b"".join([*(b"\0" * width for _ in range(200)), len(value).to_bytes(width, "little")])
        value = bytes([(width - 1) << 2 | 3, 200]) + offsets + value
    with pytest.raises(CorruptTableError, match="overlap"):
        text_of(value)


def test_nesting_has_an_end():
    value = ONE
    for _ in range(300):
        value = bytes([0x0F, 1]) + (0).to_bytes(4, "little") + len(value).to_bytes(4, "little") + value
    with pytest.raises(UnsupportedFeatureError, match="nested more than"):
        text_of(value)


def test_date_without_a_text_is_refused():
    with pytest.raises(UnsupportedFeatureError, match="1 to 9999"):
        text_of(primitive(11, little(2**31 - 1, 4)))


@given(st.binary(max_size=40), st.binary(max_size=60))
@example(AB, b"\x02\x02\x00\x01\x01\x00\x03\x00\x0c\x01")
@example(EMPTY, b"\x20\xff\x00\x00\x00\x00")  # a decimal of scale 255
def test_any_bytes_are_json_or_a_typed_error(metadata, value):
    for names in (metadata, AB):
        try:
            text = text_of(value, names)
        except LakefmtError:
            continue
        json.loads(text)
