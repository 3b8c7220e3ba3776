"""The versions of a table by the plainest reading of its JSON commits, for comparison with everything cleverer.

None of the library's replay is used: actions are dictionaries, a version is a dictionary of logical files.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow.parquet as pq

from lakefmt.log import DeletionVectorDescriptor
from lakefmt.manifest.deletion_vector_files import load_deletion_vector
from lakefmt.scan.locate import locate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lakefmt.store import Store

__all__ = ["LogicalFile", "RowReader", "replay_commits"]

LogicalFile = tuple[str, str | None]
"""Path, as in the log, and the unique id of the deletion vector ("Add File and Remove File": the primary key)."""


@dataclass(slots=True)
class ReplayedVersion:
    """One version.

    Attributes:
        info: its ``commitInfo``.
        files: the ``add`` of each logical file.
        configuration: the table properties.
    """

    info: dict[str, Any]
    files: dict[LogicalFile, dict[str, Any]]
    configuration: dict[str, str]


def replay_commits(commits: Mapping[int, bytes]) -> list[ReplayedVersion]:
    """Return all versions, from the bytes of the commits 0 to the last. Raises KeyError where one is missing."""
    versions: list[ReplayedVersion] = []
    files: dict[LogicalFile, dict[str, Any]] = {}
    configuration: dict[str, str] = {}
    for version in range(len(commits)):
        info: dict[str, Any] = {}
        files = dict(files)
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
        versions.append(ReplayedVersion(info, files, configuration))
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
    _rows: dict[LogicalFile, tuple[int, ...]] = field(default_factory=dict)

    def rows(self, file: LogicalFile, add: Mapping[str, Any]) -> tuple[int, ...]:
        """Return the rows of a logical file. Raises ObjectNotFoundError where the file is gone."""
        if file not in self._rows:
            key = unquote(file[0])
            table = pq.read_table(io.BytesIO(self.store.read(key)), columns=[self.column], partitioning=None)
            values: list[Any] = table.column(0).to_pylist()
            if add.get("deletionVector"):
                found = add["deletionVector"]
                descriptor = DeletionVectorDescriptor(
                    found["storageType"],
                    found["pathOrInlineDv"],
                    found["sizeInBytes"],
                    found["cardinality"],
                    found.get("offset"),
                )
                deleted = load_deletion_vector(
                    self.store, descriptor, data_file=key, num_rows=len(values), locate=locate
                )
                values = [value for place, value in enumerate(values) if place not in deleted.bitmap]
            self._rows[file] = tuple(values)
        return self._rows[file]


def _logical_file(action: Mapping[str, Any]) -> LogicalFile:
    vector = action.get("deletionVector")
    if vector is None:
        return action["path"], None
    name = f"{vector['storageType']}{vector['pathOrInlineDv']}"
    return action["path"], name if vector.get("offset") is None else f"{name}@{vector['offset']}"
