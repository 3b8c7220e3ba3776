"""What paired rounds say: the median of the pairs, and an exact interval for it.

Two contenders that are called turn by turn see the same machine: the ratio within a round is far steadier than
either time. The interval of the median comes from order statistics (the sign test turned round), so nothing is
assumed about how times are distributed: each pair lies below the true median with probability one half, so the
number that do is Binomial(n, 1/2). Nine pairs are the fewest for which dropping an extreme at each end keeps 95 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Interval", "median_interval", "paired_differences", "paired_ratios"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A median and the interval that holds the true one.

    Attributes:
        median: the sample's median.
        low: the interval's lower end, one of the sample's values.
        high: its upper end, one of the sample's values.
        coverage: probability that such an interval holds the true median; below the confidence asked for only
            where the sample is too small (fewer than 6 values for 95 %), and then the interval is the whole range.
    """

    median: float
    low: float
    high: float
    coverage: float


def median_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the median of ``values`` with its distribution-free interval.

    Args:
        values: at least one independent measurement, in any order.
        confidence: the least coverage, between 0 and 1.

    Raises:
        ValueError: no values, a value that is not finite, or a confidence outside (0, 1).
    """
    if not values:
        raise ValueError("no values: a median needs at least one")
    if not all(math.isfinite(value) for value in values):
        raise ValueError("every value must be finite")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    ordered = sorted(values)
    size = len(ordered)
    drop, outside = _droppable(size, (1 - confidence) / 2)
    middle = (ordered[(size - 1) // 2] + ordered[size // 2]) / 2
    return Interval(median=middle, low=ordered[drop], high=ordered[size - 1 - drop], coverage=1 - 2 * outside)


def paired_ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Return numerator / denominator round by round.

    Raises:
        ValueError: the rounds do not pair up, or a time is not positive.
    """
    _check_pairs(numerators, denominators)
    if min(*numerators, *denominators) <= 0:
        raise ValueError("every time must be positive")
    return [above / below for above, below in zip(numerators, denominators, strict=True)]


def paired_differences(minuends: Sequence[float], subtrahends: Sequence[float]) -> list[float]:
    """Return minuend - subtrahend round by round.

    Raises:
        ValueError: the rounds do not pair up.
    """
    _check_pairs(minuends, subtrahends)
    return [first - second for first, second in zip(minuends, subtrahends, strict=True)]


def _check_pairs(left: Sequence[float], right: Sequence[float]) -> None:
    if len(left) != len(right) or not left:
        raise ValueError(f"rounds must pair up: {len(left)} against {len(right)}")


def _droppable(size: int, tail: float) -> tuple[int, float]:
    """Return how many values each end may lose, and the probability then outside at one end.

    The true median lies below the (d+1)-th smallest value exactly when at most d values lie below the median.
    """
    drop, outside = 0, 0.5**size
    while drop + 1 < size / 2 and outside + math.comb(size, drop + 1) * 0.5**size <= tail:
        drop += 1
        outside += math.comb(size, drop) * 0.5**size
    return drop, outside
