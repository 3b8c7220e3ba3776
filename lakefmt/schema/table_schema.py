"""``Schema``: the columns of a table, what users pass to ``create`` and read from ``t.schema``."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

from lakefmt.errors import InvalidInputError
from lakefmt.schema.arrow import arrow_schema_of, fields_from_arrow
from lakefmt.schema.types import Field, FieldPath, leaf_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa

    from lakefmt.schema.column_mapping import ColumnMapping

__all__ = ["Schema", "closest_names"]


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a table, in order; immutable, and seen by any Arrow library as an Arrow schema.

    Attributes:
        fields: the columns, in order.
        column_mapping: what files, statistics and partition values call them.
    """

    fields: tuple[Field, ...]
    column_mapping: ColumnMapping
    _arrow: pa.Schema | None = field(default=None, init=False, repr=False, compare=False)

    def __init__(self, fields: Iterable[Field] = (), *, column_mapping: ColumnMapping = "none") -> None:
        object.__setattr__(self, "fields", tuple(fields))
        object.__setattr__(self, "column_mapping", column_mapping)
        object.__setattr__(self, "_arrow", None)

    @classmethod
    def from_arrow(cls, source: Any, *, timestamp_ns: Literal["error", "truncate"] = "error") -> Schema:
        """Make a schema of what has one.

        Types that a table has no place for become the narrowest that holds each of their values: unsigned
        integers the next signed type (``uint64`` becomes ``decimal(20,0)``), large, view, dictionary and
        run-end encoded types the plain ones, timestamps microseconds, those in a time zone the instant.
        Metadata is left out.

        Args:
            source: an Arrow schema, table or stream of any library, a ``Schema`` (returned as it is), or a
                mapping of column names to Arrow types or type names (``"long"``, ``"decimal(10,2)"``).
            timestamp_ns: what becomes of timestamps in nanoseconds, which a table cannot hold: ``"error"``
                refuses the column, ``"truncate"`` takes it as microseconds.

        Raises:
            InvalidInputError: a column of a type that no table can hold (it is named, with what to cast it to),
                or ``source`` has no schema.
        """
        if isinstance(source, cls):
            return source
        return cls(fields_from_arrow(source, truncate_ns=timestamp_ns == "truncate"))

    @property
    def names(self) -> list[str]:
        """The columns' names, in order."""
        return [each.name for each in self.fields]

    def field(self, name: str) -> Field:
        """Return the column called ``name``, or else the only one called so but for upper and lower case.

        Raises:
            InvalidInputError: there is none; the closest names are in the message.
        """
        if (found := self.find(name)) is not None:
            return found
        close = closest_names(name, self.names)
        hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else f"The columns are {self.names}"
        raise InvalidInputError(f"there is no column {name!r}", hint=hint)

    def find(self, name: str) -> Field | None:
        """Return what ``field`` would, None where there is no such column."""
        for each in self.fields:
            if each.name == name:
                return each
        lowered = name.lower()
        alike = [each for each in self.fields if each.name.lower() == lowered]
        return alike[0] if len(alike) == 1 else None

    def select(self, names: Iterable[str]) -> Schema:
        """Return the schema of these columns, in this order. Raises InvalidInputError as ``field`` does."""
        return Schema([self.field(name) for name in names], column_mapping=self.column_mapping)

    def physical_name(self, field: Field) -> str:
        """Return what files, statistics and partition values call a column, or a member of a struct, of this schema."""
        return field.name if self.column_mapping == "none" else field.physical_name

    def leaves(self) -> Iterator[tuple[FieldPath, Field]]:
        """Yield the columns that hold values, structs entered, arrays and maps taken whole, in order."""
        return leaf_fields(self.fields)

    def to_arrow(self) -> pa.Schema:
        """Return the Arrow schema of the table's rows, without metadata."""
        if self._arrow is None:
            object.__setattr__(self, "_arrow", arrow_schema_of(self.fields))
        arrow = self._arrow
        assert arrow is not None  # noqa: S101  set one line up; for the type checker
        return arrow

    def __arrow_c_schema__(self) -> object:
        return self.to_arrow().__arrow_c_schema__()

    def __len__(self) -> int:
        return len(self.fields)

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def __contains__(self, name: object) -> bool:
        return any(each.name == name for each in self.fields)

    def __repr__(self) -> str:
        return "\n".join(["Schema", *(f"  {each}" for each in self.fields)])


def closest_names(name: str, names: Iterable[str]) -> list[str]:
    """Return up to three of ``names`` that someone who wrote ``name`` may have meant, the likeliest first."""
    by_lower = {each.lower(): each for each in names}
    return [by_lower[each] for each in get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)]
