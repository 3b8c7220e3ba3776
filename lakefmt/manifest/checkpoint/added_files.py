"""Live files as the ``add`` actions of a checkpoint that is written, whatever keeps them now ("Checkpoint Schema").

Every field survives, also those that a file list leaves where they are: statistics in both forms, row tracking, tags.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.manifest.checkpoint.add_columns import deletion_vectors, map_values
from lakefmt.manifest.checkpoint.layout import TEXT_MAP
from lakefmt.manifest.partition_values import parse_partition_values
from lakefmt.manifest.tombstones import TOMBSTONE_SCHEMA
from lakefmt.manifest.typed_statistics import format_statistics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lakefmt.manifest.checkpoint.action_file import ActionFile
    from lakefmt.manifest.checkpoint.layout import ActionLayout
    from lakefmt.manifest.file_list import FileList

__all__ = ["adds_in_file", "adds_in_list", "tombstones_in_file"]

_READ = (
    *("path", "partitionValues", "size", "modificationTime", "tags", "deletionVector"),
    *("baseRowId", "defaultRowCommitVersion", "clusteringProvider", "stats", "stats_parsed"),
)
_VECTOR_TYPE: Any = TOMBSTONE_SCHEMA.field("deletionVector").type


def adds_in_file(
    file: ActionFile, layout: ActionLayout, *, batch_rows: int, groups: Sequence[int] | None = None
) -> Iterator[pa.Table]:
    """Yield the live files of a Parquet file of a checkpoint, in its order, as tables of ``layout.add_schema``.

    Args:
        file: the Parquet file.
        layout: of what is to be written.
        batch_rows: how many rows are looked at at a time.
        groups: the row groups to take; None for all.

    Raises:
        CorruptTableError: the file cannot be read, or has what a checkpoint has no place for.
    """
    if groups is None:
        groups = file.groups_with(("add", "path"))
    parsed_too = layout.statistics is not None or _lacks_texts(file, groups)
    names = [name for name in _READ if name != "stats_parsed" or parsed_too]
    present = [name for name in names if file.type_of(("add", name)) is not None]
    with file.reading():
        for adds in file.stream_struct("add", present, groups, batch_rows):
            members = {name: _member(adds, name) for name in present}
            yield _to_layout(members, layout, len(adds))


def adds_in_list(files: FileList, layout: ActionLayout) -> pa.Table:
    """Return files of commits as a table of ``layout.add_schema``."""
    table = files.table
    values = [_flat(files.partition_texts(place)) for place in range(len(layout.keys))]
    names = {
        "path": "path",
        "size": "size_bytes",
        "modificationTime": "modified_ms",
        "tags": "tags",
        "baseRowId": "base_row_id",
        "defaultRowCommitVersion": "default_row_commit_version",
        "clusteringProvider": "clustering_provider",
        "stats": "stats",
    }
    members = {name: _flat(table[column]) for name, column in names.items()}
    vectors = _flat(table["deletion_vector"])
    members["deletionVector"] = pa.StructArray.from_arrays(
        [vectors.field(place) for place in range(_VECTOR_TYPE.num_fields)],
        fields=list(_VECTOR_TYPE),
        mask=vectors.is_null(),
    )
    members["partitionValues"] = _maps_of(values, layout.keys, table.num_rows)
    return _to_layout(members, layout, table.num_rows)


def tombstones_in_file(file: ActionFile, *, batch_rows: int) -> Iterator[pa.Table]:
    """Yield the tombstones in a Parquet file of a checkpoint as tables of ``TOMBSTONE_SCHEMA``. Raises as ``adds_in_file``."""
    names = [name for name in TOMBSTONE_SCHEMA.names if file.type_of(("remove", name)) is not None]
    groups = file.groups_with(("remove", "path"))
    with file.reading():
        for removes in file.stream_struct("remove", names, groups, batch_rows):
            columns: list[Any] = []
            for field in TOMBSTONE_SCHEMA:
                if field.name not in names:
                    columns.append(_nulls(len(removes), field.type))
                elif field.name == "deletionVector":
                    columns.append(deletion_vectors(_member(removes, field.name), len(removes), field.type))
                elif field.name == "partitionValues":
                    columns.append(_text_maps(_member(removes, field.name)))
                else:
                    columns.append(_member(removes, field.name).cast(field.type))
            yield pa.Table.from_arrays(columns, schema=TOMBSTONE_SCHEMA)


def _lacks_texts(file: ActionFile, groups: Sequence[int]) -> bool:
    """Whether live files may be without the text of statistics; they may have typed ones then."""
    return any(
        file.null_count(("add", "stats"), group) is None
        or file.null_count(("add", "stats"), group) != file.null_count(("add", "path"), group)
        for group in groups
    )


def _to_layout(members: Mapping[str, Any], layout: ActionLayout, length: int) -> pa.Table:
    import pyarrow.compute as pc

    def column(name: str, kind: Any) -> Any:
        found = members.get(name)
        return _nulls(length, kind) if found is None else found.cast(kind)

    values = _partition_maps(members.get("partitionValues"), layout.keys, length)
    made: dict[str, Any] = {
        "partitionValues": values,
        "modificationTime": pc.coalesce(column("modificationTime", pa.int64()), pa.scalar(0, pa.int64())),
        "dataChange": cast("Any", pa.repeat)(pa.scalar(value=False), length),
        "tags": _text_maps(members["tags"]) if "tags" in members else _nulls(length, TEXT_MAP),
        "deletionVector": deletion_vectors(members.get("deletionVector"), length, _VECTOR_TYPE),
    }
    if layout.statistics_as_json:
        made["stats"] = _texts(members, length)
    if layout.types_partition_values:
        typed = [
            parse_partition_values(_flat(map_values(values, key, length)), kind)
            for key, kind in layout.partition_types.items()
        ]
        fields = list(cast("Any", layout.add_schema.field("partitionValues_parsed").type))
        made["partitionValues_parsed"] = pa.StructArray.from_arrays(cast("Any", typed), fields=fields)
    if layout.statistics is not None:
        made["stats_parsed"] = _typed_statistics(members, layout, length)
    arrays = [
        made[field.name] if field.name in made else column(field.name, field.type)
        for field in layout.add_schema
    ]
    table = pa.Table.from_arrays(arrays, schema=layout.add_schema)
    for name in ("path", "size"):
        if table[name].null_count:
            raise pa.ArrowInvalid(f"an add action has no {name}")
    return table


def _texts(members: Mapping[str, Any], length: int) -> Any:
    """Return the JSON of statistics, of typed ones where a file has no other."""
    texts, parsed = members.get("stats"), members.get("stats_parsed")
    if texts is not None:
        texts = texts.cast(pa.string())
    if parsed is None or parsed.null_count == length:
        return _nulls(length, pa.string()) if texts is None else texts
    if texts is None:
        return _flat(format_statistics(parsed))
    return _filled(texts, parsed, lambda missing: _flat(format_statistics(missing)))


def _typed_statistics(members: Mapping[str, Any], layout: ActionLayout, length: int) -> Any:
    """Return typed statistics: those that are there in the same columns, else what the JSON says."""
    if layout.statistics is None:
        raise AssertionError("asked for without typed statistics")
    kind = layout.statistics.type
    texts, parsed = members.get("stats"), members.get("stats_parsed")
    if parsed is not None and parsed.type.equals(kind):
        if texts is None or not parsed.null_count:
            return parsed
        return _filled(parsed, texts, layout.statistics.parse)
    if texts is None and parsed is not None:
        texts = _flat(format_statistics(parsed))
    return _nulls(length, kind) if texts is None else layout.statistics.parse(texts)


def _filled(found: Any, other: Any, convert: Any) -> Any:
    """Return a column with what ``convert`` makes of the other one where this has nothing and that has something."""
    import pyarrow.compute as pc

    missing: Any = pc.and_(pc.is_null(found), pc.is_valid(other))
    if not missing.true_count:
        return found
    converted = convert(other.filter(missing))
    # The place of each row in the column followed by what was converted.
    places: Any = pc.if_else(
        missing,
        pc.add(pc.cumulative_sum(missing.cast(pa.int64())), pa.scalar(len(found) - 1, pa.int64())),
        pa.array(range(len(found)), pa.int64()),
    )
    return pa.concat_arrays([found, converted]).take(places)


def _partition_maps(maps: Any, keys: Sequence[str], length: int) -> Any:
    """Return partition values as maps of texts, which every add has ("Add File and Remove File": required)."""
    if maps is not None and maps.type.equals(TEXT_MAP) and not maps.null_count:
        return maps
    values = [_flat(map_values(maps, key, length)) for key in keys]
    return _maps_of(values, keys, length)


def _maps_of(values: Sequence[Any], keys: Sequence[str], length: int) -> Any:
    """Return a map for each row, of each key to the row's value of it."""
    import pyarrow.compute as pc

    width = len(keys)
    numbers: Any = pa.array(range(length * width), pa.int32())
    names = pa.array(keys, pa.string()).take(_modulo(numbers, width)) if width else pa.array([], pa.string())
    items: Any = values[0] if width == 1 else pa.array([], pa.string())
    if width > 1:
        rows = pc.divide(numbers, pa.scalar(width, pa.int32()))
        start = pc.multiply(_modulo(numbers, width), pa.scalar(length, pa.int32()))
        items = pa.concat_arrays(list(values)).take(pc.add(rows, start))
    offsets: Any = pa.array(
        range(0, (length + 1) * width, width) if width else [0] * (length + 1), pa.int32()
    )
    return pa.MapArray.from_arrays(offsets, names, items)


def _modulo(numbers: Any, width: int) -> Any:
    import pyarrow.compute as pc

    divisor = pa.scalar(width, pa.int32())
    return pc.subtract(numbers, pc.multiply(pc.divide(numbers, divisor), divisor))


def _text_maps(maps: Any) -> Any:
    """Return maps of texts to texts; a writer that saw only empty ones may have given them no type."""
    if maps.type.equals(TEXT_MAP):
        return maps
    if not pa.types.is_map(maps.type):
        raise pa.ArrowInvalid(f"its maps are of type {maps.type}")
    if pa.types.is_null(maps.type.key_type):
        return _nulls(len(maps), TEXT_MAP)
    return maps.cast(TEXT_MAP)


def _member(struct: Any, name: str) -> Any:
    import pyarrow.compute as pc

    return pc.struct_field(struct, [struct.type.get_field_index(name)])


def _flat(column: Any) -> Any:
    if not isinstance(column, pa.ChunkedArray):
        return column
    combined: Any = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined


def _nulls(length: int, kind: pa.DataType) -> Any:
    return cast("Any", pa.nulls)(length, kind)
