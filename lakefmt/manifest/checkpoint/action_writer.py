"""Writing one Parquet file of actions: a checkpoint, or a sidecar.

Laid out for readers who want little of it: small row groups with bounds of what they are pruned by, none of what nobody
compares, and dictionaries only where values repeat, which spares decoding them a million times over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

__all__ = ["GROUP_ROWS", "ActionWriter"]

GROUP_ROWS: Final = 10_000
"""File actions in a row group: a selective read of a million files decodes one of these."""

# Found quick to write, half the size of what costs nothing. Of 100,000 files a fifth of the time is spared by a quicker
# codec for the texts of statistics, which few readers want, and by none for columns of nulls and of a few values.
_ZSTD_LEVEL: Final = 1
_ZSTD: Final = frozenset(
    {
        *("path", "size", "modificationTime", "deletionTimestamp", "pathOrInlineDv", "baseRowId"),
        *("schemaString", "configuration", "partitionValues_parsed", "stats_parsed"),
    }
)
_REPEATS: Final = 2  # a dictionary where values come so often each, on average
_SAMPLE_ROWS: Final = 1_000

# Of each kind of action the member that says whether a row is one, which readers look for in the footer.
_KEYS: Final = {
    "add": "path",
    "remove": "path",
    "txn": "appId",
    "metaData": "id",
    "protocol": "minReaderVersion",
    "domainMetadata": "domain",
    "checkpointMetadata": "version",
    "sidecar": "path",
}
_TYPED: Final = ("partitionValues_parsed", "stats_parsed")
_ALWAYS_REPEAT: Final = ("partitionValues", "partitionValues_parsed", "tags", "clusteringProvider")


class ActionWriter:
    """Writes actions as rows, a column for each kind of action. A context manager; the sink stays open.

    Args:
        sink: where the file goes.
        types: of the columns, by the kind of action.
        sample: some of the adds to come, columns of ``add``; says where dictionaries pay.
    """

    def __init__(
        self, sink: BinaryIO | pa.NativeFile, types: Mapping[str, pa.StructType], sample: pa.Table | None
    ) -> None:
        import pyarrow.parquet as pq

        self._schema = pa.schema([pa.field(name, kind) for name, kind in types.items()])
        leaves = [leaf for field in self._schema for leaf in _leaves(field.type, (field.name,))]
        repeating = set() if sample is None else _repeating(sample.slice(0, _SAMPLE_ROWS))
        parquet: Any = pq  # the stubs know no lists of columns
        self._writer = parquet.ParquetWriter(
            sink,
            self._schema,
            compression={".".join(leaf): _codec(leaf) for leaf in leaves},
            compression_level={".".join(leaf): _ZSTD_LEVEL for leaf in leaves if _codec(leaf) == "zstd"},
            use_dictionary=[".".join(leaf) for leaf in leaves if _has_dictionary(leaf, repeating)],
            write_statistics=[".".join(leaf) for leaf in leaves if _has_bounds(leaf)],
            write_page_index=True,
            store_schema=False,
        )
        self.num_actions = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def write_one_off(self, rows: pa.Table) -> None:
        """Write actions that are columns already, as a row group of their own."""
        self._write(dict(zip(rows.column_names, rows.columns, strict=True)), rows.num_rows)

    def write_files(self, kind: str, files: pa.Table) -> None:
        """Write file actions as a row group.

        Args:
            kind: "add" or "remove".
            files: the action's members as columns.
        """
        # Batch by batch, as they came: tens of megabytes copied into memory new to the process take as long as to encode.
        structs = [batch.to_struct_array() for batch in files.to_batches()]
        self._write({kind: pa.chunked_array(structs, self._schema.field(kind).type)}, files.num_rows)

    def _write(self, columns: Mapping[str, Any], length: int) -> None:
        if not length:
            return
        arrays = [
            columns[field.name] if field.name in columns else pa.nulls(length, field.type)
            for field in self._schema
        ]
        table = pa.Table.from_arrays(cast("Any", arrays), schema=self._schema)
        self._writer.write_table(table, row_group_size=length)
        self.num_actions += length


def _leaves(kind: Any, parents: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the Parquet paths of a column's leaves."""
    if pa.types.is_struct(kind):
        fields = [kind.field(place) for place in range(kind.num_fields)]
        return [leaf for field in fields for leaf in _leaves(field.type, (*parents, field.name))]
    if pa.types.is_map(kind):
        return [(*parents, "key_value", "key"), (*parents, "key_value", "value")]
    if pa.types.is_list(kind):
        return [(*parents, "list", "element")]
    return [parents]


def _codec(leaf: tuple[str, ...]) -> str:
    if leaf[1:] == ("stats",):
        return "snappy"
    return "zstd" if leaf[:2] == ("sidecar", "tags") or not _ZSTD.isdisjoint(leaf) else "none"


def _has_bounds(leaf: tuple[str, ...]) -> bool:
    return leaf[1] in _TYPED or leaf[1:] == (_KEYS[leaf[0]],)


def _has_dictionary(leaf: tuple[str, ...], repeating: set[tuple[str, ...]]) -> bool:
    if leaf[0] != "add":
        return False
    return leaf[1] in _ALWAYS_REPEAT or leaf[1:] in repeating or leaf[1:] == ("deletionVector", "storageType")


def _repeating(sample: pa.Table) -> set[tuple[str, ...]]:
    """Return the leaves of typed statistics whose values repeat."""
    if "stats_parsed" not in sample.column_names:
        return set()
    import pyarrow.compute as pc

    found: set[tuple[str, ...]] = set()
    parsed: Any = _flat(sample["stats_parsed"])
    for leaf in _leaves(parsed.type, ("stats_parsed",)):
        values: Any = parsed
        for name in leaf[1:]:
            values = pc.struct_field(values, [values.type.get_field_index(name)])
        known = len(values) - values.null_count
        if not pa.types.is_boolean(values.type) and pc.count_distinct(values).as_py() * _REPEATS <= known:
            found.add(leaf)
    return found


def _flat(column: Any) -> Any:
    if not isinstance(column, pa.ChunkedArray):
        return column
    combined: Any = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined
