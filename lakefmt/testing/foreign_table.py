"""Tables as other writers leave them: a log written by hand beside Parquet files written by pyarrow."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class ForeignTable:
    """A table of one version.

    Attributes:
        folder: where it is.
        fields: of its schema, as the log has them.
    """

    folder: Path
    fields: list[dict[str, Any]]
    properties: dict[str, str] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    partition_columns: tuple[str, ...] = ()
    adds: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        rows: pa.Table,
        *,
        stats: dict[str, Any] | None = None,
        partition_values: dict[str, str | None] | None = None,
        **options: Any,
    ) -> ForeignTable:
        """Write a data file and return the table with it."""
        path = f"part-{len(self.adds)}.parquet"
        self.folder.mkdir(exist_ok=True)
        pq.write_table(rows, self.folder / path, **options)
        return self.add_file(path, stats=stats, partition_values=partition_values)

    def add_file(
        self,
        path: str,
        *,
        stats: dict[str, Any] | None = None,
        partition_values: dict[str, str | None] | None = None,
    ) -> ForeignTable:
        """Name a file that is in the folder already."""
        add = {
            "path": path,
            "partitionValues": partition_values or {},
            "size": (self.folder / path).stat().st_size,
            "modificationTime": 0,
            "dataChange": True,
        }
        if stats is not None:
            add["stats"] = json.dumps(stats)
        self.adds.append(add)
        self.write_log()
        return self

    def write_log(self) -> ForeignTable:
        """Write version 0."""
        log = self.folder / "_delta_log"
        log.mkdir(parents=True, exist_ok=True)
        features = list(self.features)
        actions: list[dict[str, Any]] = [
            {
                "protocol": {
                    "minReaderVersion": 3,
                    "minWriterVersion": 7,
                    "readerFeatures": features,
                    "writerFeatures": features,
                }
            },
            {
                "metaData": {
                    "id": "foreign",
                    "format": {"provider": "parquet", "options": {}},
                    "schemaString": json.dumps({"type": "struct", "fields": self.fields}),
                    "partitionColumns": list(self.partition_columns),
                    "configuration": self.properties,
                }
            },
            *({"add": add} for add in self.adds),
        ]
        (log / f"{0:020}.json").write_text("".join(json.dumps(action) + "\n" for action in actions))
        return self


def column(name: str, type_: Any, **metadata: Any) -> dict[str, Any]:
    """Return a field of a schema as the log has it; keys of its metadata have ``__`` for dots."""
    return {
        "name": name,
        "type": type_,
        "nullable": True,
        "metadata": {key.replace("__", "."): value for key, value in metadata.items()},
    }


def mapped(name: str, type_: Any, physical: str, number: int) -> dict[str, Any]:
    """Return a mapped column."""
    annotations = {"delta__columnMapping__physicalName": physical, "delta__columnMapping__id": number}
    return column(name, type_, **annotations)


def struct(*fields: dict[str, Any]) -> dict[str, Any]:
    """Return the type of a struct."""
    return {"type": "struct", "fields": list(fields)}


def array(element: Any) -> dict[str, Any]:
    """Return the type of an array."""
    return {"type": "array", "elementType": element, "containsNull": True}


def map_of(key: Any, value: Any) -> dict[str, Any]:
    """Return the type of a map."""
    return {"type": "map", "keyType": key, "valueType": value, "valueContainsNull": True}
