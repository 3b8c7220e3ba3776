"""One partition of a range exchange in order: sorted in the task's memory, or cut by its keys until it fits."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lakefmt.engine.exchange import (
    Exchange,
    RangePartitioning,
    ShuffleInput,
    SortKey,
    choose_bounds,
    read_shuffle,
    sort_keys_of,
    write_shuffle_file,
)
from lakefmt.engine.exchange.keys import key_columns
from lakefmt.engine.exchange.sort_keys import concat_sort_keys, order_rows
from lakefmt.engine.exchange.wire import concat_batches, take_rows
from lakefmt.engine.jobs.partition_runs import FINEST_SLICES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from lakefmt.engine.exchange import SortKeys
    from lakefmt.engine.tasks import TaskContext

__all__ = ["sample_keys", "sort_partition"]

_SAMPLED = 1_024  # keys of a part at least; with some parts a partition has hundreds, and is off by a tenth
_IN_MEMORY_SHARE = 1 / 5  # of the task's memory: the rows, their numbers, the order, what is handed out
_MOST_IN_MEMORY = 1 << 30  # 32-bit offsets reach twice as far
_MOST_CUTS = 4  # one within the other
_OUT_BYTES = 8 << 20


def sort_partition(
    rows: ShuffleInput, keys: Sequence[SortKey], context: TaskContext
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of one partition in order, in the task's memory.

    Where only a slice is asked for (``ShuffleInput.slices``) it is one in the order: the slices of a partition, one after
    the other, are its rows in order. They are cut by a sample that is the same for whoever reads the partition.

    Raises what ``read_shuffle`` does.
    """
    keys = tuple(keys)
    schema = rows.exchange.schema
    if rows.slices is not None:
        size = rows.row_bytes // rows.slices[1]
        yield from _sorted(partial(_slice, rows, keys, context), size, schema, keys, context)
    elif _has_one_key(rows):
        yield from map(_without_words, read_shuffle(rows, context))
    else:
        yield from _sorted(partial(read_shuffle, rows, context), rows.row_bytes, schema, keys, context)


def sample_keys(
    batches: Iterable[pa.RecordBatch], keys: Sequence[SortKey], context: TaskContext
) -> tuple[SortKeys, int]:
    """Return the sort keys of a thousand to two of the rows, drawn at random (all of fewer), and how many rows there are.

    Args:
        batches: rows, with the keys' columns at least.
        keys: what they are ordered by.
        context: the task's, whose number seeds the draw.
    """
    draw = np.random.default_rng(context.number)
    held: list[pa.RecordBatch] = []
    held_rows = rows = 0
    rate = 1.0
    for batch in batches:
        context.check_cancelled()
        rows += batch.num_rows
        chosen = batch.select(key_columns(keys, batch.schema))
        if rate < 1:
            chosen = take_rows(chosen, np.flatnonzero(draw.random(batch.num_rows) < rate))
        held.append(chosen)
        held_rows += chosen.num_rows
        if held_rows > 2 * _SAMPLED:
            # What was drawn before is drawn from once more, so that each row had the same chance.
            keep = _SAMPLED / held_rows
            rate *= keep
            held = [take_rows(each, np.flatnonzero(draw.random(each.num_rows) < keep)) for each in held]
            held_rows = sum(each.num_rows for each in held)
    return concat_sort_keys([sort_keys_of(each, keys) for each in held if each.num_rows]), rows


def _has_one_key(rows: ShuffleInput) -> bool:
    partitioning = rows.exchange.partitioning
    assert isinstance(partitioning, RangePartitioning)  # noqa: S101 - it is called for no other
    single = partitioning.bounds.single
    return all(single[number] for number in set(rows.ranges.partitions.tolist()))


