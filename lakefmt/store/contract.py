"""What lakefmt asks of storage: the one interface between tables and bytes.

A store is rooted at one folder, the table's; keys are plain (never percent-encoded) paths below it with ``/``
between parts and any other character in a name. Backends live one a file beside this one, and every one of them
passes the suite in ``lakefmt.testing.store_contract``.

Keys come out of logs that anyone may have written: one that has an empty, ``.`` or ``..`` part is refused with
``InvalidInputError`` before storage sees it. A key that begins with ``/`` is elsewhere in the same container, from its
root on (on local disk an absolute path): the data files of a shallow clone are there. It can be read; what writes,
lists or deletes refuses it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from lakefmt.store.location import key_of_uri, parse_location

if TYPE_CHECKING:
    import builtins
    from collections.abc import Hashable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import pyarrow as pa

__all__ = ["ObjectInfo", "Store"]


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object of a listing.

    Attributes:
        key: its path below the store's root.
        size_bytes: its length.
        modified_ms: when it was written, in milliseconds since the Unix epoch (UTC).
    """

    key: str
    size_bytes: int
    modified_ms: int


class Store(ABC):
    """A folder of objects on some storage system.

    All methods may be called from any thread; a store pickles, without its secrets, and works after a fork.
    Reads, lists and deletes retry transient errors; every error that leaves a store is a ``StoreError`` that
    names the object.

    Attributes:
        uri: the root, canonical and without secrets (``file:///data/trips``, ``s3://bucket/trips``).
        read_only_reason: why nothing can be committed here (no atomic put-if-absent), None where it can.
        requests_are_cheap: whether asking for an object that may not be there costs less than listing a folder.
        is_of_process: whether its objects are in this process's memory, and no other process reaches them.
    """

    uri: str
    read_only_reason: str | None = None
    requests_are_cheap: bool = False
    is_of_process: bool = False

    @property
    def identity(self) -> Hashable:
        """What two stores have in common that reach the same objects in the same way.

        Whoever keeps something of a table for the whole process keeps it under this. A store is like no other unless
        its backend says more: the same location on two servers, or by two accounts, is not one place.
        """
        return self

    @property
    def display(self) -> str:
        """The root as a person would type it: a path on local disk, else the URI; never with secrets."""
        return self.uri

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.display!r})"

    def reduce_with_secrets(self) -> tuple[Any, ...]:
        """Return what ``__reduce__`` does, with the secrets: for a worker process of this one, never for a file."""
        reduced = self.__reduce__()
        assert isinstance(reduced, tuple)  # noqa: S101 - a text would be the name of a global
        return reduced

    def key_of(self, uri: str) -> str | None:
        """Return the key of an absolute, percent-encoded URI, None where it is on another store or container.

        One below the root is a key as ever, one elsewhere in the container begins with ``/``. Raises
        InvalidInputError where it names no object.
        """
        return key_of_uri(parse_location(self.uri), uri)

    @abstractmethod
    def read(self, key: str) -> bytes:
        """Return the object's bytes. Raises ObjectNotFoundError."""

    @abstractmethod
    def read_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> builtins.list[bytes]:
        """Return the bytes of each half-open ``(start, end)`` range, in the order asked for.

        As in a Python slice, what reaches past the end of the object is cut off. Raises ObjectNotFoundError.
        """

    @abstractmethod
    def info(self, key: str) -> ObjectInfo:
        """Return what a listing would say of this object. Raises ObjectNotFoundError."""

    @abstractmethod
    def list(self, folder: str, after: str = "", *, recursive: bool = False) -> Iterator[ObjectInfo]:
        """Yield the objects in ``folder`` (``""`` is the root) whose key sorts after ``folder/after``.

        Ordered by the UTF-8 bytes of the key, complete however many there are; a folder that does not exist
        is empty. Without ``recursive`` objects in sub-folders are left out.
        """

    @abstractmethod
    def put(self, key: str, data: bytes) -> None:
        """Write an object whole, replacing what was there; a reader sees the old bytes or the new."""

    @abstractmethod
    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object if there is none under ``key``, atomically: True if ``data`` is now there by this call.

        Never answers from an error message alone: after anything but a clean success the key is read back and
        its bytes compared, so a lost response is a win, and a win is reported to one caller only (bytes of two
        callers must differ, which a commit's ``txnId`` sees to). Raises UnknownOutcomeError when neither could be
        found out.
        """

    def put_advisory(self, key: str, data: bytes) -> bool:
        """Write an object that readers can do without, if there is none under ``key``; True if it was this call.

        It is not worth a flush of the disk: after a power cut it may be gone, or empty.
        """
        return self.put_if_absent(key, data)

    @abstractmethod
    def delete(self, keys: Iterable[str]) -> None:
        """Delete the objects; one that is not there is no error."""

    @abstractmethod
    def open_input(self, key: str, size_bytes: int | None = None) -> pa.NativeFile:
        """Open an object for random reads by Parquet readers.

        With ``size_bytes`` (as in the log) an object store is not asked for it: no request is made before the
        first read. Raises ObjectNotFoundError, then at the first read.
        """

    @abstractmethod
    def open_output(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Write an object as a stream: there, durably, when the block ends; never there when it raises."""

    def delete_leftovers(self, before_ms: int) -> int:  # noqa: ARG002 - most stores have none
        """Delete what writes that never ended left behind before ``before_ms`` (Unix epoch); return how many.

        Temporary files and unfinished multipart uploads: no listing shows them and no table refers to them.
        """
        return 0

    def local_path(self, key: str) -> str | None:  # noqa: ARG002 - most objects have none
        """Return the object's path where native readers can open it themselves, else None."""
        return None
