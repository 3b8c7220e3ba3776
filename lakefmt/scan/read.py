"""A plan's files as the engine's tasks, and its rows back in the table's schema."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from lakefmt import engine
from lakefmt.engine import ReadTask
from lakefmt.errors import LakefmtError
from lakefmt.manifest.partition_values import parse_partition_values
from lakefmt.manifest.statistics import nan_free_files
from lakefmt.scan.locate import locate_all
from lakefmt.scan.row_ids import file_numbers, numbered_columns
from lakefmt.scan.row_selection import vector_selections
from lakefmt.scan.spec import read_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa

    from lakefmt.manifest import FileList
    from lakefmt.scan.plan import ScanPlan
    from lakefmt.scan.row_selection import VectorSelection
    from lakefmt.schema import Schema
    from lakefmt.store import Store

__all__ = [
    "TASKS_AT_ONCE",
    "count_footers",
    "count_matching",
    "plan_file_tasks",
    "plan_tasks",
    "read_batches",
    "read_table",
]

_T = TypeVar("_T")

# Files are made into tasks so many at a time, so that a reader who stops early has not paid for a million.
TASKS_AT_ONCE = 1024


def read_table(store: Store, plan: ScanPlan, limit_bytes: int | None = None) -> pa.Table:
    """Return the rows of the plan as one table, mapped from a file where they take more than ``limit_bytes``.

    Raises CorruptTableError naming the file that is not as logged.
    """
    return _naming_the_table(
        plan,
        lambda: engine.read_table(store, plan_tasks(store, plan), read_spec(plan), limit_bytes=limit_bytes),
    )


def read_batches(
    store: Store, plan: ScanPlan, *, few: bool = False, whole_row_groups: bool = False
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the plan, in bounded memory.

    Args:
        store: the table's store.
        plan: what to read.
        few: the caller may stop after some rows: files are opened one after the other.
        whole_row_groups: row groups without a row that the predicate means are left out, and all rows of the others are
            there: one request has all columns of one, which are read in two where the predicate is asked first.
    """
    spec = read_spec(plan)
    if whole_row_groups:
        spec = replace(spec, predicate=None, pruner=plan.predicate)
    batches = engine.read_batches(
        store, plan_tasks(store, plan), spec, executor=engine.ThreadExecutor(1) if few else None
    )
    try:
        yield from batches
    except LakefmtError as error:
        raise _placed(error, plan) from error.__cause__


def count_footers(store: Store, plan: ScanPlan) -> int:
    """Return the rows of the plan's files by their footers; the predicate is not looked at."""
    return _naming_the_table(plan, lambda: engine.count_footer_rows(store, plan_tasks(store, plan)))


def count_matching(store: Store, plan: ScanPlan) -> int:
    """Return how many rows of the plan's files match its predicate; only its columns are read."""
    return _naming_the_table(
        plan, lambda: engine.count_matching(store, plan_tasks(store, plan), read_spec(plan))
    )


def plan_tasks(store: Store, plan: ScanPlan) -> Iterator[ReadTask]:
    """Yield a task for each of the plan's files. Raises CorruptTableError where row ids are read and a file has none."""
    numbered = [column for column, _ in numbered_columns(plan)]
    for start in range(0, plan.files.num_files, TASKS_AT_ONCE):
        files = type(plan.files)(plan.files.table.slice(start, TASKS_AT_ONCE))
        numbers = file_numbers(files, numbered, plan.snapshot)
        yield from plan_file_tasks(
            store, files, plan.snapshot.schema, plan.snapshot.partition_columns, numbers
        )


def plan_file_tasks(
    store: Store,
    files: FileList,
    schema: Schema,
    partition_columns: Sequence[str],
    numbers: Sequence[tuple[int, ...]] | None = None,
) -> Iterator[ReadTask]:
    """Yield a task for each of some files.

    Args:
        store: the table's.
        files: the files.
        schema: has the partition columns.
        partition_columns: in the order of their partition values.
        numbers: those of each file, for numbered columns of the read; None for no such columns.
    """
    import pyarrow.compute as pc

    table = files.table
    partitions: list[Any] = [
        parse_partition_values(pc.struct_field(table["partition_values"], [place]), schema.field(name).type)
        for place, name in enumerate(partition_columns)
    ]
    holds = nan_free_files(table["tags"]).to_pylist()
    rows: Iterable[tuple[Any, Any, bool, VectorSelection | None]] = zip(
        locate_all(store, table["path"]).to_pylist(),
        table["size_bytes"].to_pylist(),
        holds,
        vector_selections(files),
        strict=True,
    )
    for number, (key, size_bytes, hold, selection) in enumerate(rows):
        yield ReadTask(
            key=key,
            size_bytes=size_bytes,
            partition_values=tuple(values[number] for values in partitions),
            rows=selection,
            float_bounds_hold=hold,
            numbers=() if numbers is None else numbers[number],
        )


def _naming_the_table(plan: ScanPlan, read: Callable[[], _T]) -> _T:
    try:
        return read()
    except LakefmtError as error:
        raise _placed(error, plan) from error.__cause__


def _placed(error: LakefmtError, plan: ScanPlan) -> LakefmtError:
    """Add to an engine's error, which knows the file, the table and version it belongs to."""
    error.table = error.table or plan.snapshot.table_uri
    error.version = plan.snapshot.version if error.version is None else error.version
    return error
