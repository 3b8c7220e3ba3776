"""The rows of a plan as a query of DuckDB's: its Parquet reader over the files, and a stream of ours for the others.

Files of one layout are one ``read_parquet``. What is constant in a file (partition values) and what a file has lost
(deletion vectors) stands in variables of the session, looked up by the file's number and the row's position in it, so
that the text does not grow with the table. DuckDB opens no file before it reads it, and prunes row groups by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.errors import LakefmtError
from lakefmt.expressions import duckdb_type, quote_identifier, quote_literal
from lakefmt.manifest import FileList
from lakefmt.manifest.partition_values import parse_partition_values
from lakefmt.scan.duckdb_files import group_files
from lakefmt.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from lakefmt.scan.duckdb_bits import PresentBits
    from lakefmt.scan.duckdb_files import FileGroup
    from lakefmt.scan.plan import ScanPlan
    from lakefmt.schema import Field
    from lakefmt.store import Store

__all__ = ["DuckdbSource", "PlanStream", "plan_duckdb_source", "stream_column"]

_PATHS_IN_TEXT = 64  # more go into a variable: DuckDB takes a list faster than it parses one


@dataclass(slots=True)
class DuckdbSource:
    """A query whose rows are those of a plan's files, and what it needs of the session that runs it.

    Attributes:
        query: the text; its columns are the plan's, in order.
        lists: variables that are lists, one Arrow array each.
        files: variables that are lists of paths; a view over one of the paths is one over all of them.
        bits: variables that are bit strings: the bytes, first bit highest.
        streams: rows that it scans under these names, anew each time.
        folders: that DuckDB reads files in.
        own_files: how many files come through the streams.
    """

    query: str = ""
    lists: dict[str, pa.Array[Any]] = field(default_factory=dict)
    files: dict[str, pa.Array[Any]] = field(default_factory=dict)
    bits: dict[str, bytes] = field(default_factory=dict)
    streams: dict[str, PlanStream] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    own_files: int = 0


def plan_duckdb_source(
    store: Store, plan: ScanPlan, name: str, columns: Collection[str] | None = None, *, masked: bool = False
) -> DuckdbSource:
    """Return how DuckDB reads a plan's files; the plan's predicate filters no row, and may leave out row groups.

    Footers that are not known yet are read, those of the plan's files alone.

    Args:
        store: the table's.
        plan: which files.
        name: begins the names of variables and streams, for sources that share a session.
        columns: those that will be looked at; None for all. Others are there by name and type, and fail when read from
            a stream.
        masked: files with deletion vectors come through the stream: no expression of the query sees a deleted row.

    Raises:
        CorruptTableError: a file is missing or not what the log says, or a deletion vector is.
        StoreError: storage failed.
    """
    try:
        return _Builder(store, plan, name, columns, masked=masked).build()
    except LakefmtError as error:
        error.table = error.table or plan.snapshot.table_uri
        error.version = plan.snapshot.version if error.version is None else error.version
        raise


def stream_column(name: str) -> str:
    """Return a column of a registered Arrow stream as a query selects it.

    DuckDB has Arrow filter what it reads from Arrow, to which NaN is greater than no number, and fails where the filter
    is a join's (BLOOM_FILTER, in 1.5); TRY keeps the filter to DuckDB.
    """
    quoted = quote_identifier(name)
    return f"TRY({quoted}) AS {quoted}"


class _Builder:
    def __init__(
        self, store: Store, plan: ScanPlan, name: str, columns: Collection[str] | None, *, masked: bool
    ) -> None:
        self._store = store
        self._plan = plan
        self._name = name
        self._columns = columns
        self._masked = masked
        self._source = DuckdbSource()

    def build(self) -> DuckdbSource:
        found = group_files(self._store, self._plan)
        self._source.folders = set(found.folders)
        parts, own = [], [found.others]
        for group in found.groups:
            if not group.has_vectors:
                parts.append(self._select(group))
            elif self._masked:
                own.append(group.files)
            else:
                from lakefmt.scan.duckdb_bits import load_present_bits

                parts += map(self._select_present, load_present_bits(self._store, group))
        tables = [files.table for files in own if files.num_files]
        if tables:
            parts.append(self._select_stream(FileList(pa.concat_tables(tables))))
        self._source.query = " UNION ALL ".join(parts) if parts else self._select_nothing()
        return self._source

    def _select(self, group: FileGroup) -> str:
        """Return the query of some files, all of whose rows are there."""
        return f"SELECT {self._result(group)} FROM {self._read_parquet(group)}"

    def _select_present(self, present: PresentBits) -> str:
        """Return the query of some files of which deletion vectors leave a part."""
        variable = self._new_name("rows")
        self._source.bits[variable] = present.content
        start = self._by_file("starts", present.starts) if len(present.starts) > 1 else None
        scan = self._read_parquet(present.files, "file_row_number = true")
        return f"SELECT {self._result(present.files)} FROM {scan} WHERE {present.condition(variable, start)}"

    def _select_stream(self, files: FileList) -> str:
        """Return the query of the files that this library reads, their columns in the table's types."""
        self._source.own_files = files.num_files
        fields = self._plan.schema.fields
        wanted = [each for each in fields if self._columns is None or each.name in self._columns]
        read = Schema(wanted or [min(fields, key=self._reads_of)])
        plan = replace(self._plan, files=files, schema=read)
        stream = self._new_name("stream")
        self._source.streams[stream] = PlanStream(self._store, plan)
        columns = []
        for each in fields:
            name, kind = quote_identifier(each.name), duckdb_type(each.type)
            if each.name in read.names:
                columns.append(stream_column(each.name))
            else:
                why = f"column {each.name} was not expected to be read; please report this query"
                columns.append(f"CAST(error({quote_literal(why)}) AS {kind}) AS {name}")
        return f"SELECT {', '.join(columns)} FROM temp.main.{quote_identifier(stream)}"

    def _reads_of(self, field: Field) -> bool:
        """Whether a file has to be read for a column: for rows that only count, one will do whose value is in the log."""
        return field.name not in self._plan.snapshot.partition_columns

    def _select_nothing(self) -> str:
        columns = [
            f"CAST(NULL AS {duckdb_type(each.type)}) AS {quote_identifier(each.name)}"
            for each in self._plan.schema.fields
        ]
        return f"SELECT {', '.join(columns)} WHERE false"

    def _result(self, group: FileGroup) -> str:
        columns = []
        for name, expression in zip(self._plan.schema.names, group.layout.expressions, strict=True):
            given = self._partition_value(name, group.files) if expression is None else expression
            columns.append(f"{given} AS {quote_identifier(name)}")
        return ", ".join(columns)

    def _partition_value(self, name: str, files: FileList) -> str:
        snapshot = self._plan.snapshot
        texts = files.partition_texts(snapshot.partition_columns.index(name))
        return self._by_file("values", parse_partition_values(texts, snapshot.schema.field(name).type))

    def _by_file(self, what: str, values: Any) -> str:
        """Return what gives each file its own of some values."""
        variable = self._new_name(what)
        whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        self._source.lists[variable] = (
            pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
        )
        return f"getvariable('{variable}')[(file_index + 1)::BIGINT]"

    def _read_parquet(self, group: FileGroup, option: str = "") -> str:
        if len(group.paths) <= _PATHS_IN_TEXT:
            files = f"[{', '.join(map(quote_literal, group.paths.to_pylist()))}]"
        else:
            variable = self._new_name("files")
            self._source.files[variable] = group.paths
            files = f"getvariable('{variable}')"
        options = ["hive_partitioning = false", "union_by_name = false", *([option] if option else [])]
        return f"read_parquet({files}, {', '.join(options)})"

    def _new_name(self, what: str) -> str:
        source = self._source
        return f"{self._name}_{what}_{len(source.lists) + len(source.files) + len(source.bits) + len(source.streams)}"


@dataclass(frozen=True, slots=True)
class PlanStream:
    """The rows of a plan's row groups, anew each time; the predicate leaves out row groups alone."""

    store: Store
    plan: ScanPlan

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows."""
        from lakefmt.scan.read import read_batches

        return read_batches(self.store, self.plan, whole_row_groups=True)

    def __arrow_c_schema__(self) -> object:
        """Export the schema of the rows."""
        return self.plan.schema.to_arrow().__arrow_c_schema__()
