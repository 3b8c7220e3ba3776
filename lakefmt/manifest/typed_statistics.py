"""``add.stats_parsed``: statistics as columns of the types that they are of ("Checkpoint Schema"), from and to JSON.

As in Spark there are null counts for every leaf column, and bounds for numbers, texts, dates and times. Bounds that come
from JSON are moved outwards by what JSON may have lost of them (a timestamp's microseconds, a decimal's last digits), so
that a reader may take them for what they are called.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import orjson
import pyarrow as pa

from lakefmt.arrow_layout import unslice_structs
from lakefmt.arrow_values import scalar_of
from lakefmt.manifest.isolated_query import isolated_query
from lakefmt.manifest.statistics import statistics_fields
from lakefmt.manifest.statistics_json import extract_texts
from lakefmt.manifest.statistics_reader import as_bounds, has_bounds, outer_bounds
from lakefmt.schema.arrow import arrow_type_of
from lakefmt.schema.types import DecimalType, PrimitiveType

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lakefmt.schema.table_schema import Schema
    from lakefmt.schema.types import DataType, FieldPath

__all__ = ["TypedStatistics", "format_statistics", "struct_member"]

_DUCKDB_TYPES = {
    "byte": "TINYINT",
    "short": "SMALLINT",
    "integer": "INTEGER",
    "long": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "string": "VARCHAR",
    "date": "DATE",
    # An offset is taken into account by either of DuckDB's types; this one needs no time zones.
    "timestamp": "TIMESTAMP",
    "timestamp_ntz": "TIMESTAMP",
}
# What numbers, flags, lists and objects look like as text; few texts do.
_NO_TEXT = (
    r"(?s)^\s*(?:-?[0-9][0-9.eE+-]*|true|false|-?nan|-?inf(?:inity)?|-?NaN|-?Inf(?:inity)?|[\[{].*)\s*$"
)
_INTEGERS = frozenset({"byte", "short", "integer", "long"})
_FLOATS = frozenset({"float", "double"})
_FAILURE = "its statistics cannot be converted"
_BATCH_ROWS = 8_192  # what a thread of DuckDB takes at a time
# Beyond these a date or a timestamp is DuckDB's infinity.
_MOST_DAYS, _MOST_MICROSECONDS = 1 << 30, 1 << 62
# Where these years begin, microseconds since 1970.
_YEAR_1, _YEAR_10_000 = -62_135_596_800_000_000, 253_402_300_800_000_000


class TypedStatistics:
    """The columns that a table's statistics have in its checkpoints.

    Args:
        schema: of the table.
        partition_columns: names in it; they have no statistics.
        configuration: the table's properties, as in its metadata.
        with_vectors: whether files may have deletion vectors, which make bounds wide.
        also: columns that have statistics whatever the properties say, by their physical paths.

    Raises:
        CorruptTableError: as ``statistics_fields``.
    """

    def __init__(
        self,
        schema: Schema,
        partition_columns: Collection[str],
        configuration: Mapping[str, str],
        *,
        with_vectors: bool,
        also: Collection[FieldPath] = (),
    ) -> None:
        fields = statistics_fields(schema, partition_columns, configuration, also=also)
        columns = _without_twins(dict(fields))
        self._bounded: dict[FieldPath, DataType] = {
            path: field.type
            for path, field in columns.items()
            # Booleans, as in Spark: two values prune nothing.
            if has_bounds(field.type) and field.type != PrimitiveType("boolean")
        }
        self._integers = {path for path, kind in self._bounded.items() if str(kind) in _INTEGERS}
        self._numbers = {
            path
            for path, kind in self._bounded.items()
            if str(kind) in _INTEGERS | _FLOATS or isinstance(kind, DecimalType)
        }
        self._counted = tuple(columns)
        self._flags = {"tightBounds": pa.bool_()} if with_vectors else {}

    @property
    def type(self) -> pa.StructType:
        """The type of ``stats_parsed``; columns go by their physical names."""
        bounds = {path: arrow_type_of(kind) for path, kind in self._bounded.items()}
        counts = dict.fromkeys(self._counted, pa.int64())
        members: dict[FieldPath, pa.DataType] = {("numRecords",): pa.int64()}
        for name, columns in (("minValues", bounds), ("maxValues", bounds), ("nullCount", counts)):
            members |= {(name, *path): kind for path, kind in columns.items()}
        members |= {(name,): kind for name, kind in self._flags.items()}
        return _struct_of(members)

    @property
    def bounded(self) -> Mapping[FieldPath, DataType]:
        """The columns that have bounds, by their physical paths, with their types."""
        return self._bounded

    def parse(self, texts: Any) -> pa.StructArray:
        """Return the texts of ``add.stats`` as columns; null where there is none, and where it is no JSON.

        Args:
            texts: an array or chunked array of strings.
        """
        documents = texts if isinstance(texts, pa.ChunkedArray) else pa.chunked_array([texts], pa.string())
        with isolated_query(_FAILURE) as connection:
            table = pa.Table.from_arrays([documents], names=["document"])
            batches = table.to_batches(max_chunksize=_BATCH_ROWS)
            connection.register("adds", pa.RecordBatchReader.from_batches(table.schema, batches))
            # TRY: what is no JSON has no values.
            query = f"SELECT TRY(json_transform(document, {_literal(self._structure())})) AS parsed FROM adds"
            found = connection.sql(query).to_arrow_table().column(0)
        parsed = _flat(found)
        columns = {path: struct_member(parsed, path) for path in _leaf_paths(self.type)}
        return self._sound(parsed, self._read_again(columns, documents, self._doubtful(documents)))

    def _doubtful(self, documents: Any) -> Any:
        """Return which documents may have something else as the bound of a number, of which one is made all the same.

        That is a text or a flag, and an integer that is written as another number, which may have been rounded. A name
        that is spelled with escapes cannot be looked for, so all documents with such are doubtful. Takes a quarter of
        the time of parsing them, where looking at each value's kind takes as long as to parse it.
        """
        import pyarrow.compute as pc

        others = [path for path in self._numbers if path not in self._integers]
        patterns = []
        for paths, wrong in ((self._integers, r"(?:[^-0-9n{\s]|-?[0-9]+[.eE])"), (others, r"[^-0-9n{\s]")):
            if paths:
                names = "|".join(sorted({re.escape(orjson.dumps(path[-1]).decode()) for path in paths}))
                patterns.append(rf"(?:{names})\s*:\s*{wrong}")
        if not patterns:
            return cast("Any", pa.repeat)(pa.scalar(value=False), len(documents))
        found: Any = pc.match_substring_regex(documents, "|".join([*patterns, r"\\[u/]"]))
        return _flat(pc.fill_null(found, pa.scalar(value=False)))

    def _read_again(
        self, columns: dict[FieldPath, Any], documents: Any, doubtful: Any
    ) -> dict[FieldPath, Any]:
        """Return the columns with the bounds read once more of which ``json_transform`` may have made what the JSON does not say."""
        import pyarrow.compute as pc

        def correct(place: FieldPath, rows: Any, texts: Any) -> None:
            right = as_bounds(texts, arrow_type_of(self._bounded[place[1:]]))
            columns[place] = pc.replace_with_mask(columns[place].cast(right.type), rows, right)

        places = [(side, *path) for path in self._bounded for side in ("minValues", "maxValues")]
        numbers = [place for place in places if place[1:] in self._numbers]
        if doubtful.true_count:
            found = extract_texts(documents.filter(doubtful), [(place, "number") for place in numbers])
            for place, texts in zip(numbers, found, strict=True):
                correct(place, doubtful, texts)
        for place in places:
            if self._bounded[place[1:]] == PrimitiveType("string"):
                rows: Any = pc.fill_null(_like_no_text(columns[place]), pa.scalar(value=False))
                if rows.true_count:
                    correct(place, rows, extract_texts(documents.filter(rows), [(place, "text")])[0])
        return columns

    def _structure(self) -> str:
        """Return what ``json_transform`` is to make of a document: names and DuckDB's types, as JSON."""
        structure: dict[str, Any] = {"numRecords": "BIGINT"}
        for name in ("minValues", "maxValues"):
            for path, kind in self._bounded.items():
                _put(structure, (name, *path), _duckdb_type(kind))
        for path in self._counted:
            _put(structure, ("nullCount", *path), "BIGINT")
        return orjson.dumps(structure | dict.fromkeys(self._flags, "BOOLEAN")).decode()

    def _sound(self, parsed: pa.StructArray, columns: dict[FieldPath, Any]) -> pa.StructArray:
        for path, kind in self._bounded.items():
            arrow_type = arrow_type_of(kind)
            ends = [_in_range(columns[(side, *path)], arrow_type) for side in ("minValues", "maxValues")]
            columns[("minValues", *path)], columns[("maxValues", *path)] = outer_bounds(kind, *ends)
        return cast("pa.StructArray", _assemble(self.type, columns, (), parsed.is_null()))


