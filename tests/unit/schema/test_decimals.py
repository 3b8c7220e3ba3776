"""Numbers and texts become decimals of the same value or are refused; none wraps around, none becomes zero."""

from decimal import Decimal
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakefmt.manifest.text_values import parse_texts
from lakefmt.schema.decimals import number_to_decimal, text_to_decimal

quick = settings(deadline=None)
TYPES = st.one_of(st.just(38), st.integers(1, 38)).flatmap(
    lambda p: st.integers(0, p).map(lambda s: pa.decimal128(p, s))
)


def fits(value: Decimal, type_) -> bool:
    digits = Fraction(value) * 10**type_.scale
    return digits.denominator == 1 and abs(digits) < 10**type_.precision


def check(convert, values, expected: Decimal, type_):
    if fits(expected, type_):
        assert convert(values, type_).to_pylist() == [expected, None]
    else:
        with pytest.raises(pa.ArrowInvalid):
            convert(values, type_)


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (9.561934511434565e30, pa.decimal128(38, 10)),
        (463, pa.decimal128(38, 38)),
        (-4443886656934699283, pa.decimal128(38, 25)),
        (Decimal("-43005.152"), pa.decimal128(38, 34)),
        (5.846309161640598e-60, pa.decimal128(38, 0)),
        (5e-324, pa.decimal128(38, 38)),
        (1.7e308, pa.decimal128(38, 0)),
        (float("nan"), pa.decimal128(38, 0)),
        (float("-inf"), pa.decimal128(38, 0)),
        (2**63 - 1, pa.decimal128(18, 0)),
    ],
)
def test_a_number_that_has_no_place_is_refused(value, type_):
    with pytest.raises(pa.ArrowInvalid):
        number_to_decimal(pa.array([value, None]), type_)


@quick
@given(TYPES, st.integers(-(2**63), 2**63 - 1))
def test_integers(type_, number):
    check(number_to_decimal, pa.array([number, None], pa.int64()), Decimal(number), type_)


@quick
@given(TYPES, st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_what_their_text_says(type_, number):
    check(number_to_decimal, pa.array([number, None], pa.float64()), Decimal(repr(number)), type_)


@quick
@given(TYPES, TYPES, st.integers(0, 10**38 - 1))
def test_decimals(source, target, digits):
    value = Decimal(f"{digits % 10**source.precision}e-{source.scale}")
    check(number_to_decimal, pa.array([value, None], source), value, target)


@quick
@given(TYPES, st.integers(-(10**38) + 1, 10**38 - 1).filter(bool), st.integers(-400, 300))
def test_texts(type_, digits, exponent):
    text = f"{digits}e{exponent}"
    check(text_to_decimal, pa.array([text, None]), Decimal(text), type_)


@quick
@given(TYPES, st.integers(10**38, 10**90), st.integers(-100, 10))
def test_texts_of_more_digits_than_a_decimal_has_are_the_number_or_refused(type_, digits, exponent):
    text = f"{digits}e{exponent}"
    try:
        (value,) = text_to_decimal(pa.array([text]), type_).to_pylist()
    except pa.ArrowInvalid:
        return
    assert Fraction(value) == Fraction(text)


def test_a_text_in_a_log_that_is_too_great_for_its_column_is_no_value():
    texts = pa.array(["43005.152", "0.5", " 0.25 "])
    assert parse_texts(texts, pa.decimal128(38, 34)).to_pylist() == [None, Decimal("0.5"), Decimal("0.25")]
