"""Reading partitions of an exchange: from memory maps where files are local, by ranges where they are not."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lakefmt.engine.exchange.partitioning import HashPartitioning, hash_keys
from lakefmt.engine.exchange.shuffle_file import is_marked
from lakefmt.errors import LostOutputError, ObjectNotFoundError
from lakefmt.store import open_store
from lakefmt.threads import Threads, map_in_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from lakefmt.engine.exchange.shuffle_input import ShuffleInput, ShuffleSources
    from lakefmt.engine.tasks import TaskContext
    from lakefmt.store import Store

__all__ = ["fetch_shuffle", "read_shuffle"]

_REQUESTS = 8  # under way at once
_AHEAD_SHARE = 1 / 4  # of the task's memory for bytes that were fetched and not read yet


def read_shuffle(source: ShuffleInput, context: TaskContext) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the input, none of the batches empty: by partition, then by output, then in the output's order.

    Batches of local files that were not compressed are views of the file: its pages count as the system's cache. They stay
    readable when the file is deleted.

    Raises:
        LostOutputError: a file is gone, cut short or another one; it names the task.
        UnsupportedFeatureError: the rows were sent by other versions of DuckDB or lakefmt.
        StoreError: storage failed.
    """
    source.exchange.versions.check()
    schema = source.exchange.wire_schema
    for piece, buffers in _loaded(source, context):
        rows = 0
        for batch in chain.from_iterable(_batches(piece, buffer, schema) for buffer in buffers):
            context.check_cancelled()
            rows += batch.num_rows
            kept = batch if source.slices is None else _slice(batch, source)
            if kept.num_rows:
                yield kept
        if rows != piece.rows:
            raise piece.lost(f"has {rows:,} rows instead of {piece.rows:,}")


def fetch_shuffle(source: ShuffleInput, context: TaskContext) -> Iterator[ShuffleInput]:
    """Yield the input in pieces of one partition or more, with their bytes in memory where they come over a network.

    What lies together in a file is one request, however many partitions it is of. A partition that is too large for a share
    of the task's memory stays where it is, and is read ahead by ``read_shuffle``; so are local files.
    """
    store = _store(source.sources)
    if store is None or store.local_path("any") is not None:
        yield source
        return
    limit = int(context.memory_bytes * _AHEAD_SHARE)
    ranges = source.ranges
    numbers, begins = np.unique(ranges.partitions, return_index=True)
    edges = [*begins.tolist(), len(ranges)]
    sizes = [int((ranges.ends[a:b] - ranges.starts[a:b]).sum()) for a, b in pairwise(edges)]
    first = size = 0
    for place in range(len(numbers) + 1):
        if place < len(numbers) and (place == first or size + sizes[place] <= limit):
            size += sizes[place]
            continue
        if first < place:
            piece = replace(source, ranges=ranges.take(slice(edges[first], edges[place])))
            yield piece if size > limit else _fetched(piece, store)
        first, size = place, sizes[place] if place < len(numbers) else 0


@dataclass(frozen=True, slots=True)
class _Piece:
    """The rows that one output has in one partition.

    Attributes:
        sources: all outputs.
        source: which of them.
        ranges: bytes, in order, those that touch as one.
        rows: how many.
    """

    sources: ShuffleSources
    source: int
    ranges: list[tuple[int, int]]
    rows: int

    def lost(self, what: str) -> LostOutputError:
        """Return the error that names the task."""
        sources, row = self.sources, self.source
        number = int(sources.numbers[row])
        return LostOutputError(
            f"The output of task {number} of stage {sources.stage!r} {what}",
            stage=sources.stage,
            number=number,
            attempt=int(sources.attempts[row]),
            path=sources.name(row) if sources.is_file[row] else None,
            hint="Look for what deletes or changes files in the job's folder",
        )


def _pieces(source: ShuffleInput) -> Iterator[_Piece]:
    ranges = source.ranges
    if not len(ranges):
        return
    changes = (np.diff(ranges.partitions) != 0) | (np.diff(ranges.sources) != 0)
    edges = [0, *(np.flatnonzero(changes) + 1).tolist(), len(ranges)]
    starts, ends, rows = ranges.starts.tolist(), ranges.ends.tolist(), ranges.rows.tolist()
    for first, last in pairwise(edges):
        found = _coalesced(zip(starts[first:last], ends[first:last], strict=True))
        yield _Piece(source.sources, int(ranges.sources[first]), found, sum(rows[first:last]))


def _loaded(source: ShuffleInput, context: TaskContext) -> Iterator[tuple[_Piece, list[pa.Buffer]]]:
    """Yield the bytes of each piece, some pieces ahead where they come over a network."""
    store = _store(source.sources)
    inline = pa.py_buffer(source.inline)

    def load(piece: _Piece) -> list[pa.Buffer]:
        if source.sources.is_file[piece.source]:
            assert store is not None  # noqa: S101 - there is a file
            return _load(store, piece)
        return [inline.slice(start, end - start) for start, end in piece.ranges]

    if store is None or store.local_path("any") is not None:
        yield from ((piece, load(piece)) for piece in _pieces(source))
    else:
        yield from _loaded_ahead(_pieces(source), load, max(int(context.memory_bytes * _AHEAD_SHARE), 1))


