"""Tables on any other fsspec file system, for reading.

fsspec has no atomic put-if-absent that holds on every backend: its ``mode="create"`` looks first and writes then,
so two writers could take the same version. Reading needs no such thing.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, TypeVar

from lakefmt.errors import InvalidInputError, LakefmtError, ObjectNotFoundError, StoreError
from lakefmt.store.contract import ObjectInfo, Store
from lakefmt.store.location import check_key, check_readable_key, parse_location
from lakefmt.store.retry import DEFAULT_RETRY, Failure, RetryPolicy
from lakefmt.store.streams import RangeReader

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    import pyarrow as pa

__all__ = ["GenericStore"]

_LOG = logging.getLogger("lakefmt.store")
# Scheme and authority of a URI: what two tables of one server share.
_CONTAINER = re.compile(r"[^:/]+://[^/]*(?=/|\Z)(?!.*::)", re.DOTALL)
_TIME_NAMES = ("mtime", "modified", "LastModified", "last_modified", "updated", "created")

T = TypeVar("T")


class GenericStore(Store):
    """A folder on an fsspec file system that lakefmt knows nothing about: read-only.

    Pickling drops all storage options, as nobody knows which are secret.
    """

    def __init__(
        self, uri: str, options: Mapping[str, Any] | None = None, *, retry: RetryPolicy = DEFAULT_RETRY
    ) -> None:
        import fsspec

        location = parse_location(uri)
        self.uri = location.uri
        self._given = (uri, dict(options or {}))
        scheme = location.path.split(":", 1)[0]
        self.read_only_reason = (
            f"{scheme} storage has no atomic put-if-absent that lakefmt knows of, so two writers could take the "
            "same version; keep tables that are written on local disk, S3, GCS or Azure"
        )
        self._retry = retry
        try:
            self._file_system, root = fsspec.core.url_to_fs(
                location.path, use_listings_cache=False, **(options or {})
            )
        except (ValueError, ImportError) as error:
            raise InvalidInputError(
                f"no file system for {self.uri!r}: {error}",
                hint="lakefmt knows paths, file:, memory:, s3:, gs:, az:/abfss: and the protocols that fsspec has",
            ) from error
        except Exception as error:
            raise StoreError(f"cannot connect: {error}", table=self.uri) from error
        self._root = root.rstrip("/") + "/"
        self._container = _CONTAINER.match(location.path)

    @classmethod
    def from_options(cls, uri: str, options: Mapping[str, Any]) -> GenericStore:
        """Open a store; the options are those of the fsspec file system."""
        return cls(uri, options)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.uri,)

    def reduce_with_secrets(self) -> tuple[Any, ...]:
        """Return what ``__reduce__`` does, with the URI and the options as they were given."""
        return type(self), self._given

    def read(self, key: str) -> bytes:
        """Return the object's bytes."""
        path = self._path(key)
        return self._run("read", key, lambda: bytes(self._file_system.cat_file(path)))

    def read_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> builtins.list[bytes]:
        """Return the bytes of each half-open range."""
        return [self._read_range(key, start, end) if start < end else b"" for start, end in ranges]

    def info(self, key: str) -> ObjectInfo:
        """Return size and time of the object."""
        path = self._path(key)
        found = self._run("look at", key, lambda: self._file_system.info(path))
        if found.get("type") == "directory":
            raise ObjectNotFoundError("cannot look at it: it is a folder", table=self.uri, path=key)
        return _object_info(key, found)

    def list(self, folder: str, after: str = "", *, recursive: bool = False) -> Iterator[ObjectInfo]:
        """Yield the objects of a folder in order; the listing is held in memory."""
        folder = folder.strip("/")
        if folder:
            check_key(folder)
        prefix = folder + "/" if folder else ""
        path = self._root + folder

        def look() -> builtins.list[dict[str, Any]]:
            try:
                if recursive:
                    return list(self._file_system.find(path, detail=True).values())
                return list(self._file_system.ls(path, detail=True))
            except (FileNotFoundError, NotADirectoryError):
                return []

        infos = [
            _object_info(prefix + name, entry)
            for entry in self._run("list", folder, look)
            if entry.get("type") != "directory" and (name := self._below(entry["name"], path))
        ]
        infos.sort(key=lambda info: info.key)
        yield from (info for info in infos if info.key > prefix + after)

    def put(self, key: str, data: bytes) -> None:
        """Refuse."""
        self._refuse(key, data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Refuse."""
        self._refuse(key, data)

    def delete(self, keys: Iterable[str]) -> None:
        """Refuse."""
        self._refuse("", keys)

    def open_output(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Refuse."""
        self._refuse(key, None)

    def open_input(self, key: str, size_bytes: int | None = None) -> pa.NativeFile:
        """Open an object for random reads."""
        size = self.info(key).size_bytes if size_bytes is None else size_bytes
        return RangeReader(lambda ranges: self.read_ranges(key, ranges), size).to_arrow()

    def _read_range(self, key: str, start: int, end: int) -> bytes:
        path = self._path(key)
        return self._run("read", key, lambda: bytes(self._file_system.cat_file(path, start=start, end=end)))

    def _refuse(self, key: str, _: object) -> NoReturn:
        raise StoreError(
            f"nothing can be written here: {self.read_only_reason}", table=self.uri, path=key or None
        )

    def _path(self, key: str) -> str:
        if key[:1] == "/" and self._container is not None:
            uri = self._container[0] + check_readable_key(key)
            path: str = self._file_system._strip_protocol(uri)  # noqa: SLF001 - what every fsspec reader calls
            return path
        return f"{self._root}{check_key(key)}"

    def _below(self, name: str, folder: str) -> str:
        """Return a listed name relative to the folder, or nothing for what is not below it."""
        start = folder.strip("/") + "/"
        name = name.strip("/")
        return name[len(start) :] if name.startswith(start) else ""

    def _run(self, verb: str, key: str, call: Callable[[], T]) -> T:
        _LOG.debug("%s %s/%s", verb, self.uri, key)
        try:
            return self._retry.call(call, _classify)
        except LakefmtError:
            raise
        except FileNotFoundError as error:
            raise ObjectNotFoundError(
                f"cannot {verb} it: no such object", table=self.uri, path=key
            ) from error
        except Exception as error:
            raise StoreError(
                f"cannot {verb} it: {type(error).__name__}: {error}", table=self.uri, path=key
            ) from error


def _classify(error: Exception) -> Failure:
    transient = isinstance(error, (ConnectionError, TimeoutError))
    return Failure.TRANSIENT if transient else Failure.UNKNOWN


def _object_info(key: str, found: Mapping[str, Any]) -> ObjectInfo:
    written = next((found[name] for name in _TIME_NAMES if found.get(name) is not None), 0)
    seconds = written.timestamp() if hasattr(written, "timestamp") else written
    modified_ms = int(seconds * 1000) if isinstance(seconds, (int, float)) else 0
    return ObjectInfo(key, int(found.get("size") or 0), modified_ms)
