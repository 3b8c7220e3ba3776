"""The order of rows as numbers: DuckDB's own sort keys, compared eight bytes at a time.

DuckDB's ``create_sort_key`` turns the values that a row is ordered by into bytes whose order is the order of the rows,
directions, NULL and NaN included (short keys into an integer of that order). No key is the beginning of another, so
that what is missing of the last eight bytes can be taken for zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lakefmt.engine.exchange.keys import evaluate_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lakefmt.engine.exchange.keys import SortKey

__all__ = ["SortBounds", "SortKeys", "choose_bounds", "concat_sort_keys", "sort_keys_of"]

_WORD = 8
_SIGN = np.uint64(1 << 63)


@dataclass(frozen=True, slots=True, eq=False)
class SortKeys:
    """The sort keys of some rows.

    Attributes:
        data: the bytes of all keys.
        starts: where each key begins, and one more: where the last one ends.
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def longest_bytes(self) -> int:
        """The length of the longest key."""
        return int(np.diff(self.starts).max(initial=0))

    def words(self, depth: int, rows: NDArray[np.int64] | None = None) -> NDArray[np.uint64]:
        """Return the eight bytes of each key (of ``rows``) from ``8 * depth`` on, as a number of that order."""
        starts, ends = self.starts[:-1], self.starts[1:]
        if rows is not None:
            starts, ends = starts[rows], ends[rows]
        if not len(starts):
            return np.zeros(0, np.uint64)
        # One word from every byte on, as a view: what is picked of it is read unaligned.
        padded = np.concatenate([self.data, np.zeros(_WORD, np.uint8)])
        from_each_byte: NDArray[np.uint64] = np.ndarray(len(self.data) + 1, ">u8", padded.data, strides=(1,))
        where = starts + depth * _WORD
        found = from_each_byte[np.minimum(where, len(self.data))].astype(np.uint64)
        missing = np.clip(where + _WORD - ends, 0, _WORD).astype(np.uint64) * np.uint64(8)
        if missing.any():
            # The next key's bytes are not of this one; a shift by a whole word is none.
            found = np.where(missing == _WORD * 8, 0, (found >> missing) << missing)
        return found

    def order(self) -> NDArray[np.int64]:
        """Return the rows' places in ascending order; rows with equal keys keep theirs."""
        words = self.words(0)
        order = np.argsort(words).astype(np.int64, copy=False)
        # Runs of equal keys so far, as places in `order`, and which run each belongs to.
        active, runs = _ties(words[order], None)
        depth, longest = 1, self.longest_bytes
        while len(active) and depth * _WORD < longest:
            words = self.words(depth, order[active])
            if words.min() != words.max() or runs[0] != runs[-1]:
                within = np.lexsort((words, runs))
                order[active] = order[active][within]
                places, runs = _ties(words[within], runs[within])
                active = active[places]
            depth += 1
        if len(active):
            within = np.lexsort((order[active], runs))
            order[active] = order[active][within]
        return order

    def key(self, row: int) -> bytes:
        """Return one key."""
        return self.data[self.starts[row] : self.starts[row + 1]].tobytes()

    def take(self, rows: NDArray[np.int64]) -> SortKeys:
        """Return the keys of some rows: a few."""
        return keys_from_bytes([self.key(int(row)) for row in rows])


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
        depths = max((bounds.longest_bytes + _WORD - 1) // _WORD, 1)
        # Rows that share their words so far with the bounds of a range are looked at further among these alone.
        todo: list[tuple[NDArray[np.int64] | None, int, int, int]] = [(None, 0, len(self.keys), 0)]
        while todo:
            rows, first, last, depth = todo.pop()
            if first == last:
                continue
            cuts = bounds.words(depth, np.arange(first, last))
            words = keys.words(depth, rows)
            below = np.searchsorted(cuts, words, side="left")
            _put(found, rows, first + below)
            is_equal = cuts[np.minimum(below, len(cuts) - 1)] == words
            if not is_equal.any():
                continue
            equal = np.flatnonzero(is_equal)
            for word in np.unique(words[equal]):
                start, stop = (int(np.searchsorted(cuts, word, side=side)) for side in ("left", "right"))
                those = equal[words[equal] == word]
                those = those if rows is None else rows[those]
                if depth + 1 < depths:
                    todo.append((those, first + start, first + stop, depth + 1))
                else:
                    found[those] = first + stop
        return found


def sort_keys_of(rows: pa.RecordBatch, keys: Sequence[SortKey]) -> SortKeys:
    """Return the sort keys of the rows; raises InvalidInputError where one cannot be evaluated."""
    if not rows.num_rows:
        return keys_from_bytes([])
    arguments = ", ".join(f"{key.sql}, '{key.modifier}'" for key in keys)
    column = evaluate_keys(rows, keys, f"create_sort_key({arguments})")
    if pa.types.is_int64(column.type):
        numbers = column.to_numpy().view(np.uint64) ^ _SIGN
        data = numbers.astype(">u8").view(np.uint8)
        return SortKeys(data, np.arange(0, len(data) + 1, _WORD, dtype=np.int64))
    return concat_sort_keys([_from_binary(chunk) for chunk in column.chunks])


def concat_sort_keys(parts: Sequence[SortKeys]) -> SortKeys:
    """Return the keys of all parts."""
    if len(parts) == 1:
        return parts[0]
    starts = [np.zeros(1, np.int64)]
    end = 0
    for part in parts:
        starts.append(part.starts[1:] - part.starts[0] + end)
        end = int(starts[-1][-1]) if len(part) else end
    data = [part.data[part.starts[0] : part.starts[-1]] for part in parts]
    return SortKeys(np.concatenate(data) if data else np.zeros(0, np.uint8), np.concatenate(starts))


def keys_from_bytes(keys: Sequence[bytes]) -> SortKeys:
    """Return keys that are given one by one."""
    ends = np.cumsum([0, *map(len, keys)], dtype=np.int64)
    return SortKeys(np.frombuffer(b"".join(keys), np.uint8), ends)


def choose_bounds(samples: Sequence[tuple[SortKeys, int]], partitions: int) -> SortBounds:
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


def _ties(
    words: NDArray[np.uint64], runs: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places of sorted words that are equal to a neighbour of the same run, and the number of their new run."""
    is_tie = words[1:] == words[:-1]
    if runs is not None:
        is_tie &= runs[1:] == runs[:-1]
    is_active = np.zeros(len(words), bool)
    is_active[1:] = is_tie
    is_active[:-1] |= is_tie
    places = np.flatnonzero(is_active)
    numbers = np.zeros(len(words), np.int64)
    np.cumsum(~is_tie, out=numbers[1:])
    return places, numbers[places]


def _put(found: NDArray[np.int64], rows: NDArray[np.int64] | None, values: NDArray[np.int64]) -> None:
    if rows is None:
        found[:] = values
    else:
        found[rows] = values


def _from_binary(array: Any) -> SortKeys:
    _, offsets, data = array.buffers()
    kind = np.int64 if pa.types.is_large_binary(array.type) else np.int32
    starts = np.frombuffer(offsets, kind)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    return SortKeys(np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8), starts)
