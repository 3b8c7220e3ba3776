"""Tables on local disk, and on anything mounted into it.

Nothing is ever written under its own name: the bytes go to ``.<name>.<32 hex digits>.tmp`` in the same folder, to
disk, and then get their name in one atomic step; the folder is flushed last. So a reader sees an object whole or
not at all, and what a crash leaves behind is recognisable, shown by no listing, and taken by ``delete_leftovers``.

This file calls the operating system directly rather than through fsspec: a commit costs about 16 us that way (without
flushing), an order of magnitude less.
"""

# Paths are text here: pathlib costs more than the system calls that it wraps.
# ruff: noqa: PTH102, PTH105, PTH108, PTH112, PTH116, PTH118, PTH120, PTH123
from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import stat
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

import pyarrow as pa

from lakefmt.errors import InvalidInputError, ObjectNotFoundError, StoreError, UnknownOutcomeError
from lakefmt.store.atomic_name import NotAtomicError, link_to_free_name
from lakefmt.store.conditional_put import resolve_put_if_absent
from lakefmt.store.contract import ObjectInfo, Store
from lakefmt.store.location import check_key, check_readable_key, parse_location
from lakefmt.store.retry import DEFAULT_RETRY, Failure, RetryPolicy

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

__all__ = ["LocalStore", "is_temporary"]

T = TypeVar("T")

_LOG = logging.getLogger("lakefmt.store")
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")
_NAME_KEPT = 48  # of a name in its temporary name: four bytes a character stay below NAME_MAX (255)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_HAS_FOLDER_FLUSH = os.name != "nt"
_FAILURES = {
    errno.EEXIST: Failure.TAKEN,
    errno.ENOENT: Failure.ABSENT,
    errno.EISDIR: Failure.ABSENT,
    errno.ENOTDIR: Failure.ABSENT,
    errno.EACCES: Failure.DENIED,
    errno.EPERM: Failure.DENIED,
    errno.EROFS: Failure.DENIED,
    errno.ENOSPC: Failure.FULL,
    errno.EDQUOT: Failure.FULL,
    errno.EFBIG: Failure.FULL,  # a limit of the process, or of the file system
    errno.ENAMETOOLONG: Failure.INVALID,
    # What network file systems say of a server that is busy or was restarted.
    errno.ESTALE: Failure.TRANSIENT,
    errno.EAGAIN: Failure.TRANSIENT,
    errno.ETIMEDOUT: Failure.TRANSIENT,
}
_HINTS = {
    Failure.DENIED: "Check the permissions of the file and of its folders",
    Failure.FULL: "Free some space; nothing was written",
    Failure.INVALID: "Use shorter names",
}


class _NotDurableError(OSError):
    """An object is there, but a power cut may take it away again."""


def is_temporary(name: str) -> bool:
    """Return whether a file name is that of a write that has not ended."""
    return name.endswith(".tmp") and _TEMPORARY.fullmatch(name) is not None


