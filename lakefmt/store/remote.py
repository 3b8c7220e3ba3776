"""What S3, GCS and Azure have in common: a flat space of objects behind HTTP, reached through fsspec's clients.

A backend says how one request is made and what its client's exceptions mean. Here are retries, the resolution of
put-if-absent, ranges in parallel, streams, errors, pickling and forks, once for all.
"""

# ruff: noqa: SLF001 - an upload is a part of its store
from __future__ import annotations

import asyncio
import logging
import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, TypeVar, cast

from lakefmt.errors import (
    InvalidInputError,
    LakefmtError,
    ObjectNotFoundError,
    StoreError,
    UnknownOutcomeError,
    redact,
)
from lakefmt.store.conditional_put import resolve_put_if_absent
from lakefmt.store.connection import Connection, keep_public
from lakefmt.store.contract import ObjectInfo, Store
from lakefmt.store.location import check_key, check_readable_key, parse_location
from lakefmt.store.retry import DEFAULT_RETRY, Failure, RetryPolicy
from lakefmt.store.streams import PART_SIZE_BYTES, PartWriter, RangeReader, Upload

if TYPE_CHECKING:
    import builtins
    from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    import pyarrow as pa

__all__ = ["RemoteStore", "RemoteUpload", "client_failure", "status_failure"]

T = TypeVar("T")

_LOG = logging.getLogger("lakefmt.store")
_REQUESTS_AT_ONCE = 16
# One connection gives tens of MB/s; a long range is read over several.
_PIECE_SIZE_BYTES = 8 * 1024 * 1024

# Of servers and buckets that were seen to refuse a second conditional write in this process.
_keeps_condition: set[tuple[str, str]] = set()


