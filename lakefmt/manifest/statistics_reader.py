"""Bounds of a table's columns, per data file, out of ``add.stats`` (JSON) or ``add.stats_parsed`` (typed).

Whoever wrote them, nothing read here makes a file be skipped that holds a wanted row:

* What is no JSON, of the wrong type, out of range or contradicts itself (a minimum above its maximum, more nulls
  than rows) is unknown.
* Greatest timestamps are raised by what truncation to milliseconds takes off.
* Decimals of more digits than every double holds are widened by a double's precision: delta-rs 1.6.6 writes them
  through one, so that its maxima may be too low, and fast JSON parsers read them through one. Others are exact.
* A column that was ``float`` once and is ``double`` now has bounds that hold for both.
* A float column's maximum is known only where the file says that it counts NaN.
* Under wide bounds a null count is known only if it is none or all (protocol section "Per-file Statistics").
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol, cast

import pyarrow as pa

from lakefmt.arrow_values import repeat, scalar_of
from lakefmt.manifest.statistics_json import Kind, extract_texts
from lakefmt.manifest.text_values import parse_texts
from lakefmt.schema.arrow import arrow_type_of
from lakefmt.schema.decimals import number_to_decimal
from lakefmt.schema.type_widening import was_float
from lakefmt.schema.types import (
    ArrayType,
    DataType,
    DecimalType,
    Field,
    FieldPath,
    MapType,
    PrimitiveType,
    StructType,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lakefmt.schema.table_schema import Schema

__all__ = [
    "Bounds",
    "JsonStatistics",
    "StatisticsReader",
    "StatisticsSource",
    "as_bounds",
    "has_bounds",
    "holds_floats",
    "locate_column",
    "logical_path",
    "outer_bounds",
    "sound_bounds",
]

_NO_BOUNDS = {"binary", "variant", "void"}
_TEXTS = {"string", "date", "timestamp", "timestamp_ntz"}
_LOST_TO_MILLISECONDS = 999
_FLOATS = (PrimitiveType("float"), PrimitiveType("double"))
_INT64_MAX = 2**63 - 1
_EXACT_INTEGERS = 2.0**53  # below which a double holds every integer
_EXACT_DIGITS = 15  # that every double holds
_DOUBLE_STEP = 2.0**-51  # relative; what writing and reading through a double may take off, twice over
_WIDE_DIGITS = 74


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is known of one column in each file; arrays aligned with the files, null is "not known".

    Attributes:
        minimum: no value that is not null is below it; of the column's type.
        maximum: no value that is not null is above it, NaN included.
        null_count: rows of the file, deleted ones included, in which the column is null.
        num_records: rows of the file, deleted ones included.
        tight: False where rows have been deleted since the bounds were taken.
    """

    minimum: pa.Array[Any]
    maximum: pa.Array[Any]
    null_count: pa.Array[Any]
    num_records: pa.Array[Any]
    tight: pa.Array[Any]


class StatisticsSource(Protocol):
    """Statistics of some files as they are stored."""

    def values(self, wanted: Sequence[tuple[FieldPath, Kind]]) -> list[Any]:
        """Return for each path below ``stats`` an array with an entry per file: texts, or values of some type.

        Null where a file does not have it, or not as the kind of value that is wanted.
        """


class JsonStatistics:
    """The texts of ``add.stats``; implements ``StatisticsSource``."""

    def __init__(self, texts: pa.Array[Any] | pa.ChunkedArray[Any]) -> None:
        self._texts: Any = pa.chunked_array([texts]) if isinstance(texts, pa.Array) else texts

    def values(self, wanted: Sequence[tuple[FieldPath, Kind]]) -> list[Any]:
        """See ``StatisticsSource``; the values are texts."""
        return list(extract_texts(self._texts, wanted))