def _like_no_text(values: Any) -> Any:
    """Return which texts look like something else in JSON."""
    import pyarrow.compute as pc

    return pc.match_substring_regex(values, _NO_TEXT)


def format_statistics(parsed: Any) -> Any:
    """Return typed statistics of any writer as the texts that ``add.stats`` has of them; null where there are none.

    Maxima are rounded up where JSON has fewer digits; what JSON has no place for (NaN, infinities, years that have more
    than four digits) and values of types that have no bounds are left out.

    Raises:
        ValueError: a value is of a type that no column has.
    """
    table = unslice_structs(pa.Table.from_arrays([parsed], names=["parsed"]))
    text = _json_of(parsed.type, "parsed")
    with isolated_query(_FAILURE) as connection:
        connection.register("adds", table)
        return connection.sql(f"SELECT {text} AS stats FROM adds").to_arrow_table().column(0)


def _flat(column: Any) -> Any:
    combined: Any = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined


def struct_member(struct: Any, path: FieldPath) -> Any:
    """Return a member at any depth, null wherever a struct above is."""
    import pyarrow.compute as pc

    for name in path:
        struct = pc.struct_field(struct, [struct.type.get_field_index(name)])
    return struct


def _json_of(kind: Any, value: str, *, upper: bool = False) -> str:
    """Return the SQL of a value's JSON text, NULL for what is left out."""
    kinds = pa.types
    if kinds.is_struct(kind):
        members = []
        for place in range(kind.num_fields):
            name = kind.field(place).name
            member = _json_of(
                kind.field(place).type,
                f"struct_extract_at({value}, {place + 1})",
                upper=upper or name == "maxValues",
            )
            members.append(f"{_literal(orjson.dumps(name).decode() + ':')} || {member}")
        joined = f"concat_ws(',', {', '.join(members)})" if members else "''"
        return f"CASE WHEN {value} IS NOT NULL THEN '{{' || {joined} || '}}' END"
    if kinds.is_timestamp(kind):
        raised = 999 if upper else 0
        zone = "Z" if kind.tz is not None else ""
        instant = f"make_timestamp(epoch_us({value}) + {raised})"
        # Asked of what is there, not of what it is raised to: near the type's end that is an error.
        return (
            f"CASE WHEN isfinite({value}) "
            f"AND epoch_us({value}) BETWEEN {_YEAR_1 - raised} AND {_YEAR_10_000 - 1 - raised} "
            f"THEN strftime({instant}, '\"%Y-%m-%dT%H:%M:%S.%g{zone}\"') END"
        )
    if kinds.is_date(kind):
        day = f"{value}::DATE"
        return f"""CASE WHEN year({day}) BETWEEN 1 AND 9999 THEN strftime({day}, '"%Y-%m-%d"') END"""
    if kinds.is_floating(kind):
        # With all digits of the value as a double: right for readers of either.
        return f"CASE WHEN isfinite({value}) THEN {value}::DOUBLE::VARCHAR END"
    if kinds.is_string(kind) or kinds.is_large_string(kind):
        return f"to_json({value})::VARCHAR"
    if kinds.is_integer(kind) or kinds.is_boolean(kind) or kinds.is_decimal(kind):
        return f"{value}::VARCHAR"
    return "NULL"