def _loaded_ahead(
    pieces: Iterator[_Piece], load: Callable[[_Piece], list[pa.Buffer]], limit_bytes: int
) -> Iterator[tuple[_Piece, list[pa.Buffer]]]:
    pending: deque[tuple[_Piece, int, Future[list[pa.Buffer]]]] = deque()
    ahead = 0
    with Threads(_REQUESTS, "lakefmt-shuffle") as pool:
        try:
            while True:
                while len(pending) < _REQUESTS and (ahead < limit_bytes or not pending):
                    more = list(islice(pieces, 1))
                    if not more:
                        break
                    size = sum(end - start for start, end in more[0].ranges)
                    pending.append((more[0], size, pool.submit(load, more[0])))
                    ahead += size
                if not pending:
                    return
                piece, size, future = pending.popleft()
                yield piece, future.result()
                ahead -= size
        finally:
            for _, _, future in pending:
                future.cancel()


def _fetched(source: ShuffleInput, store: Store) -> ShuffleInput:
    """Return the input with all of its bytes in memory: a request for each run of bytes of a file, some at once."""
    ranges, sources = source.ranges, source.sources
    of_file = np.flatnonzero(sources.is_file[ranges.sources])
    order = of_file[np.lexsort((ranges.starts[of_file], ranges.sources[of_file]))]
    starts, ends, files = ranges.starts[order], ranges.ends[order], ranges.sources[order]
    file_begins = np.flatnonzero(np.diff(files, prepend=-1)).tolist()
    pieces = [
        _Piece(
            sources, int(files[a]), _coalesced(zip(starts[a:b].tolist(), ends[a:b].tolist(), strict=True)), 0
        )
        for a, b in pairwise([*file_begins, len(files)])
    ]
    loaded = map_in_threads(lambda piece: _load(store, piece), pieces, _REQUESTS, "lakefmt-shuffle")
    # In the order of files and places in them nothing is left out between the ranges.
    sizes = ends - starts
    new_ends = np.cumsum(sizes) + len(source.inline)
    all_starts, all_ends = ranges.starts.copy(), ranges.ends.copy()
    all_starts[order], all_ends[order] = new_ends - sizes, new_ends
    return replace(
        source,
        sources=replace(sources, is_file=np.zeros(len(sources.is_file), bool)),
        ranges=replace(ranges, starts=all_starts, ends=all_ends),
        inline=b"".join([source.inline, *(memoryview(part) for parts in loaded for part in parts)]),
    )


def _coalesced(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ascending byte ranges, those that touch as one."""
    found: list[tuple[int, int]] = []
    for start, end in ranges:
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _store(sources: ShuffleSources) -> Store | None:
    """Return where the files are; None where there are none."""
    return open_store(sources.folder) if sources.is_file.any() else None


def _load(store: Store, piece: _Piece) -> list[pa.Buffer]:
    """Return the bytes of ranges of a file."""
    name = piece.sources.name(piece.source)
    path = store.local_path(name)
    try:
        if path is not None:
            return _mapped(piece, path)
        parts = [pa.py_buffer(part) for part in store.read_ranges(name, piece.ranges)]
    except ObjectNotFoundError as error:
        raise piece.lost("is gone") from error
    for part, (start, end) in zip(parts, piece.ranges, strict=True):
        if part.size != end - start:
            raise piece.lost("is cut short")
    return parts


def _mapped(piece: _Piece, path: str) -> list[pa.Buffer]:
    try:
        mapped = pa.memory_map(path)
    except FileNotFoundError as error:
        raise piece.lost("is gone") from error
    except OSError as error:
        raise piece.lost(f"cannot be read ({error.strerror or error})") from error
    size = int(piece.sources.sizes[piece.source])
    with mapped:
        if mapped.size() != size:
            raise piece.lost(f"has {mapped.size():,} bytes instead of {size:,}")
        found = []
        for start, end in piece.ranges:
            mapped.seek(start)
            found.append(mapped.read_buffer(end - start))
        return found


def _batches(piece: _Piece, buffer: pa.Buffer, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield the record batches whose messages these bytes are."""
    token = piece.sources.tokens[piece.source].decode()
    source = pa.BufferReader(buffer)
    while source.tell() < buffer.size:
        try:
            message: Any = pa.ipc.read_message(source)
            if not is_marked(message, token):
                raise piece.lost("is another file")
            yield pa.ipc.read_record_batch(message, schema)
        except (pa.ArrowException, OSError, EOFError) as error:
            raise piece.lost("is damaged") from error


def _slice(rows: pa.RecordBatch, source: ShuffleInput) -> pa.RecordBatch:
    partitioning = source.exchange.partitioning
    assert isinstance(partitioning, HashPartitioning)  # noqa: S101 - the planner's promise
    assert source.slices is not None  # noqa: S101 - as above
    which, of = source.slices
    # The partition was chosen by the upper bits of a product; these are the lower ones of the hash itself.
    chosen = (hash_keys(rows, partitioning.keys) & np.uint64(of - 1)) == np.uint64(which)
    return rows.filter(pa.array(chosen))
