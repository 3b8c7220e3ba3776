"""Rows of one task into its shuffle file, run by run, in the task's memory."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import numpy as np
import pyarrow as pa

from lakefmt.engine.exchange.heavy_keys import HeavyKeySample
from lakefmt.engine.exchange.shuffle_file import (
    BATCH_BYTES,
    METADATA_KEY,
    RangeIndex,
    ShuffleFile,
    batch_mark,
    shuffle_file_name,
)
from lakefmt.engine.exchange.wire import concat_batches, cut_rows, take_rows, to_wire, wire_schema
from lakefmt.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from numpy.typing import NDArray

    from lakefmt.engine.exchange.exchange import Exchange
    from lakefmt.engine.tasks import TaskContext
    from lakefmt.store import Store

__all__ = ["INLINE_BYTES", "ShuffleWriter", "write_shuffle_file"]

INLINE_BYTES: Final = 64 << 10
"""Outputs up to so many bytes travel with the task's answer."""

_RUN_SHARE = 1 / 3  # of the task's memory for rows that wait to be written
_PIECE_SHARE = 1 / 12  # for the rows that are being sorted by partition, of which there are then two copies
_LEAST_PIECE_BYTES: Final = (
    2 << 20
)  # a piece costs a call of DuckDB's and some of NumPy's, a millisecond or two
_MAGIC_BYTES: Final = 8  # before the schema's message, padded
_MOST_PIECE_BYTES: Final = 256 << 20  # far below what 32-bit offsets reach


def write_shuffle_file(
    exchange: Exchange,
    batches: Iterable[pa.RecordBatch],
    context: TaskContext,
    *,
    inline_bytes: int = INLINE_BYTES,
) -> ShuffleFile:
    """Write the rows of a task for the tasks that read the exchange.

    Rows keep their order within a partition. Nothing is there under the file's name until all of it is.

    Args:
        exchange: what is sent where.
        batches: the rows, in the exchange's schema.
        context: the task's; its folder is where the file comes to lie, its memory what rows may wait in.
        inline_bytes: outputs up to so many bytes become no file, but part of the result.

    Raises:
        InvalidInputError: rows are of another schema, or a key cannot be evaluated.
        UnsupportedFeatureError: other versions of DuckDB or lakefmt planned the exchange.
        StoreError: the file cannot be written.
        TaskCancelledError: nobody waits for it any more.
    """
    with ShuffleWriter(exchange, context, inline_bytes=inline_bytes) as writer:
        for batch in batches:
            context.check_cancelled()
            writer.add(batch)
        return writer.finish()


@dataclass(slots=True, eq=False)
class _Piece:
    """Rows in the order of their partitions; those of partition p from ``offsets[p]`` up to ``offsets[p + 1]``."""

    rows: pa.RecordBatch
    offsets: NDArray[np.int64]


@dataclass(slots=True)
class _Index:
    partitions: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)

    def built(self) -> RangeIndex:
        return RangeIndex(
            np.array(self.partitions, np.uint32),
            np.array(self.starts, np.int64),
            np.array(self.ends, np.int64),
            np.array(self.rows, np.int64),
        )


class ShuffleWriter:
    """A shuffle file on its way: a context manager, which leaves nothing behind unless ``finish`` was reached."""

    def __init__(self, exchange: Exchange, context: TaskContext, *, inline_bytes: int = INLINE_BYTES) -> None:
        exchange.versions.check()
        self._exchange = exchange
        self._context = context
        self._name = shuffle_file_name(context.stage, context.number, context.attempt)
        self._inline_bytes = inline_bytes
        self._schema = exchange.wire_schema
        self._given_schema = wire_schema(exchange.schema)
        self._token = secrets.token_hex(8)
        self._small: list[pa.RecordBatch] = []
        self._small_bytes = 0
        self._pieces: list[_Piece] = []
        self._waiting_bytes = 0
        self._row_bytes = 0
        self._index = _Index()
        self._heavy = HeavyKeySample(context.number)
        self._run_bytes = max(int(context.memory_bytes * _RUN_SHARE), 1)
        self._piece_bytes = max(min(int(context.memory_bytes * _PIECE_SHARE), _MOST_PIECE_BYTES), 1)
        self._open = ExitStack()
        self._sink: Any = None
        self._ipc: Any = None
        self._is_file = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._small.clear()
        self._pieces.clear()
        self._open.__exit__(kind, error, trace)

    def add(self, rows: pa.RecordBatch) -> None:
        """Take rows; a run is written when enough of them wait."""
        given = to_wire(rows, self._given_schema)
        size = given.nbytes
        least = min(_LEAST_PIECE_BYTES, self._piece_bytes)
        if self._small and size >= least:
            self._flush_small()
        self._small.append(given)
        self._small_bytes += size
        if self._small_bytes >= least:
            self._flush_small()

    def _flush_small(self) -> None:
        """Put what was taken in the order of its partitions, small batches together."""
        if not self._small:
            return
        taken = concat_batches(self._small)
        self._small.clear()
        self._small_bytes = 0
        for piece in cut_rows(taken, self._piece_bytes):
            if not piece.num_rows:
                continue
            sorted_piece = self._partitioned(piece)
            self._pieces.append(sorted_piece)
            size = sorted_piece.rows.nbytes
            self._waiting_bytes += size
            self._row_bytes += size
            if self._waiting_bytes >= self._run_bytes:
                self._write_run()

    def finish(self) -> ShuffleFile:
        """Write what waits, and publish the file."""
        context = self._context
        self._flush_small()
        inline = b""
        if self._ipc is None and self._waiting_bytes <= self._inline_bytes:
            inline = self._whole_in_memory()
            size = len(inline)
        else:
            self._write_run()
            self._ipc.close()
            size = self._sink.tell()
        if len(inline) > self._inline_bytes:
            # A message has some hundred bytes of its own, and there is one for each partition.
            self._store().put(self._name, inline)
            self._is_file, inline = True, b""
        self._open.close()
        return ShuffleFile(
            context.stage,
            context.number,
            context.attempt,
            context.folder,
            self._name if self._is_file else "",
            inline,
            size,
            self._token,
            self._exchange.partitions,
            self._index.built(),
            self._row_bytes,
            self._heavy.heaviest(),
        )

    def _partitioned(self, rows: pa.RecordBatch) -> _Piece:
        partitions = self._exchange.partitions
        if partitions == 1 and len(self._schema) == len(self._given_schema):
            return _Piece(rows, np.array([0, rows.num_rows]))
        found = self._exchange.partitioning.assign(rows)
        if found.words is not None:
            rows = pa.RecordBatch.from_arrays([*rows.columns, pa.array(found.words)], schema=self._schema)
        if found.hashes is not None:
            self._heavy.add(found.hashes, found.numbers)
        # Stable: rows of a partition keep their order, so that every attempt writes the same.
        order = np.argsort(found.numbers, kind="stable")
        counts = np.bincount(found.numbers, minlength=partitions)
        return _Piece(take_rows(rows, order), np.concatenate([[0], np.cumsum(counts)]))

    def _write_run(self) -> None:
        if self._ipc is None:
            self._start_file()
        none = np.zeros(self._exchange.partitions, np.int64)
        counts = sum((np.diff(piece.offsets) for piece in self._pieces), none)
        for partition in np.flatnonzero(counts).tolist():
            parts = [
                piece.rows.slice(first, last - first)
                for piece in self._pieces
                for first, last in [(int(piece.offsets[partition]), int(piece.offsets[partition + 1]))]
                if last > first
            ]
            # Arrow writes the file's head with the first batch.
            start = self._sink.tell() or _MAGIC_BYTES + self._schema.serialize().size
            mark = {METADATA_KEY: batch_mark(self._token, partition)}
            for batch in _joined(parts):
                self._ipc.write_batch(batch, custom_metadata=mark)
            end = self._sink.tell()
            self._index.partitions.append(partition)
            self._index.starts.append(start)
            self._index.ends.append(end)
            self._index.rows.append(int(counts[partition]))
        self._pieces.clear()
        self._waiting_bytes = 0

    def _whole_in_memory(self) -> bytes:
        """Write the file to memory and return it."""
        self._sink = pa.BufferOutputStream()
        self._start_messages(None)
        self._write_run()
        self._ipc.close()
        whole: bytes = self._sink.getvalue().to_pybytes()
        return whole

    def _start_file(self) -> None:
        store = self._store()
        self._is_file = True
        stream: Any = self._open.enter_context(store.open_output(self._name))
        self._sink = stream if isinstance(stream, pa.NativeFile) else pa.PythonFile(stream, mode="w")
        self._start_messages(None if store.local_path("any") is not None else "lz4")

    def _start_messages(self, codec: Literal["lz4"] | None) -> None:
        options = pa.ipc.IpcWriteOptions(compression=codec)
        self._ipc = pa.ipc.new_file(self._sink, self._schema, options=options)

    def _store(self) -> Store:
        folder = self._context.folder
        is_local = "://" not in folder or folder.startswith("file:")
        # What is lost with the power is lost with the job.
        return open_store(folder, {"fsync": False} if is_local else None)


def _joined(parts: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """Return slices as batches of a good size."""
    joined: list[pa.RecordBatch] = []
    waiting: list[pa.RecordBatch] = []
    size = 0
    for part in parts:
        for piece in cut_rows(part, BATCH_BYTES):
            each = piece.nbytes
            if waiting and size + each > BATCH_BYTES:
                joined.append(concat_batches(waiting))
                waiting, size = [], 0
            waiting.append(piece)
            size += each
    if waiting:
        joined.append(concat_batches(waiting))
    return joined
