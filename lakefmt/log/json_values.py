"""What a JSON value of the log means as a field of an action: texts, whole numbers, flags, maps of texts.

Writers differ in how they spell a value; one that can mean only one thing is read so (``"7"`` and ``7.0`` for the
number 7, ``7`` for the text ``"7"``), anything else is a TypeError or ValueError.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_T = TypeVar("_T")

__all__ = [
    "as_flag",
    "as_int32_length",
    "as_int64",
    "as_json_text",
    "as_length",
    "as_optional",
    "as_text",
    "as_text_list",
    "as_text_map",
]

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,19}\Z")
# Beyond it a JSON number with a fraction or an exponent need not be the one that was meant.
_EXACT_FLOAT = 2.0**53


def as_text(value: Any) -> str:
    """Return a JSON string as text that any encoding can hold."""
    if not isinstance(value, str):
        raise TypeError(f"expected str, found {value!r:.80}")
    if not value.isascii():
        value.encode()  # a lone surrogate, which JSON can spell, is a ValueError here and no text anywhere else
    return value


def as_int64(value: Any) -> int:
    """Return a whole number of 64 bits."""
    if type(value) is not int:
        value = _as_integer(value)
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"{value} is outside 64 bits")
    return int(value)


def as_length(value: Any) -> int:
    """Return a whole number of 63 bits that is not negative."""
    number = as_int64(value)
    if number < 0:
        raise ValueError(f"{number} is negative")
    return number


def as_int32_length(value: Any) -> int:
    """Return a whole number of 31 bits that is not negative."""
    number = as_int64(value)
    if not 0 <= number < 1 << 31:
        raise ValueError(f"{number} is outside 0 to {(1 << 31) - 1}")
    return number


def as_flag(value: Any, *, default: bool) -> bool:
    """Return a boolean; ``default`` for null."""
    match value:
        case None:
            return default
        case bool():
            return value
        case "true" | "false":
            return bool(value == "true")
        case _:
            raise TypeError(f"expected true or false, found {value!r:.80}")


def as_text_list(value: Any) -> list[str]:
    """Return an array of texts."""
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"expected a list, found {value!r:.80}")
    return [as_text(item) for item in value]


def as_text_map(value: Mapping[str, Any] | None) -> dict[str, str | None]:
    """Return an object of texts; null is an empty one, and a null in it stays null."""
    if value is None:
        return {}
    return {as_text(name): None if item is None else _loose_text(item) for name, item in value.items()}


def as_json_text(value: Any) -> str:
    """Return the JSON text that a string holds; an object that was never made a string becomes it."""
    return orjson.dumps(value).decode() if isinstance(value, dict) else as_text(value)


def as_optional(convert: Callable[[Any], _T], value: Any) -> _T | None:
    """Return None for null, else what ``convert`` makes of the value."""
    return None if value is None else convert(value)


def _as_integer(value: Any) -> int:
    if isinstance(value, str) and _WHOLE_NUMBER.match(value):
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT_FLOAT:
        return int(value)
    raise TypeError(f"expected int, found {value!r:.80}")


def _loose_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else as_text(value)
