"""What else than its tables a query may reach, where a caller says so: files of some folders, extensions of DuckDB."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from lakefmt.databases import Allowances, binding_allowed, isolated
from lakefmt.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import duckdb

__all__ = ["binding_cursor", "parse_allowances"]

_EXTENSION = re.compile(r"[a-z][a-z0-9_]*")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def parse_allowances(folders: Any, extensions: Any) -> Allowances:
    """Return what a user allows.

    Raises InvalidInputError: a folder is none of local disk, or an extension is no name of one.
    """
    given = _several(folders, "allowed_folders", (str, os.PathLike))
    places = {place for each in given for place in _places(each)}
    names = {_extension(each) for each in _several(extensions, "extensions", (str,))}
    return Allowances(tuple(sorted(places)), tuple(sorted(names)))


def binding_cursor(allowances: Allowances, memory_bytes: int) -> duckdb.DuckDBPyConnection:
    """Return a connection to a database in which a text can be bound: one that reads nothing where that will do.

    Raises InvalidInputError: an extension cannot be loaded.
    """
    if allowances == Allowances():
        return isolated.cursor()
    return binding_allowed.within((), memory_bytes, allowances).cursor()


def _several(given: Any, option: str, kinds: tuple[type, ...]) -> Iterable[Any]:
    try:
        found = [] if isinstance(given, kinds) else list(given)
    except TypeError:
        found = [given]
    if isinstance(given, kinds) or not all(isinstance(each, kinds) for each in found):
        raise InvalidInputError(f"{option} is a list of names, not {given!r}", hint=f"Write {option}=['...']")
    return found


def _places(given: Any) -> Iterator[str]:
    """Yield a folder by the names that a query may call it: as it was given, and where that leads."""
    path = os.fspath(given)
    if isinstance(path, bytes) or not path or "\0" in path or _SCHEME.match(path):
        raise InvalidInputError(
            f"allowed_folders names folders of local disk, not {given!r}",
            hint="Other stores are read as tables, or fetched first",
        )
    if not os.path.isdir(path):  # noqa: PTH112 - a text, as DuckDB will have it
        raise InvalidInputError(f"allowed_folders names {given!r}, which is no folder of local disk")
    for folder in (os.path.abspath(path), os.path.realpath(path)):  # noqa: PTH100
        yield folder.rstrip("/") + "/"


def _extension(given: str) -> str:
    if not _EXTENSION.fullmatch(given.lower()):
        raise InvalidInputError(
            f"{given!r} is no name of an extension",
            hint="Write its name alone, such as extensions=['spatial']",
        )
    return given.lower()
