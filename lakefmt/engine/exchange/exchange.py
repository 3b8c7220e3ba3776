"""An exchange: rows of one schema on their way from the tasks of a stage to those of the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakefmt.engine.exchange.keys import check_order, key_columns
from lakefmt.engine.exchange.partitioning import Gather, RangePartitioning
from lakefmt.engine.exchange.wire import check_wire, wire_schema
from lakefmt.errors import UnsupportedFeatureError

if TYPE_CHECKING:
    import pyarrow as pa

    from lakefmt.engine.exchange.partitioning import Partitioning

__all__ = ["SORT_WORD", "Exchange", "Versions"]

SORT_WORD = "lakefmt.sort_word"
"""The name of the column, the last one, in which rows of a range exchange have ``Assignment.words``."""


@dataclass(frozen=True, slots=True)
class Versions:
    """What has to be the same on both sides: hashes and sort keys are DuckDB's, and no contract among its versions.

    Attributes:
        duckdb: its version.
        lakefmt: its version.
    """

    duckdb: str
    lakefmt: str

    @classmethod
    def here(cls) -> Versions:
        """Return those of this process."""
        import duckdb

        import lakefmt

        return cls(duckdb.__version__, lakefmt.__version__)

    def check(self) -> None:
        """Go on if this process has the same. Raises UnsupportedFeatureError."""
        here = Versions.here()
        if here != self:
            raise UnsupportedFeatureError(
                f"Rows were sent by DuckDB {self.duckdb} and lakefmt {self.lakefmt}; here are DuckDB {here.duckdb} "
                f"and lakefmt {here.lakefmt}, which may hash and order them otherwise",
                hint="Install the same versions wherever tasks run",
            )


@dataclass(frozen=True, slots=True)
class Exchange:
    """What is sent, and to which of how many partitions; a value that both sides are given.

    Attributes:
        schema: of the rows as they are handed in.
        partitioning: where each goes.
        logical_types: DuckDB's name of each column's type, where rows come from DuckDB and go back to it; None for rows
            that are Arrow's alone.
        versions: of the side that planned it.
    """

    schema: pa.Schema
    partitioning: Partitioning
    logical_types: tuple[str, ...] | None = None
    versions: Versions = field(default_factory=Versions.here)

    def __post_init__(self) -> None:
        check_wire(self.schema)
        if not isinstance(self.partitioning, Gather):
            key_columns(self.partitioning.keys, self.schema)
        if isinstance(self.partitioning, RangePartitioning):
            check_order(self.partitioning.keys, self.schema)

    @property
    def partitions(self) -> int:
        """How many there are."""
        return self.partitioning.partitions

    @property
    def wire_schema(self) -> pa.Schema:
        """Of the rows as they are handed out: values where they were encoded; in a range exchange with ``SORT_WORD``."""
        import pyarrow as pa

        schema = wire_schema(self.schema)
        is_range = isinstance(self.partitioning, RangePartitioning)
        return schema.append(pa.field(SORT_WORD, pa.uint64(), nullable=False)) if is_range else schema

    def __reduce__(self) -> tuple[Any, ...]:
        # A schema pickles column by column in Python; its own bytes are shorter.
        return _rebuild, (
            self.schema.serialize().to_pybytes(),
            self.partitioning,
            self.logical_types,
            self.versions,
        )


def _rebuild(
    schema: bytes, partitioning: Partitioning, logical_types: tuple[str, ...] | None, versions: Versions
) -> Exchange:
    import pyarrow as pa

    return Exchange(pa.ipc.read_schema(pa.py_buffer(schema)), partitioning, logical_types, versions)
