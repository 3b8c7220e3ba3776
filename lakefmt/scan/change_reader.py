"""The planned files of row changes as the engine's tasks, and their rows back, version after version."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt import engine
from lakefmt.engine import ReadSpec, ReadTask
from lakefmt.errors import CorruptTableError, LakefmtError, ObjectNotFoundError, VersionNotFoundError
from lakefmt.manifest.file_list import FileList
from lakefmt.scan.change_schema import CHANGE_TYPE, VERSION_COLUMNS
from lakefmt.scan.locate import locate_all
from lakefmt.scan.read import TASKS_AT_ONCE, plan_file_tasks
from lakefmt.scan.row_selection import DifferenceSelection
from lakefmt.schema import Schema, file_arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lakefmt.expressions import Predicate
    from lakefmt.scan.changes import ChangeRun
    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store

__all__ = ["read_changes"]


def read_changes(
    store: Store,
    end: Snapshot,
    runs: Sequence[ChangeRun],
    schema: Schema,
    *,
    columns: Sequence[str],
    predicate: Predicate | None,
) -> Iterator[pa.RecordBatch]:
    """Yield the changes of the runs in the order of their versions, in bounded memory.

    Args:
        store: the table's store.
        end: the version under whose schema rows are shown.
        runs: the files, as planned.
        schema: the columns of the table and of a change.
        columns: names of those to yield, in order.
        predicate: which changes; None for all.

    Raises:
        VersionNotFoundError: a file is gone, vacuumed most likely; version and file are named.
        CorruptTableError: a file is not what the log says.
        InvalidInputError: the predicate fails on a value.
        StoreError: storage failed.
    """
    for run in runs:
        constants = (*end.partition_columns, *run.constant_columns)
        spec = ReadSpec(
            schema=schema.to_arrow(),
            physical=_physical(schema),
            columns=tuple(columns),
            predicate=predicate,
            partition_columns=constants,
            match_by_id=schema.column_mapping == "id",
        )
        tasks = _plan_tasks(store, run, schema, constants)
        try:
            for batch in engine.read_batches(store, tasks, spec, in_order=True):
                _check_types(batch, store)
                yield batch
        except LakefmtError as error:
            raise _placed(error, store, run) from error.__cause__


def _physical(schema: Schema) -> pa.Schema:
    """Return what files call the columns: those of a change as they are, without the ids of column mapping."""
    count = len(schema.fields) - 1 - len(VERSION_COLUMNS)
    mapped = file_arrow_schema(Schema(schema.fields[:count], column_mapping=schema.column_mapping))
    return pa.schema([*mapped, *file_arrow_schema(Schema(schema.fields[count:]))])


def _plan_tasks(store: Store, run: ChangeRun, schema: Schema, constants: Sequence[str]) -> Iterator[ReadTask]:
    for start in range(0, run.files.num_files, TASKS_AT_ONCE):
        table = run.files.table.slice(start, TASKS_AT_ONCE)
        tasks = plan_file_tasks(store, FileList(table), schema, constants)
        vectors = zip(table["only"].to_pylist(), table["deletion_vector"].to_pylist(), strict=True)
        for task, (only, vector) in zip(tasks, vectors, strict=True):
            yield task if only is None else replace(task, rows=DifferenceSelection(only, vector))


def _check_types(batch: pa.RecordBatch, store: Store) -> None:
    """Check that each change says what it is: a change data file holds no copied rows ("Add CDC File")."""
    place = batch.schema.get_field_index(CHANGE_TYPE)
    if place >= 0 and batch.column(place).null_count:
        raise CorruptTableError(
            "A change data file has rows without _change_type",
            table=store.uri,
            hint="Read the versions before and after it by themselves",
        )


def _placed(error: LakefmtError, store: Store, run: ChangeRun) -> LakefmtError:
    """Return an error of the engine's, which knows a file, with the version whose changes that file holds."""
    error.table = error.table or store.uri
    if error.path is None:
        return error
    version = _version_of(error.path, store, run)
    if version is not None and isinstance(error.__cause__, ObjectNotFoundError | FileNotFoundError):
        return VersionNotFoundError(
            f"The changes of version {version} can no longer be read: one of their files is gone, most likely "
            "vacuumed",
            table=error.table,
            version=version,
            path=error.path,
            hint=f"Begin with a later version: from_version={version + 1}",
        )
    error.version = version if error.version is None else error.version
    return error


def _version_of(key: str, store: Store, run: ChangeRun) -> int | None:
    """Return the first version of which a file holds changes, None for a file that is none of the run's."""
    import pyarrow.compute as pc

    table: Any = run.files.table
    place: int = pc.index(locate_all(store, table["path"]), pa.scalar(key, pa.string())).as_py()
    if place < 0:
        return None
    return int(table["partition_values"][place].as_py()[VERSION_COLUMNS[0]])
