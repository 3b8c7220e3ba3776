"""Small damage to what a log is made of: bytes, JSON, columns. What fuzzers of readers draw from.

All of it is decided by a ``random.Random``: a seed repeats it, and hypothesis's own (``randoms()``) shrinks it.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

__all__ = ["mutate_bytes", "mutate_json", "mutate_lines", "mutate_table"]

_STRANGE_TEXTS = (
    "",
    " ",
    "null",
    "%",
    "%zz",
    "%00",
    "\x00",
    "\udcff",
    "..",
    "../../../etc/passwd",
    "/etc/passwd",
    "file:///etc/passwd",
    "s3://bucket/key",
    "http://[::1",
    "a" * 5000,
    "-0",
    "1e999999",
    "999999999999999999999999999999",
    "NaN",
    "2026-13-45",
    "292278994-08-17T07:12:55.807Z",
    "-290308-12-21",
    "{",
    "[" * 2000,
    '{"type":"struct","fields":[]}',
    '{"type":"struct","fields":[{"name":"x","type":"decimal(99,-7)","nullable":true,"metadata":{}}]}',
    "{}",
    "[]",
    "ä\u0301\u202e\U0001d518",
)
_STRANGE_NUMBERS = (
    0,
    -1,
    1,
    2**31 - 1,
    2**31,
    -(2**31) - 1,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63),
    -(2**63) - 1,
    2**64,
    10**400,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
)
_STRANGE_BYTES = (
    b"",
    b"\x00",
    b"\xff",
    b"\xff\xfe",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\n",
    b"\r\n",
    b'"',
    b"}",
    b"[",
)


def mutate_bytes(data: bytes, draw: random.Random) -> bytes:
    """Return ``data`` with a few bytes flipped, cut out, repeated or put in, or its end cut off."""
    damaged = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        at = draw.randint(0, len(damaged))
        length = draw.choice((1, 1, 2, 4, 8, 100))
        match draw.randint(0, 5):
            case 0 if damaged:
                damaged[at % len(damaged)] ^= 1 << draw.randint(0, 7)
            case 1:
                damaged[at : at + length] = bytes(draw.randint(0, 255) for _ in range(length))
            case 2:
                del damaged[at : at + length]
            case 3:
                damaged[at:at] = damaged[at : at + length]
            case 4:
                damaged[at:at] = draw.choice(_STRANGE_BYTES)
            case _:
                del damaged[at:]
    return bytes(damaged)


def mutate_json(value: Any, draw: random.Random) -> Any:
    """Return a JSON value in which, somewhere, a value is of another kind, missing, doubled or under another name."""
    changed = copy.deepcopy(value)
    parent, place = _somewhere(changed, draw)
    if parent is None:
        return _strange_value(changed, draw)
    match draw.randint(0, 5):
        case 0:
            del parent[place]
        case 1 if isinstance(parent, dict):
            parent[draw.choice((place.upper(), f"{place} ", "", place[:1]))] = parent.pop(place)
        case 1 | 2 if isinstance(parent, list):
            parent.append(copy.deepcopy(parent[place]))
        case _:
            parent[place] = _strange_value(parent[place], draw)
    return changed


def mutate_lines(data: bytes, draw: random.Random) -> bytes:
    """Return a commit file, or another of one JSON value a line, in which a few lines are damaged."""
    lines = [line for line in data.split(b"\n") if line.strip()]
    for _ in range(draw.randint(1, 3)):
        at = draw.randint(0, max(len(lines) - 1, 0))
        line = lines[at] if lines else b"{}"
        match draw.randint(0, 9):
            case 0:
                lines[at : at + 1] = []
            case 1:
                lines[at:at] = [line]
            case 2:
                lines.append(line)
            case 3:
                lines[at : at + 1] = [mutate_bytes(line, draw)]
            case 4:
                lines[at : at + 1] = [b"[" * draw.choice((10, 5000, 100_000))]
            case _:
                lines[at : at + 1] = [_mutate_line(line, draw)]
    return b"\n".join(lines) + draw.choice((b"\n", b"", b"\n\n", b"\ngarbage"))


def mutate_table(table: pa.Table, draw: random.Random) -> pa.Table:
    """Return a table in which, at some depth, a column is gone, renamed, null, of another type, or strange in a row."""
    changed = _mutate_struct(table.combine_chunks().to_struct_array().combine_chunks(), draw)
    fields = [changed.type.field(number) for number in range(changed.type.num_fields)]
    mutated = pa.Table.from_arrays(changed.flatten(), schema=pa.schema(fields))
    match draw.randint(0, 9):
        case 0:
            return mutated.slice(0, draw.randint(0, mutated.num_rows))
        case 1:
            return pa.concat_tables([mutated, mutated])
        case 2:
            return mutated.take(pa.array(draw.sample(range(mutated.num_rows), mutated.num_rows), pa.int64()))
    return mutated


def _mutate_line(line: bytes, draw: random.Random) -> bytes:
    value = _parse(line)
    if value is None:
        return mutate_bytes(line, draw)
    # Texts that hold JSON themselves (statistics, the schema) are damaged within as well.
    parent, place = _somewhere(value, draw)
    inner = _parse(parent[place]) if parent is not None and isinstance(parent[place], str) else None
    if isinstance(inner, dict | list):
        parent[place] = json.dumps(mutate_json(inner, draw))
    else:
        value = mutate_json(value, draw)
    text = json.dumps(value, ensure_ascii=draw.random() < 0.5, indent=draw.choice((None, None, 1)))
    return text.encode("utf-8", "surrogatepass")


def _parse(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _somewhere(value: Any, draw: random.Random) -> tuple[Any, Any]:
    """Return a container within ``value`` and the place of one of its values; None where it has none."""
    parent: Any = None
    place: Any = None
    while isinstance(value, dict | list) and value and (parent is None or draw.random() < 0.75):
        parent = value
        place = draw.choice(sorted(value)) if isinstance(value, dict) else draw.randrange(len(value))
        value = parent[place]
    return parent, place


def _strange_value(value: Any, draw: random.Random) -> Any:
    kinds: list[Callable[[], Any]] = [
        lambda: None,
        lambda: draw.choice(_STRANGE_TEXTS),
        lambda: draw.choice(_STRANGE_NUMBERS),
        lambda: draw.random() < 0.5,
        dict,
        list,
        lambda: [value],
        lambda: {"": value},
        lambda: str(value),
        lambda: _nested(draw.choice((3, 150, 300))),
    ]
    if isinstance(value, str) and value:
        kinds += [lambda: value[: len(value) // 2], lambda: value + value, value.upper]
    if isinstance(value, int):
        kinds += [lambda: value + 1, lambda: -value, lambda: float(value) if abs(value) < 1e300 else value]
    return draw.choice(kinds)()


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def _mutate_struct(array: Any, draw: random.Random) -> pa.StructArray:
    """Return a struct array whose children, or theirs, are damaged in one place."""
    names = array.type.names
    columns = dict(zip(names, array.flatten(), strict=True))
    if not columns:
        return pa.StructArray.from_arrays(
            [pa.nulls(len(array), pa.int32())], names=["x"], mask=array.is_null()
        )
    name = draw.choice(names)
    column = columns[name]
    match draw.randint(0, 9):
        case 0:
            del columns[name]
        case 1:
            columns[draw.choice((name.upper(), f"{name}_", ""))] = columns.pop(name)
        case _ if pa.types.is_struct(column.type) and draw.random() < 0.85:
            columns[name] = _mutate_struct(column, draw)
        case _:
            columns[name] = _strange_column(column, draw)
    if not columns:
        columns = {"x": pa.nulls(len(array), pa.int32())}
    return pa.StructArray.from_arrays(list(columns.values()), names=list(columns), mask=array.is_null())


def _strange_column(column: Any, draw: random.Random) -> Any:
    length = len(column)
    match draw.randint(0, 6):
        case 0:
            return pa.nulls(length, column.type)
        case 1:
            return pa.nulls(length, draw.choice((pa.int64(), pa.string(), pa.struct([("x", pa.int32())]))))
        case 2:
            return pa.array([draw.choice(_STRANGE_TEXTS[7:]) for _ in range(length)], pa.string()).cast(
                draw.choice((pa.string(), pa.binary(), pa.large_string()))
            )
        case 3:
            return pa.array([draw.choice(_STRANGE_NUMBERS[:6]) for _ in range(length)], pa.int64())
        case 4:
            return pa.array([[draw.random()]] * length, pa.list_(pa.float64()))
    # A value of the same type in one row: strange, or another row's.
    values = column.to_pylist()
    if not values:
        return column
    at = draw.randrange(length)
    values[at] = draw.choice((None, values[draw.randrange(length)]))
    if not pa.types.is_map(column.type):  # whose keys are never null: pyarrow ends the process over one
        values[at] = draw.choice((values[at], _strange_value(values[at], draw)))
    try:
        return pa.array(values, column.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError):
        values[at] = None
        return pa.array(values, column.type)
