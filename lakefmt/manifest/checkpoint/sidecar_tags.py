"""What the tags of a sidecar say of the files that it lists, so that nobody has to open it to know ("Sidecar File Information").

The keys are this library's own, and every other reader passes them over:

* ``lakefmt.layout``: a digest of the columns; a later checkpoint refers to the sidecar only if its own are the same.
* ``lakefmt.numAdds``, ``lakefmt.numRemoves``: how many live files and tombstones.
* ``lakefmt.firstPath``, ``lakefmt.lastPath``: the least and the greatest path, escapes undone.
* ``lakefmt.lastDeleted``: when the last of the tombstones was made, milliseconds since the epoch.
* ``lakefmt.bounds``: JSON in the form of "Per-file Statistics": ``minValues`` and ``maxValues`` of columns, partition columns
  among them, over all rows of all its files; a column that is not bounded in each of them is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson
import pyarrow as pa

from lakefmt.arrow_values import array_of, repeat
from lakefmt.manifest.path_columns import canonical_paths
from lakefmt.manifest.statistics_reader import Bounds, StatisticsReader, has_bounds, locate_column
from lakefmt.manifest.typed_statistics import format_statistics, struct_member
from lakefmt.schema.types import PrimitiveType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lakefmt.expressions import BoundsOf, Column
    from lakefmt.log.actions import Sidecar
    from lakefmt.manifest.checkpoint.layout import ActionLayout
    from lakefmt.schema import FieldPath, Schema

__all__ = ["SidecarTags", "bounds_of_sidecars", "describe_adds", "describe_removes"]

_BOUNDS: Final = "lakefmt.bounds"
_MOST_BOUNDED: Final = 32  # columns; more would make the manifest longer than what is spared
_MOST_BYTES: Final = 256  # of a text


@dataclass(frozen=True, slots=True)
class SidecarTags:
    """A sidecar's tags but for its bounds.

    Attributes:
        layout: digest of its columns.
        num_adds: its live files.
        num_removes: its tombstones.
        first_path: the least of its paths, as ``canonical_path`` spells them.
        last_path: the greatest.
        last_deleted_ms: when the last of its tombstones was made.
    """

    layout: str
    num_adds: int
    num_removes: int
    first_path: str
    last_path: str
    last_deleted_ms: int = 0

    @classmethod
    def of(cls, sidecar: Sidecar) -> SidecarTags | None:
        """Return what the tags say, None where others wrote the sidecar."""
        tags = sidecar.tags
        try:
            return cls(
                layout=str(tags["lakefmt.layout"]),
                num_adds=int(tags["lakefmt.numAdds"] or 0),
                num_removes=int(tags["lakefmt.numRemoves"] or 0),
                first_path=str(tags["lakefmt.firstPath"]),
                last_path=str(tags["lakefmt.lastPath"]),
                last_deleted_ms=int(tags.get("lakefmt.lastDeleted") or 0),
            )
        except (KeyError, ValueError):
            return None

    def encode(self) -> dict[str, str]:
        """Return the tags."""
        return {
            "lakefmt.layout": self.layout,
            "lakefmt.numAdds": str(self.num_adds),
            "lakefmt.numRemoves": str(self.num_removes),
            "lakefmt.firstPath": self.first_path,
            "lakefmt.lastPath": self.last_path,
            "lakefmt.lastDeleted": str(self.last_deleted_ms),
        }


def describe_adds(adds: pa.Table, layout: ActionLayout) -> dict[str, str]:
    """Return the tags of a sidecar with these live files, at least one, columns of ``layout.add_schema``."""
    first, last = _ends(canonical_paths(adds["path"]))
    tags = SidecarTags(layout.digest, adds.num_rows, 0, first, last).encode()
    return tags | {_BOUNDS: _bounds(adds, layout)}


def describe_removes(removes: pa.Table, layout: ActionLayout) -> dict[str, str]:
    """Return the tags of a sidecar with these tombstones, at least one."""
    import pyarrow.compute as pc

    first, last = _ends(canonical_paths(removes["path"]))
    deleted: Any = pc.max(removes["deletionTimestamp"])
    return SidecarTags(layout.digest, 0, removes.num_rows, first, last, deleted.as_py() or 0).encode()


def bounds_of_sidecars(
    sidecars: Sequence[Sidecar], schema: Schema, partition_columns: Sequence[str]
) -> BoundsOf:
    """Return what tags say of the rows of the files in each sidecar, column by column. Nulls are not counted.

    Args:
        sidecars: of one checkpoint; of those without tags nothing is known.
        schema: of the table.
        partition_columns: names of the partition columns.
    """
    reader = StatisticsReader(
        array_of([each.tags.get(_BOUNDS) for each in sidecars], pa.string()), schema, counts=False
    )

    def bounds_of(column: Column) -> Bounds | None:
        try:
            field, _ = locate_column(schema, column.path)
        except KeyError:
            return None
        if not has_bounds(field.type):
            return None
        if column.path[0] in partition_columns and field.type == PrimitiveType("timestamp"):
            return None  # of a text without an offset each writer makes the instant of its own time zone
        return reader.bounds(column.path)

    return bounds_of


def _ends(values: Any) -> tuple[Any, Any]:
    import pyarrow.compute as pc

    ends: Any = pc.min_max(values).as_py()
    return ends["min"], ends["max"]


def _bounds(adds: pa.Table, layout: ActionLayout) -> str:
    """Return the bounds of all files' rows, as the JSON of one file's statistics."""
    import pyarrow.compute as pc

    least: dict[FieldPath, Any] = {}
    greatest: dict[FieldPath, Any] = {}
    for key, values in layout.partition_values(adds).items():
        ends: Any = pc.min_max(values)
        if ends["min"].is_valid and not _is_long(ends["min"]) and not _is_long(ends["max"]):
            least[(key,)], greatest[(key,)] = ends["min"], ends["max"]
    if layout.statistics is not None:
        parsed: Any = adds["stats_parsed"].combine_chunks()
        # What a clustered table is asked for first.
        ordered = dict.fromkeys([*layout.clustering, *layout.statistics.bounded])
        for path in [*ordered][:_MOST_BOUNDED]:
            for side, found in (("minValues", least), ("maxValues", greatest)):
                values = struct_member(parsed, (side, *path))
                if not values.null_count:
                    end = pc.min_max(values)["min" if side == "minValues" else "max"]
                    if not _is_long(end):
                        found[path] = end
    texts = {side: _json(side, found) for side, found in (("minValues", least), ("maxValues", greatest))}
    return "{" + ",".join(f'"{side}":{text}' for side, text in texts.items()) + "}"


def _is_long(end: Any) -> bool:
    return pa.types.is_string(end.type) and len(end.as_buffer()) > _MOST_BYTES


def _json(side: str, ends: Mapping[FieldPath, Any]) -> str:
    """Return one side of the bounds as JSON: a flat object for ``format_statistics``, then put into its structs."""
    if not ends:
        return "{}"
    members = [repeat(end, 1) for end in ends.values()]
    names = [str(number) for number in range(len(members))]
    inner = pa.StructArray.from_arrays(members, names=names)
    text = format_statistics(pa.StructArray.from_arrays([inner], names=[side]))[0].as_py()
    values = orjson.loads(text)[side]
    tree: dict[str, Any] = {}
    for name, path in zip(names, ends, strict=True):
        if name in values:
            node = tree
            for member in path[:-1]:
                node = node.setdefault(member, {})
            node[path[-1]] = values[name]
    return orjson.dumps(tree).decode()