class StatisticsReader:
    """Statistics of some files, parsed when first asked for and then kept; not for several threads at once.

    Args:
        source: of the files' statistics; an array is the texts of ``add.stats``.
        schema: of the table; statistics go by its physical names.
        columns: paths that will be asked for, to be parsed in one go.
        nan_free: for each file whether its float maxima count NaN (``nan_free_files``); None: no file says so.
        counts: False: rows and nulls are not known, which spares looking for them.
    """

    def __init__(
        self,
        source: StatisticsSource | pa.ChunkedArray[Any] | pa.Array[Any],
        schema: Schema,
        columns: Sequence[FieldPath] = (),
        *,
        nan_free: Any = None,
        counts: bool = True,
    ) -> None:
        stored = isinstance(source, (pa.Array, pa.ChunkedArray))
        self._source: StatisticsSource = (
            JsonStatistics(cast("Any", source)) if stored else cast("Any", source)
        )
        self._schema = schema
        self._columns = tuple(dict.fromkeys(columns))
        self._nan_free = nan_free
        self._counts = counts
        self._num_records: Any = None
        self._tight: Any = None
        self._bounds: dict[FieldPath, Bounds] = {}

    def num_records(self) -> pa.Array[Any]:
        """Return the rows of each file, deleted ones included, as int64; null where it does not say."""
        if self._num_records is None:
            self._load(self._columns)
        return cast("pa.Array[Any]", self._num_records)

    def bounds(self, path: FieldPath) -> Bounds:
        """Return what is known of a column.

        Args:
            path: names from the top-level column down through structs, as the schema spells them.

        Raises:
            KeyError: the schema has no such column.
        """
        if path not in self._bounds:
            self._load(self._columns if path in self._columns else (path,))
        return self._bounds[path]

    def _load(self, paths: tuple[FieldPath, ...]) -> None:
        """Look at the statistics once, for the numbers of rows and these columns."""
        places = [locate_column(self._schema, path) for path in paths]
        wanted: list[tuple[FieldPath, Kind]] = []
        for field, path in places:
            kind = _kind_of(field.type) or "number"
            wanted += [(("minValues", *path), kind), (("maxValues", *path), kind)]
            if self._counts:
                wanted.append((("nullCount", *path), "number"))
        if self._counts:
            wanted += [(("numRecords",), "number"), (("tightBounds",), "flag")]
        found = self._source.values(wanted)
        if self._counts:
            self._num_records, self._tight = _counts(found[-2]), _flags(found[-1])
        elif found:
            self._num_records = cast("Any", pa.nulls)(len(found[0]), pa.int64())
            self._tight = repeat(scalar_of(value=True), len(found[0]))
        each = 3 if self._counts else 2
        for number, (path, (field, _)) in enumerate(zip(paths, places, strict=True)):
            self._bounds[path] = self._column_bounds(field, *found[each * number : each * (number + 1)])

    def _column_bounds(self, field: Field, least: Any, greatest: Any, null_count: Any = None) -> Bounds:
        import pyarrow.compute as pc

        arrow_type = arrow_type_of(field.type)
        if _kind_of(field.type) is None:
            minimum = maximum = cast("Any", pa.nulls)(len(least), arrow_type)
        else:
            minimum, maximum = as_bounds(least, arrow_type), as_bounds(greatest, arrow_type)
            minimum, maximum = sound_bounds(field, minimum, maximum, self._nan_free)
        if null_count is None:
            return Bounds(minimum, maximum, self._num_records, self._num_records, self._tight)
        counts = _counts(null_count)
        everything = pc.equal(counts, self._num_records)
        believable = pc.less_equal(counts, self._num_records)
        extreme = pc.or_(pc.equal(counts, scalar_of(0)), everything)
        counts = _where(pc.and_(believable, pc.or_(self._tight, extreme)), counts)
        return Bounds(minimum, maximum, counts, self._num_records, self._tight)


def holds_floats(schema: Schema, columns: Iterable[FieldPath]) -> bool:
    """Whether one of the columns has floating-point numbers, whose maxima may leave NaN out."""
    types = [locate_column(schema, path)[0].type for path in columns]
    return any(type_ in _FLOATS for type_ in types)


def has_bounds(type_: DataType) -> bool:
    """Whether statistics have bounds of columns of the type at all."""
    return _kind_of(type_) is not None


def sound_bounds(field: Field, minimum: Any, maximum: Any, nan_free: Any = None) -> tuple[Any, Any]:
    """Return bounds that can be relied on, made of what a log says; null where nothing can.

    Args:
        field: the column.
        minimum: array of the column's Arrow type.
        maximum: another, of the same length.
        nan_free: whether the maximum counts NaN, one entry each; None: none does.
    """
    if was_float(field):
        minimum, maximum = _of_either_float(minimum, maximum)
    minimum, maximum = outer_bounds(field.type, minimum, maximum)
    if field.type in _FLOATS:
        maximum = _where(scalar_of(value=False) if nan_free is None else _flat(nan_free), maximum)
    return minimum, maximum


def outer_bounds(type_: DataType, minimum: Any, maximum: Any) -> tuple[Any, Any]:
    """Return bounds of values whose texts gave these two: moved outwards by what texts lose, null where they make no sense.

    Args:
        type_: of the column.
        minimum: array of the column's Arrow type.
        maximum: another, of the same length.
    """
    import pyarrow.compute as pc

    contradiction = pc.fill_null(pc.greater(minimum, maximum), scalar_of(value=False))
    consistent = pc.invert(contradiction)
    minimum, maximum = _where(consistent, minimum), _where(consistent, maximum)
    match type_:
        case PrimitiveType("timestamp" | "timestamp_ntz"):
            instants = maximum.view(pa.int64())
            highest = scalar_of(_INT64_MAX - _LOST_TO_MILLISECONDS)
            raised = pc.add(
                pc.min_element_wise(instants, highest, skip_nulls=False), scalar_of(_LOST_TO_MILLISECONDS)
            )
            maximum = raised.view(maximum.type)
        case PrimitiveType("float" | "double"):
            minimum = _where(pc.is_finite(minimum), minimum)
            maximum = _where(pc.is_finite(maximum), maximum)
        case DecimalType(precision) if precision > _EXACT_DIGITS:
            minimum, maximum = _widened(minimum, upper=False), _widened(maximum, upper=True)
    return minimum, maximum


