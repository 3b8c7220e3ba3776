"""A commit <-> the bytes of its file: one JSON object per line ("Delta Log Entries").

A log is input from strangers. What can only be read in one way is read, however it is spelled: pretty-printed or
several objects to a line, a byte order mark, any line ends, bytes after the last action that cannot be part of one.
Whatever else is wrong with a commit leaves here as a ``CorruptTableError`` that names it.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from lakefmt.errors import CorruptTableError
from lakefmt.log.codec import (
    decode_add,
    decode_cdc,
    decode_domain,
    decode_info,
    decode_metadata,
    decode_protocol,
    decode_remove,
    decode_transaction,
    encode_add,
    encode_cdc,
    encode_domain,
    encode_info,
    encode_metadata,
    encode_protocol,
    encode_remove,
    encode_transaction,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lakefmt.log.actions import (
        AddCDCFile,
        AddFile,
        CommitInfo,
        DomainMetadata,
        Metadata,
        Protocol,
        RemoveFile,
        TransactionId,
    )

_T = TypeVar("_T")

__all__ = ["Commit", "decode_commit", "encode_commit", "iterate_actions"]

_log = logging.getLogger("lakefmt.log")

_SOMETHING = re.compile(r"\S")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Commit:
    """The actions of one version, by kind, in the order of the file; ``cdcs`` matter to readers of row changes only.

    What a log compaction file holds is one, too: the reconciled actions of several versions. ``size_bytes`` is the
    length of its file, 0 where it has none yet.
    """

    info: CommitInfo | None = None
    protocol: Protocol | None = None
    metadata: Metadata | None = None
    adds: tuple[AddFile, ...] = ()
    removes: tuple[RemoveFile, ...] = ()
    transactions: tuple[TransactionId, ...] = ()
    domains: tuple[DomainMetadata, ...] = ()
    cdcs: tuple[AddCDCFile, ...] = ()
    size_bytes: int = field(default=0, compare=False)


def encode_commit(commit: Commit) -> bytes:
    """Return the bytes of a commit file; ``commitInfo`` comes first, as in-commit timestamps ask."""
    lines: list[dict[str, Any]] = []
    if commit.info is not None:
        lines.append({"commitInfo": encode_info(commit.info)})
    if commit.protocol is not None:
        lines.append({"protocol": encode_protocol(commit.protocol)})
    if commit.metadata is not None:
        lines.append({"metaData": encode_metadata(commit.metadata)})
    lines.extend({"txn": encode_transaction(txn)} for txn in commit.transactions)
    lines.extend({"domainMetadata": encode_domain(domain)} for domain in commit.domains)
    lines.extend({"remove": encode_remove(remove)} for remove in commit.removes)
    lines.extend({"add": encode_add(add)} for add in commit.adds)
    lines.extend({"cdc": encode_cdc(cdc)} for cdc in commit.cdcs)
    return b"\n".join(map(orjson.dumps, lines)) + b"\n"


def decode_commit(data: bytes, *, table: str, version: int, path: str) -> Commit:
    """Read a commit file, or a log compaction file.

    Raises:
        CorruptTableError: not JSON, cut off, no action at all, an action that contradicts another of this commit, or
            a required field is missing or cannot mean what it must.
    """

    def corrupt(why: str) -> CorruptTableError:
        return CorruptTableError(
            f"Commit cannot be read: {why}",
            table=table,
            version=version,
            path=path,
            hint="Restore the file from a backup, or open an earlier version",
        )

    garbage: list[int] = []
    try:
        commit = _collect(iterate_actions(data, garbage))
    except (orjson.JSONDecodeError, json.JSONDecodeError, RecursionError, UnicodeError) as error:
        raise corrupt(f"not JSON, or cut off ({error})") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise corrupt(f"an action lacks a field or has one of the wrong type ({error!r})") from error
    if commit is None:
        raise corrupt("the file holds no action")
    if garbage:
        _log.warning(
            "%s: %d bytes after the last action of %s are no action and were ignored", table, garbage[0], path
        )
    return replace(commit, size_bytes=len(data))


def iterate_actions(data: bytes, garbage: list[int] | None = None) -> Iterator[Mapping[str, Any]]:
    """Yield each JSON object of a log file, one at a time, so that a large file is never there twice.

    Args:
        data: the file.
        garbage: gets the number of trailing bytes that were passed over, if there were any. A write that was cut off
            leaves the beginning of an object; what holds no opening brace is no part of an action, so nothing is
            lost without it.

    Raises:
        ValueError: something that is neither an object nor trailing garbage.
        RecursionError: nested beyond measure.
    """
    begin = len(_BYTE_ORDER_MARK) if data.startswith(_BYTE_ORDER_MARK) else 0
    found = False
    lines = BytesIO(data)
    lines.seek(begin)
    for line in lines:
        if line.isspace():
            continue
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            break
        if not isinstance(value, dict):
            break
        found, begin = True, lines.tell()
        yield value
    else:
        return
    yield from _iterate_unaligned(data[begin:], garbage, found=found)


def _iterate_unaligned(data: bytes, garbage: list[int] | None, *, found: bool) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of what is not one object a line; ``found`` tells that there were some before."""
    # Bytes that are not UTF-8 become surrogates, which no field takes.
    text, position, decoder = data.decode("utf-8", "surrogateescape"), 0, json.JSONDecoder()
    while (start := _SOMETHING.search(text, position)) is not None:
        position = start.start()
        try:
            value, position = _object_at(text, position, decoder)
        except json.JSONDecodeError:
            if not found or text.find("{", position) >= 0:
                raise
            if garbage is not None:
                garbage.append(len(text[position:].encode("utf-8", "surrogateescape")))
            return
        found = True
        yield value


