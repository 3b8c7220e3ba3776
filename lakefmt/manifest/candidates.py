"""What pruning needs of files that are still in question, wherever their columns are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from lakefmt.expressions import BoundsOf
    from lakefmt.manifest.statistics_reader import StatisticsReader
    from lakefmt.schema import FieldPath, Schema

__all__ = ["Candidates", "Pruner"]


class Candidates(Protocol):
    """Some of a version's live files; each column is had for itself, and read no sooner than it is asked for."""

    @property
    def num_files(self) -> int:
        """How many they are."""

    def log_paths(self) -> pa.ChunkedArray[Any]:
        """Return the files' paths, as in the log."""

    def partition_texts(self, place: int) -> pa.ChunkedArray[Any]:
        """Return the log's texts of a partition column, by its place among them; one per file."""

    def statistics(
        self, schema: Schema, columns: Sequence[FieldPath], *, counts: bool = True
    ) -> StatisticsReader:
        """Return a reader of the files' statistics; arguments as for ``StatisticsReader``."""

    def keeps_statistics(self, schema: Schema, columns: Sequence[FieldPath], wanted: int) -> bool:
        """Whether to read these statistics, counts too, of all files where ``wanted`` of them are asked for: they stay at hand."""

    def filter(self, mask: Any) -> Self:
        """Keep the files where ``mask`` (one entry a file) is true."""


class Pruner(Protocol):
    """Decides which files a read needs: of many at once by bounds, then one by one."""

    def may_match(self, bounds_of: BoundsOf, count: int) -> pa.BooleanArray:
        """Return for each of ``count`` groups of files whether one may be needed, by bounds of the whole group."""

    def choose(self, files: Candidates) -> pa.BooleanArray:
        """Return for each file whether it is needed; never null."""
