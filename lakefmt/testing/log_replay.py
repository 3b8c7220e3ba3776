"""The versions of a table by the plainest reading of its JSON commits, for comparison with everything cleverer.

None of the library's replay is used: actions are dictionaries, a version is a dictionary of logical files.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

import pyarrow.parquet as pq

from lakefmt.log import DeletionVectorDescriptor
from lakefmt.manifest.deletion_vector_files import load_deletion_vector
from lakefmt.manifest.logical_files import vector_ids
from lakefmt.scan.locate import locate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store

__all__ = ["LogicalFile", "ReplayedVersion", "RowReader", "logical_files", "replay_commits"]

LogicalFile = tuple[str, str | None]
"""Path, as in the log, and the unique id of the deletion vector ("Add File and Remove File": the primary key)."""


@dataclass(slots=True)
class ReplayedVersion:
    """One version.

    Attributes:
        info: its ``commitInfo``.
        files: the ``add`` of each logical file.
        configuration: the table properties.
        transactions: how far each application got.
        added: the ``add`` actions of this version alone.
        recorded: the same as ``transactions``, of this version alone.
    """

    info: dict[str, Any]
    files: dict[LogicalFile, dict[str, Any]]
    configuration: dict[str, str]
    transactions: dict[str, int]
    added: list[dict[str, Any]]
    recorded: dict[str, int]


def replay_commits(commits: Mapping[int, bytes]) -> list[ReplayedVersion]:
    """Return all versions, from the bytes of the commits 0 to the last. Raises KeyError where one is missing."""
    versions: list[ReplayedVersion] = []
    files: dict[LogicalFile, dict[str, Any]] = {}
    configuration: dict[str, str] = {}
    transactions: dict[str, int] = {}
    for version in range(len(commits)):
        info: dict[str, Any] = {}
        files, transactions = dict(files), dict(transactions)
        actions = [json.loads(line) for line in commits[version].splitlines()]
        for action in actions:
            if "remove" in action:
                files.pop(_logical_file(action["remove"]), None)
        for action in actions:
            if "add" in action:
                files[_logical_file(action["add"])] = action["add"]
            elif "metaData" in action:
                configuration = action["metaData"]["configuration"]
            elif "commitInfo" in action:
                info = action["commitInfo"]
        added = [action["add"] for action in actions if "add" in action]
        recorded = {action["txn"]["appId"]: action["txn"]["version"] for action in actions if "txn" in action}
        transactions |= recorded
        versions.append(ReplayedVersion(info, files, configuration, transactions, added, recorded))
    return versions


@dataclass(slots=True)
class RowReader:
    """Reads one column of data files, each once.

    Attributes:
        store: the table's.
        column: a column of whole numbers.
    """

    store: Store
    column: str = "id"
    _rows: dict[LogicalFile, dict[int, int]] = field(default_factory=dict)

    def rows(self, path: str, vector: DeletionVectorDescriptor | None = None) -> dict[int, int]:
        """Return the value of each row of a logical file by its position. Raises StoreError where it is gone."""
        name = path, None if vector is None else vector.unique_id
        if name not in self._rows:
            if vector is None:
                table = pq.read_table(
                    io.BytesIO(self.store.read(unquote(path))), columns=[self.column], partitioning=None
                )
                values: dict[int, Any] = dict(enumerate(table.column(0).to_pylist()))
            else:
                values = self.rows(path)
                deleted = load_deletion_vector(
                    self.store, vector, data_file=unquote(path), num_rows=len(values), locate=locate
                )
                values = {place: value for place, value in values.items() if place not in deleted.bitmap}
            self._rows[name] = values
        return self._rows[name]

    def rows_of(self, version: ReplayedVersion) -> list[int]:
        """Return all values of a version. Raises StoreError where one of its files is gone."""
        return [
            row for add in version.files.values() for row in self.rows(add["path"], _vector(add)).values()
        ]


def logical_files(snapshot: Snapshot) -> frozenset[LogicalFile]:
    """Return the primary keys of the files of a version as the library has it."""
    files = snapshot.files
    vectors = vector_ids(files.table["deletion_vector"]).to_pylist()
    return frozenset(zip(cast("list[str]", files.log_paths().to_pylist()), vectors, strict=True))


def _logical_file(action: Mapping[str, Any]) -> LogicalFile:
    vector = _vector(action)
    return action["path"], None if vector is None else vector.unique_id


def _vector(action: Mapping[str, Any]) -> DeletionVectorDescriptor | None:
    found = action.get("deletionVector")
    if found is None:
        return None
    return DeletionVectorDescriptor(
        found["storageType"],
        found["pathOrInlineDv"],
        found["sizeInBytes"],
        found["cardinality"],
        found.get("offset"),
    )
