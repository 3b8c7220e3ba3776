"""Casts to decimals that give the very number, or raise.

Arrow's own, up to pyarrow 25 at least, are not that where a target has (nearly) all 38 digits: a number whose
digits run over 128 bits wraps around to another one, without an error, and one far below the last digit becomes 0.
In 256 bits there is room for whatever comes from 128; texts and floats are first held to the range.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["number_to_decimal", "text_to_decimal"]

_WIDE_DIGITS = 76  # of 256 bits: 38 digits can move by 38 places
_LEAST_EXPONENT = (
    30  # of ten: texts and floats this far below the last digit are nothing but zeros or too exact
)


def number_to_decimal(values: Any, target: pa.DataType) -> Any:
    """Return integers, floats or decimals as decimals of the same value.

    A float is the number that its shortest text says, as in every log.

    Args:
        values: an array or chunked array.
        target: decimal128.

    Raises:
        ArrowInvalid: a value is no number of the target type.
    """
    if pa.types.is_floating(values.type):
        if pa.types.is_float16(values.type):
            values = values.cast(pa.float32())
        return text_to_decimal(values.cast(pa.string()), target)
    return values.cast(_wide(target)).cast(target)


def text_to_decimal(texts: Any, target: pa.DataType) -> Any:
    """Return the decimals that texts such as ``-12.30`` and ``1.5e+3`` are.

    Args:
        texts: an array or chunked array of strings.
        target: decimal128.

    Raises:
        ArrowInvalid: a text is no number of the target type.
    """
    import pyarrow.compute as pc

    exact = cast("Any", target)
    size = pc.abs(texts.cast(pa.float64()))
    too_great = pc.greater_equal(size, pa.scalar(10.0 ** (exact.precision - exact.scale + 1)))
    too_small = pc.less(size, pa.scalar(10.0 ** (-exact.scale - _LEAST_EXPONENT)))
    outside = pc.or_(pc.or_(too_great, pc.is_nan(size)), pc.and_(too_small, pc.greater(size, pa.scalar(0.0))))
    if cast("Callable[..., Any]", pc.any)(outside).as_py():
        raise pa.ArrowInvalid(f"a number does not fit {target}")
    return texts.cast(_wide(target)).cast(target)


def _wide(target: pa.DataType) -> pa.DataType:
    return pa.decimal256(_WIDE_DIGITS, cast("Any", target).scale)
