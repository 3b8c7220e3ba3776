"""Reading data files: tasks in, record batches in the table's schema out.

Who reads was measured (ten million rows, six columns, two cores). Whole files and few row groups are quickest with
pyarrow, a run of row groups per thread. Rows that are few and lie scattered over many row groups are quickest with
DuckDB, which skips the pages in which no row is left; it is asked where files are local, have the table's types as
they are, and a look at one row group says that few rows will be left.
"""

from __future__ import annotations

from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from lakefmt.arrow_layout import unslice_structs
from lakefmt.engine.duckdb_reader import can_read_with_duckdb, read_with_duckdb
from lakefmt.engine.footers import load_footer
from lakefmt.engine.gather import gather_tables
from lakefmt.engine.parquet_reader import Unit, concat_rows, count_unit, read_unit, row_group_runs
from lakefmt.engine.partition import partition_identity
from lakefmt.engine.progress import track_rows
from lakefmt.engine.reading_threads import default_executor, is_local
from lakefmt.engine.row_groups import RowGroups, choose_row_groups
from lakefmt.engine.tasks import ThreadExecutor, map_tasks

if TYPE_CHECKING:
    from collections.abc import Generator, Hashable, Iterable, Iterator
    from contextlib import AbstractContextManager

    import pyarrow as pa

    from lakefmt.engine.footers import Footer
    from lakefmt.engine.read_task import ReadSpec, ReadTask
    from lakefmt.engine.tasks import Executor
    from lakefmt.store.contract import Store

__all__ = ["count_footer_rows", "count_matching", "read_batches", "read_table"]

_DUCKDB_ROWS = 5 * 122_880  # from so many rows in the row groups left on, DuckDB is asked
_UNIT_ROWS = 5 * 122_880
_UNIT_BYTES = 96 << 20  # decoded; whole scans of ordinary rows come to _UNIT_ROWS first
_WAVE_FILES = 64  # files whose footers are looked at before a reader is chosen for them


def read_table(
    store: Store,
    tasks: Iterable[ReadTask],
    spec: ReadSpec,
    *,
    executor: Executor | None = None,
    limit_bytes: int | None = None,
) -> pa.Table:
    """Return the rows of all tasks as one table, in chunks as they were read; nothing is copied.

    Args:
        store: where the files are.
        tasks: the files.
        spec: what is wanted of them.
        executor: runs the reads; None for the one that suits the store.
        limit_bytes: rows that take more come back mapped from a file; None for no limit.

    Raises:
        CorruptTableError: a file is missing or not what the log says; it names the file.
        InvalidInputError: the predicate fails on a value.
        StoreError: storage failed.
        ResourceError: rows above the limit do not fit on disk.
    """
    with closing(_read(store, tasks, spec, executor, whole=True)) as read:
        tables = (table for table in track_rows(read, "read", _rows_of) if table.num_rows)
        found = gather_tables(tables, spec.result_schema, limit_bytes)
    return unslice_structs(concat_rows(found, spec.result_schema))


def read_batches(
    store: Store,
    tasks: Iterable[ReadTask],
    spec: ReadSpec,
    *,
    executor: Executor | None = None,
    in_order: bool = False,
) -> Generator[pa.RecordBatch, None, None]:
    """Yield the rows of all tasks as record batches, none of them empty; ``in_order``: in the order of the tasks.

    A bounded number of row groups is read ahead; closing the generator ends that. Raises what ``read_table`` does.
    """
    tables = _read(store, tasks, spec, executor, whole=False, in_order=in_order)
    try:
        for table in track_rows(tables, "read", _rows_of):
            for batch in table.to_batches():
                if batch.num_rows:
                    yield unslice_structs(batch)
    finally:
        tables.close()


def count_matching(
    store: Store, tasks: Iterable[ReadTask], spec: ReadSpec, *, executor: Executor | None = None
) -> int:
    """Return how many rows ``read_table`` would, reading no column but the predicate's."""
    with _executor(store, executor) as chosen:
        counts = map_tasks(
            chosen, partial(count_unit, store, spec), map(Unit, tasks), stage="count", ordered=False
        )
        return sum(counts)


def count_footer_rows(store: Store, tasks: Iterable[ReadTask], *, executor: Executor | None = None) -> int:
    """Return how many rows the tasks' files have by their footers, row selections left out of account."""

    def count(task: ReadTask) -> int:
        counts = load_footer(store, task.key, task.size_bytes).row_counts
        return sum(counts if task.row_groups is None else [counts[group] for group in task.row_groups])

    with _executor(store, executor) as chosen:
        return sum(map_tasks(chosen, count, tasks, stage="footers", ordered=False))


