"""How long commits go on where other writers keep taking the next version."""

from __future__ import annotations

import math
import sys
from typing import Any, Final, cast

from lakefmt.errors import InvalidInputError

__all__ = ["COMMIT_TIMEOUT_S", "check_timeout"]

# Of a commit that keeps losing races. Blind appends only ever lose races, never arguments.
COMMIT_TIMEOUT_S: Final = 300.0


def check_timeout(timeout_s: Any) -> float | None:
    """Return a number of seconds, None for no end. Raises InvalidInputError: it is neither."""
    # An integer beyond all doubles cannot be added to a clock.
    if timeout_s is None or (
        type(timeout_s) in (int, float) and (0 <= timeout_s <= sys.float_info.max or timeout_s == math.inf)
    ):
        return cast("float | None", timeout_s)
    raise InvalidInputError(
        f"commit_timeout_s is a number of seconds from 0 on, or None for no end, not {timeout_s!r:.80}"
    )
