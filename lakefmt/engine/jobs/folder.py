"""The folder of a job: where its tasks leave rows for one another; gone when the job is over."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING, Any

from lakefmt.errors import LakefmtError, StoreError
from lakefmt.process_folders import make_folder, name_folder, outlives_owner
from lakefmt.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lakefmt.store import Store

__all__ = ["job_folder"]


@contextlib.contextmanager
def job_folder(
    place: str | os.PathLike[str] | None = None, storage_options: Mapping[str, Any] | None = None
) -> Iterator[str]:
    """Give a job a folder of its own, and delete it with all that is in it when the block ends, however it ends.

    Those that killed processes left at the same place are deleted first (``lakefmt.process_folders`` says how they are
    told from those in use).

    Args:
        place: an existing local folder or the URI of a place on any store; None for the system's folder for temporary
            files.
        storage_options: of the URI.

    Yields:
        The path, or URI, of the folder.

    Raises:
        StoreError: it cannot be made.
    """
    store = None if place is None else open_store(place, storage_options)
    local = None if store is None else store.local_path("any")
    if store is not None and local is None:
        with _remote_folder(store) as name:
            yield f"{store.uri}/{name}"
        return
    try:
        folder = make_folder("job", None if store is None else store.display)
    except OSError as error:
        raise StoreError(
            f"No folder for the rows of tasks can be made: {error.strerror or error}",
            path=str(place) if place is not None else error.filename,
            hint="Give another place, or mend this one",
        ) from error
    owner = os.getpid()
    try:
        yield str(folder)
    finally:
        if os.getpid() == owner:  # a forked child may let go of what its parent works on
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _remote_folder(store: Store) -> Iterator[str]:
    """Name a folder in a store, which is there with its first object."""
    newest: dict[str, float] = {}
    for found in store.list("", recursive=True):
        name = found.key.partition("/")[0]
        newest[name] = max(newest.get(name, 0.0), found.modified_ms / 1000)
    for name, modified_s in newest.items():
        if name.startswith("lakefmt-job-") and outlives_owner(name, modified_s):
            _delete(store, name)
    name = name_folder("job")
    owner = os.getpid()
    try:
        yield name
    finally:
        # A forked child may let go of what its parent works on. The job's own outcome matters more than what stays behind, which the next job here sweeps.
        with contextlib.suppress(LakefmtError):
            if os.getpid() == owner:
                _delete(store, name)


def _delete(store: Store, folder: str) -> None:
    store.delete([found.key for found in store.list(folder, recursive=True)])