class LocalStore(Store):
    """A folder on local disk.

    Args:
        root: absolute path; it need not exist yet.
        fsync: whether what is written is flushed to disk before a call returns, names included.
        publish: gives a finished temporary file its name if that is free (``atomic_name``).
        retry: for the transient errors of network file systems.
    """

    requests_are_cheap = True

    def __init__(
        self,
        root: str,
        *,
        fsync: bool = True,
        publish: Callable[[str, str], None] = link_to_free_name,
        retry: RetryPolicy = DEFAULT_RETRY,
    ) -> None:
        location = parse_location(root)
        self.uri = location.uri
        self._root = location.path
        self._below = location.path.rstrip(os.sep) + os.sep
        self._fsync = fsync
        self._publish = publish
        self._retry = retry

    @classmethod
    def from_options(cls, uri: str, options: Mapping[str, Any]) -> LocalStore:
        """Open a store; ``fsync`` is the one option (False, or ``LAKEFMT_FSYNC=0``, for data that can be lost)."""
        unknown = sorted(set(options) - {"fsync"})
        if unknown:
            raise InvalidInputError(
                f"local disk has no storage option {', '.join(map(repr, unknown))}",
                hint="The one option is fsync (True or False)",
            )
        fsync = options.get("fsync")
        if fsync is None:
            fsync = os.environ.get("LAKEFMT_FSYNC", "1").lower() not in ("0", "false", "no", "off")
        return cls(parse_location(uri).path, fsync=bool(fsync))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_options, (self.uri, {"fsync": self._fsync})

    @property
    def identity(self) -> Hashable:
        """The folder, by whatever path: whether it flushes says nothing of the objects."""
        return "local", os.path.realpath(self._root)

    @property
    def display(self) -> str:
        """The folder's path."""
        return self._root

    def local_path(self, key: str) -> str:
        """Return the object's absolute path; of a key that begins with ``/`` it is that path itself."""
        if key[:1] == "/":
            path = check_readable_key(key)
            return path[1:] if os.name == "nt" else path
        return self._own_path(key)

    def read(self, key: str) -> bytes:
        """Return the object's bytes."""
        path = self.local_path(key)

        def read() -> bytes:
            with open(path, "rb", buffering=0) as file:
                return cast("bytes", file.read())

        return self._run("read", key, read)

    def read_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> builtins.list[bytes]:
        """Return the bytes of each half-open range."""
        path = self.local_path(key)

        def read() -> builtins.list[bytes]:
            with open(path, "rb", buffering=0) as file:
                return [_read_at(file, start, end) for start, end in ranges]

        return self._run("read ranges of", key, read)

    def info(self, key: str) -> ObjectInfo:
        """Return size and time of the object."""
        path = self.local_path(key)

        def look() -> ObjectInfo:
            found = os.stat(path)
            if stat.S_ISDIR(found.st_mode):
                raise IsADirectoryError(errno.EISDIR, "a folder", path)
            return _object_info(key, found)

        return self._run("look at", key, look)

    def list(self, folder: str, after: str = "", *, recursive: bool = False) -> Iterator[ObjectInfo]:
        """Yield the objects of a folder in order; links to folders are not followed."""
        folder = folder.strip("/")
        if folder:
            check_key(folder)
        prefix = folder + "/" if folder else ""
        yield from self._list(prefix, prefix + after if after else "", recursive=recursive)

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole, replacing what was there."""
        path = self._own_path(key)
        self._run("write", key, lambda: self._write(path, data, os.replace))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object if there is none, atomically."""
        path = self._own_path(key)
        _LOG.debug("put if absent %s", path)
        return resolve_put_if_absent(
            data,
            send=lambda: self._write(path, data, self._publish),
            read_back=lambda: self._read_back(key),
            classify=_classify_write,
            refused=lambda error: self._failed("write", key, error),
            retry=self._retry,
        )

    def put_advisory(self, key: str, data: bytes) -> bool:
        """Write an object that readers can do without, if there is none, without flushing it."""
        path = self._own_path(key)
        try:
            self._write(path, data, self._publish, fsync=False)
        except FileExistsError:
            return False
        except OSError as error:
            raise self._failed("write", key, error) from error
        return True

    def delete(self, keys: Iterable[str]) -> None:
        """Delete the objects; folders stay."""
        for key in keys:
            path = self._own_path(key)

            def unlink(path: str = path) -> None:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    os.unlink(path)

            self._run("delete", key, unlink)

    def open_input(self, key: str, size_bytes: int | None = None) -> pa.NativeFile:  # noqa: ARG002 - part of the contract
        """Open an object for random reads by native code."""
        path = self.local_path(key)

        def open_file() -> pa.NativeFile:
            if os.path.isdir(path):
                raise IsADirectoryError(errno.EISDIR, "a folder", path)
            return pa.OSFile(path, "rb")

        return self._run("open", key, open_file)

    @contextlib.contextmanager
    def open_output(self, key: str) -> Iterator[BinaryIO]:
        """Write an object as a stream, by native code."""
        path = self._own_path(key)
        temporary = _temporary_name(path)
        try:
            with self._run("write", key, lambda: self._open_temporary(temporary)) as file:
                # Arrow's files are binary files in all but their declared type.
                yield cast("BinaryIO", file)
            self._run("write", key, lambda: self._finish(temporary, path))
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            if isinstance(error, OSError) and _classify(error) is Failure.FULL:
                # A full disk shows in the caller's writes, which pass no code of ours.
                raise self._failed("write", key, error) from error
            raise

    def delete_leftovers(self, before_ms: int) -> int:
        """Delete the temporary files last written before ``before_ms``."""
        deleted = 0
        for folder, _, names in os.walk(self._root):
            for name in filter(is_temporary, names):
                path = os.path.join(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    if os.stat(path).st_mtime_ns // 1_000_000 < before_ms:
                        os.unlink(path)
                        deleted += 1
        return deleted

    def _own_path(self, key: str) -> str:
        """Return the path of an object of this folder, which may be written and deleted."""
        return self._below + check_key(key)

    def _list(self, prefix: str, start: str, *, recursive: bool) -> Iterator[ObjectInfo]:
        path = self._below + prefix
        for name, entry in self._run("list", prefix, lambda: _scan(path, prefix, start, recursive=recursive)):
            if name.endswith("/"):
                yield from self._list(prefix + name, start, recursive=True)
                continue
            try:
                found = entry.stat()
            except FileNotFoundError:
                continue  # deleted since the folder was read, or a link to nothing
            except OSError as error:
                raise self._failed("list", prefix + name, error) from error
            if not stat.S_ISDIR(found.st_mode):
                yield _object_info(prefix + name, found)

    def _write(
        self, path: str, data: bytes, publish: Callable[[str, str], None], *, fsync: bool | None = None
    ) -> None:
        fsync = self._fsync if fsync is None else fsync
        temporary = _temporary_name(path)
        try:
            file = os.open(temporary, _CREATE, 0o666)
        except FileNotFoundError:
            self._make_folder(os.path.dirname(path))
            file = os.open(temporary, _CREATE, 0o666)
        try:
            try:
                _write_all(file, data)
                if fsync:
                    os.fsync(file)
            finally:
                os.close(file)
            publish(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        if fsync:
            _flush_folder(os.path.dirname(path))

    def _open_temporary(self, temporary: str) -> pa.NativeFile:
        try:
            return pa.OSFile(temporary, "wb")
        except FileNotFoundError:
            self._make_folder(os.path.dirname(temporary))
            return pa.OSFile(temporary, "wb")

    def _finish(self, temporary: str, path: str) -> None:
        if self._fsync:
            file = os.open(temporary, os.O_RDWR)
            try:
                os.fsync(file)
            finally:
                os.close(file)
        os.replace(temporary, path)
        if self._fsync:
            _flush_folder(os.path.dirname(path))

    def _make_folder(self, folder: str) -> None:
        try:
            os.mkdir(folder)
        except FileExistsError:
            return
        except FileNotFoundError:
            self._make_folder(os.path.dirname(folder))
            self._make_folder(folder)
            return
        if self._fsync:
            _flush_folder(os.path.dirname(folder))

    def _read_back(self, key: str) -> bytes | None:
        try:
            return self.read(key)
        except ObjectNotFoundError:
            return None

    def _run(self, verb: str, key: str, call: Callable[[], T]) -> T:
        _LOG.debug("%s %s%s", verb, self._below, key)
        try:
            return self._retry.call(call, _classify)
        except OSError as error:
            raise self._failed(verb, key, error) from error

    def _failed(self, verb: str, key: str, error: Exception) -> StoreError:
        if isinstance(error, NotAtomicError):
            return StoreError(
                "this file system has neither hard links nor a rename that refuses to replace, so commits could "
                "overwrite each other",
                table=self.uri,
                path=key,
                hint="Keep the table on a file system that has them, or in an object store",
            )
        failure = _classify(error)
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if failure is Failure.ABSENT and verb != "write":
            return ObjectNotFoundError(f"cannot {verb} it: {reason}", table=self.uri, path=key)
        if isinstance(error, _NotDurableError):
            return UnknownOutcomeError(
                "it was written, but may not survive a power cut: its folder could not be flushed to disk: "
                f"{reason}",
                was_applied=True,
                table=self.uri,
                path=key,
                hint="Check the disk, and look at what is there before writing again",
            )
        hint = _HINTS.get(failure)
        if failure is Failure.DENIED and verb in {"write", "delete"}:
            hint = "Check the permissions of the folder and that its file system is mounted writable"
        return StoreError(f"cannot {verb} it: {reason}", table=self.uri, path=key, hint=hint)


def _classify(error: Exception) -> Failure:
    code = error.errno if isinstance(error, OSError) else None
    return _FAILURES.get(code, Failure.UNKNOWN) if code is not None else Failure.UNKNOWN


def _classify_write(error: Exception) -> Failure:
    # Neither is a question of who won: reading back would call a write that may be lost a win.
    if isinstance(error, (NotAtomicError, _NotDurableError)):
        return Failure.INVALID
    return _classify(error)


def _temporary_name(path: str) -> str:
    folder, name = os.path.split(path)
    return f"{folder}{os.sep}.{name[:_NAME_KEPT]}.{os.urandom(16).hex()}.tmp"


def _write_all(file: int, data: bytes) -> None:
    written = os.write(file, data)
    if written < len(data):
        # Linux writes 2 GiB at most in one call.
        rest = memoryview(data)[written:]
        while rest:
            rest = rest[os.write(file, rest) :]


def _read_at(file: Any, start: int, end: int) -> bytes:
    file.seek(start)
    parts = []
    while start < end and (part := file.read(end - start)):
        parts.append(part)
        start += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _scan(path: str, prefix: str, start: str, *, recursive: bool) -> list[tuple[str, os.DirEntry[str]]]:
    """List a folder's entries that may hold keys after ``start``, in key order; folders end in a slash."""
    found = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                name = entry.name
                if entry.is_dir(follow_symlinks=False):
                    # Keys below sort as "name/...", which puts "a.b" before "a/b" as in an object store.
                    name += "/"
                    key = prefix + name
                    if recursive and (key > start or start.startswith(key)):
                        found.append((name, entry))
                elif prefix + name > start and not is_temporary(name) and _is_text(name):
                    found.append((name, entry))
    except (FileNotFoundError, NotADirectoryError):
        return []
    # Code points sort as their UTF-8 bytes do.
    found.sort(key=lambda item: item[0])
    return found


def _is_text(name: str) -> bool:
    """Return whether a name is Unicode; one that is not can be in no log."""
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)


def _object_info(key: str, found: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, found.st_size, found.st_mtime_ns // 1_000_000)


def _flush_folder(folder: str) -> None:
    if not _HAS_FOLDER_FLUSH:
        return
    try:
        try:
            _flush_folder_once(folder)
        except OSError as error:
            if error.errno == errno.EIO:
                raise  # systems tell of it once: that the next flush succeeds would prove nothing
            _flush_folder_once(folder)
    except OSError as error:
        raise _NotDurableError(error.errno, error.strerror, folder) from error


def _flush_folder_once(folder: str) -> None:
    file = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(file)
    finally:
        os.close(file)
