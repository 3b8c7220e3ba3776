"""What is known of the values in one data file: the value that the engine's writer makes and the log encodes.

It stands down here because both the engine and the manifest need it and neither may import the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from lakefmt.schema.types import FieldPath

__all__ = ["ColumnStatistics", "FileStatistics"]


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """Exact facts about one leaf column of one data file.

    Attributes:
        path: names from the top-level column down to the leaf, through structs only.
        minimum: the least value, None where there is none to give: no value at all, a type without an order,
            every value NaN. NaN is never counted; the least of 0.0 and -0.0 is -0.0.
        maximum: the greatest value. None also where the column holds a NaN, which is above every number, so that
            no reader can take the greatest number for a bound. The greatest of 0.0 and -0.0 is 0.0.
        null_count: rows whose value is null, the ones under a null struct included; None if not counted.
        has_nan: a float column holds a NaN.
    """

    path: FieldPath
    minimum: pa.Scalar[Any] | None
    maximum: pa.Scalar[Any] | None
    null_count: int | None
    has_nan: bool = False


@dataclass(frozen=True, slots=True)
class FileStatistics:
    """Exact facts about one data file: its rows, and the columns that statistics were asked for."""

    num_records: int
    columns: tuple[ColumnStatistics, ...]
