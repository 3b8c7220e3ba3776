"""The types a column can have, as the Delta protocol names them (section "Schema Serialization Format").

Values, not behaviour: JSON text is ``serialization.py``'s business, Arrow ``arrow.py``'s. A type prints as users
write it in SQL: ``decimal(10,2)``, ``array<string>``, ``struct<x: long>``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from lakefmt.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "ArrayType",
    "DataType",
    "DecimalType",
    "Field",
    "FieldPath",
    "MapType",
    "PrimitiveType",
    "StructType",
    "format_path",
    "leaf_fields",
    "parse_type_name",
]

PRIMITIVE_NAMES = frozenset(
    {
        "binary",
        "boolean",
        "byte",
        "date",
        "double",
        "float",
        "integer",
        "long",
        "short",
        "string",
        "timestamp",
        "timestamp_ntz",
        "variant",
        "void",
    }
)
MAX_DECIMAL_PRECISION = 38
PHYSICAL_NAME_KEY = "delta.columnMapping.physicalName"
COLUMN_ID_KEY = "delta.columnMapping.id"

_SQL_ALIASES = {"bigint": "long", "bool": "boolean", "int": "integer", "smallint": "short", "tinyint": "byte"}
_DECIMAL = re.compile(r"decimal\(\s*(\d{1,2})\s*,\s*(\d{1,2})\s*\)")
_PLAIN_NAME = re.compile(r"[^.`]+")

FieldPath: TypeAlias = tuple[str, ...]
"""Names from the top-level column down; an array's member is ``element``, a map's are ``key`` and ``value``."""


@dataclass(frozen=True, slots=True)
class PrimitiveType:
    """A type that is nothing but its name: one of ``PRIMITIVE_NAMES``."""

    name: str

    def __post_init__(self) -> None:
        if self.name not in PRIMITIVE_NAMES:
            raise InvalidInputError(
                f"there is no type {self.name!r}",
                hint=f"The plain types are {', '.join(sorted(PRIMITIVE_NAMES))}",
            )

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class DecimalType:
    """An exact number of ``precision`` digits, ``scale`` of them after the point."""

    precision: int
    scale: int

    def __post_init__(self) -> None:
        if not 1 <= self.precision <= MAX_DECIMAL_PRECISION or not 0 <= self.scale <= self.precision:
            raise InvalidInputError(
                f"decimal({self.precision},{self.scale}) is out of range",
                hint=f"A decimal has 1 to {MAX_DECIMAL_PRECISION} digits, none to all of them after the point",
            )

    def __str__(self) -> str:
        return f"decimal({self.precision},{self.scale})"


@dataclass(frozen=True, slots=True)
class ArrayType:
    """A list of values of one type."""

    element: DataType
    contains_null: bool = True

    def __str__(self) -> str:
        return f"array<{self.element}>"


@dataclass(frozen=True, slots=True)
class MapType:
    """Pairs of a key, which is never null, and a value."""

    key: DataType
    value: DataType
    value_contains_null: bool = True

    def __str__(self) -> str:
        return f"map<{self.key}, {self.value}>"


@dataclass(frozen=True, slots=True)
class StructType:
    """A group of named fields."""

    fields: tuple[Field, ...]

    def __str__(self) -> str:
        return f"struct<{', '.join(f'{each.name}: {each.type}' for each in self.fields)}>"


DataType: TypeAlias = PrimitiveType | DecimalType | ArrayType | MapType | StructType


@dataclass(frozen=True, slots=True)
class Field:
    """A column, or a member of a struct.

    Attributes:
        metadata: what the table's schema says beside name and type (comments, generation expressions, column
            mapping, ...), kept as found, keys this release does not know included.
    """

    name: str
    type: DataType
    nullable: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def physical_name(self) -> str:
        """The name in data files, statistics and partition values of a table whose column mapping is on."""
        return str(self.metadata.get(PHYSICAL_NAME_KEY, self.name))

    def __str__(self) -> str:
        return f"{self.name}: {self.type}{'' if self.nullable else ' not null'}"


def parse_type_name(text: str) -> PrimitiveType | DecimalType:
    """Parse the name of a type without members: a protocol name (``long``) or its SQL alias (``bigint``).

    Raises:
        InvalidInputError: there is no such type.
    """
    name = text.strip().lower()
    name = _SQL_ALIASES.get(name, name)
    if name == "decimal":
        return DecimalType(10, 0)
    if match := _DECIMAL.fullmatch(name):
        return DecimalType(int(match[1]), int(match[2]))
    return PrimitiveType(name)


def format_path(path: FieldPath) -> str:
    """Return ``a.b.c``; a name with a dot or a backtick in it stands between backticks, so no two paths look alike."""
    return ".".join(
        name if _PLAIN_NAME.fullmatch(name) else "`" + name.replace("`", "``") + "`" for name in path
    )


def leaf_fields(fields: tuple[Field, ...], parents: FieldPath = ()) -> Iterator[tuple[FieldPath, Field]]:
    """Yield the columns that hold values, structs entered, arrays and maps taken whole, in schema order.

    These are what per-file statistics and the count in ``delta.dataSkippingNumIndexedCols`` are about.
    """
    for each in fields:
        path = (*parents, each.name)
        if isinstance(each.type, StructType):
            yield from leaf_fields(each.type.fields, path)
        else:
            yield path, each
