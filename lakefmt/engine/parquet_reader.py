"""Reading row groups of one file with pyarrow, in the table's columns.

With a predicate, the columns it looks at are read first, and the others only of row groups in which a row is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from lakefmt.arrow_layout import plain_views
from lakefmt.cached import cached_value
from lakefmt.engine.footers import load_footer, open_parquet
from lakefmt.engine.old_calendar import rebase_old_values
from lakefmt.engine.projection import FileColumn, adapt, find_column, missing_column, repeat_value
from lakefmt.engine.row_groups import RowGroups, choose_row_groups
from lakefmt.errors import InvalidInputError, LakefmtError
from lakefmt.expressions import ALL_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from lakefmt.engine.footers import Footer
    from lakefmt.engine.read_task import PresentRows, ReadSpec, ReadTask
    from lakefmt.store.contract import Store

__all__ = ["Unit", "concat_rows", "count_unit", "read_unit", "row_group_runs"]

_SLICE_SHARE = 1 / 4  # a slice keeps the memory of the rows it leaves out
_RUN_ROWS = 122_880  # row groups are looked at together up to so many rows
_RUN_BYTES = 96 << 20
_VALUE_BYTES = {
    "BOOLEAN": 1,
    "INT32": 4,
    "FLOAT": 4,
    "INT64": 8,
    "DOUBLE": 8,
    "INT96": 8,
    "FIXED_LEN_BYTE_ARRAY": 16,
}
_TEXT_BYTES = 32  # a guess: lengths of texts are not in the footer


@dataclass(frozen=True, slots=True)
class Unit:
    """What one thread reads in one go: some row groups of a task.

    Attributes:
        task: the file.
        row_groups: those of the task's that it is about; None: all that the predicate leaves, not looked at yet.
        threads: pyarrow may decode columns in parallel, since there is little else to do.
    """

    task: ReadTask
    row_groups: RowGroups | None = None
    threads: bool = False


def read_unit(store: Store, spec: ReadSpec, unit: Unit) -> pa.Table:
    """Return the unit's rows in the result's columns, filtered.

    Raises:
        CorruptTableError: the file is missing, or not what the log says.
        InvalidInputError: the predicate fails on a value.
        StoreError: storage failed.
    """
    try:
        with _OpenFile(store, spec, unit) as file:
            tables = [file.read(run) for run in file.runs()]
    except LakefmtError as error:
        error.table = error.table or store.uri
        raise
    return tables[0] if len(tables) == 1 else concat_rows(tables, spec.result_schema)


def concat_rows(tables: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
    """Return tables of that schema as one, nothing copied; rows without columns are rows too."""
    if not schema.names:
        return _rows_without_columns(sum(table.num_rows for table in tables))
    return pa.concat_tables(tables) if tables else schema.empty_table()


def count_unit(store: Store, spec: ReadSpec, unit: Unit) -> int:
    """Return how many rows ``read_unit`` would, looking at the predicate's columns alone. Raises what it does."""
    with _OpenFile(store, spec, unit) as file:
        return sum(file.count(run) for run in file.runs())


def row_group_runs(
    footer: Footer, groups: Sequence[int], limit_rows: int, spec: ReadSpec, limit_bytes: int
) -> list[tuple[int, ...]]:
    """Cut row groups into runs of at most so many rows and decoded bytes of the columns read (or of one row group)."""
    if len(groups) <= 1 or not limit_rows:
        return [(group,) for group in groups]
    decoded_bytes = _decoded_bytes(footer, _leaves_read(footer, spec))
    runs: list[tuple[int, ...]] = []
    run: list[int] = []
    rows = size = 0
    for group in groups:
        count = footer.row_counts[group]
        decoded = decoded_bytes[group]
        if run and (rows + count > limit_rows or size + decoded > limit_bytes):
            runs.append(tuple(run))
            run, rows, size = [], 0, 0
        run.append(group)
        rows += count
        size += decoded
    if run:
        runs.append(tuple(run))
    return runs


def _leaves_read(footer: Footer, spec: ReadSpec) -> list[int]:
    leaves: list[int] = []
    for name in dict.fromkeys((*spec.result_schema.names, *spec.predicate_columns)):
        if name not in spec.partition_columns:
            column = find_column(footer, spec.physical_field(name), by_id=spec.match_by_id)
            if column is not None:
                leaves += range(
                    footer.first_leaves[column.position], footer.first_leaves[column.position + 1]
                )
    return leaves


def _decoded_bytes(footer: Footer, leaves: Sequence[int]) -> list[int]:
    """Estimate what leaf columns of each row group take as Arrow arrays."""
    sizes = [0] * len(footer.row_counts)
    for leaf in leaves:
        width = _VALUE_BYTES.get(footer.metadata.schema.column(leaf).physical_type, _TEXT_BYTES)
        pages = footer.chunks.pages(leaf)
        for group, rows in enumerate(footer.row_counts):
            # The footer counts what is encoded: a dictionary's values once, however often they come.
            values = rows if pages is None else max(pages.num_values[group], 0)
            sizes[group] += max(values * width, 0 if pages is None else pages.uncompressed_bytes[group])
    return sizes