def as_bounds(found: Any, type_: pa.DataType) -> Any:
    """Return stored bounds, texts or of some type, in a column's type; null where they have no place in it."""
    if pa.types.is_string(found.type):
        return parse_texts(found, type_)
    if found.type.equals(type_):
        return found
    try:
        if pa.types.is_decimal(type_):
            return number_to_decimal(found, type_)
        if pa.types.is_floating(found.type) and pa.types.is_integer(type_):
            import pyarrow.compute as pc

            found = _where(pc.less(pc.abs(found), scalar_of(_EXACT_INTEGERS, found.type)), found)
        if pa.types.is_timestamp(found.type) and found.type.unit == "ns":
            import pyarrow.compute as pc

            found = pc.floor_temporal(found, unit="microsecond")  # as writers cut: maxima are raised again
        return found.cast(type_)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return cast("Any", pa.nulls)(len(found), type_)


def locate_column(schema: Schema, path: FieldPath) -> tuple[Field, FieldPath]:
    """Return the column at ``path``, and its path in physical names. Raises KeyError: there is none."""
    fields = schema.fields
    physical: list[str] = []
    field: Field | None = None
    for name in path:
        field = next((each for each in fields if each.name == name), None)
        if field is None:
            raise KeyError(path)
        physical.append(schema.physical_name(field))
        fields = field.type.fields if isinstance(field.type, StructType) else ()
    if field is None:
        raise KeyError(path)
    return field, tuple(physical)


def logical_path(schema: Schema, physical: FieldPath) -> FieldPath:
    """Return the path of the column whose path in physical names this is. Raises KeyError: there is none."""
    fields = schema.fields
    path: list[str] = []
    for name in physical:
        field = next((each for each in fields if schema.physical_name(each) == name), None)
        if field is None:
            raise KeyError(physical)
        path.append(field.name)
        fields = field.type.fields if isinstance(field.type, StructType) else ()
    return tuple(path)


def _kind_of(type_: DataType) -> Kind | None:
    """Return what JSON has for a bound of the type, None where there are no bounds."""
    match type_:
        case PrimitiveType(name):
            if name in _NO_BOUNDS:
                return None
            return "text" if name in _TEXTS else "flag" if name == "boolean" else "number"
        case DecimalType():
            return "number"
        case ArrayType() | MapType() | StructType():
            return None


def _counts(found: Any) -> Any:
    import pyarrow.compute as pc

    counts = as_bounds(found, pa.int64())
    return _where(pc.greater_equal(counts, scalar_of(0)), counts)


def _flags(found: Any) -> Any:
    import pyarrow.compute as pc

    flags = as_bounds(found, pa.bool_())
    return pc.fill_null(flags, scalar_of(value=True))


def _of_either_float(minimum: Any, maximum: Any) -> tuple[Any, Any]:
    """Return bounds that hold for files that have the column as ``float`` still.

    The shortest digits of a float of 32 bits (0.7) are another double (0.7) than its value is (0.699999988...).
    """
    import pyarrow.compute as pc

    narrow = [bound.cast(pa.float32(), safe=False).cast(pa.float64()) for bound in (minimum, maximum)]
    least = pc.min_element_wise(minimum, narrow[0], skip_nulls=False)
    return least, pc.max_element_wise(maximum, narrow[1], skip_nulls=False)


def _widened(values: Any, *, upper: bool) -> Any:
    """Move decimals outwards by what a double may have lost of them; unknown where that leaves the type's range."""
    import pyarrow.compute as pc

    type_ = values.type
    wide = pa.decimal256(_WIDE_DIGITS, type_.scale)
    last_digit = Decimal(1).scaleb(-type_.scale)  # for what the cast of the float rounds off
    lost = pc.multiply(pc.abs(values.cast(pa.float64())), scalar_of(_DOUBLE_STEP)).cast(wide)
    lost = pc.add(lost, scalar_of(last_digit, wide))
    moved: Any = pc.add(values.cast(wide), lost) if upper else pc.subtract(values.cast(wide), lost)
    end = scalar_of(Decimal(10) ** (type_.precision - type_.scale), wide)
    return _where(pc.less(pc.abs(moved), end), moved).cast(type_)


def _where(condition: Any, values: Any) -> Any:
    """Keep values where the condition is True, null elsewhere."""
    import pyarrow.compute as pc

    return pc.if_else(condition, values, scalar_of(None, values.type))


def _flat(mask: Any) -> Any:
    combined = mask.combine_chunks() if isinstance(mask, pa.ChunkedArray) else mask
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined
