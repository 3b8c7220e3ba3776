"""From the ``add`` column of a checkpoint to the columns of a file list ("Checkpoint Schema")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.arrow_values import scalar_of
from lakefmt.manifest.file_list import DELETION_VECTOR_TYPE, file_list_schema, partition_struct
from lakefmt.manifest.typed_statistics import format_statistics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lakefmt.manifest.checkpoint.action_file import ActionFile
    from lakefmt.schema import FieldPath

__all__ = ["deletion_vectors", "map_values", "to_file_rows", "wanted_columns"]

_NAMES = ("path", "size", "modificationTime", "partitionValues", "tags", "deletionVector")
_SELDOM = ("baseRowId", "defaultRowCommitVersion", "clusteringProvider")
_VECTOR_FIELDS = ("storageType", "pathOrInlineDv", "offset", "sizeInBytes", "cardinality")


def wanted_columns(file: ActionFile, *, statistics: bool) -> list[FieldPath]:
    """Return the columns that a file list is made of, of those the checkpoint has; with statistics or without."""
    names = list(_NAMES)
    if statistics:
        names.append("stats" if file.type_of(("add", "stats")) is not None else "stats_parsed")
    names += [name for name in _SELDOM if file.groups_with(("add", name))]
    return [("add", name) for name in names if file.type_of(("add", name)) is not None]


def to_file_rows(
    columns: Mapping[FieldPath, Any], keys: Sequence[str], length: int, num_records: Any = None
) -> pa.Table:
    """Return columns of adds as rows of a file list.

    Args:
        columns: by path; those of ``wanted_columns``.
        keys: what the log calls the partition columns.
        length: how many adds there are.
        num_records: rows of each file, where they are known.

    Raises:
        ArrowInvalid: a value has no place in a file list.
    """
    import pyarrow.compute as pc

    schema = file_list_schema(keys)

    def column(name: str, kind: Any) -> Any:
        found = columns.get(("add", name))
        return _nulls(length, kind) if found is None else found.cast(kind)

    stats = column("stats", pa.string())
    if (parsed := columns.get(("add", "stats_parsed"))) is not None:
        stats = format_statistics(parsed)
    values = [map_values(columns.get(("add", "partitionValues")), key, length) for key in keys]
    arrays: list[Any] = [
        column("path", pa.string()),
        column("size", pa.int64()),
        pc.coalesce(column("modificationTime", pa.int64()), scalar_of(0, pa.int64())),
        partition_struct(values, keys, length),
        stats,
        column("tags", schema.field("tags").type),
        deletion_vectors(columns.get(("add", "deletionVector")), length),
        _nulls(length, pa.int64()) if num_records is None else num_records,
        column("baseRowId", pa.int64()),
        column("defaultRowCommitVersion", pa.int64()),
        column("clusteringProvider", pa.string()),
    ]
    for name, array in zip(("path", "size"), arrays, strict=False):
        if array.null_count:
            raise pa.ArrowInvalid(f"an add action has no {name}")
    return pa.Table.from_arrays(arrays, schema=schema)


def map_values(maps: Any, key: str, length: int) -> pa.ChunkedArray[Any]:
    """Return for each map of strings its value of a key, null where it has none; a thousand times a look-up each."""
    if maps is None or maps.null_count == length:
        return pa.chunked_array([_nulls(length, pa.string())])
    if not pa.types.is_map(maps.type):
        raise pa.ArrowInvalid(f"its maps are of type {maps.type}")
    # A map column whose writer saw only empty maps may be typed map<null, null>.
    if pa.types.is_null(maps.type.key_type):
        return pa.chunked_array([_nulls(length, pa.string())])
    chunks = maps.chunks if isinstance(maps, pa.ChunkedArray) else [maps]
    return pa.chunked_array([_values_of(chunk, key) for chunk in chunks], pa.string())


def _values_of(maps: Any, key: str) -> Any:
    import pyarrow.compute as pc

    if not len(maps):
        return _nulls(0, pa.string())
    offsets = maps.offsets
    first, last = offsets[0].as_py(), offsets[len(maps)].as_py()
    names = maps.keys.slice(first, last - first).cast(pa.string())  # a writer's own kind of text
    values = maps.items.slice(first, last - first).cast(pa.string())
    places: Any = pc.indices_nonzero(pc.equal(names, scalar_of(key)))
    each, rest = divmod(last - first, len(maps))
    if not maps.null_count and len(places) == len(maps) and not rest:
        # As writers do it: all maps have the same keys in the same order.
        lengths = pc.subtract(offsets.slice(1), offsets.slice(0, len(maps)))
        steps = pc.subtract(places.slice(1), places.slice(0, len(places) - 1))
        if _are_all(lengths, each) and _are_all(steps, each):
            return values.take(places) if each > 1 else values
    if not pa.types.is_string(maps.type.key_type):
        maps = maps.cast(pa.map_(pa.string(), pa.string()))
    return pc.map_lookup(maps, query_key=scalar_of(key), occurrence="first").cast(pa.string())


def _are_all(numbers: Any, value: int) -> bool:
    import pyarrow.compute as pc

    ends: Any = pc.min_max(numbers).as_py()
    return ends["min"] in {value, None} and ends["max"] in {value, None}


def deletion_vectors(vectors: Any, length: int, kind: Any = DELETION_VECTOR_TYPE) -> Any:
    """Return descriptors of deletion vectors as a checkpoint has them, as structs of another type.

    Args:
        vectors: structs with the checkpoint's names; None where it has none.
        length: how many there are.
        kind: what to return, with the checkpoint's members in their order, whatever they are called.

    Raises:
        ArrowInvalid: what is there names no vector; left out, it would bring the rows back that it deletes.
    """
    import pyarrow.compute as pc

    if vectors is None or vectors.null_count == length:
        return _nulls(length, kind)
    combined = vectors.combine_chunks() if isinstance(vectors, pa.ChunkedArray) else vectors
    if isinstance(combined, pa.ChunkedArray):
        combined = pa.concat_arrays(combined.chunks)
    if not pa.types.is_struct(combined.type):
        raise pa.ArrowInvalid(f"its deletion vectors are of type {combined.type}")
    names = {combined.type.field(i).name for i in range(combined.type.num_fields)}
    fields = [
        pc.struct_field(combined, name).cast(kind.field(i).type)
        if name in names
        else _nulls(length, kind.field(i).type)
        for i, name in enumerate(_VECTOR_FIELDS)
    ]
    # Some writers fill the struct with nulls instead of leaving it out: no storage type, no vector.
    missing = fields[0].is_null()
    if any(pc.any(pc.and_(missing, field.is_valid())).as_py() for field in fields[1:]):
        raise pa.ArrowInvalid("a deletion vector has no storageType")
    return pa.StructArray.from_arrays(fields, fields=list(kind), mask=missing)


def _nulls(length: int, kind: pa.DataType) -> Any:
    return cast("Any", pa.nulls)(length, kind)
