"""How counts, sizes, times and values read for a person (pure)."""

from __future__ import annotations

from typing import Any

import orjson

__all__ = ["format_age", "format_count", "format_size", "format_value", "plural", "printable"]

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP = 1024
_AGES = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


def format_count(count: int | None) -> str:
    """Return ``336,776``; ``?`` for a number nobody knows."""
    return "?" if count is None else f"{count:,}"


def format_size(size_bytes: float | None) -> str:
    """Return ``6.1 MiB``; ``?`` for a size nobody knows."""
    if size_bytes is None:
        return "?"
    size, unit = float(size_bytes), 0
    while size >= _STEP and unit < len(_UNITS) - 1:
        size, unit = size / _STEP, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 or size >= 100 else f"{size:.1f} {_UNITS[unit]}"


def format_age(milliseconds: int) -> str:
    """Return how long ago that was: ``3 minutes ago``; a clock that runs ahead of ours counts as now."""
    seconds = milliseconds // 1000
    for span, name in _AGES:
        if seconds >= span:
            return f"{plural(seconds // span, name)} ago"
    return "just now"


def plural(count: int, noun: str) -> str:
    """Return ``1 file``, ``12 files``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def format_value(value: Any) -> str:
    """Return a value of a row as text on one line."""
    match value:
        case None:
            return "NULL"
        case bool():
            return str(value).lower()
        case str():
            return printable(value)
        case bytes():
            return f"x'{value.hex()}'"
        case dict() | list():
            return printable(
                orjson.dumps(value, default=format_value, option=orjson.OPT_NON_STR_KEYS).decode()
            )
        case _:
            return printable(str(value))


def printable(text: str) -> str:
    r"""Return ``text`` with line ends and control characters escaped: data must not steer a terminal."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each == " " else each.encode("unicode_escape").decode() for each in text
    )
