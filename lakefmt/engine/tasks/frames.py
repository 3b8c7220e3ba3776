"""Messages between a process and its workers, over a stream socket.

    message = count u32 | length u64, so many times | the parts, one after the other

Little-endian. The first part says what the message is; those after it are a pickle and the buffers beside it. A part is
received into memory of its own, aligned as Arrow likes it, and what is unpickled keeps it: nothing is copied again.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from typing import TypeAlias

    Part: TypeAlias = bytes | bytearray | memoryview | pa.Buffer

__all__ = ["receive_message", "send_message"]

_COUNT = struct.Struct("<I")
_SMALL_BYTES = 64 << 10  # parts up to here are sent in one go
_MOST_PARTS = 1 << 24


def send_message(connection: socket.socket, parts: Sequence[Part]) -> None:
    """Send a message; raises OSError where the other end is gone."""
    sizes = [memoryview(part).nbytes for part in parts]
    waiting = bytearray(_COUNT.pack(len(parts)) + struct.pack(f"<{len(parts)}Q", *sizes))
    for part, size in zip(parts, sizes, strict=True):
        if size <= _SMALL_BYTES:
            waiting += memoryview(part)
        if size > _SMALL_BYTES or len(waiting) > _SMALL_BYTES:
            connection.sendall(waiting)
            waiting.clear()
        if size > _SMALL_BYTES:
            connection.sendall(memoryview(part).cast("B"))
    if waiting:
        connection.sendall(waiting)


def receive_message(connection: socket.socket) -> list[Part]:
    """Wait for a message and return its parts.

    Raises:
        EOFError: the other end is gone.
        OSError: the same.
    """
    (count,) = _COUNT.unpack(_receive(connection, _COUNT.size))
    assert count < _MOST_PARTS, "what came is no message"  # noqa: S101
    sizes: tuple[int, ...] = struct.unpack(f"<{count}Q", _receive(connection, 8 * count))
    return [_receive(connection, size) for size in sizes]


def _receive(connection: socket.socket, size: int) -> Part:
    part: bytearray | pa.Buffer = bytearray(size) if size <= _SMALL_BYTES else pa.allocate_buffer(size)
    view = memoryview(part)
    received = 0
    while received < size:
        count = connection.recv_into(view[received:])
        if count == 0:
            raise EOFError
        received += count
    return part