class _OpenFile:
    """A data file while a unit of it is read."""

    def __init__(self, store: Store, spec: ReadSpec, unit: Unit) -> None:
        self._store = store
        self._spec = spec
        self._task = unit.task
        self._threads = unit.threads
        self._footer = load_footer(store, unit.task.key, unit.task.size_bytes)
        groups = unit.row_groups or choose_row_groups(self._footer, unit.task, spec)
        self._groups = groups.chosen
        self._covered = groups.covered
        needed = dict.fromkeys((*spec.result_schema.names, *spec.predicate_columns))
        self._columns: dict[str, FileColumn | None] = {
            name: find_column(self._footer, spec.physical_field(name), by_id=spec.match_by_id)
            for name in needed
            if name not in spec.partition_columns
        }
        dictionaries = [column.name for column in self._columns.values() if column and column.as_dictionary]
        self._context = open_parquet(
            store, unit.task.key, unit.task.size_bytes, footer=self._footer, dictionaries=dictionaries
        )

    def __enter__(self) -> Self:
        self._file = self._context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._context.__exit__(kind, error, trace)

    def runs(self) -> Iterator[tuple[int, ...]]:
        """Yield the row groups in the portions that are read together."""
        if self._spec.predicate is not None:
            yield from row_group_runs(self._footer, self._groups, _RUN_ROWS, self._spec, _RUN_BYTES)
        elif self._groups:
            yield self._groups

    def read(self, groups: tuple[int, ...]) -> pa.Table:
        names = self._spec.result_schema.names
        num_rows = self._num_rows(groups)
        mask, looked_at = self._mask(groups)
        if mask is None:
            return self._assemble(names, self._load(groups, names), num_rows)
        matching = mask.true_count
        if not matching:
            return self._spec.result_schema.empty_table()
        columns = self._load(groups, [name for name in names if name not in looked_at]) | looked_at
        if matching < num_rows:
            # Before types are adapted: dictionaries are decoded for the rows that are left only.
            columns = _keep(
                {name: column for name, column in columns.items() if name in names}, mask, matching
            )
        return self._assemble(names, columns, matching)

    def count(self, groups: tuple[int, ...]) -> int:
        if self._task.rows is not None and not self._must_look_at(groups):
            return sum(self._present_rows.count(*span) for span in self._spans(groups))
        mask, _ = self._mask(groups)
        return self._num_rows(groups) if mask is None else mask.true_count

    def _mask(self, groups: tuple[int, ...]) -> tuple[pa.BooleanArray | None, dict[str, Any]]:
        """Return which rows are wanted (None: all), and the columns read to find out."""
        if not self._must_look_at(groups):
            return (None if self._task.rows is None else self._there(groups)), {}
        names = self._spec.predicate_columns
        # Where there is little to do, all columns are decoded beside each other, for a match to be expected.
        looked_at = self._load(groups, [*self._columns] if self._threads else names)
        return self._matches(groups, self._assemble(names, looked_at, self._num_rows(groups))), looked_at

    def _matches(self, groups: tuple[int, ...], rows: pa.Table) -> pa.BooleanArray:
        """Return for which rows, given in the predicate's columns, it is true, among those that are there."""
        predicate = self._spec.predicate or ALL_ROWS
        if self._task.rows is None:
            return predicate.matches(rows)
        import pyarrow.compute as pc

        compute: Any = pc
        try:
            mask = predicate.matches(rows)
        except InvalidInputError:
            # It may have failed on a row that is not there. Leaving those out first would cost every read more.
            there = self._there(groups)
            found: pa.BooleanArray = compute.replace_with_mask(
                there, there, predicate.matches(rows.filter(there))
            )
            return found
        if mask.true_count:  # else a vector need not be loaded
            mask = compute.and_(mask, self._there(groups))
        return mask

    def _must_look_at(self, groups: tuple[int, ...]) -> bool:
        """Whether the predicate may be true for some rows of the row groups only."""
        return self._spec.predicate is not None and not self._covered.issuperset(groups)

    @cached_value
    def _present_rows(self) -> PresentRows:
        if self._task.rows is None:
            raise AssertionError("asked for without a selection")
        return self._task.rows.load(self._store, self._task.key, self._footer.first_rows[-1])

    def _there(self, groups: tuple[int, ...]) -> Any:
        """Return which rows of the row groups are there, by their places in the file, wherever reading begins."""
        parts: list[Any] = [self._present_rows.keep(*span) for span in self._spans(groups)]
        return parts[0] if len(parts) == 1 else pa.concat_arrays(parts)

    def _spans(self, groups: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        """Yield first row and length of each run of neighbours among the row groups."""
        firsts = self._footer.first_rows
        run_start = run_end = groups[0]
        for group in groups:
            if group != run_end:
                yield firsts[run_start], firsts[run_end] - firsts[run_start]
                run_start = group
            run_end = group + 1
        yield firsts[run_start], firsts[run_end] - firsts[run_start]

    def _num_rows(self, groups: tuple[int, ...]) -> int:
        return sum(self._footer.row_counts[group] for group in groups)

    def _load(self, groups: tuple[int, ...], names: Sequence[str]) -> dict[str, Any]:
        """Return columns that the file has, as they are in it, and those that follow from the task's numbers."""
        columns = self._read_columns(groups, names)
        for column, number in zip(self._spec.numbered, self._task.numbers, strict=True):
            if column.name in names:
                given = self._numbers(groups, number, by_position=column.by_position)
                columns[column.name] = self._filled(column.name, columns.get(column.name), given)
        return columns

    def _numbers(self, groups: tuple[int, ...], number: int, *, by_position: bool) -> Any:
        """Return for each row of the row groups the number that the task gives it."""
        if not by_position:
            return repeat_value(pa.scalar(number, pa.int64()), self._num_rows(groups))
        arrow: Any = pa
        return pa.concat_arrays(
            [
                arrow.arange(number + first, number + first + length).cast(pa.int64())
                for first, length in self._spans(groups)
            ]
        )

    def _filled(self, name: str, kept: Any, given: Any) -> Any:
        """Return what the file keeps of a numbered column, elsewhere what is given."""
        if kept is None:
            return pa.chunked_array([given])
        import pyarrow.compute as pc

        physical = self._spec.physical_field(name).with_name(name)
        kept = adapt(kept, physical, key=self._task.key, by_id=self._spec.match_by_id)
        return pc.coalesce(kept, pa.chunked_array([given]))

    def _read_columns(self, groups: tuple[int, ...], names: Sequence[str]) -> dict[str, Any]:
        found = {name: column for name in names if (column := self._columns.get(name)) is not None}
        if not found:
            return {}
        table = self._file.read_row_groups(
            groups, columns=[column.name for column in found.values()], use_threads=self._threads
        )
        # Names with dots may have brought columns along that only share a path.
        columns = {
            name: table.column(table.schema.get_field_index(column.name)) for name, column in found.items()
        }
        if self._footer.old_calendar is not None:
            for name, column in found.items():
                columns[name] = rebase_old_values(
                    columns[name],
                    self._footer.old_calendar,
                    from_int96=self._footer.has_int96(column.position),
                    column=name,
                    key=self._task.key,
                )
        return columns

    def _assemble(self, names: Sequence[str], columns: dict[str, Any], num_rows: int) -> pa.Table:
        """Put columns into the table's types; add partition values, and nulls for what the file lacks."""
        spec = self._spec
        fields = [spec.schema.field(spec.schema.get_field_index(name)) for name in names]
        arrays: list[Any] = []
        for field in fields:
            column = columns.get(field.name)
            if column is not None:
                physical = spec.physical_field(field.name).with_name(field.name)
                column = adapt(column, physical, key=self._task.key, by_id=spec.match_by_id)
                # Mapped tables name the members of nested columns otherwise in files.
                arrays.append(column if column.type.equals(field.type) else _viewed(column, field.type))
            elif field.name in spec.partition_columns:
                value = self._task.partition_values[spec.partition_columns.index(field.name)]
                arrays.append(repeat_value(value, num_rows))
            elif field.nullable:
                arrays.append(pa.nulls(num_rows, field.type))
            else:
                raise missing_column(field.name, self._task.key)
        if not arrays:
            return _rows_without_columns(num_rows)
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _rows_without_columns(num_rows: int) -> pa.Table:
    return pa.table({"": pa.nulls(num_rows)}).select([])


def _keep(columns: dict[str, Any], mask: pa.BooleanArray, matching: int) -> dict[str, Any]:
    """Return the rows where ``mask`` is true, which are ``matching``."""
    import pyarrow.compute as pc

    if matching >= len(mask) * _SLICE_SHARE:
        positions: Any = pc.indices_nonzero(mask)
        first = positions[0].as_py()
        if positions[-1].as_py() - first == matching - 1:
            # One run, as a range over sorted rows gives: a slice costs nothing.
            return {name: column.slice(first, matching) for name, column in columns.items()}
    return {name: _filterable(column).filter(mask) for name, column in columns.items()}


def _filterable(column: Any) -> Any:
    """Return a column in a type that Arrow filters, without bitmaps that only say that no value is null.

    A filter takes as long to read these.
    """
    kind = plain_views(column.type)
    if kind != column.type:
        column = column.cast(kind)
    if not (pa.types.is_primitive(kind) or pa.types.is_string(kind) or pa.types.is_binary(kind)):
        return column
    arrow: Any = pa  # the stubs have an overload for each type, none for any
    chunks = [
        chunk
        if chunk.null_count
        else arrow.Array.from_buffers(kind, len(chunk), [None, *chunk.buffers()[1:]], 0, chunk.offset)
        for chunk in column.chunks
    ]
    return arrow.chunked_array(chunks, kind)


def _viewed(column: Any, kind: pa.DataType) -> Any:
    """Return a column under a type of the same layout."""
    arrow: Any = pa  # the stubs have an overload for each type, none for any
    return arrow.chunked_array([chunk.view(kind) for chunk in column.chunks], kind)
