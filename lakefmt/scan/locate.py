"""Where the file of an action is: the key in the table's store ("Add File and Remove File", ``path``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa

from lakefmt.errors import CorruptTableError, InvalidInputError, UnsupportedFeatureError
from lakefmt.log.paths import is_absolute_path, path_to_key
from lakefmt.store.location import check_key, parse_location

if TYPE_CHECKING:
    from lakefmt.store import Store

__all__ = ["locate", "locate_all"]

# An escape, the beginning of an absolute path, or what no key has (a NUL, an empty, "." or ".." part): all other paths
# are keys as they stand.
_NOT_PLAIN = r"%|\x00|^[A-Za-z][A-Za-z0-9+.-]+:|(?:^|/)\.{0,2}(?:/|$)"


def locate_all(store: Store, paths: Any) -> Any:
    """Return the key of each path of a column; only paths that are not their own key are looked at one by one."""
    import pyarrow.compute as pc

    odd: Any = pc.match_substring_regex(paths, _NOT_PLAIN)
    if not pc.any(odd, min_count=0).as_py():
        return paths
    keys = pa.array([locate(store, path) for path in pc.filter(paths, odd).to_pylist()], pa.string())
    return pc.replace_with_mask(paths, odd.combine_chunks(), keys)


def locate(store: Store, path: str) -> str:
    """Return the key of an action's ``path``, relative or absolute, percent-encoded as the log has it.

    Raises:
        CorruptTableError: the path names no file: it is empty, or leaves the table's folder by ``..``.
        UnsupportedFeatureError: the path is absolute and leaves the table's folder.
    """
    try:
        key = check_key(_locate(store, path))
    except InvalidInputError as error:
        raise _corrupt(store, path) from error
    if "\0" in key:
        raise _corrupt(store, path)
    return key


def _locate(store: Store, path: str) -> str:
    if not is_absolute_path(path):
        return path_to_key(path)
    # A file URI is decoded where it is parsed; in every other absolute form the decoded text is the literal place.
    place = parse_location(path if path.startswith("file:") else unquote(path))
    root = parse_location(store.uri)
    inside = place.kind == root.kind and place.container == root.container
    if inside and place.path.startswith(f"{root.path}/"):
        return place.path[len(root.path) + 1 :]
    raise UnsupportedFeatureError(
        "This release reads data files inside the table's folder only; this one is elsewhere",
        table=store.uri,
        path=path,
        hint="Read the table with an engine that follows shallow clones, or copy its files into one table",
    )


def _corrupt(store: Store, path: str) -> CorruptTableError:
    return CorruptTableError(
        f"The log names a data file by {path!r}, which is no path below the table",
        table=store.uri,
        path=path,
        hint="Restore the commit that added it from a backup, or open an earlier version",
    )
