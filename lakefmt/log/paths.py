"""Names in ``_delta_log`` and the encoding of data file paths; the only owner of both.

Implements "Delta Log Entries", "Checkpoints" (naming) and the ``path`` field of "Add File and Remove File" of the
Delta protocol: an action's path is a URI reference (RFC 2396), relative to the table or absolute, whose decoded
form is the file's real name.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from lakefmt.store import ObjectInfo

__all__ = [
    "LAST_CHECKPOINT",
    "LOG_FOLDER",
    "SIDECAR_FOLDER",
    "LogFile",
    "LogFileKind",
    "canonical_path",
    "checkpoint_key",
    "checksum_key",
    "commit_key",
    "compaction_key",
    "format_version",
    "is_absolute_path",
    "key_to_path",
    "parse_log_file",
    "path_to_key",
    "sidecar_key",
]

LOG_FOLDER = "_delta_log"
LAST_CHECKPOINT = f"{LOG_FOLDER}/_last_checkpoint"
SIDECAR_FOLDER = f"{LOG_FOLDER}/_sidecars"

_VERSION_DIGITS = 20
_COMMIT = re.compile(r"(\d{20})\.json\Z")
_CHECKSUM = re.compile(r"(\d{20})\.crc\Z")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(?:\.(\d{10})\.(\d{10}))?\.parquet\Z")
_UUID_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.([0-9a-zA-Z-]{36})\.(?:parquet|json)\Z")
_COMPACTED = re.compile(r"(\d{20})\.(\d{20})\.compacted\.json\Z")
# A scheme of two letters or more, and a path: "C:" is no drive here, and "a:b" a name that should have been escaped.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_SLASHES = re.compile("/{2,}")

# What may stand unescaped in the path part of a URI beside letters and digits, less what the hive escaping of
# partition folders or a reader's URI parser could take for syntax (``%``, ``?``, ``#``, ``:``, ``&``, ``+``).
_URI_SAFE = "/=-_.~!$'()*,;@"


class LogFileKind(enum.Enum):
    """What a file in ``_delta_log`` is, by its name."""

    COMMIT = "commit"
    CHECKPOINT = "checkpoint"
    MULTI_PART_CHECKPOINT = "multi-part checkpoint"
    UUID_CHECKPOINT = "V2 checkpoint"
    COMPACTED = "log compaction"
    CHECKSUM = "checksum"


@dataclass(frozen=True, slots=True)
class LogFile:
    """One file of the log.

    Attributes:
        kind: what its name says it is.
        version: the version it belongs to (a log compaction file: its first).
        key: its key in the table's store.
        size_bytes: its length.
        modified_ms: when it was written, milliseconds since the epoch.
        part: 1-based number of a multi-part checkpoint's part.
        parts: how many parts that checkpoint has.
        end_version: the last version of a log compaction file.
        content: the bytes, where a catalog keeps them instead of storage.
    """

    kind: LogFileKind
    version: int
    key: str
    size_bytes: int
    modified_ms: int
    part: int = 1
    parts: int = 1
    end_version: int = -1
    content: bytes | None = field(default=None, repr=False)


def format_version(version: int) -> str:
    """Return a version as it begins every file name of the log: 20 digits, so that names sort as numbers do."""
    return f"{version:0{_VERSION_DIGITS}d}"


def commit_key(version: int) -> str:
    """Return the key of the commit file of ``version``."""
    return f"{LOG_FOLDER}/{version:0{_VERSION_DIGITS}d}.json"


def compaction_key(first: int, last: int) -> str:
    """Return the key of the log compaction file of versions ``first`` to ``last``."""
    return f"{LOG_FOLDER}/{first:0{_VERSION_DIGITS}d}.{last:0{_VERSION_DIGITS}d}.compacted.json"


def checkpoint_key(version: int, unique: str | None = None) -> str:
    """Return the key of the checkpoint of ``version``: the classic one, or the V2 one in JSON whose UUID is given."""
    ending = "parquet" if unique is None else f"{unique}.json"
    return f"{LOG_FOLDER}/{version:0{_VERSION_DIGITS}d}.checkpoint.{ending}"


def checksum_key(version: int) -> str:
    """Return the key of the checksum file of ``version``."""
    return f"{LOG_FOLDER}/{version:0{_VERSION_DIGITS}d}.crc"


def sidecar_key(name: str) -> str:
    """Return the key of a sidecar."""
    return f"{SIDECAR_FOLDER}/{name}"


def parse_log_file(info: ObjectInfo) -> LogFile | None:
    """Read a listing entry's name; None for what the protocol does not know (temporary files, hints, strangers)."""
    name = info.key.rpartition("/")[2]

    def found(kind: LogFileKind, version: str, **more: Any) -> LogFile:
        return LogFile(kind, int(version), info.key, info.size_bytes, info.modified_ms, **more)

    if match := _COMMIT.match(name):
        return found(LogFileKind.COMMIT, match[1])
    if match := _CHECKPOINT.match(name):
        if match[2] is None:
            return found(LogFileKind.CHECKPOINT, match[1])
        return found(LogFileKind.MULTI_PART_CHECKPOINT, match[1], part=int(match[2]), parts=int(match[3]))
    if match := _UUID_CHECKPOINT.match(name):
        return found(LogFileKind.UUID_CHECKPOINT, match[1])
    if match := _COMPACTED.match(name):
        return found(LogFileKind.COMPACTED, match[1], end_version=int(match[2]))
    if match := _CHECKSUM.match(name):
        return found(LogFileKind.CHECKSUM, match[1])
    return None


def key_to_path(key: str) -> str:
    """Return the ``path`` an action gives a data file: its key, percent-encoded as a relative URI."""
    return quote(key, safe=_URI_SAFE)


def path_to_key(path: str) -> str:
    """Return the key of a relative ``path``: the decoded name. See ``is_absolute_path`` for the others.

    Raises:
        UnicodeDecodeError: its escapes are no UTF-8.
    """
    return unquote(path, errors="strict") if "%" in path else path


def canonical_path(path: str) -> str:
    """Return the one spelling of an action's path under which it meets the other actions of its data file.

    Escapes are undone, and so are the ways to write an absolute path (``/x``, ``file:/x``, ``file:///x``): writers
    spell one file differently, and a ``remove`` must find its ``add``. As in Spark's replay, a relative path is not
    compared with an absolute one.
    """
    if "%" not in path and ":" not in path and path[:1] != "/":
        return path
    try:
        decoded = unquote(path, errors="strict")
    except UnicodeDecodeError:
        return path  # names no file; whoever looks for it says so
    if not is_absolute_path(path):
        return path if decoded.startswith("/") else decoded
    found = _SCHEME.match(path)
    scheme, rest = (found[0][:-2].lower(), decoded[found.end() - 1 :]) if found else ("file", decoded)
    authority = ""
    if rest.startswith("//"):
        authority, slash, rest = rest[2:].partition("/")
        rest = slash + rest
    if scheme == "file" and authority in ("", "localhost"):
        return _SLASHES.sub("/", rest)
    return f"{scheme}://{authority}{_SLASHES.sub('/', rest)}"


def is_absolute_path(path: str) -> bool:
    """Tell whether an action's path names a place of its own, in the table's folder or elsewhere."""
    return path.startswith("/") or _SCHEME.match(path) is not None
