"""Tables in this process's memory, under ``memory://name/...``.

The bytes live in the dictionary that fsspec's own ``memory://`` file system uses, so whatever else reads fsspec
(polars, pandas, another library) sees the same objects. Its ``mode="create"`` looks first and writes then; here
``dict.setdefault`` does both in one step.
"""

from __future__ import annotations

import contextlib
import io
import logging
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa

from lakefmt.errors import InvalidInputError, ObjectNotFoundError
from lakefmt.store.contract import ObjectInfo, Store
from lakefmt.store.location import check_key, check_readable_key, parse_location

if TYPE_CHECKING:
    import builtins
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

__all__ = ["MemoryStore"]

_LOG = logging.getLogger("lakefmt.store")


class MemoryStore(Store):
    """A folder of objects that end with this process.

    Every store of one URI sees the same objects, in every thread. A forked child starts with a copy; a pickled
    store finds in another process what that process has under the name, which at first is nothing.
    """

    requests_are_cheap = True
    is_of_process = True

    def __init__(self, uri: str) -> None:
        from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

        location = parse_location(uri)
        self.uri = location.uri
        self._root = f"/{location.path}/" if location.path else "/"
        self._file_system = MemoryFileSystem()
        self._new_file = MemoryFile
        # Of file objects that hold the bytes of each; shared by the whole process.
        self._objects: dict[str, Any] = self._file_system.store

    @classmethod
    def from_options(cls, uri: str, options: Mapping[str, Any]) -> MemoryStore:
        """Open a store; there are no options."""
        if options:
            raise InvalidInputError(f"memory:// takes no storage options, not {', '.join(sorted(options))}")
        return cls(uri)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.uri,)

    @property
    def identity(self) -> Hashable:
        """The location: it means the same objects to every store of this process."""
        return "memory", self.uri

    def read(self, key: str) -> bytes:
        """Return the object's bytes, without a copy."""
        content: bytes = self._find("read", key).getvalue()
        return content

    def read_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> builtins.list[bytes]:
        """Return the bytes of each half-open range."""
        content = self.read(key)
        return [content[start:end] for start, end in ranges]

    def info(self, key: str) -> ObjectInfo:
        """Return size and time of the object."""
        return _object_info(key, self._find("look at", key))

    def list(self, folder: str, after: str = "", *, recursive: bool = False) -> Iterator[ObjectInfo]:
        """Yield the objects of a folder in order, as they were when the listing began."""
        folder = folder.strip("/")
        if folder:
            check_key(folder)
        _LOG.debug("list %s/%s", self.uri, folder)
        prefix = self._root + (folder + "/" if folder else "")
        start = prefix + after
        # One C call copies the dictionary: no writer can change it meanwhile.
        found = [
            (path, file)
            for path, file in self._objects.copy().items()
            if path.startswith(prefix) and path > start and (recursive or "/" not in path[len(prefix) :])
        ]
        found.sort(key=lambda item: item[0])
        for path, file in found:
            yield _object_info(path[len(self._root) :], file)

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole, replacing what was there."""
        path = self._path("put", key)
        self._objects[path] = self._file(path, data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object if there is none, atomically."""
        path = self._path("put if absent", key)
        file = self._file(path, data)
        found = self._objects.setdefault(path, file)
        return found is file or found.getvalue() == data

    def delete(self, keys: Iterable[str]) -> None:
        """Delete the objects."""
        for key in keys:
            self._objects.pop(self._path("delete", key), None)

    def open_input(self, key: str, size_bytes: int | None = None) -> pa.NativeFile:  # noqa: ARG002 - part of the contract
        """Open an object for random reads, without a copy."""
        return pa.BufferReader(self.read(key))

    @contextlib.contextmanager
    def open_output(self, key: str) -> Iterator[BinaryIO]:
        """Write an object as a stream."""
        path = self._path("write", key)
        stream = _Stream()
        yield stream
        self._objects[path] = self._file(path, stream.getvalue())

    def _find(self, verb: str, key: str) -> Any:
        try:
            return self._objects[self._path_to_read(verb, key)]
        except KeyError:
            raise ObjectNotFoundError(f"cannot {verb} it: no such object", table=self.uri, path=key) from None

    def _file(self, path: str, data: bytes) -> Any:
        return self._new_file(self._file_system, path, bytes(data))

    def _path_to_read(self, verb: str, key: str) -> str:
        return check_readable_key(key) if key[:1] == "/" else self._path(verb, key)

    def _path(self, verb: str, key: str) -> str:
        _LOG.debug("%s %s/%s", verb, self.uri, key)
        return self._root + check_key(key)


class _Stream(io.BytesIO):
    """A buffer that survives being closed by whoever was given it."""

    def close(self) -> None:
        self.flush()


def _object_info(key: str, file: Any) -> ObjectInfo:
    return ObjectInfo(key, file.size, int(file.modified.timestamp() * 1000))
