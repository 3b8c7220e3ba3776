"""What the source of a job's rows is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from lakefmt.engine.tasks.task import TaskContext

__all__ = ["RowReader", "RowSample", "RowSampler", "RowSource"]


class RowReader(Protocol):
    """Reads parts of a source; goes to workers as a value."""

    def __call__(self, part: Any, context: TaskContext) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a part."""


@dataclass(frozen=True, slots=True)
class RowSample:
    """Rows of a part that were read to learn what the part is like.

    Attributes:
        batches: the rows, of some columns.
        share: they are about so much of the part's rows, above 0 up to 1, and come from all over it.
        part_bytes: that all rows of the part take in memory, about.
    """

    batches: Iterable[pa.RecordBatch]
    share: float
    part_bytes: int


class RowSampler(Protocol):
    """Reads a little of a part; goes to workers as a value."""

    def __call__(self, part: Any, columns: Sequence[str], context: TaskContext) -> RowSample:
        """Return rows of a part with these columns."""


class RowSource(Protocol):
    """Where rows come from, in parts that are read by themselves; stays in the driver."""

    @property
    def schema(self) -> pa.Schema:
        """The rows' columns."""

    @property
    def reader(self) -> RowReader:
        """What reads its parts."""

    @property
    def sampler(self) -> RowSampler:
        """What reads a little of them."""

    @property
    def only_threads(self) -> str | None:
        """Why its parts can be read in this process alone; None where they can be read anywhere."""

    @property
    def size_bytes(self) -> int | None:
        """About how many bytes the rows take in memory, None where nobody knows."""

    def count_rows(self) -> int | None:
        """Return how many rows there are, None where nobody knows before they are read; may take reading metadata."""

    def parts(self, parallelism: int, keep_in: str | None = None) -> Iterator[Any]:
        """Yield values that stand for some of the rows each; drawn as tasks can begin, and closed.

        Args:
            parallelism: tasks that run at once; each should have several.
            keep_in: a local folder; None where a part is let go once its rows are there. Else all parts are kept to the
                end of the job, and hold no rows: what has to be kept is written there.
        """

    def split(self, part: Any) -> Sequence[Any]:
        """Return smaller parts with the same rows; none where there are none."""

    def describe(self, part: Any) -> str:
        """Name a part in an error."""
