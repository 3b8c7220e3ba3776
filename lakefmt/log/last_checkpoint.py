"""``_last_checkpoint``: where the newest checkpoint is ("Last Checkpoint File", "Last Checkpoint File Schema").

A hint, and no more: readers start their listing there. It is written after the checkpoint it names, over the one
before; its checksum tells readers whether they read half of one and half of another.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from lakefmt.errors import ObjectNotFoundError
from lakefmt.log.listing import find_commit_file
from lakefmt.log.paths import LAST_CHECKPOINT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lakefmt.store import Store

__all__ = ["LastCheckpoint", "json_checksum", "put_last_checkpoint", "read_checkpoint_hint"]

_log = logging.getLogger("lakefmt.log")


@dataclass(frozen=True, slots=True)
class LastCheckpoint:
    """What the file says.

    Attributes:
        version: of the table, at the checkpoint.
        num_actions: how many actions the checkpoint stores, those of its sidecars included.
        size_bytes: of all its files.
        num_adds: how many of the actions are live data files.
        parts: how many files it has, where it is of several parts.
        v2_name: name of its file in the log, where that has a UUID; ``v2_size_bytes`` and ``v2_modified_ms`` are of
            that file alone.
    """

    version: int
    num_actions: int
    size_bytes: int | None = None
    num_adds: int | None = None
    parts: int | None = None
    v2_name: str | None = None
    v2_size_bytes: int = 0
    v2_modified_ms: int = 0

    def encode(self) -> bytes:
        """Return the file's bytes; readers that cannot check it find its first fields within fifty bytes."""
        fields: dict[str, Any] = {
            "version": self.version,
            "size": self.num_actions,
            "parts": self.parts,
            "sizeInBytes": self.size_bytes,
            "numOfAddFiles": self.num_adds,
        }
        if self.v2_name is not None:
            # No part of the protocol's text; the reference implementation and its kernels write and read it.
            fields["v2Checkpoint"] = {
                "path": self.v2_name,
                "sizeInBytes": self.v2_size_bytes,
                "modificationTime": self.v2_modified_ms,
            }
        known = {name: value for name, value in fields.items() if value is not None}
        return orjson.dumps(known | {"checksum": json_checksum(known)})


def read_checkpoint_hint(store: Store) -> int | None:
    """Return the version that the hint names; None where it is missing or makes no sense.

    It says where a listing may start, and no more is believed of it: a hint that is wrong costs a second listing and
    changes no answer, so its checksum need not be checked.
    """
    try:
        version = orjson.loads(store.read(LAST_CHECKPOINT))["version"]
    except ObjectNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        _log.debug("%s: _last_checkpoint is not readable; listing the whole log", store.uri)
        return None
    return version if type(version) is int and 0 <= version < 10**20 else None


def put_last_checkpoint(store: Store, hint: LastCheckpoint) -> bool:
    """Write the hint, unless one is there that names a later version; whether it was written.

    Between the look and the write another writer may have put a later one: then the hint goes back, readers list a
    little more, and the next checkpoint heals it.
    """
    there = read_checkpoint_hint(store)
    if there is not None and there > hint.version and find_commit_file(store, there) is not None:
        return False
    store.put(LAST_CHECKPOINT, hint.encode())
    return True


def json_checksum(value: Mapping[str, Any]) -> str:
    """Return the MD5 of a JSON object's canonical form, without its own ``checksum`` ("JSON checksum")."""
    pairs = sorted(_canonical(value), key=lambda pair: pair[0].encode())
    text = ",".join(f"{path}={leaf}" for path, leaf in pairs if path != '"checksum"')
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _canonical(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            for name, member in value.items():
                yield from _canonical(member, _join(path, _encode(name)))
        case list():
            for position, member in enumerate(value):
                yield from _canonical(member, _join(path, str(position)))
        case str():
            yield path, _encode(value)
        case _:
            yield path, orjson.dumps(value).decode()


def _join(path: str, name: str) -> str:
    return f"{path}+{name}" if path else name


def _encode(text: str) -> str:
    return f'"{quote(text, safe="")}"'
