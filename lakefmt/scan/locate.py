"""Where the file of an action is: its key in the table's store ("Add File and Remove File", ``path``).

A path is a URI reference. A relative one is below the table. An absolute one may be anywhere on the table's own store
and container, which shallow clones need; its key then begins with ``/``, and the store reads such a key but refuses to
write or delete it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakefmt.errors import CorruptTableError, InvalidInputError, UnsupportedFeatureError
from lakefmt.log.paths import is_absolute_path, path_to_key
from lakefmt.manifest.path_columns import map_by_folder
from lakefmt.store.location import check_key

if TYPE_CHECKING:
    from lakefmt.store import Store

__all__ = ["locate", "locate_all"]

# An escape, the beginning of an absolute path, or what no key has (a NUL, an empty, "." or ".." part): all other paths
# are keys as they stand.
_NOT_PLAIN = r"%|\x00|^[A-Za-z][A-Za-z0-9+.-]+:/|(?:^|/)\.{0,2}(?:/|$)"


def locate_all(store: Store, paths: Any) -> Any:
    """Return the key of each path of a column; errors are those of ``locate``.

    Plain paths are their own keys. Of the others each folder is looked at once, however many files are in it, and one
    by one are only those whose name itself is escaped.
    """
    import pyarrow.compute as pc

    odd: Any = pc.match_substring_regex(paths, _NOT_PLAIN)
    if not pc.any(odd, min_count=0).as_py():
        return paths
    keys = _locate_odd(store, pc.filter(paths, odd))
    return pc.replace_with_mask(paths, odd.combine_chunks(), keys)


def locate(store: Store, path: str) -> str:
    """Return the key of an action's ``path``, relative or absolute, percent-encoded as the log has it.

    Raises:
        CorruptTableError: the path names no file: it is empty, has a ``.`` or ``..`` part, or leaves the table's folder
            without being absolute.
        UnsupportedFeatureError: the path is absolute and leads to another store, bucket or container.
    """
    try:
        key = store.key_of(path) if is_absolute_path(path) else check_key(path_to_key(path))
    except (InvalidInputError, UnicodeDecodeError) as error:
        raise _corrupt(store, path) from error
    if key is None:
        raise UnsupportedFeatureError(
            "A data file is on another store than the table; only files of the table's own store, and there of its "
            "own bucket or container, are read",
            table=store.uri,
            path=path,
            hint="Open the table under the store, bucket and account that its log names, or copy the file into it",
        )
    if "\0" in key:
        raise _corrupt(store, path)
    return key


def _locate_odd(store: Store, paths: Any) -> Any:
    """Return the keys of a column of paths, as one array."""
    try:
        return map_by_folder(paths, lambda path: locate(store, path))
    except (CorruptTableError, UnsupportedFeatureError):
        for path in paths.to_pylist():
            locate(store, path)  # the same error, of a path that is there
        raise


def _corrupt(store: Store, path: str) -> CorruptTableError:
    return CorruptTableError(
        f"The log names a data file by {path!r}, which is no path below the table",
        table=store.uri,
        path=path,
        hint="Restore the commit that added it from a backup, or open an earlier version",
    )
