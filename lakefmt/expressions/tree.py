"""The tree a predicate is understood as: what pruning and Arrow filters are made from.

A node has one of three outcomes for a row, TRUE, FALSE or NULL, by SQL's three-valued logic. The tree is a reading
of the user's text, never its source: DuckDB evaluates the text itself, and what this tree cannot say exactly is
``Opaque``. Every other node means precisely what DuckDB computes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "And",
    "Column",
    "Compare",
    "Constant",
    "HasOutcome",
    "IsNull",
    "Node",
    "Not",
    "OneOf",
    "Opaque",
    "Operator",
    "Or",
    "TextMatch",
    "find_columns",
    "is_understood",
]

Operator: TypeAlias = Literal["<", "<=", "=", "<>", ">", ">="]


@dataclass(frozen=True, slots=True)
class Column:
    """A column, or a member of struct columns.

    Attributes:
        path: names from the top-level column down, in the schema's spelling.
        type: the Arrow type of its values.
    """

    path: tuple[str, ...]
    type: pa.DataType


@dataclass(frozen=True, slots=True)
class Constant:
    """The same outcome for every row; None is NULL."""

    outcome: bool | None


@dataclass(frozen=True, slots=True)
class Compare:
    """A column compared with a value; NULL where the column is.

    Numbers by value (-0.0 equals 0.0), NaN equal to itself and greater than every number, strings and binaries by
    their bytes.

    Attributes:
        value: not null; of the column's type, or of one that the column's values are compared in exactly.
    """

    column: Column
    operator: Operator
    value: pa.Scalar[Any]


@dataclass(frozen=True, slots=True)
class OneOf:
    """Whether a column equals one of some values; NULL where the column is.

    Attributes:
        values: ascending, distinct, without null and NaN; at least one.
    """

    column: Column
    values: pa.Array[Any]


@dataclass(frozen=True, slots=True)
class TextMatch:
    """Whether a string column begins with, ends with or contains a text; NULL where the column is."""

    column: Column
    place: Literal["prefix", "suffix", "infix"]
    text: str


@dataclass(frozen=True, slots=True)
class IsNull:
    """Whether a column is null; never NULL itself."""

    column: Column


@dataclass(frozen=True, slots=True)
class HasOutcome:
    """Whether the child's outcome is this one (``IS TRUE``, ``IS NULL``, ...); never NULL itself."""

    child: Node
    outcome: bool | None


@dataclass(frozen=True, slots=True)
class Not:
    """TRUE for FALSE, FALSE for TRUE, NULL for NULL."""

    child: Node


@dataclass(frozen=True, slots=True)
class And:
    """FALSE if a child is, else NULL if a child is, else TRUE."""

    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """TRUE if a child is, else NULL if a child is, else FALSE."""

    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Opaque:
    """What only DuckDB can tell: any outcome for any row."""


Node: TypeAlias = And | Compare | Constant | HasOutcome | IsNull | Not | OneOf | Opaque | Or | TextMatch


def is_understood(node: Node) -> bool:
    """Whether no part of the tree is ``Opaque``."""
    match node:
        case Opaque():
            return False
        case And(children) | Or(children):
            return all(is_understood(each) for each in children)
        case Not(child) | HasOutcome(child):
            return is_understood(child)
    return True


def find_columns(node: Node) -> dict[tuple[str, ...], Column]:
    """Return the columns that the understood parts look at, by path."""
    match node:
        case Compare(column) | OneOf(column) | TextMatch(column) | IsNull(column):
            return {column.path: column}
        case And(children) | Or(children):
            return {path: column for each in children for path, column in find_columns(each).items()}
        case Not(child) | HasOutcome(child):
            return find_columns(child)
    return {}