def _object_at(text: str, position: int, decoder: json.JSONDecoder) -> tuple[dict[str, Any], int]:
    value, end = decoder.raw_decode(text, position)
    if not isinstance(value, dict):
        raise json.JSONDecodeError(f"expected an object, found {type(value).__name__}", text, position)
    return value, end


def _collect(actions: Iterable[Mapping[str, Any]]) -> Commit | None:
    """Sort the actions by kind; None where there is none."""
    info: CommitInfo | None = None
    protocol: Protocol | None = None
    metadata: Metadata | None = None
    adds: list[AddFile] = []
    removes: list[RemoveFile] = []
    transactions: list[TransactionId] = []
    domains: list[DomainMetadata] = []
    cdcs: list[AddCDCFile] = []
    empty = True
    for action in actions:
        empty = False
        for kind, value in action.items():
            if value is None:
                continue
            match kind:
                case "add":
                    adds.append(decode_add(value))
                case "remove":
                    removes.append(decode_remove(value))
                case "commitInfo":
                    info = decode_info(value)
                case "metaData":
                    metadata = _only_one(metadata, decode_metadata(value), kind)
                case "protocol":
                    protocol = _only_one(protocol, decode_protocol(value), kind)
                case "txn":
                    transactions.append(decode_transaction(value))
                case "domainMetadata":
                    domains.append(decode_domain(value))
                case "cdc":
                    cdcs.append(decode_cdc(value))
                case _:
                    pass  # "clients can assume that unrecognized actions ... are never required"
    if empty:
        return None
    _check_one_vector_a_path(adds)
    return Commit(
        info,
        protocol,
        metadata,
        tuple(adds),
        tuple(removes),
        tuple(transactions),
        tuple(domains),
        tuple(cdcs),
    )


def _only_one(before: _T | None, now: _T, kind: str) -> _T:
    if before is not None and before != now:
        raise ValueError(f"more than one {kind} action")
    return now


def _check_one_vector_a_path(adds: list[AddFile]) -> None:
    """Raise ValueError where a file is added with two deletion vectors ("Add File and Remove File": illegal).

    Both would count as files of the table, and the rows that either keeps would come twice.
    """
    vectors: dict[str, str | None] = {}
    if not any(add.deletion_vector is not None for add in adds):
        return
    for add in adds:
        vector = None if add.deletion_vector is None else add.deletion_vector.unique_id
        if vectors.setdefault(add.path, vector) != vector:
            raise ValueError(f"{add.path} is added with two deletion vectors")
