"""Arrow arrays and scalars of Python values, made without pandas.

``pa.array`` and ``pa.scalar`` ask of what they are given whether it is pandas', and to ask they import pandas where it is
installed: 0.15 s of the first call of a process, as much as all else that opening a table and a small query take. What
the log tells is built here from buffers instead: integers, floats, booleans, days, texts and bytes. Other types are pyarrow's
to build, pandas and all, which is why rows that users hand over go to ``pa.array`` as ever.
"""

from __future__ import annotations

import itertools
from array import array
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["array_of", "map_of", "no_rows", "repeat", "row_numbers", "scalar_of"]

_CODES = {
    pa.int8().id: "b",
    pa.int16().id: "h",
    pa.int32().id: "i",
    pa.int64().id: "q",
    pa.float32().id: "f",
    pa.float64().id: "d",
}
_arrow: Any = pa  # the stubs have an overload for each type, none for any
_BOOL, _DATE, _STRING, _BINARY = pa.bool_().id, pa.date32().id, pa.string().id, pa.binary().id
_DAY_0 = date(1970, 1, 1).toordinal()
_KINDS: dict[type, pa.DataType] = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bytes: pa.binary(),
}


def array_of(values: Iterable[Any], kind: pa.DataType) -> pa.Array[Any]:
    """Return an array of values of one type, None for null. Raises OverflowError: a number is too large for it."""
    listed = list(values)
    nulls = listed.count(None)
    if nulls == len(listed):
        nothing: pa.Array[Any] = _arrow.nulls(len(listed), kind)
        return nothing
    if kind.id == _DATE:
        days = (None if day is None else day.toordinal() - _DAY_0 for day in listed)
        return array_of(days, pa.int32()).view(kind)
    code = _CODES.get(kind.id)
    instead: Any = 0 if code else False if kind.id == _BOOL else "" if kind.id == _STRING else b""
    given = [instead if value is None else value for value in listed] if nulls else listed
    if code is not None:
        buffers = [pa.py_buffer(array(code, given))]
    elif kind.id == _BOOL:
        buffers = [_bits(given)]
    elif kind.id in (_STRING, _BINARY) and (texts := _texts(given, kind)) is not None:
        buffers = texts
    else:
        return pa.array(listed, kind)
    valid = _bits([value is not None for value in listed]) if nulls else None
    return pa.Array.from_buffers(kind, len(listed), [valid, *buffers])


def scalar_of(value: Any, kind: pa.DataType | None = None) -> pa.Scalar[Any]:
    """Return one value of a type; without one of that which its Python type has, a number's of 64 bits."""
    own = kind if kind is not None else _KINDS.get(type(value))
    found: pa.Scalar[Any] = pa.scalar(value) if own is None else array_of((value,), own)[0]
    return found


def repeat(value: pa.Scalar[Any], count: int) -> Any:
    """Return an array that has one value so many times."""
    import pyarrow.compute

    compute: Any = pyarrow.compute
    if not count:
        return _arrow.nulls(0, value.type)
    always = pa.Array.from_buffers(pa.bool_(), 1, [None, pa.py_buffer(b"\1")])
    one = compute.if_else(always, value, value)
    end = array_of((count,), pa.int32() if count < 2**31 else pa.int64())
    runs = _arrow.run_end_encoded(end.type, value.type)
    return compute.run_end_decode(
        pa.RunEndEncodedArray.from_buffers(runs, count, [None], null_count=0, children=(end, one))
    )


def map_of(values: Sequence[Mapping[str, str | None] | None]) -> Any:
    """Return an array of maps of texts to texts, None for null."""
    lengths = [0 if each is None else len(each) for each in values]
    starts: list[int | None] = list(itertools.accumulate(lengths, initial=0))
    for place, each in enumerate(values):
        if each is None:
            starts[place] = None
    given = [each for each in values if each is not None]
    return _arrow.MapArray.from_arrays(
        array_of(starts, pa.int32()),
        array_of((key for each in given for key in each), pa.string()),
        array_of((value for each in given for value in each.values()), pa.string()),
    )


def row_numbers(count: int) -> Any:
    """Return 0 to ``count`` - 1 as 64-bit integers."""
    return _arrow.arange(0, count)  # missing in the stubs


def no_rows(schema: pa.Schema) -> pa.Table:
    """Return a table of no rows."""
    # With a chunk each: where there is none, combining the chunks is up to pa.array again.
    return pa.Table.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)


def _bits(flags: list[bool]) -> pa.Buffer:
    number = int("".join(map(_DIGITS.__getitem__, reversed(flags))), 2)
    return pa.py_buffer(number.to_bytes((len(flags) + 7) // 8, "little"))


_DIGITS = {True: "1", False: "0"}


def _texts(values: list[Any], kind: pa.DataType) -> list[pa.Buffer] | None:
    """Return the buffers of texts, or bytes; None where they are more than 32 bits count."""
    if kind.id == _BINARY:
        content, lengths = b"".join(values), map(len, values)
    else:
        text = "".join(values)
        parts: list[Any] = values if text.isascii() else [value.encode() for value in values]
        content, lengths = text.encode(), map(len, parts)
    if len(content) >= 2**31:
        return None
    offsets = array("i", itertools.accumulate(lengths, initial=0))
    return [pa.py_buffer(offsets), pa.py_buffer(content)]
