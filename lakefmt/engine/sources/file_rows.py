"""Data files as the source of a job: runs of files, or of a large file's row groups, of about equal size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lakefmt.engine.footers import load_footer
from lakefmt.engine.read import read_batches
from lakefmt.engine.sources.row_source import RowSample
from lakefmt.engine.tasks.threads import ThreadExecutor
from lakefmt.errors import LakefmtError
from lakefmt.store.sent_store import SentStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa

    from lakefmt.engine.read_task import ReadSpec, ReadTask
    from lakefmt.engine.sources.row_source import RowReader, RowSampler
    from lakefmt.engine.tasks.task import TaskContext
    from lakefmt.store.contract import Store

__all__ = ["DataFileRows"]

_MOST_BYTES = 64 << 20  # of files, as they are encoded, that a task reads
_LEAST_BYTES = 4 << 20
_MOST_FILES = 1000
_DECODED = 3
_SAMPLED_FILES = 8  # of a run, at least, and one in so many
_SAMPLED_GROUPS = 4  # one in so many of a file's row groups, two at least


def _unknown() -> int | None:
    return None


@dataclass(frozen=True, slots=True)
class DataFileRows:
    """Data files of a table as the source of a job: ``RowSource``. A part is a run of read tasks.

    Attributes:
        store: where the files are.
        spec: what is wanted of each.
        table: the table's URI, for errors.
        version: which version of it.
        file_bytes: of all files.
        tasks: makes the read tasks.
        row_count: counts the rows, None where nobody knows.
    """

    store: Store
    spec: ReadSpec
    table: str
    version: int
    file_bytes: int
    tasks: Callable[[], Iterable[ReadTask]]
    row_count: Callable[[], int | None] = _unknown

    @property
    def schema(self) -> pa.Schema:
        """The rows' columns."""
        return self.spec.result_schema

    @property
    def reader(self) -> RowReader:
        """What reads the parts."""
        return _ReadFiles(SentStore(self.store), self.spec, self.table, self.version)

    @property
    def sampler(self) -> RowSampler:
        """What reads a few row groups of the parts."""
        return _SampleFiles(_ReadFiles(SentStore(self.store), self.spec, self.table, self.version))

    @property
    def only_threads(self) -> str | None:
        """That the files are in this process's memory, where they are."""
        return "the table is in this process's memory" if self.store.is_of_process else None

    @property
    def size_bytes(self) -> int:
        """About how many bytes the rows take in memory, if files are encoded as they mostly are."""
        return self.file_bytes * _DECODED

    def count_rows(self) -> int | None:
        """Return how many rows there are, if the log says so."""
        return self.row_count()

    def parts(self, parallelism: int, keep_in: str | None = None) -> Iterator[tuple[ReadTask, ...]]:  # noqa: ARG002 - nothing has to be kept
        """Yield runs of files, and row groups of larger ones, so that every worker has several."""
        target = min(_MOST_BYTES, max(_LEAST_BYTES, self.file_bytes // (4 * parallelism)))
        run: list[ReadTask] = []
        size = 0
        for task in self.tasks():
            if run and (size + task.size_bytes > target or len(run) == _MOST_FILES):
                yield tuple(run)
                run, size = [], 0
            if task.size_bytes > 2 * target:
                yield from ((piece,) for piece in self._row_group_runs(task, -(-task.size_bytes // target)))
                continue
            run.append(task)
            size += task.size_bytes
        if run:
            yield tuple(run)

    def split(self, part: tuple[ReadTask, ...]) -> Sequence[tuple[ReadTask, ...]]:
        """Return the two halves of a run of files, or of a file's row groups."""
        if len(part) > 1:
            middle = len(part) // 2
            return part[:middle], part[middle:]
        pieces = list(self._row_group_runs(part[0], 2))
        return [(piece,) for piece in pieces] if len(pieces) > 1 else ()

    def describe(self, part: tuple[ReadTask, ...]) -> str:
        """Name a part in an error."""
        first = f"file {part[0].key}"
        if part[0].row_groups is not None:
            first += f", row groups {part[0].row_groups[0]} to {part[0].row_groups[-1]}"
        more = f" and {len(part) - 1} more" if len(part) > 1 else ""
        return f"{first}{more} of table {self.table}, version {self.version}"

    def _row_group_runs(self, task: ReadTask, count: int) -> Iterator[ReadTask]:
        groups = task.row_groups
        if groups is None:
            groups = range(len(load_footer(self.store, task.key, task.size_bytes).row_counts))
        count = min(count, len(groups))
        if count < 2:
            yield task
            return
        for number in range(count):
            start, stop = (len(groups) * place // count for place in (number, number + 1))
            yield replace(task, row_groups=groups[start:stop])


@dataclass(frozen=True, slots=True)
class _ReadFiles:
    """Reads runs of files where a task runs."""

    store: SentStore
    spec: ReadSpec
    table: str
    version: int

    def __call__(self, part: tuple[ReadTask, ...], context: TaskContext) -> Iterator[pa.RecordBatch]:
        # One thread: rows of one row group at a time. Others are at work beside it.
        executor = ThreadExecutor(1, context.memory_bytes)
        try:
            yield from read_batches(self.store.store, part, self.spec, executor=executor)
        except LakefmtError as error:
            error.table = error.table or self.table
            error.version = self.version if error.version is None else error.version
            raise
        finally:
            executor.close()


@dataclass(frozen=True, slots=True)
class _SampleFiles:
    """Reads some row groups of some files of a run, as far apart as they can be: rows in order are sampled evenly, too."""

    files: _ReadFiles

    def __call__(self, part: tuple[ReadTask, ...], columns: Sequence[str], context: TaskContext) -> RowSample:
        store = self.files.store.store
        step = max(1, len(part) // max(_SAMPLED_FILES, len(part) // _SAMPLED_FILES))
        chosen: list[ReadTask] = []
        read = of = 0.0  # bytes, by files' lengths
        for task in part[step // 2 :: step]:
            there = range(len(load_footer(store, task.key, task.size_bytes).row_counts))
            groups = there if task.row_groups is None else task.row_groups
            if not groups:
                continue
            apart = max(1, min(len(groups) // 2, _SAMPLED_GROUPS))
            some = groups[apart // 2 :: apart]
            chosen.append(replace(task, row_groups=some))
            read += task.size_bytes * len(some) / len(there)
            of += task.size_bytes * len(groups) / len(there)
        whole = of if step == 1 else float(sum(task.size_bytes for task in part))
        few = replace(self.files, spec=replace(self.files.spec, columns=tuple(columns)))
        share = read / whole if read else 1.0
        return RowSample(few(tuple(chosen), context), share, int(whole) * _DECODED)
