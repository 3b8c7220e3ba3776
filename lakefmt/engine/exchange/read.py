"""Reading partitions of an exchange: from memory maps where files are local, by ranges where they are not."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lakefmt.engine.exchange.partitioning import HashPartitioning, hash_keys
from lakefmt.engine.exchange.shuffle_file import ShuffleFile, is_marked
from lakefmt.errors import LostOutputError, ObjectNotFoundError
from lakefmt.store import open_store
from lakefmt.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from lakefmt.engine.exchange.exchange import Exchange
    from lakefmt.engine.tasks import TaskContext
    from lakefmt.store import Store

__all__ = ["ShuffleInput", "read_shuffle"]

_REQUESTS = 8  # under way at once
_AHEAD_SHARE = 1 / 4  # of the task's memory for bytes that were fetched and not read yet


@dataclass(frozen=True, slots=True)
class ShuffleInput:
    """What a task reads of an exchange.

    Attributes:
        exchange: what was sent.
        files: the outputs of the tasks before, cut down to these partitions (``ShuffleFile.select``).
        slices: of the rows only those whose keys fall in slice ``slices[0]`` of ``slices[1]``, a power of two: by bits of the
            hash that did not choose the partition, or in a range exchange by their order, which ``sort_partition`` sees to;
            None for all.
    """

    exchange: Exchange
    files: tuple[ShuffleFile, ...]
    slices: tuple[int, int] | None = None

    @classmethod
    def of(
        cls,
        exchange: Exchange,
        files: Sequence[ShuffleFile],
        start: int,
        stop: int,
        slices: tuple[int, int] | None = None,
    ) -> ShuffleInput:
        """Return the input that is the partitions from ``start`` up to but without ``stop`` of all files."""
        selected = (file.select(start, stop) for file in files)
        return cls(exchange, tuple(file for file in selected if len(file.index.starts)), slices)

    @property
    def rows(self) -> int:
        """Rows there are, slices left out of account."""
        return sum(file.rows for file in self.files)

    @property
    def row_bytes(self) -> int:
        """Bytes of the rows where they are not compressed, about: as if each partition compressed as well as all together."""
        total = 0.0
        for file in self.files:
            total += int(file.partition_bytes.sum()) * max(file.row_bytes / file.size_bytes, 1.0)
        return int(total)

    @property
    def message_bytes(self) -> int:
        """Bytes that are read."""
        return sum(int(file.partition_bytes.sum()) for file in self.files)


def read_shuffle(source: ShuffleInput, context: TaskContext) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the input, none of the batches empty, in the order of the files and of each file's rows.

    Batches of local files that were not compressed are views of the file: its pages count as the system's cache. They stay
    readable when the file is deleted.

    Raises:
        LostOutputError: a file is gone, cut short or another one; it names the task.
        UnsupportedFeatureError: the rows were sent by other versions of DuckDB or lakefmt.
        StoreError: storage failed.
    """
    source.exchange.versions.check()
    schema = source.exchange.wire_schema
    for file, buffers in _fetched(source.files, context):
        rows = 0
        for batch in chain.from_iterable(_batches(file, buffer, schema) for buffer in buffers):
            context.check_cancelled()
            rows += batch.num_rows
            kept = batch if source.slices is None else _slice(batch, source)
            if kept.num_rows:
                yield kept
        if rows != file.rows:
            raise _lost(file, f"has {rows:,} rows instead of {file.rows:,}")


def _fetched(
    files: Sequence[ShuffleFile], context: TaskContext
) -> Iterator[tuple[ShuffleFile, list[pa.Buffer]]]:
    """Yield the bytes of each file's ranges, some files ahead where they come over a network."""
    stores: dict[str, Store] = {}
    for file in files:
        if file.name and file.folder not in stores:
            stores[file.folder] = open_store(file.folder)
    if all(store.local_path("any") is not None for store in stores.values()):
        for file in files:
            yield file, _load(file, stores)
        return
    limit = max(int(context.memory_bytes * _AHEAD_SHARE), 1)
    remaining = iter(files)
    pending: deque[tuple[ShuffleFile, Future[list[pa.Buffer]]]] = deque()
    ahead = 0
    with Threads(_REQUESTS, "lakefmt-shuffle") as pool:
        try:
            while True:
                while len(pending) < _REQUESTS and (ahead < limit or not pending):
                    more = list(islice(remaining, 1))
                    if not more:
                        break
                    pending.append((more[0], pool.submit(_load, more[0], stores)))
                    ahead += int(more[0].partition_bytes.sum())
                if not pending:
                    return
                file, future = pending.popleft()
                yield file, future.result()
                ahead -= int(file.partition_bytes.sum())
        finally:
            for _, future in pending:
                future.cancel()


def _load(file: ShuffleFile, stores: dict[str, Store]) -> list[pa.Buffer]:
    """Return the bytes of the file's ranges."""
    ranges = file.index.coalesced()
    if not file.name:
        whole = pa.py_buffer(file.inline)
        return [whole.slice(start - file.inline_start, end - start) for start, end in ranges]
    store = stores[file.folder]
    path = store.local_path(file.name)
    try:
        if path is not None:
            return _mapped(file, path, ranges)
        parts = [pa.py_buffer(part) for part in store.read_ranges(file.name, ranges)]
    except ObjectNotFoundError as error:
        raise _lost(file, "is gone") from error
    for part, (start, end) in zip(parts, ranges, strict=True):
        if part.size != end - start:
            raise _lost(file, "is cut short")
    return parts


def _mapped(file: ShuffleFile, path: str, ranges: list[tuple[int, int]]) -> list[pa.Buffer]:
    try:
        mapped = pa.memory_map(path)
    except FileNotFoundError as error:
        raise _lost(file, "is gone") from error
    except OSError as error:
        raise _lost(file, f"cannot be read ({error.strerror or error})") from error
    with mapped:
        if mapped.size() != file.size_bytes:
            raise _lost(file, f"has {mapped.size():,} bytes instead of {file.size_bytes:,}")
        found = []
        for start, end in ranges:
            mapped.seek(start)
            found.append(mapped.read_buffer(end - start))
        return found


def _batches(file: ShuffleFile, buffer: pa.Buffer, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield the record batches whose messages these bytes are."""
    source = pa.BufferReader(buffer)
    while source.tell() < buffer.size:
        try:
            message: Any = pa.ipc.read_message(source)
            if not is_marked(message, file.token):
                raise _lost(file, "is another file")
            yield pa.ipc.read_record_batch(message, schema)
        except (pa.ArrowException, OSError, EOFError) as error:
            raise _lost(file, "is damaged") from error


def _slice(rows: pa.RecordBatch, source: ShuffleInput) -> pa.RecordBatch:
    partitioning = source.exchange.partitioning
    assert isinstance(partitioning, HashPartitioning)  # noqa: S101 - the planner's promise
    assert source.slices is not None  # noqa: S101 - as above
    which, of = source.slices
    # The partition was chosen by the upper bits of a product; these are the lower ones of the hash itself.
    chosen = (hash_keys(rows, partitioning.keys) & np.uint64(of - 1)) == np.uint64(which)
    return rows.filter(pa.array(chosen))


def _lost(file: ShuffleFile, what: str) -> LostOutputError:
    return LostOutputError(
        f"The output of task {file.number} of stage {file.stage!r} {what}",
        stage=file.stage,
        number=file.number,
        attempt=file.attempt,
        path=file.name or None,
        hint="Look for what deletes or changes files in the job's folder",
    )
