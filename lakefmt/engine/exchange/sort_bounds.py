"""Where an order is cut in parts: bounds chosen from samples of the keys, and the part of each row."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from lakefmt.engine.exchange.sort_keys import WORD_BYTES, concat_sort_keys, keys_from_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lakefmt.engine.exchange.sort_keys import SortKeys

__all__ = ["SortBounds", "choose_bounds"]

_STEPS = 1 << 14
_WORTH_A_TABLE = 16  # cuts


@dataclass(frozen=True, slots=True)
class SortBounds:
    """Sort keys that cut the order in parts, ascending, each once: a row that is equal to one is after it.

    Attributes:
        keys: the bounds.
        single: for each part whether its rows are known to have one and the same key.
    """

    keys: tuple[bytes, ...]
    single: tuple[bool, ...]

    def __len__(self) -> int:
        return len(self.keys)

    def place(self, keys: SortKeys) -> NDArray[np.int64]:
        """Return for each key how many bounds are not after it."""
        found = np.zeros(len(keys), np.int64)
        bounds = keys_from_bytes(self.keys)
        # Rows that share their words so far with the bounds of a range are looked at further among these alone.
        todo = [(np.arange(len(keys)), 0, len(self.keys), 0)]
        while todo:
            rows, first, last, skipped = todo.pop()
            if first == last or not len(rows):
                continue
            cuts = bounds.take(np.arange(first, last)).words(skipped)
            words = keys.take(rows).words(skipped) if skipped else keys.words()
            below, equal = _search(cuts, words)
            found[rows] = first + below
            if not len(equal):
                continue
            cut = below[equal].astype(np.uint16)  # of which there are fewer, and which are sorted by counting
            order = np.argsort(cut, kind="stable")
            starts, begins = np.unique(cut[order], return_index=True)
            for start, those in zip(starts.tolist(), np.split(rows[equal[order]], begins[1:]), strict=True):
                stop = int(np.searchsorted(cuts, cuts[start], side="right"))
                if skipped + WORD_BYTES < bounds.longest_bytes:
                    todo.append((those, first + start, first + stop, skipped + WORD_BYTES))
                else:
                    found[those] = first + stop
        return found

    def shared_bytes(self) -> NDArray[np.int64]:
        """Return for each part how many first bytes all of its keys have in common, as far as its two bounds tell."""
        shared = [_shared_bytes(*both) for both in pairwise(self.keys)]
        return np.array([0, *shared, 0][: len(self.keys) + 1], np.int64)


def choose_bounds(samples: Sequence[tuple[SortKeys, float]], partitions: int) -> SortBounds:
    """Return bounds that cut rows in parts of about the same size, as far as samples tell.

    A key that takes up a part or more of its own gets one to itself: its rows need no sorting, and can be read by several
    tasks. So there may be up to twice as many parts as asked for, or fewer.

    Args:
        samples: keys drawn at random from some rows, and how many rows they stand for.
        partitions: how many parts.
    """
    filled = [(keys, rows) for keys, rows in samples if len(keys) and rows]
    if not filled:
        return SortBounds((), (False,))
    keys = concat_sort_keys([keys for keys, _ in filled])
    weights = np.concatenate([np.full(len(keys), rows / len(keys)) for keys, rows in filled])
    order = keys.order()
    reached = np.cumsum(weights[order])
    aims = reached[-1] * np.arange(1, partitions) / partitions
    # The sample at which so many rows have passed: it begins the next part.
    chosen = order[np.minimum(np.searchsorted(reached, aims, side="right"), len(order) - 1)]
    quantiles = [keys.key(int(row)) for row in chosen]
    heavy = {key for key, following in pairwise(quantiles) if key == following}
    bounds: list[bytes] = []
    single = [False]
    for key in dict.fromkeys(quantiles):
        if bounds and bounds[-1] == key:
            continue  # the end of a heavy key
        bounds.append(key)
        single.append(key in heavy)
        if key in heavy:
            # After it and before all that is greater: no key is the beginning of another, and missing bytes are zeros.
            bounds.append(key + b"\x01")
            single.append(False)
    return SortBounds(tuple(bounds), tuple(single))


def _shared_bytes(left: bytes, right: bytes) -> int:
    size = min(len(left), len(right))
    differing = int.from_bytes(left[:size]) ^ int.from_bytes(right[:size])
    return size - (differing.bit_length() + 7) // 8


def _search(
    cuts: NDArray[np.uint64], words: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each word how many cuts are less, and the places of words that are equal to one."""
    if len(words) < 2 * _STEPS or len(cuts) < _WORTH_A_TABLE:
        found = np.searchsorted(cuts, words, side="left")
        return found, np.flatnonzero(cuts[np.minimum(found, len(cuts) - 1)] == words)
    # Looked up in a table of even steps from the first cut to the last, which tells it for all but the words in a step
    # with a cut: a third of the time.
    low, high = cuts[0], cuts[-1]
    shift = np.uint64(max(0, (int(high) - int(low)).bit_length() - _STEPS.bit_length() + 1))
    begins = low + (np.arange(int((high - low) >> shift) + 1, dtype=np.uint64) << shift)
    table = np.searchsorted(cuts, begins, side="left")
    has_cut = np.zeros(len(table), bool)
    has_cut[((cuts - low) >> shift).astype(np.int64)] = True
    steps = ((np.clip(words, low, high) - low) >> shift).astype(np.int64)
    found = table[steps]
    near = np.flatnonzero(has_cut[steps])
    searched = np.searchsorted(cuts, words[near], side="left")
    found[near] = searched
    return found, near[cuts[np.minimum(searched, len(cuts) - 1)] == words[near]]
