"""Objects of an object store as files: read by ranges, written by parts."""

from __future__ import annotations

import contextlib
import io
import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from types import TracebackType
    from typing import Self

    from lakefmt.threads import Threads

__all__ = ["PART_SIZE_BYTES", "PartWriter", "RangeReader", "Upload"]

_LOG = logging.getLogger("lakefmt.store")

# A Parquet reader asks for the footer first and for small files reads everything else right after it: taking this
# much of the end at once makes a small file one request, and the footer of a large one too.
TAIL_SIZE_BYTES = 256 * 1024

# Of an S3 upload with 10,000 parts at most; doubling every 1,000 parts, all sizes S3 allows can be written.
PART_SIZE_BYTES = 8 * 1024 * 1024
_PARTS_BEFORE_DOUBLING = 1_000
_PARTS_IN_FLIGHT = 4


class RangeReader(io.RawIOBase):
    """A seekable file over range reads, which keeps the end of the object once it was read.

    Args:
        read_ranges: returns the bytes of half-open ranges.
        size_bytes: length of the object.
    """

    def __init__(
        self, read_ranges: Callable[[Sequence[tuple[int, int]]], list[bytes]], size_bytes: int
    ) -> None:
        super().__init__()
        self._read_ranges = read_ranges
        self._size_bytes = size_bytes
        self._position = 0
        self._tail_start = max(0, size_bytes - TAIL_SIZE_BYTES)
        self._tail: bytes | None = None

    def to_arrow(self) -> pa.NativeFile:
        """Return a file for Arrow's readers."""
        return pa.PythonFile(cast("Any", self), mode="r")

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        self._position = max(0, base + offset)
        return self._position

    def size(self) -> int:
        """Return the length of the object."""
        return self._size_bytes

    def read(self, size: int | None = -1) -> bytes:
        """Read from the position on."""
        start = self._position
        end = self._size_bytes if size is None or size < 0 else min(start + size, self._size_bytes)
        if start >= end:
            return b""
        found = self._between(start, end)
        self._position = start + len(found)
        return found

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer."""
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def _between(self, start: int, end: int) -> bytes:
        if start < self._tail_start:
            return self._read_ranges([(start, end)])[0]
        if self._tail is None:
            self._tail = self._read_ranges([(self._tail_start, self._size_bytes)])[0]
        return self._tail[start - self._tail_start : end - self._tail_start]


class Upload(ABC):
    """One upload in parts, not yet visible. Every method retries transient errors and raises StoreError.

    Attributes:
        parallel: whether parts may be sent by several threads, in any order.
    """

    parallel = True

    @abstractmethod
    def send(self, number: int, offset: int, data: bytes) -> None:
        """Send part ``number`` (from 0), which begins at byte ``offset`` of the object."""

    @abstractmethod
    def finish(self, number: int, offset: int, data: bytes) -> None:
        """Send the last part, which may be empty, and make the object visible."""

    @abstractmethod
    def abort(self) -> None:
        """Give the upload up."""


class PartWriter(io.RawIOBase):
    """A file that becomes an object when it is left without an exception, and nothing when with one.

    What fits into one part is written by one plain request; more goes up in parts, a few at a time, while the
    caller writes on. Memory stays below a handful of parts.

    Args:
        put: writes a whole small object.
        start_upload: begins an upload in parts.
        part_size_bytes: of the first 1,000 parts; it doubles after each 1,000.
    """

    def __init__(
        self,
        put: Callable[[bytes], None],
        start_upload: Callable[[], Upload],
        part_size_bytes: int = PART_SIZE_BYTES,
    ) -> None:
        super().__init__()
        self._put = put
        self._start_upload = start_upload
        self._part_size_bytes = part_size_bytes
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._sent_bytes = 0
        self._next_part = 0
        self._upload: Upload | None = None
        self._pool: Threads | None = None
        self._in_flight: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except BaseException:
            self._abort()
            raise
        else:
            if kind is not None:
                self._abort()
        finally:
            if self._pool is not None:
                self._pool.shutdown()
            self._pending.clear()
            super().close()

    def close(self) -> None:
        """Do nothing: only leaving the block decides whether there is an object."""

    def writable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._sent_bytes + self._pending_bytes

    def write(self, data: Any) -> int:
        """Take bytes; blocks while enough parts are under way."""
        copy = bytes(data)
        self._pending.append(copy)
        self._pending_bytes += len(copy)
        if self._pending_bytes > self._part_size_bytes:
            self._send_full_parts()
        return len(copy)

    def _send_full_parts(self) -> None:
        rest = memoryview(b"".join(self._pending))
        # The last part goes with finish(), so a part is sent only when something comes after it.
        while len(rest) > self._part_size_bytes:
            part, rest = bytes(rest[: self._part_size_bytes]), rest[self._part_size_bytes :]
            self._send_part(part)
        self._pending, self._pending_bytes = [bytes(rest)], len(rest)

    def _send_part(self, part: bytes) -> None:
        if self._upload is None:
            self._upload = self._start_upload()
        number, offset = self._next_part, self._sent_bytes
        self._next_part += 1
        self._sent_bytes += len(part)
        if self._next_part % _PARTS_BEFORE_DOUBLING == 0:
            self._part_size_bytes *= 2
        if not self._upload.parallel:
            self._upload.send(number, offset, part)
            return
        if len(self._in_flight) >= _PARTS_IN_FLIGHT:
            self._in_flight.pop(0).result()
        self._in_flight.append(self._threads().submit(self._upload.send, number, offset, part))

    def _threads(self) -> Threads:
        if self._pool is None:
            from lakefmt.threads import Threads

            self._pool = Threads(_PARTS_IN_FLIGHT, "lakefmt-upload")
        return self._pool

    def _finish(self) -> None:
        data = b"".join(self._pending)
        if self._upload is None:
            self._put(data)
            return
        for part in self._in_flight:
            part.result()
        self._upload.finish(self._next_part, self._sent_bytes, data)

    def _abort(self) -> None:
        for part in self._in_flight:
            # A part that goes up while its upload is given up would stay behind.
            part.cancel()
            with contextlib.suppress(Exception):
                part.exception()
        if self._upload is not None:
            try:
                self._upload.abort()
            except Exception as error:  # noqa: BLE001 - must not hide what made the writer give up
                _LOG.warning("an unfinished upload could not be removed: %s", error)