class RemoteStore(Store):
    """A folder of objects behind HTTP.

    Attributes:
        service: the name in messages.
        package: the fsspec implementation, and the extra of lakefmt that installs it.
        public_options: names of storage options without secrets; only these are pickled.
        credentials_hint: how credentials are given.
        delete_batch: keys of one delete request.
    """

    service: ClassVar[str]
    package: ClassVar[tuple[str, str]]
    public_options: ClassVar[frozenset[str]]
    credentials_hint: ClassVar[str]
    delete_batch: ClassVar[int] = 1

    def __init__(
        self,
        uri: str,
        options: Mapping[str, Any] | None = None,
        *,
        retry: RetryPolicy = DEFAULT_RETRY,
        part_size_bytes: int = PART_SIZE_BYTES,
        dropped_options: tuple[str, ...] = (),
    ) -> None:
        self._location = parse_location(uri)
        self.uri = self._location.uri
        self.container = self._location.container
        self._prefix = self._location.path + "/" if self._location.path else ""
        self._options = dict(options or {})
        self._retry = retry
        self._part_size_bytes = part_size_bytes
        self._dropped_options = dropped_options
        self._connection = Connection(self.package[0], self._options, self._connect_or_explain)

    @classmethod
    def from_options(cls, uri: str, options: Mapping[str, Any]) -> RemoteStore:
        """Open a store; the options are those of the fsspec file system."""
        return cls(uri, options)

    def __reduce__(self) -> tuple[Any, ...]:
        kept, dropped = keep_public(self._options, self.public_options)
        return _unpickle, (type(self), self.uri, kept, self._dropped_options + dropped)

    def reduce_with_secrets(self) -> tuple[Any, ...]:
        """Return what ``__reduce__`` does, with all options."""
        return _unpickle, (type(self), self.uri, self._all_options(), self._dropped_options)

    def _all_options(self) -> dict[str, Any]:
        return self._options

    @property
    def identity(self) -> Hashable:
        """The location, the server and who asks there."""
        return self.uri, self._connection.name

    # What a backend says. Requests are single: no retries of their own, no caches.

    @abstractmethod
    def _connect(self) -> Any:
        """Make the fsspec file system, with the client's own retries off."""

    @abstractmethod
    def _classify(self, error: Exception) -> Failure:
        """Tell what an exception of the client means."""

    @abstractmethod
    async def _get(self, file_system: Any, name: str, span: tuple[int, int] | None) -> bytes:
        """Return an object, or a half-open span of it."""

    @abstractmethod
    async def _head(self, file_system: Any, name: str) -> tuple[int, int]:
        """Return an object's size in bytes and its time in milliseconds since the epoch."""

    @abstractmethod
    async def _list_page(
        self, file_system: Any, prefix: str, after: str, token: Any, *, recursive: bool
    ) -> tuple[builtins.list[tuple[str, int, int]], Any]:
        """Return (name, size, time) of a page of objects in order, and the token of the next page or None.

        May return names that do not come after ``after``; they are filtered.
        """

    @abstractmethod
    async def _put(self, file_system: Any, name: str, data: bytes, *, only_if_absent: bool) -> None:
        """Write an object in one request, under the condition that there is none if so asked."""

    @abstractmethod
    async def _delete(self, file_system: Any, names: Sequence[str]) -> None:
        """Delete up to ``delete_batch`` objects; one that is not there is no error."""

    @abstractmethod
    def _start_upload(self, key: str) -> Upload:
        """Begin an upload in parts."""

    def _foreign_endpoint(self) -> str:
        """Return the address of a server that is not the service's own, nothing where it is."""
        return ""

    # The contract.

    def read(self, key: str) -> bytes:
        """Return the object's bytes."""
        name = self._name_to_read(key)
        return self._run("read", key, lambda fs: self._get(fs, name, None))

    def read_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> builtins.list[bytes]:
        """Return the bytes of each half-open range; several are read at once, long ones in pieces."""
        name = self._name_to_read(key)
        pieces = [
            (index, start, min(start + _PIECE_SIZE_BYTES, end))
            for index, (first, end) in enumerate(ranges)
            for start in range(first, end, _PIECE_SIZE_BYTES)
        ]
        found: dict[tuple[int, int, int], bytes] = {}

        async def fetch(fs: Any) -> None:
            limit = asyncio.Semaphore(_REQUESTS_AT_ONCE)

            async def fetch_one(piece: tuple[int, int, int]) -> None:
                async with limit:
                    found[piece] = await self._get(fs, name, piece[1:])

            # A second attempt asks only for what the first did not get.
            await _all_of(fetch_one(piece) for piece in pieces if piece not in found)

        if pieces:
            self._run("read ranges of", key, fetch)
        parts: list[list[bytes]] = [[] for _ in ranges]
        for piece in pieces:
            parts[piece[0]].append(found[piece])
        return [part[0] if len(part) == 1 else b"".join(part) for part in parts]

    def info(self, key: str) -> ObjectInfo:
        """Return size and time of the object."""
        name = self._name_to_read(key)
        return ObjectInfo(key, *self._run("look at", key, lambda fs: self._head(fs, name)))

    def list(self, folder: str, after: str = "", *, recursive: bool = False) -> Iterator[ObjectInfo]:
        """Yield the objects of a folder in order, page by page."""
        folder = folder.strip("/")
        if folder:
            check_key(folder)
        prefix = self._prefix + (folder + "/" if folder else "")
        start = prefix + after if after else prefix
        token: Any = None
        while True:
            page, token = self._run(
                "list", folder, self._page_request(prefix, start, token, recursive=recursive)
            )
            for name, size_bytes, modified_ms in page:
                # A name that ends in a slash is a folder marker that some tools write.
                if name > start and not name.endswith("/"):
                    yield ObjectInfo(name[len(self._prefix) :], size_bytes, modified_ms)
            if token is None:
                return

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole, replacing what was there."""
        name = self._name(key)
        self._run("write", key, lambda fs: self._put(fs, name, data, only_if_absent=False))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object if there is none, atomically."""
        if self.read_only_reason is not None:
            raise StoreError(f"cannot commit here: {self.read_only_reason}", table=self.uri, path=key)
        name = self._name(key)
        self._connection.file_system()  # what is wrong with the set-up is no answer to the write
        won = resolve_put_if_absent(
            data,
            send=lambda: self._once(
                "put if absent", key, lambda fs: self._put(fs, name, data, only_if_absent=True)
            ),
            read_back=lambda: self._read_back(key),
            classify=self._meaning,
            refused=lambda error: self._failed("write", key, error),
            retry=self._retry,
        )
        if won:
            self._check_condition_is_kept(key, data)
        return won

    def delete(self, keys: Iterable[str]) -> None:
        """Delete the objects, in batches where the service has them, several requests at once."""
        names = [self._name(key) for key in keys]
        step = self.delete_batch * _REQUESTS_AT_ONCE
        for first in range(0, len(names), step):
            self._delete_some(names[first : first + step])

    def open_input(self, key: str, size_bytes: int | None = None) -> pa.NativeFile:
        """Open an object for random reads."""
        self._name_to_read(key)
        size = self.info(key).size_bytes if size_bytes is None else size_bytes
        return RangeReader(lambda ranges: self.read_ranges(key, ranges), size).to_arrow()

    def open_output(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Write an object as a stream: one request if it is small, in parts otherwise."""
        self._name(key)
        writer = PartWriter(
            lambda data: self.put(key, data), lambda: self._start_upload(key), self._part_size_bytes
        )
        # PartWriter has all that writers of a BinaryIO use; the protocol itself is nominal.
        return cast("AbstractContextManager[BinaryIO]", writer)

    # How it is done.

    def _check_condition_is_kept(self, key: str, data: bytes) -> None:
        """Unmask a server that ignores the condition of a write and replaces what is there.

        Such servers exist beside the services of Amazon and Google and answer like any other. The first object
        that a process wins on one is sent again, the same bytes: a second success gives it away.
        """
        server = (self._foreign_endpoint(), self.container)
        if not server[0] or server in _keeps_condition:
            return
        name = self._name(key)
        try:
            self._once("check", key, lambda fs: self._put(fs, name, data, only_if_absent=True))
        except Exception as error:  # noqa: BLE001 - anything but a success proves nothing against the server
            if self._meaning(error) is Failure.TAKEN:
                _keeps_condition.add(server)
            return
        self.read_only_reason = (
            f"the server at {redact(server[0])} ignores the condition of a write, so two writers would overwrite "
            "each other"
        )
        raise UnknownOutcomeError(
            f"it was written, but may have replaced another writer's object: {self.read_only_reason}",
            was_applied=True,
            table=self.uri,
            path=key,
            hint="Update the server, or keep tables that are written elsewhere",
        )

    def _delete_some(self, names: Sequence[str]) -> None:
        batches = [
            tuple(names[start : start + self.delete_batch])
            for start in range(0, len(names), self.delete_batch)
        ]
        done: set[int] = set()

        async def delete(fs: Any) -> None:
            async def delete_one(index: int) -> None:
                await self._delete(fs, batches[index])
                done.add(index)

            await _all_of(delete_one(index) for index in range(len(batches)) if index not in done)

        if names:
            self._run("delete", names[0][len(self._prefix) :], delete)

    def _page_request(
        self, prefix: str, start: str, token: Any, *, recursive: bool
    ) -> Callable[[Any], Awaitable[tuple[builtins.list[tuple[str, int, int]], Any]]]:
        after = start if start != prefix else ""
        return lambda fs: self._list_page(fs, prefix, after, token, recursive=recursive)

    def _name(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _name_to_read(self, key: str) -> str:
        return check_readable_key(key)[1:] if key[:1] == "/" else self._name(key)

    def _read_back(self, key: str) -> bytes | None:
        try:
            return self.read(key)
        except ObjectNotFoundError:
            return None

    def _run(self, verb: str, key: str, request: Callable[[Any], Awaitable[T]]) -> T:
        """Return what the request returns, retrying; every exception becomes a StoreError."""
        try:
            return self._retry.call(lambda: self._once(verb, key, request), self._meaning)
        except LakefmtError:
            raise
        except Exception as error:
            raise self._failed(verb, key, error) from error

    def _once(self, verb: str, key: str, request: Callable[[Any], Awaitable[T]]) -> T:
        from fsspec.asyn import sync

        file_system = self._connection.file_system()
        started = time.perf_counter()
        answer = "failed"
        try:
            result: T = sync(file_system.loop, request, file_system)
            answer = "done"
            return result
        finally:
            _LOG.debug(
                "%s %s/%s: %s after %.1f ms",
                verb,
                self.uri,
                key,
                answer,
                (time.perf_counter() - started) * 1000,
            )

    def _meaning(self, error: Exception) -> Failure:
        if isinstance(error, LakefmtError):
            return Failure.INVALID  # of our own making, about the call or the set-up
        return self._classify(error)

    def _failed(self, verb: str, key: str, error: Exception) -> StoreError:
        if isinstance(error, StoreError):
            return error
        failure = self._meaning(error)
        where: dict[str, Any] = {"table": self.uri, "path": key or None}
        match failure:
            case Failure.ABSENT:
                return ObjectNotFoundError(f"cannot {verb} it: no such object", **where)
            case Failure.NO_CONTAINER:
                return StoreError(
                    f"cannot {verb} it: {self.service} has no bucket or container {self.container!r}",
                    **where,
                    hint="Create it first; lakefmt creates tables, not buckets",
                )
            case Failure.DENIED:
                return StoreError(
                    f"cannot {verb} it: {self.service} denies access",
                    **where,
                    hint=self._with_dropped("Check what the credentials in use may do there"),
                )
            case Failure.CREDENTIALS:
                return StoreError(
                    f"cannot {verb} it: {self.service} has no valid credentials from you",
                    **where,
                    hint=self._with_dropped(self.credentials_hint),
                )
            case Failure.TRANSIENT:
                return StoreError(
                    f"cannot {verb} it: {self.service} does not answer ({_brief(error)})",
                    **where,
                    hint="Check the network and the endpoint, and try again later",
                )
            case _:
                return StoreError(f"cannot {verb} it: {self.service} says {_brief(error)}", **where)

    def _with_dropped(self, hint: str) -> str:
        if not self._dropped_options:
            return hint
        return (
            f"{hint}. Secrets are never pickled: this store came from another process without its "
            f"{', '.join(self._dropped_options)}, so the environment here must give them"
        )

    def _connect_or_explain(self) -> Any:
        module, extra = self.package
        try:
            return self._connect()
        except ImportError as error:
            raise StoreError(
                f"{self.service} needs the package {module}, which is not installed",
                table=self.uri,
                hint=f"pip install 'lakefmt[{extra}]'",
            ) from error
        except TypeError as error:
            raise InvalidInputError(
                f"a storage option is not known to {module}: {_brief(error)}",
                table=self.uri,
                hint=f"storage_options are those of {module}",
            ) from error
        except LakefmtError:
            raise
        except Exception as error:
            raise StoreError(
                f"cannot connect to {self.service}: {_brief(error)}",
                table=self.uri,
                hint=self._with_dropped(self.credentials_hint),
            ) from error


class RemoteUpload(Upload):
    """An upload of a remote store: requests go through the store's retries and errors."""

    def __init__(self, store: RemoteStore, key: str) -> None:
        self._store = store
        self._key = key
        self._object_name = store._name(key)

    def _request(self, request: Callable[[Any], Awaitable[T]]) -> T:
        return self._store._run("write", self._key, request)


def status_failure(status: int | None) -> Failure:
    """Return what an HTTP status means where the service's own code says nothing more."""
    match status:
        case 401:
            return Failure.CREDENTIALS
        case 403:
            return Failure.DENIED
        case 404:
            return Failure.ABSENT
        case 409 | 412:
            return Failure.TAKEN
        case 408 | 425 | 429:
            return Failure.TRANSIENT
        case int() if status >= 500 and status not in (501, 505):
            return Failure.TRANSIENT
        case int() if status >= 400:
            return Failure.INVALID
        case _:
            return Failure.UNKNOWN


def client_failure(error: Exception) -> Failure:
    """Return what an exception below HTTP means: time-outs and broken connections."""
    if isinstance(error, (TimeoutError, asyncio.TimeoutError, ConnectionError)):
        return Failure.TRANSIENT
    if type(error).__module__.partition(".")[0] in ("aiohttp", "ssl", "socket"):
        return Failure.TRANSIENT
    return Failure.UNKNOWN


async def _all_of(requests: Iterable[Awaitable[None]]) -> None:
    """Wait for all; raise the first failure afterwards, so that none runs on unseen."""
    answers = await asyncio.gather(*requests, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer


def _brief(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."


def _unpickle(
    kind: type[RemoteStore], uri: str, options: dict[str, Any], dropped: tuple[str, ...]
) -> RemoteStore:
    return kind(uri, options, dropped_options=dropped)
