"""Rows deleted by vectors of every kind, for tests and benchmarks of readers."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pyroaring import BitMap64

import lakefmt
from lakefmt.log import AddFile, Commit, CommitInfo, DeletionVectorDescriptor
from lakefmt.log.commit_file import encode_commit
from lakefmt.log.paths import commit_key
from lakefmt.manifest.deletion_vector_files import encode_vector_file
from lakefmt.manifest.deletion_vectors import DeletedRows, encode_deletion_vector
from lakefmt.manifest.z85 import encode_z85
from lakefmt.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lakefmt.store import Store

__all__ = ["delete_positions"]


def delete_positions(
    uri: Any,
    positions: Mapping[str, Iterable[int]],
    *,
    storage_type: Literal["i", "u", "p"] = "u",
    prefix: str = "",
    storage_options: Mapping[str, Any] | None = None,
) -> list[DeletionVectorDescriptor]:
    """Commit a version of a table in which files have exactly these rows deleted; return the new descriptors.

    The statistics of the files become wide, as "Per-file Statistics" asks. Nothing is checked, no conflict is looked
    for: this is how a test says what another engine did.

    Args:
        uri: the table's.
        positions: by ``path`` of the log, positions of rows in the data file.
        storage_type: where vectors go: into the log, a file named relatively, or one named absolutely.
        prefix: the folder of a file named relatively.
        storage_options: as for ``lakefmt.open``.
    """
    table = lakefmt.open(uri, storage_options=dict(storage_options or {}))
    store = open_store(uri, dict(storage_options or {}))
    vectors = [encode_deletion_vector(DeletedRows(BitMap64(rows))) for rows in positions.values()]
    descriptors = _store_vectors(store, vectors, storage_type, prefix)
    counts = [len(set(rows)) for rows in positions.values()]
    descriptors = [replace(each, cardinality=count) for each, count in zip(descriptors, counts, strict=True)]
    files = table.snapshot.files
    import pyarrow.compute as pc

    chosen = files.filter(pc.is_in(files.table["path"], value_set=_texts(positions)))
    by_path = dict(zip(positions, descriptors, strict=True))
    now_ms = int(time.time() * 1000)
    adds = [
        AddFile(
            path=row["path"],
            partition_values=row["partition_values"] or {},
            size_bytes=row["size_bytes"],
            modified_ms=row["modified_ms"],
            stats=_wide(row["stats"]),
            tags=dict(row["tags"]) if row["tags"] else None,
            deletion_vector=by_path[row["path"]],
        )
        for row in chosen.table.to_pylist()
    ]
    info = CommitInfo(timestamp_ms=now_ms, operation="DELETE", txn_id=str(uuid.uuid4()))
    commit = Commit(info, adds=tuple(adds), removes=tuple(chosen.to_removes(now_ms)))
    if not store.put_if_absent(commit_key(table.version + 1), encode_commit(commit)):
        raise AssertionError("somebody else has committed")
    return descriptors


def _store_vectors(
    store: Store, vectors: list[bytes], storage_type: str, prefix: str
) -> list[DeletionVectorDescriptor]:
    if storage_type == "i":
        return [DeletionVectorDescriptor("i", encode_z85(data), len(data), 0) for data in vectors]
    name = uuid.uuid4()
    key = f"{prefix}/deletion_vector_{name}.bin" if prefix else f"deletion_vector_{name}.bin"
    data, offsets = encode_vector_file(vectors)
    store.put(key, data)
    place = f"{prefix}{encode_z85(name.bytes)}" if storage_type == "u" else f"{store.uri}/{key}"
    return [
        DeletionVectorDescriptor(storage_type, place, len(vector), 0, offset)
        for vector, offset in zip(vectors, offsets, strict=True)
    ]


def _texts(texts: Iterable[str]) -> Any:
    import pyarrow as pa

    return pa.array(list(texts), pa.string())


def _wide(stats: str | None) -> str | None:
    return None if stats is None else json.dumps(json.loads(stats) | {"tightBounds": False})
