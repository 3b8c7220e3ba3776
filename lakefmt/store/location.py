"""Where a table is: the one place that reads URIs and paths.

Three spellings meet here. A plain path is taken literally (``100%20`` is a folder of that name). A ``file:`` URI
is percent-encoded, as RFC 8089 has it. The URIs of object stores are ``scheme://container/key`` with the key
literal, which is how every S3, GCS and Azure tool prints them. A fourth stands in logs: there every URI is
percent-encoded, whatever its scheme (``key_of_uri``).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from lakefmt.errors import InvalidInputError, redact

__all__ = ["Location", "check_key", "check_readable_key", "key_of_uri", "parse_location"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?=/)")
_AZURE_HOST = re.compile(r"(?P<account>[^./@]+)\.(?:dfs|blob)\.[^/]+")
_GENERIC = re.compile(r"(?P<scheme>[^:/]+)://(?P<authority>[^/]*)(?P<path>.*)", re.DOTALL)
_KINDS = {
    "file": "local",
    "local": "local",
    "memory": "memory",
    "s3": "s3",
    "s3a": "s3",
    "s3n": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "az": "azure",
    "abfs": "azure",
    "abfss": "azure",
    "wasb": "azure",
    "wasbs": "azure",
}


@dataclass(frozen=True, slots=True)
class Location:
    """A place a table may be at.

    Attributes:
        kind: which backend: ``local``, ``memory``, ``s3``, ``gcs``, ``azure`` or ``generic``.
        uri: canonical, without secrets, without a slash at the end.
        container: bucket or container; empty where there is none.
        path: what lies below the container, without slashes around it; on local disk the absolute path.
        account: the storage account that an Azure URI names, else None.
    """

    kind: str
    uri: str
    container: str
    path: str
    account: str | None = None


def parse_location(uri: str | os.PathLike[str]) -> Location:
    """Parse a table's URI or path. Raises InvalidInputError."""
    path = _checked_text(uri)
    if not isinstance(uri, str):
        return _local(path)
    if not uri:
        raise InvalidInputError("an empty string is no place for a table", hint="Give a path or a URI")
    if "::" in uri and "://" in uri:
        return Location("generic", redact(uri).rstrip("/"), "", uri)
    found = _SCHEME.match(uri)
    if found is None:
        return _local(os.path.expanduser(uri))  # noqa: PTH111 - a path stays text here
    scheme = found[1].lower()
    rest = uri[found.end() :]
    kind = _KINDS.get(scheme, "generic")
    match kind:
        case "local":
            return _local(_path_of_file_uri(uri, rest))
        case "memory":
            path = _clean(rest)
            return Location(kind, f"memory://{path}", "", path)
        case "generic":
            return Location(kind, redact(uri).rstrip("/"), "", uri)
        case _:
            return _object_store(kind, scheme, uri, rest)


def check_key(key: str) -> str:
    """Return ``key`` if it stays below the root. Raises InvalidInputError."""
    # One look for the marks of a bad key keeps this off the profile: most keys have neither.
    if ("." in key or "//" in key or key[:1] in ("", "/") or key[-1:] == "/") and not _is_below(key):
        raise InvalidInputError(
            f"{key!r} is no key of an object below the table",
            hint="A key is a relative path with no empty, '.' or '..' part",
        )
    return key


def check_readable_key(key: str) -> str:
    """Return ``key`` if it may be read: below the root, or ``/`` and a path elsewhere in the container."""
    if key[:1] == "/":
        check_key(key[1:])
        return key
    return check_key(key)


def key_of_uri(root: Location, uri: str) -> str | None:
    """Return the key of a percent-encoded, absolute URI on the store of ``root``; None where it is on another.

    Below the root it is the key as ever; elsewhere in the same container (on the same disk) it begins with ``/`` and
    goes from the container's root. A URI without scheme, or without scheme and authority, has the root's
    (RFC 3986, 5.2.2). Schemes that lead to one service (``s3``, ``s3a``) are the same.

    Raises:
        InvalidInputError: it names no object: a part is empty, ``.`` or ``..``, or an escape is no UTF-8.
    """
    if root.kind == "generic" and "::" in root.uri:
        return None  # one file system inside another: neither's URIs say where
    found = _SCHEME.match(uri)
    scheme = found[1].lower() if found else None
    rest = uri[found.end() :] if found else uri
    authority, path = None, rest
    if rest.startswith("//"):
        authority, slash, path = rest[2:].partition("/")
        path = slash + path
    if (scheme is not None or authority) and not _leads_to(root, scheme, authority or ""):
        return None
    try:
        path = unquote(path, errors="strict")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{uri!r} has an escape that is no UTF-8") from error
    if root.kind == "memory" and authority:
        path = f"/{authority}{path}"
    elif root.kind == "local":
        path = "/" + "/".join(part for part in path.split("/") if part)  # as the operating system has it
    if path[:1] != "/":
        raise InvalidInputError(f"{uri!r} names no object")
    check_readable_key(path)
    below = _path_below_container(root) + "/"
    return path.removeprefix(below)


def _leads_to(root: Location, scheme: str | None, authority: str) -> bool:
    """Whether a scheme (None: the root's) and an authority are those of the root's store."""
    if root.kind == "generic":
        here = _GENERIC.match(root.uri)
        return (
            here is not None and scheme in (here["scheme"].lower(), None) and authority == here["authority"]
        )
    kind = root.kind if scheme is None else _KINDS.get(scheme)
    if kind != root.kind:
        return False
    if kind == "local":
        return authority in ("", "localhost")
    if kind == "memory":
        return True
    try:
        there = _object_store(kind, kind, f"{kind}://{authority}", f"//{authority}")
    except InvalidInputError:
        return False
    # An account that is not named may be any: the container then is that of the root's.
    return there.container == root.container and there.account in (root.account, None)


def _path_below_container(root: Location) -> str:
    """Return the root's path from its container's root on: with a slash before it, without one at the end."""
    if root.kind == "generic":
        here = _GENERIC.match(root.uri)
        return here["path"] if here else ""
    path = root.path.replace(os.sep, "/").strip("/")
    return f"/{path}" if path else ""


def _checked_text(uri: Any) -> str:
    # A path object may be made of bytes; a table's URI is text everywhere else.
    text = os.fspath(uri) if isinstance(uri, str | os.PathLike) else None
    if not isinstance(text, str):
        raise InvalidInputError(
            f"uri must be a path or a URI, not {type(uri).__name__}", hint="Give text or a pathlib.Path"
        )
    try:
        os.fsencode(
            text
        )  # names that are not UTF-8 come from the file system as surrogates that it takes back
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"uri {text!a} is not Unicode text: it holds a lone surrogate") from error
    return text


def _is_below(key: str) -> bool:
    return all(part not in ("", ".", "..") for part in key.split("/"))


def _local(path: str) -> Location:
    if "\0" in path:
        raise InvalidInputError(f"a path cannot hold a NUL character: {path!r}")
    absolute = os.path.abspath(path)  # noqa: PTH100 - resolve() would follow links
    return Location("local", Path(absolute).as_uri(), "", absolute)


def _path_of_file_uri(uri: str, rest: str) -> str:
    if rest.startswith("//"):
        host, _, path = rest[2:].partition("/")
        if host not in ("", "localhost"):
            raise InvalidInputError(
                f"{uri!r} names the host {host!r}",
                hint="A file URI of this machine has three slashes: file:///data/trips",
            )
        rest = "/" + path
    path = unquote(rest)
    # file:///C:/data is C:/data where drives have letters.
    return path[1:] if os.name == "nt" and path[2:3] == ":" else path


def _object_store(kind: str, scheme: str, uri: str, rest: str) -> Location:
    container, _, path = rest.removeprefix("//").partition("/")
    account = None
    authority = container
    if kind == "azure" and "@" in container:
        container, _, host = container.partition("@")
        found = _AZURE_HOST.fullmatch(host)
        account = found["account"] if found else None
    elif "@" in container:
        raise InvalidInputError(
            f"{redact(uri)!r} has user information in it",
            hint="Credentials go into storage_options or the environment, never into the URI",
        )
    if not rest.startswith("//") or not container:
        raise InvalidInputError(
            f"{redact(uri)!r} names no bucket or container",
            hint=f"It reads {scheme}://bucket/folder",
        )
    path = _clean(path)
    shown = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}.get(scheme, scheme)
    return Location(kind, f"{shown}://{authority}/{path}".rstrip("/"), container, path, account)


def _clean(path: str) -> str:
    return "/".join(part for part in path.split("/") if part)
