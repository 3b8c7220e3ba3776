"""Storage: the one interface between tables and bytes, and what is atomic on each backend."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lakefmt.errors import InvalidInputError
from lakefmt.store.contract import ObjectInfo, Store
from lakefmt.store.location import parse_location

if TYPE_CHECKING:
    import os

__all__ = ["ObjectInfo", "Store", "open_store"]

# By name, so that a backend and the client library behind it are imported when a table is there.
_BACKENDS = {
    "local": ("lakefmt.store.local", "LocalStore"),
    "memory": ("lakefmt.store.memory", "MemoryStore"),
    "s3": ("lakefmt.store.s3", "S3Store"),
    "gcs": ("lakefmt.store.gcs", "GcsStore"),
    "azure": ("lakefmt.store.azure", "AzureStore"),
    "generic": ("lakefmt.store.generic", "GenericStore"),
}


def open_store(uri: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None) -> Store:
    """Open the folder at a path or URI; nothing is read, and it need not exist.

    Args:
        uri: a path (taken literally), or a URI: ``file:`` (percent-encoded), ``memory://``, ``s3://``, ``gs://``,
            ``az://``, ``abfss://``, or any protocol of fsspec, which is then read-only.
        storage_options: those of the fsspec file system behind it; for local disk ``fsync`` (True).

    Raises:
        InvalidInputError: the URI or an option is wrong.
        StoreError: storage cannot be connected to.
    """
    location = parse_location(uri)
    if storage_options is not None and not _is_options(storage_options):
        # The value stays out of the message: it may be a secret in the wrong place.
        raise InvalidInputError(
            f"storage_options must map names to values, and is {type(storage_options).__name__}",
            table=location.uri,
            hint="Write storage_options={'key': ..., 'secret': ...}",
        )
    module, name = _BACKENDS[location.kind]
    backend = getattr(import_module(module), name)
    # The canonical URI leaves out what may be secret; only a generic file system needs the original.
    place = location.path if location.kind == "generic" else location.uri
    store: Store = backend.from_options(place, dict(storage_options or {}))
    return store


def _is_options(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)