def _duckdb_type(kind: DataType) -> str:
    match kind:
        case DecimalType(precision, scale):
            return f"DECIMAL({precision},{scale})"
        case PrimitiveType(name):
            return _DUCKDB_TYPES[name]
        case _:
            raise AssertionError(f"{kind} has no bounds")


def _in_range(values: Any, arrow_type: pa.DataType) -> Any:
    """Return bounds in the column's type, null where DuckDB has an infinity of a date or a timestamp."""
    import pyarrow.compute as pc

    if pa.types.is_timestamp(arrow_type):
        numbers, most = values.view(pa.int64()), _MOST_MICROSECONDS
    elif pa.types.is_date32(arrow_type):
        numbers, most = values.view(pa.int32()), _MOST_DAYS
    else:
        return values.cast(arrow_type)
    known: Any = pc.less(pc.abs(numbers), scalar_of(most, numbers.type))
    kept: Any = pc.if_else(known, numbers, scalar_of(None, numbers.type))
    return kept.view(arrow_type)


def _without_twins(columns: dict[FieldPath, Any]) -> dict[FieldPath, Any]:
    """Leave out columns whose names differ in upper and lower case alone, which Spark and DuckDB take for one."""
    met: dict[FieldPath, int] = {}
    for path in columns:
        lowered = tuple([name.lower() for name in path])
        met[lowered] = met.get(lowered, 0) + 1
    return {path: each for path, each in columns.items() if met[tuple([n.lower() for n in path])] == 1}


def _struct_of(members: Mapping[FieldPath, pa.DataType]) -> pa.StructType:
    tree: dict[str, Any] = {}
    for path, kind in members.items():
        _put(tree, path, kind)

    def build(node: Any) -> pa.DataType:
        if not isinstance(node, dict):
            return cast("pa.DataType", node)
        return pa.struct([pa.field(name, build(member)) for name, member in node.items()])

    return cast("pa.StructType", build(tree))


def _put(tree: dict[str, Any], path: FieldPath, leaf: Any) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = leaf


def _leaf_paths(kind: Any, parents: FieldPath = ()) -> list[FieldPath]:
    if not pa.types.is_struct(kind):
        return [parents]
    fields = [kind.field(place) for place in range(kind.num_fields)]
    return [path for field in fields for path in _leaf_paths(field.type, (*parents, field.name))]


def _assemble(kind: Any, columns: Mapping[FieldPath, Any], parents: FieldPath, missing: Any) -> Any:
    if not pa.types.is_struct(kind):
        return columns[parents].cast(kind)
    fields = [kind.field(place) for place in range(kind.num_fields)]
    members = [_assemble(field.type, columns, (*parents, field.name), missing) for field in fields]
    return pa.StructArray.from_arrays(members, fields=fields, mask=missing)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
