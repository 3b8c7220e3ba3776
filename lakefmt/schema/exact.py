"""Casting one Arrow array to another type so that no value changes, or saying which value would.

"Does not change" is meant literally: converted back, each value is the one it was. Integers, floats and decimals
turn into one another on that condition; text is never parsed, no time zone is ever assumed, truth values are no
numbers.

Nested arrays are fitted member by member, by name. What lies under a null struct, list or map is no value: it can
break no rule, and it does not get into the result.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.schema.arrow import is_list
from lakefmt.schema.casts import choose_cast, way_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefmt.schema.types import FieldPath

__all__ = ["Misfit", "fit_array", "match_names", "requires_members"]

_SHOWN_CHARACTERS = 60


class Misfit(Exception):  # noqa: N818  (internal: conform.py turns it into an error of the library)
    """A value, or a whole column, that has no place in the table.

    Attributes:
        path: where, below the array that was to be fitted.
        row: position in that array, None if its type is the matter.
        reason: what is wrong, a clause that follows the column's name.
        hint: the way out.
        is_null: a null where none may be.
        leftover: names of columns that the table does not have.
    """

    def __init__(
        self,
        reason: str,
        *,
        row: int | None = None,
        hint: str | None = None,
        path: FieldPath = (),
        is_null: bool = False,
        leftover: tuple[str, ...] = (),
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.row = row
        self.hint = hint
        self.path = path
        self.is_null = is_null
        self.leftover = leftover


def fit_array(values: pa.Array[Any], field: pa.Field[Any], *, truncate_ns: bool = False) -> pa.Array[Any]:
    """Return ``values`` as an array of the field's type, in which nulls are only where it allows them.

    The array itself is returned where it is that already.

    Args:
        values: an array of any layout.
        field: of a table's Arrow schema.
        truncate_ns: round nanoseconds down to microseconds instead of refusing the ones that do not fit.

    Raises:
        Misfit: a value or the type has no place there.
    """
    fitted: pa.Array[Any] = _fit(values, field.type, truncate_ns)
    if not field.nullable and fitted.null_count:
        raise _null_misfit(_first_true(fitted.is_null()))
    return fitted


def requires_members(type_: pa.DataType) -> bool:
    """Whether values of the type have members that must not be null."""
    nested: Any = type_
    if pa.types.is_map(type_):  # its keys are never null, by Arrow's own rule
        value = nested.item_field
        return not value.nullable or requires_members(value.type) or requires_members(nested.key_type)
    members = [nested.field(i) for i in range(nested.num_fields)]
    return any(not each.nullable or requires_members(each.type) for each in members)


def match_names(source: list[str], target: list[str], path: FieldPath = ()) -> list[int | None]:
    """Return for each target name the position of the source column meant: the same name, or the only one alike.

    Alike is equal but for upper and lower case.

    Raises:
        Misfit: a source column is left over, stands there twice, or two are alike.
    """
    if source == target:
        return list(range(len(target)))
    positions: dict[str, int] = {}
    for position, name in enumerate(source):
        if name in positions:
            raise Misfit(
                "stands there twice in the data", path=(*path, name), hint="Give each column its own name"
            )
        positions[name] = position
    found = [positions.pop(name, None) for name in target]
    lowered: dict[str, list[str]] = {}
    for name in positions:
        lowered.setdefault(name.lower(), []).append(name)
    for place, name in enumerate(target):
        if found[place] is None and (alike := lowered.get(name.lower())):
            if len(alike) > 1:
                raise Misfit(
                    f"could be {' or '.join(alike)} of the data",
                    path=(*path, name),
                    hint="Use the table's spelling",
                )
            found[place] = positions.pop(alike.pop())
    if positions:
        names = tuple(positions)
        raise Misfit("is not in the table", path=(*path, names[0]), leftover=names)
    return found


def _fit(values: Any, target: pa.DataType, truncate_ns: bool) -> Any:  # noqa: FBT001
    source = values.type
    if source.equals(target) and not (target.num_fields and requires_members(target)):
        return values
    if isinstance(source, pa.BaseExtensionType):
        return _fit(values.storage, target, truncate_ns)
    if isinstance(source, pa.DictionaryType):
        return _fit(values.dictionary_decode(), target, truncate_ns)
    if isinstance(source, pa.RunEndEncodedType):
        import pyarrow.compute as pc

        return _fit(cast("Any", pc).run_end_decode(values), target, truncate_ns)
    if pa.types.is_decimal32(source) or pa.types.is_decimal64(source):  # which Arrow casts to few types
        return _fit(values.cast(pa.decimal128(source.precision, source.scale)), target, truncate_ns)
    if pa.types.is_null(source):
        return _nulls(len(values), target)
    kinds = pa.types
    if kinds.is_struct(target) and kinds.is_struct(source):
        return _fit_struct(values, target, truncate_ns)
    if kinds.is_map(target) and (kinds.is_map(source) or _is_list_of_pairs(source)):
        return _fit_map(values, target, truncate_ns)
    if kinds.is_list(target) and is_list(source):
        return _fit_list(values, target, truncate_ns)
    return _fit_plain(values, target, truncate_ns)


def _fit_struct(values: Any, target: pa.StructType, truncate_ns: bool) -> Any:  # noqa: FBT001
    members = values.flatten()  # of the slice, null wherever the struct is
    fields = list(target)
    positions = match_names([each.name for each in values.type], [each.name for each in fields])
    fitted = []
    for position, field in zip(positions, fields, strict=True):
        if position is None and not field.nullable:
            raise Misfit("is missing in the data and must not be null", path=(field.name,))
        given = pa.nulls(len(values)) if position is None else members[position]
        with _Below(field.name):
            member = _fit(given, field.type, truncate_ns)
            if not field.nullable and member.null_count > values.null_count:
                raise _null_misfit(_first_true(_and_not(member.is_null(), values.is_null())))
        fitted.append(member)
    mask = values.is_null() if values.null_count else None
    return pa.StructArray.from_arrays(fitted, fields=fields, mask=mask)


def _fit_list(values: Any, target: Any, truncate_ns: bool) -> Any:  # noqa: FBT001
    lists = _compact(values)
    offsets, element = lists.offsets, target.value_field
    with _Below("element", offsets):
        members = fit_array(lists.values, element, truncate_ns=truncate_ns)
    return pa.ListArray.from_arrays(offsets, members, type=target, mask=_null_mask(lists))


def _fit_map(values: Any, target: Any, truncate_ns: bool) -> Any:  # noqa: FBT001
    pairs = _compact(values)
    offsets = pairs.offsets
    if pa.types.is_map(pairs.type):
        keys, items = pairs.keys, pairs.items
    else:
        if pairs.values.null_count:
            raise Misfit("has a pair that is null", row=_row_of(_first_true(pairs.values.is_null()), offsets))
        keys, items = pairs.values.flatten()
    with _Below("key", offsets):
        keys = fit_array(keys, target.key_field, truncate_ns=truncate_ns)
    with _Below("value", offsets):
        items = fit_array(items, target.item_field, truncate_ns=truncate_ns)
    return cast("Any", pa.MapArray).from_arrays(offsets, keys, items, type=target, mask=_null_mask(pairs))


def _compact(values: Any) -> Any:
    """Return lists (or maps) in the plain layout, whose members are exactly the ones that its offsets cover."""
    type_ = values.type
    if not (pa.types.is_list(type_) or pa.types.is_map(type_)):
        values = (
            _list_of_views(values) if _is_list_of_views(type_) else values.cast(pa.list_(type_.value_field))
        )
    members = values.keys if pa.types.is_map(type_) else values.values
    offsets = values.offsets
    if (
        values.offset
        or values.null_count
        or offsets[0].as_py() != 0
        or offsets[len(values)].as_py() != len(members)
    ):
        return values.take(_positions(values))
    return values


def _list_of_views(values: Any) -> Any:
    """Return list views as lists; pyarrow 26's own cast of a slice of them makes negative offsets."""
    import pyarrow.compute as pc

    ends = pc.cumulative_sum(pc.fill_null(pc.list_value_length(values), 0).cast(pa.int32()))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    type_ = pa.list_(values.type.value_field)
    return pa.ListArray.from_arrays(offsets, values.flatten(), type=type_, mask=_null_mask(values))


