"""Which keys are heavy: found in a sample of the hashes, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["HeavyKey", "HeavyKeySample"]

_STRIDE = 256  # one row of so many is looked at
_MOST_SAMPLES = 1 << 16
_REPORTED = 16
_LEAST_SHARE = 1 / 100
_LEAST_SEEN = 8  # fewer are chance


@dataclass(frozen=True, slots=True)
class HeavyKey:
    """A key with more rows than most.

    Attributes:
        hash: of the key.
        partition: that its rows are in.
        rows: how many they are, about.
    """

    hash: int
    partition: int
    rows: int


class HeavyKeySample:
    """Rows drawn at random as they pass, by their hash.

    Args:
        seed: the same for each attempt of a task.
    """

    def __init__(self, seed: int) -> None:
        self._draw = np.random.default_rng(seed)
        self._stride = _STRIDE
        self._parts: list[NDArray[np.uint64]] = []
        self._count = 0
        self._rows = 0

    def add(self, hashes: NDArray[np.uint64], numbers: NDArray[Any]) -> None:
        """Look at some rows: the hash of each, and the number of its partition."""
        self._rows += len(hashes)
        # A share of a small batch is drawn by chance, too, or small batches would never be seen.
        wanted = len(hashes) / self._stride
        count = int(wanted) + int(self._draw.random() < wanted % 1)
        if not count:
            return
        rows = self._draw.integers(0, len(hashes), count)
        self._parts.append(np.stack([hashes[rows], numbers[rows].astype(np.uint64)], axis=1))
        self._count += count
        if self._count > _MOST_SAMPLES:
            merged = np.concatenate(self._parts)
            self._draw.shuffle(merged)
            self._parts = [merged[: len(merged) // 2]]
            self._count = len(self._parts[0])
            self._stride *= 2

    def heaviest(self) -> tuple[HeavyKey, ...]:
        """Return the keys that a hundredth of all rows have, or more, the heaviest first; sixteen at most."""
        if not self._parts:
            return ()
        samples = np.concatenate(self._parts)
        hashes, first, seen = np.unique(samples[:, 0], return_index=True, return_counts=True)
        heavy = np.flatnonzero((seen >= _LEAST_SEEN) & (seen >= _LEAST_SHARE * len(samples)))
        heavy = heavy[np.argsort(-seen[heavy], kind="stable")][:_REPORTED]
        return tuple(
            HeavyKey(
                int(hashes[each]),
                int(samples[first[each], 1]),
                round(self._rows * int(seen[each]) / len(samples)),
            )
            for each in heavy
        )
