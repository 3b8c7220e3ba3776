"""Encoding several data files beside each other: the worker threads of one write.

A file's row groups are encoded in order, one at a time; different files proceed together. The thread that feeds
them waits where a file's previous row group is not done yet, or where the rows in the encoders' hands exceed their
share of memory.
"""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakefmt.databases import available_cores
from lakefmt.engine.data_file import OpenDataFile, put_data_file
from lakefmt.engine.encoding import choose_encoding, find_useless_zstd
from lakefmt.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from lakefmt.engine.encoding import Encoding
    from lakefmt.engine.statistics import StatisticsCollector
    from lakefmt.store.contract import Store

__all__ = ["Encoders", "FileInProgress"]

_REMOTE_THREADS = 8  # an encoder that waits for storage uses no core


@dataclass(slots=True, eq=False)
class FileInProgress:
    """A data file that has a name and rows, and is not finished.

    Attributes:
        key: its key in the store.
        partition_values: one scalar per partition column.
        statistics: collects what the log will say of it.
        without_statistics: leaves that have no statistics in its footer.
        num_rows: rows handed to the encoders.
        num_row_groups: row groups handed to the encoders.
        empty_strings_nulled: rows in which an empty partition value became null.
        size_bytes: its length; 0 until it is finished.
        stream: the file as it is written; None for one that is put whole.
        job: what the encoders did for it last.
    """

    key: str
    partition_values: tuple[pa.Scalar[Any], ...]
    statistics: StatisticsCollector
    without_statistics: frozenset[str]
    num_rows: int = 0
    num_row_groups: int = 0
    empty_strings_nulled: int = 0
    size_bytes: int = 0
    stream: OpenDataFile | None = None
    job: Future[None] | None = field(default=None, repr=False)


class Encoders:
    """Threads that encode row groups; started when first needed, and gone after ``stop``.

    An error of any job is raised by the next call, whichever it is.
    """

    def __init__(
        self, store: Store, schema: pa.Schema, *, compression: str, threads: int | None, budget_bytes: int
    ) -> None:
        self._store = store
        self._schema = schema
        self._compression = compression
        self._uncompressed: frozenset[str] | None = None  # not looked at yet
        self._threads = threads
        self._budget_bytes = budget_bytes
        self._pool: Threads | None = None
        self._in_flight: dict[Future[None], int] = {}

    def written_bytes(self, file: FileInProgress) -> int:
        """Return how many bytes a streamed file has, all its row groups so far encoded."""
        if file.job is not None:
            file.job.result()
        return 0 if file.stream is None else file.stream.written_bytes

    def put(self, file: FileInProgress, rows: pa.RecordBatch, size_bytes: int, *, inline: bool) -> None:
        """Write a file of one row group; ``inline`` does so on this thread, which beats starting one."""

        def job() -> None:
            encoding = self._choose_encoding(file, rows, size_bytes)
            file.size_bytes = put_data_file(self._store, file.key, self._schema, rows, encoding)

        if inline:
            job()
        else:
            self._submit(file, job, size_bytes)

    def write_row_group(self, file: FileInProgress, rows: pa.RecordBatch, size_bytes: int) -> None:
        """Add a row group to a streamed file, which the first one opens."""
        self.written_bytes(file)
        if file.stream is None:
            encoding = self._choose_encoding(file, rows, size_bytes)
            if self._uncompressed is None:
                self._uncompressed = find_useless_zstd(rows, self._schema, encoding)
                encoding = self._choose_encoding(file, rows, size_bytes)
            file.stream = OpenDataFile(self._store, file.key, self._schema, encoding)
        stream = file.stream
        self._submit(file, lambda: stream.write_row_group(rows), size_bytes)

    def close(self, file: FileInProgress) -> None:
        """Finish a streamed file."""
        self.written_bytes(file)

        def job() -> None:
            if file.stream is not None:
                file.size_bytes = file.stream.close()

        self._submit(file, job, 0)

    def drain(self) -> None:
        """Wait until everything handed over is done."""
        while self._in_flight:
            self._reap()

    def stop(self) -> None:
        """End the threads; jobs that have not begun are dropped. Never raises."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _choose_encoding(self, file: FileInProgress, rows: pa.RecordBatch, size_bytes: int) -> Encoding:
        return choose_encoding(
            rows,
            size_bytes,
            compression=self._compression,
            uncompressed=self._uncompressed or (),
            without_statistics=file.without_statistics,
        )

    def _submit(self, file: FileInProgress, job: Callable[[], None], cost_bytes: int) -> None:
        if self._pool is None:
            self._pool = Threads(self._num_threads(file.key), "lakefmt-encode")
        while self._in_flight and sum(self._in_flight.values()) + cost_bytes > self._budget_bytes:
            self._reap()
        file.job = self._pool.submit(job)
        self._in_flight[file.job] = cost_bytes

    def _reap(self) -> None:
        done, _ = wait(self._in_flight, return_when=FIRST_COMPLETED)
        for job in done:
            del self._in_flight[job]
        for job in done:
            job.result()

    def _num_threads(self, key: str) -> int:
        if self._threads is not None:
            return self._threads
        cores = available_cores()
        return cores if self._store.local_path(key) is not None else max(cores, _REMOTE_THREADS)