def _fit_plain(values: Any, target: pa.DataType, truncate_ns: bool) -> Any:  # noqa: FBT001
    convert = choose_cast(values.type, target, truncate_ns)
    if convert is None:
        raise Misfit(
            f"is {values.type} in the data and {target} in the table",
            hint=way_out(values.type, target),
        )
    try:
        return convert(values)
    except pa.ArrowException:
        row = _first_failure(values, convert)
        hint = None
        if pa.types.is_timestamp(target):
            hint = "Pass truncate_ns=True to cut the nanoseconds off"
        raise Misfit(
            f"has {_shorten(values[row])}, which does not fit {target}", row=row, hint=hint
        ) from None


class _Below:
    """Leads a misfit of a member up to its parent: the member's name, and the parent's row for the member's."""

    def __init__(self, name: str, offsets: Any = None) -> None:
        self._name = name
        self._offsets = offsets

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, Misfit):
            error.path = (self._name, *error.path)
            if self._offsets is not None and error.row is not None:
                error.row = _row_of(error.row, self._offsets)


def _row_of(member: int, offsets: Any) -> int:
    return bisect.bisect_right(offsets.to_pylist(), member) - 1


def _first_failure(values: Any, convert: Callable[[Any], Any]) -> int:
    """Return the first position that ``convert`` refuses, by halving: what failed is somewhere in there."""
    start, stop = 0, len(values)
    while stop - start > 1:
        middle = (start + stop) // 2
        try:
            convert(values.slice(start, middle - start))
        except pa.ArrowException:
            stop = middle
        else:
            start = middle
    return start


def _is_list_of_views(type_: pa.DataType) -> bool:
    kinds = cast("Any", pa.types)
    return bool(kinds.is_list_view(type_) or kinds.is_large_list_view(type_))


def _is_list_of_pairs(type_: pa.DataType) -> bool:
    if not is_list(type_):
        return False
    member = cast("Any", type_).value_type
    return pa.types.is_struct(member) and [each.name for each in member] == ["key", "value"]


def _null_misfit(row: int) -> Misfit:
    return Misfit("is null and must not be", row=row, is_null=True)


def _null_mask(values: Any) -> Any:
    return values.is_null() if values.null_count else None


def _nulls(count: int, type_: pa.DataType) -> Any:
    return cast("Any", pa.nulls)(count, type_)


def _positions(values: Any) -> Any:
    return pa.array(range(len(values)), pa.int64())


def _and_not(left: Any, right: Any) -> Any:
    import pyarrow.compute as pc

    return pc.and_not(left, right)


def _first_true(mask: Any) -> int:
    import pyarrow.compute as pc

    return int(pc.index(mask, pa.scalar(value=True)).as_py())


def _shorten(value: Any) -> str:
    try:
        text = repr(value.as_py())
    except (ValueError, OverflowError):  # a date past the year 9999
        text = str(value.cast(pa.string()))
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."