def _slice(rows: ShuffleInput, keys: tuple[SortKey, ...], context: TaskContext) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a slice of the order, with their words; the place of a row is its last key, so one key is cut, too."""
    import pyarrow as pa

    which, of = rows.slices or (0, 1)
    names = key_columns(keys, rows.exchange.schema)
    place = SortKey(max(names, key=len) + " place")

    def read() -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch, int]]:
        begin = 0
        for batch in read_shuffle(replace(rows, slices=None), context):
            places = pa.array(np.arange(begin, begin + batch.num_rows))
            yield batch, _without_words(batch).select(names).append_column(place.column, places), begin
            begin += batch.num_rows

    by = (*keys, place)
    # By their places among all rows: of an output that was lost and made again the batches may be others.
    drawn = np.sort(np.random.default_rng(0).choice(rows.rows, min(rows.rows, 2 * _SAMPLED), replace=False))
    parts = []
    for _, placed, begin in read():
        first, last = np.searchsorted(drawn, [begin, begin + placed.num_rows])
        parts.append(sort_keys_of(take_rows(placed, drawn[first:last] - begin), by))
    # The finest cut there is, whatever the slice: so a slice is its two halves.
    bounds = choose_bounds([(concat_sort_keys(parts), 1.0)], FINEST_SLICES)
    for batch, placed, _ in read():
        found = bounds.place(sort_keys_of(placed, by)) * of // (len(bounds) + 1)
        chosen = np.flatnonzero(found == which)
        if len(chosen):
            yield take_rows(batch, chosen)


def _sorted(
    read: Callable[[], Iterator[pa.RecordBatch]],
    size_bytes: int,
    schema: pa.Schema,
    keys: tuple[SortKey, ...],
    context: TaskContext,
    *,
    cuts: int = 0,
) -> Iterator[pa.RecordBatch]:
    """Yield rows in order; they are read several times where they are too many to be sorted at once, and cut on local disk."""
    limit = min(int(context.memory_bytes * _IN_MEMORY_SHARE), _MOST_IN_MEMORY)
    if size_bytes <= limit or cuts == _MOST_CUTS:
        yield from _sorted_in_memory(list(read()), keys, context)
        return
    sample = sample_keys(map(_without_words, read()), keys, context)
    bounds = choose_bounds([sample], 2 * -(-size_bytes // limit))
    exchange = Exchange(schema, RangePartitioning(keys, bounds))
    here = replace(context, folder=context.scratch.folder(), stage=f"{context.stage}-cut{cuts}")
    file = write_shuffle_file(exchange, map(_without_words, read()), here)
    for _, part in ShuffleInput.of(exchange, [file], 0, exchange.partitions).single_partitions():
        if _has_one_key(part):
            yield from map(_without_words, read_shuffle(part, context))
        else:
            yield from _sorted(
                partial(read_shuffle, part, context), part.row_bytes, schema, keys, context, cuts=cuts + 1
            )


def _sorted_in_memory(
    batches: list[pa.RecordBatch], keys: tuple[SortKey, ...], context: TaskContext
) -> Iterator[pa.RecordBatch]:
    if not batches:
        return
    words = np.concatenate([batch.column(batch.num_columns - 1).to_numpy() for batch in batches])
    whole = concat_batches([_without_words(batch) for batch in batches])
    batches.clear()
    order = order_rows(words, lambda tied: _keys_of_tied(whole, words, tied, keys))
    step = max(1, _OUT_BYTES * max(whole.num_rows, 1) // max(whole.nbytes, 1))
    for start in range(0, whole.num_rows, step):
        context.check_cancelled()
        yield take_rows(whole, order[start : start + step])


def _keys_of_tied(
    rows: pa.RecordBatch, words: NDArray[np.uint64], tied: NDArray[np.int64], keys: tuple[SortKey, ...]
) -> SortKeys | None:
    """Return the keys of rows that others share their words with, or None if those that do are the same all over."""
    taken = take_rows(rows.select(key_columns(keys, rows.schema)), tied)
    shared = words[tied[1:]] == words[tied[:-1]]
    if all(bool((_same_as_next(column) | ~shared).all()) for column in taken.columns):
        return None
    return sort_keys_of(taken, keys)


def _same_as_next(column: Any) -> NDArray[np.bool_]:
    """Return of each value but the last whether it is known to be what the next one is: NaN, say, is not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    first, second = column[:-1], column[1:]
    try:
        equal: Any = pc.fill_null(pc.equal(first, second), False)
    except pa.ArrowNotImplementedError:  # a nested type
        return np.zeros(len(first), bool)
    same: NDArray[np.bool_] = equal.to_numpy(zero_copy_only=False)
    missing: NDArray[np.bool_] = column.is_null().to_numpy(zero_copy_only=False)
    return same | (missing[:-1] & missing[1:])


def _without_words(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.select(list(range(batch.num_columns - 1)))
