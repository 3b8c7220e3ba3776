"""Reading files with DuckDB: its Parquet reader under the user's own predicate text.

The engine has a DuckDB database of its own in each process, since the one that binds predicates may not open files.
A query sees nothing but the files it is given: its text is a projection, ``read_parquet`` of those files, and a
predicate that was validated as one expression without subqueries.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.databases import reading_files, relation_to_table
from lakefmt.engine.duckdb_types import duckdb_name_of
from lakefmt.engine.footers import load_footer
from lakefmt.engine.parquet_reader import Unit, read_unit
from lakefmt.engine.projection import find_column, repeat_value
from lakefmt.engine.row_groups import RowGroups, has_float_bounds
from lakefmt.errors import CorruptTableError, InvalidInputError, LakefmtError, StoreError
from lakefmt.expressions import ALL_ROWS, quote_identifier, quote_literal
from lakefmt.expressions.duckdb_errors import resource_error

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from lakefmt.engine.footers import Footer
    from lakefmt.engine.read_task import ReadSpec, ReadTask
    from lakefmt.expressions import Predicate
    from lakefmt.store.contract import Store

__all__ = ["can_read_with_duckdb", "read_with_duckdb"]

_GLOB_CHARACTERS = frozenset("*?[")


def can_read_with_duckdb(store: Store, files: Sequence[tuple[ReadTask, Footer]], spec: ReadSpec) -> bool:
    """Whether DuckDB reads these files to the same rows, in the same types.

    They must be whole local files of one partition, with every column that is needed, in the table's own type and
    under the table's own name; and no bounds may stand in a footer by which DuckDB would prune away a NaN.
    """
    if spec.predicate is None or not spec.result_schema.names:
        return False
    first = files[0][0].partition_values
    if not all(duckdb_name_of(value.type) and _is_within_pythons_dates(value) for value in first):
        return False
    needed = dict.fromkeys((*spec.result_schema.names, *spec.predicate_columns))
    if not spec.numbered_names.isdisjoint(needed):
        return False
    fields = [spec.physical_field(name) for name in needed if name not in spec.partition_columns]
    if not fields or not all(duckdb_name_of(field.type) for field in fields):
        return False
    return all(_is_as_in_table(store, task, footer, fields, spec) for task, footer in files)


def _is_as_in_table(
    store: Store, task: ReadTask, footer: Footer, fields: Sequence[pa.Field[Any]], spec: ReadSpec
) -> bool:
    path = store.local_path(task.key)
    if path is None or set(path) & _GLOB_CHARACTERS:
        return False
    if task.rows is not None or task.row_groups is not None or has_float_bounds(footer, task, spec):
        return False
    if footer.splits_integers or footer.old_calendar:
        return False
    if len({name.lower() for name in footer.schema.names}) < len(footer.schema):
        return False  # names that differ in case only are renamed by DuckDB
    columns = (find_column(footer, field, by_id=spec.match_by_id) for field in fields)
    return all(
        column is not None and column.is_plain and column.name == field.name
        for column, field in zip(columns, fields, strict=True)
    )


def read_with_duckdb(
    store: Store, tasks: Sequence[ReadTask], spec: ReadSpec, *, whole: bool
) -> Generator[pa.Table, None, None]:
    """Yield the rows of the tasks that ``can_read_with_duckdb`` said yes to, in any order.

    Args:
        store: where the files are, a local one.
        tasks: the files.
        spec: what is wanted of them.
        whole: all rows in one table, a fifth faster; else in bounded memory, as they are asked for.

    Raises:
        CorruptTableError: a file is missing or damaged; it names the file.
        InvalidInputError: the predicate fails on a value.
        StoreError: a file cannot be read.
        ResourceError: memory is not enough.
    """
    import duckdb

    predicate = spec.predicate or ALL_ROWS
    cursor = reading_files.cursor()
    cursor.execute("SET enable_progress_bar = false")  # of the session; it would print from worker threads
    try:
        relation: Any = cursor.sql(_query(store, tasks, spec, predicate), params=predicate.params)
        for rows in [relation_to_table(relation)] if whole else _to_tables(relation):
            yield _in_result_types(rows, tasks[0], spec)
    except (duckdb.Error, pa.ArrowException) as error:
        raise _explain(error, store, tasks, spec) from error
    finally:
        cursor.close()


def _explain(error: Exception, store: Store, tasks: Sequence[ReadTask], spec: ReadSpec) -> LakefmtError:
    """Return what an error of a query means: a file that is damaged or out of reach, or a predicate that fails.

    DuckDB reports damage in many words and under several classes, some of which predicates share, and often without
    the file; so unless its words name one, the files are read once more, by pyarrow, to find the one.
    """
    import duckdb

    if (too_large := resource_error(error, table=store.uri)) is not None:
        return too_large
    reason = _first_line(error)
    kind = type(error)
    # The base class itself is what DuckDB throws when what it decodes makes no sense.
    if kind in (
        duckdb.Error,
        duckdb.IOException,
        duckdb.InvalidInputException,
        duckdb.SerializationException,
    ):
        named = [task for task in tasks if f'"{store.local_path(task.key)}"' in str(error)]
        damage = _find_damage(store, tasks, spec) if kind is duckdb.IOException or not named else None
        if damage is not None:
            return damage
        if kind is duckdb.IOException:
            return StoreError(f"cannot read data files: {reason}", table=store.uri)
        if named or kind is duckdb.Error:
            suspects = named or tasks
            return CorruptTableError(
                f"a data file is not what the log says: {reason}",
                table=store.uri,
                path=suspects[0].key if len(suspects) == 1 else None,
                hint="It is damaged: restore the file, or a version of the table without it",
            )
    return InvalidInputError(
        f"the predicate fails on a value: {reason}",
        table=store.uri,
        hint="Use TRY_CAST, or exclude such rows first",
    )


def _find_damage(store: Store, tasks: Sequence[ReadTask], spec: ReadSpec) -> LakefmtError | None:
    """Return the error that pyarrow meets in the columns the query read, one row group after the other."""
    needed = tuple(dict.fromkeys((*spec.result_schema.names, *spec.predicate_columns)))
    plain = replace(spec, columns=needed, predicate=None)
    try:
        for task in tasks:
            for group in range(len(load_footer(store, task.key, task.size_bytes).row_counts)):
                read_unit(store, plain, Unit(task, RowGroups((group,))))
    except LakefmtError as error:
        return error
    return None


def _to_tables(relation: Any) -> Iterator[pa.Table]:
    for batch in pa.RecordBatchReader.from_stream(relation):
        yield pa.Table.from_batches([batch])


def _query(store: Store, tasks: Sequence[ReadTask], spec: ReadSpec, predicate: Predicate) -> str:
    from_files, result = [], []
    for name in dict.fromkeys((*spec.result_schema.names, *spec.predicate_columns)):
        if name not in spec.partition_columns:
            source = quote_identifier(spec.physical_field(name).name)
            if name in spec.result_schema.names:
                result.append(quote_identifier(name))
        elif name in spec.predicate_columns:
            value = tasks[0].partition_values[spec.partition_columns.index(name)]
            source = f"CAST({quote_literal(value)} AS {duckdb_name_of(value.type)})"
        else:
            continue
        from_files.append(f"{source} AS {quote_identifier(name)}")
    files = ", ".join(quote_literal(store.local_path(task.key)) for task in tasks)
    return (
        f"SELECT {', '.join(result) or 'true'} "
        f"FROM (SELECT {', '.join(from_files) or 'true'} "
        f"FROM read_parquet([{files}], hive_partitioning = false, union_by_name = false)) AS candidate_rows "
        f"WHERE {predicate.to_duckdb()}"
    )


def _in_result_types(rows: pa.Table, task: ReadTask, spec: ReadSpec) -> pa.Table:
    """Return rows of the query's result as rows of the read's: partition values added, types told exactly."""
    target = spec.result_schema
    if not spec.partition_columns and rows.schema.equals(target):
        return rows
    columns: list[Any] = []
    for field in target:
        if field.name in spec.partition_columns:
            value = task.partition_values[spec.partition_columns.index(field.name)]
            columns.append(repeat_value(value, rows.num_rows))
        else:
            column = rows.column(field.name)
            columns.append(column if column.type.equals(field.type) else column.cast(field.type))
    return pa.Table.from_arrays(columns, schema=target)


def _is_within_pythons_dates(value: pa.Scalar[Any]) -> bool:
    try:
        value.as_py()
    except (OverflowError, ValueError):
        return False
    return True


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")