def _read(
    store: Store,
    tasks: Iterable[ReadTask],
    spec: ReadSpec,
    executor: Executor | None,
    *,
    whole: bool,
    in_order: bool = False,
) -> Generator[pa.Table, None, None]:
    with _executor(store, executor) as chosen:
        if spec.predicate is None or in_order or not is_local(store):
            yield from _read_through(store, tasks, spec, chosen)
            return
        remaining = iter(tasks)
        # Who asks for one thread may not want all rows, and wants the first soon.
        files = _WAVE_FILES if chosen.resources.parallelism > 1 else 1
        while wave := list(islice(remaining, files)):
            yield from _read_wave(store, wave, spec, chosen, whole=whole)


def _read_through(
    store: Store, tasks: Iterable[ReadTask], spec: ReadSpec, executor: Executor
) -> Generator[pa.Table, None, None]:
    """Read all that footers leave of the files, in order.

    However small a file is, only its footer tells what it decodes to. A footer may be a request, and nobody should wait
    for all of them: they are looked at beside the reads, some files ahead, by threads of their own.
    """
    with (
        closing(ThreadExecutor(executor.resources.parallelism)) as beside,
        closing(map_tasks(beside, partial(_prune, store, spec), tasks, stage="footers")) as pruned,
    ):
        units = (unit for found in pruned for unit in found.units(spec, executor))
        yield from map_tasks(executor, partial(read_unit, store, spec), units, stage="read")


def _read_wave(
    store: Store, tasks: list[ReadTask], spec: ReadSpec, executor: Executor, *, whole: bool
) -> Generator[pa.Table, None, None]:
    """Read some files with a predicate, each by whichever reader suits the row groups that are left."""
    looked_at = map_tasks(executor, partial(_prune, store, spec), tasks, stage="footers")
    pruned = [found for found in looked_at if found.row_groups.chosen]
    rows = sum(found.uncovered_rows for found in pruned)
    partitions: dict[tuple[Hashable, ...], list[_Pruned]] = {}
    if rows >= _DUCKDB_ROWS:
        for found in pruned:
            # Files that only pyarrow can read do not keep those beside them from DuckDB.
            identity = partition_identity(found.task.partition_values), found.task.rows is None
            partitions.setdefault(identity, []).append(found)
    pyarrows: list[_Pruned] = [] if partitions else pruned
    for files in partitions.values():
        rows = sum(found.uncovered_rows for found in files)
        if rows >= _DUCKDB_ROWS and can_read_with_duckdb(store, [(f.task, f.footer) for f in files], spec):
            yield from read_with_duckdb(store, [found.task for found in files], spec, whole=whole)
        else:
            pyarrows += files
    threads = len(pyarrows) < executor.resources.parallelism
    units = (unit for found in pyarrows for unit in found.units(spec, executor, threads=threads))
    yield from map_tasks(executor, partial(read_unit, store, spec), units, stage="read")


@dataclass(frozen=True, slots=True)
class _Pruned:
    """A task and the row groups of it that may hold rows."""

    task: ReadTask
    footer: Footer
    row_groups: RowGroups

    @property
    def uncovered_rows(self) -> int:
        """Rows that have to be looked at one by one."""
        counts, groups = self.footer.row_counts, self.row_groups
        return sum(counts[group] for group in groups.chosen if group not in groups.covered)

    def units(self, spec: ReadSpec, executor: Executor, *, threads: bool = False) -> Iterator[Unit]:
        """Cut the file into what is read in one go."""
        # Who asks for one thread may not want all rows: one row group at a time.
        limit_rows = _UNIT_ROWS if executor.resources.parallelism > 1 else 0
        for run in row_group_runs(self.footer, self.row_groups.chosen, limit_rows, spec, _UNIT_BYTES):
            yield Unit(self.task, RowGroups(run, self.row_groups.covered), threads)


def _prune(store: Store, spec: ReadSpec, task: ReadTask) -> _Pruned:
    footer = load_footer(store, task.key, task.size_bytes)
    return _Pruned(task, footer, choose_row_groups(footer, task, spec))


def _executor(store: Store, executor: Executor | None) -> AbstractContextManager[Executor]:
    """Return the executor that was given, which stays open, or one of the read's own."""
    return closing(default_executor(store)) if executor is None else nullcontext(executor)


def _rows_of(table: pa.Table) -> int:
    return table.num_rows
