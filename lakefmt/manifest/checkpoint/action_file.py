"""One Parquet file of actions: a checkpoint, a part of one, or a sidecar ("Checkpoints", "Sidecar Files").

Read a column at a time, and no more row groups than are asked for. A file of a million actions is read with pyarrow
where many rows are wanted; for a few on local disk DuckDB skips the pages between them, which is a hundred times
quicker when a writer has put everything into one row group.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.cached import cached_value
from lakefmt.databases import reading_files, relation_to_table
from lakefmt.errors import CorruptTableError, ObjectNotFoundError
from lakefmt.parquet_bounds import decode_bounds
from lakefmt.parquet_chunks import ColumnChunks
from lakefmt.parquet_files import open_parquet_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow.parquet as pq

    from lakefmt.parquet_chunks import LeafStatistics
    from lakefmt.schema import FieldPath
    from lakefmt.store import Store

__all__ = ["ActionFile"]

_FEW_ROWS = 500  # named one by one to DuckDB
_DENSE = 4  # a span of rows with at least one wanted in so many is named by its ends
_PAGE_BUFFER_BYTES = 1 << 20
_GLOB_CHARACTERS = frozenset("*?[")


class ActionFile:
    """A Parquet file with a row per action and a struct column per kind of action.

    Columns are named by their path: ``("add", "path")``. Every method raises CorruptTableError where the file is
    gone or is no Parquet, naming it.

    Args:
        store: the table's.
        key: of the file.
        size_bytes: its length.
        version: of the checkpoint that it belongs to.
    """

    def __init__(self, store: Store, key: str, size_bytes: int, version: int) -> None:
        self.store = store
        self.key = key
        self.version = version
        self._size_bytes = size_bytes

    @cached_value
    def metadata(self) -> Any:
        """The Parquet footer."""
        with self._open(known=False) as parquet:
            return parquet.metadata

    @cached_value
    def schema(self) -> pa.Schema:
        """The columns as Arrow types."""
        with self.reading():
            schema: pa.Schema = self.metadata.schema.to_arrow_schema()
            return pa.schema(
                [field.with_type(self._with_instants(field.type, field.name)) for field in schema]
            )

    @cached_value
    def _int96(self) -> frozenset[str]:
        """The Parquet columns, names joined with dots, that hold instants as Spark's INT96, which has no statistics."""
        columns = self.metadata.schema
        return frozenset(
            [
                columns.column(place).path
                for place in range(len(columns))
                if columns.column(place).physical_type == "INT96"
            ]
        )

    @cached_value
    def leaves(self) -> dict[str, int]:
        """The number of each Parquet column, by the names that lead to it joined with dots, if no other has that path."""
        columns = self.metadata.schema
        paths = [columns.column(i).path for i in range(len(columns))]
        times = Counter(paths)
        return {path: i for i, path in enumerate(paths) if times[path] == 1}

    @cached_value
    def _chunks(self) -> ColumnChunks:
        return ColumnChunks(self.metadata)

    @cached_value
    def row_counts(self) -> list[int]:
        """Rows of each row group."""
        return [self.metadata.row_group(i).num_rows for i in range(self.metadata.num_row_groups)]

    @cached_value
    def first_rows(self) -> list[int]:
        """The number of each row group's first row in the file."""
        return [0, *accumulate(self.row_counts)][:-1]

    def type_of(self, path: FieldPath) -> pa.DataType | None:
        """Return the type of a column, None where the file does not have it."""
        fields: Any = self.schema
        found: Any = None
        for name in path:
            place = fields.get_field_index(name)
            if place < 0:
                return None
            found = fields.field(place).type
            fields = found if pa.types.is_struct(found) else pa.schema([])
        return cast("pa.DataType", found)

    def statistics(self, path: FieldPath) -> LeafStatistics | None:
        """Return what the footer's statistics say of a leaf column, None where they say nothing."""
        leaf = self.leaves.get(".".join(path))
        return None if leaf is None else self._chunks.statistics(leaf)

    def bounds(self, path: FieldPath, encoded: Sequence[bytes | None]) -> Any:
        """Return bounds of a leaf column, as its statistics have them, as an array of its type, null where unknown."""
        return decode_bounds(
            encoded,
            self.metadata.schema.column(self.leaves[".".join(path)]).physical_type,
            cast("pa.DataType", self.type_of(path)),
        )

    def groups_with(self, path: FieldPath) -> tuple[int, ...]:
        """Return the row groups in which a leaf column may have a value that is not null."""
        if self.type_of(path) is None:
            return ()
        return tuple([g for g, rows in enumerate(self.row_counts) if self.null_count(path, g) != rows])

    def null_count(self, path: FieldPath, group: int) -> int | None:
        """Return how many rows of a group have no value in a leaf column, None where the footer does not say."""
        found = self.statistics(path)
        return None if found is None else found.null_counts[group]

    def read(self, paths: Sequence[FieldPath], groups: Sequence[int]) -> dict[FieldPath, Any]:
        """Return columns that the file has, one chunked array each over the rows of the groups."""
        if not groups:
            arrow: Any = pa  # the stubs know no type that is found at run time
            return {path: arrow.chunked_array([], self.type_of(path)) for path in paths}
        with self._open() as parquet:
            table = parquet.read_row_groups(list(groups), columns=[".".join(p) for p in paths])
            self._check_count(table.num_rows, groups)
            return _checked(self._instants(_pick(table, paths)))

    def read_struct(self, path: FieldPath, groups: Sequence[int]) -> Any:
        """Return the top-level column of a path over the rows of the groups, with no other member than the path's."""
        with self._open() as parquet:
            table = parquet.read_row_groups(list(groups), columns=[".".join(path)])
            self._check_count(table.num_rows, groups)
        return table.column(table.schema.get_field_index(path[0]))

    def stream(self, path: FieldPath, groups: Sequence[int], batch_rows: int) -> pa.RecordBatchReader:
        """Return a column as a stream of batches with that one column, over the rows of the groups."""
        kind: Any = self.type_of(path)
        schema = pa.schema([pa.field("document", kind)])

        def batches() -> Iterator[pa.RecordBatch]:
            num_rows = 0
            with self._open(streamed=True) as parquet:
                for batch in parquet.iter_batches(batch_rows, list(groups), columns=[".".join(path)]):
                    num_rows += batch.num_rows
                    column = _pick(pa.Table.from_batches([batch]), [path])[path]
                    yield from pa.Table.from_arrays([column], schema=schema).to_batches()
                self._check_count(num_rows, groups)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def stream_struct(
        self, name: str, members: Sequence[str], groups: Sequence[int], batch_rows: int
    ) -> Iterator[Any]:
        """Yield the values of a top-level column that are not null, as struct arrays of some of its members.

        Memory that is used again and again stays in the cache: this takes a third of the time of reading a row group.

        Args:
            name: of the column.
            members: of its members, those to read, at least one.
            groups: the row groups.
            batch_rows: how many rows of the file are looked at at a time.
        """
        if not groups:
            return
        columns = [f"{name}.{member}" for member in members]
        num_rows = 0
        with self._open(streamed=True) as parquet:
            for batch in parquet.iter_batches(batch_rows, list(groups), columns=columns):
                num_rows += batch.num_rows
                column: Any = batch.column(batch.schema.get_field_index(name))
                column.validate(full=True)
                column = self._instants({(name,): column})[(name,)]
                values = column.drop_null() if column.null_count else column
                if len(values):
                    yield values
            self._check_count(num_rows, groups)

    def read_until(
        self, paths: Sequence[FieldPath], group: int, rows: int, batch_rows: int
    ) -> dict[FieldPath, Any]:
        """Return columns as ``read`` does, of a row group's first ``rows`` rows, or some more of them."""
        batches: list[pa.RecordBatch] = []
        with self._open() as parquet:
            for batch in parquet.iter_batches(batch_rows, [group], columns=[".".join(p) for p in paths]):
                batches.append(batch)
                rows -= batch.num_rows
                if rows <= 0:
                    break
            else:
                self._check_count(sum(batch.num_rows for batch in batches), [group])
            return _checked(self._instants(_pick(pa.Table.from_batches(batches), paths)))

    def read_rows(self, paths: Sequence[FieldPath], rows: pa.Int64Array) -> dict[FieldPath, Any] | None:
        """Return columns of a few rows of the file, None where there is no quick way to them.

        Args:
            paths: of columns that the file has.
            rows: numbers of rows in the file, ascending.
        """
        local = self.store.local_path(self.key)
        if local is None or set(local) & _GLOB_CHARACTERS or not len(rows):
            return None
        first, last = rows[0].as_py(), rows[-1].as_py()
        if last - first < _DENSE * len(rows):
            wanted = f"BETWEEN {first} AND {last}"
        elif len(rows) <= _FEW_ROWS:
            wanted = f"IN ({', '.join(map(str, rows.to_pylist()))})"
        else:
            return None
        import duckdb

        columns = ", ".join(f"{_column_sql(path)} AS c{place}" for place, path in enumerate(paths))
        name = local.replace("'", "''")
        cursor = reading_files.cursor()
        try:
            found = relation_to_table(
                cursor.sql(
                    f"SELECT {columns}, file_row_number AS row FROM read_parquet('{name}', file_row_number = true, "
                    f"hive_partitioning = false) WHERE file_row_number {wanted} ORDER BY row"
                )
            )
        except duckdb.Error:
            return None  # pyarrow reads it, or says what is wrong
        finally:
            cursor.close()
        if found.num_rows != len(rows):
            import pyarrow.compute as pc

            found = found.filter(pc.is_in(found["row"], value_set=rows))
        return self._instants({path: found.column(place) for place, path in enumerate(paths)})

    def _instants(self, columns: dict[FieldPath, Any]) -> dict[FieldPath, Any]:
        """Return columns with INT96 as what it is, an instant: a reader of Parquet makes local times of it."""
        if not self._int96:
            return columns
        found: dict[FieldPath, Any] = {}
        for path, column in columns.items():
            kind = self._with_instants(column.type, ".".join(path))
            found[path] = column if kind == column.type else column.cast(kind, safe=False)
        return found

    def _with_instants(self, kind: Any, path: str) -> Any:
        if not self._int96:
            return kind
        if pa.types.is_struct(kind):
            fields = [kind.field(place) for place in range(kind.num_fields)]
            return pa.struct(
                [each.with_type(self._with_instants(each.type, f"{path}.{each.name}")) for each in fields]
            )
        return pa.timestamp("us", "UTC") if path in self._int96 else kind

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Map what goes wrong with the file's bytes in the block to CorruptTableError."""
        try:
            yield
        except (ObjectNotFoundError, FileNotFoundError) as error:
            raise self.corrupt("the file is gone") from error
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise self.corrupt(str(error).partition("\n")[0]) from error

    def corrupt(self, why: str) -> CorruptTableError:
        """Return the error that says what is wrong with the file."""
        return CorruptTableError(
            f"The checkpoint cannot be read: {why}",
            table=self.store.uri,
            version=self.version,
            path=self.key,
            hint="Delete the checkpoint if the commits before it are still there, or restore it from a backup",
        )

    def _check_count(self, num_rows: int, groups: Sequence[int]) -> None:
        """Raise CorruptTableError unless so many rows are those of the groups.

        Where all columns that are read end early, as pages that say so make them, Parquet readers find nothing wrong;
        actions would be missing.
        """
        expected = sum(self.row_counts[group] for group in groups)
        if num_rows != expected:
            raise self.corrupt(f"its pages hold {num_rows} rows where its footer counts {expected}")

    @contextmanager
    def _open(self, *, known: bool = True, streamed: bool = False) -> Iterator[pq.ParquetFile]:
        """Open the file; its footer is ``known`` but for the first time.

        ``streamed``: a column passes by in pages, instead of being there as a whole.
        """
        metadata = self.metadata if known else None
        local = self.store.local_path(self.key)
        with self.reading():
            # Pages come straight from the page cache: memory that is new to a process costs more than to decode it.
            source = (
                self.store.open_input(self.key, self._size_bytes)
                if local is None or streamed
                else pa.memory_map(local)
            )
            with (
                source,
                open_parquet_file(
                    source,
                    metadata=metadata,
                    # Nanoseconds would wrap around outside of the years 1677 to 2262.
                    coerce_int96_timestamp_unit="us",
                    # Few large requests where a request costs.
                    pre_buffer=local is None,
                    buffer_size=_PAGE_BUFFER_BYTES if streamed and local is not None else 0,
                ) as parquet,
            ):
                yield parquet


def _pick(table: pa.Table, paths: Sequence[FieldPath]) -> dict[FieldPath, Any]:
    """Return the columns at the paths; null wherever a struct above is."""
    import pyarrow.compute as pc

    found: dict[FieldPath, Any] = {}
    for path in paths:
        column: Any = table.column(table.schema.get_field_index(path[0]))
        for name in path[1:]:
            column = pc.struct_field(column, [column.type.get_field_index(name)])
        found[path] = column
    return found


def _checked(columns: dict[FieldPath, Any]) -> dict[FieldPath, Any]:
    """Raise ArrowInvalid for texts that are none: Parquet's are any bytes, and these will be Python's."""
    for column in columns.values():
        column.validate(full=True)
    return columns


def _column_sql(path: FieldPath) -> str:
    return ".".join('"' + name.replace('"', '""') + '"' for name in path)
