"""The rows of a plan as a query of DuckDB's: its Parquet reader over the files, and a stream of ours for the others.

Files of one layout are one ``read_parquet``. What is constant in a file (partition values) and what a file has lost
(deletion vectors) stands in variables of the session, looked up by the file's number and the row's position in it, so
that the text does not grow with the table. DuckDB opens no file before it reads it, and prunes row groups by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.engine.duckdb_layout import FileLayout, KnownFile, known_files, load_known_files
from lakefmt.errors import LakefmtError
from lakefmt.expressions import duckdb_type, quote_identifier, quote_literal
from lakefmt.manifest.partition_values import parse_partition_values
from lakefmt.scan.locate import locate_all
from lakefmt.scan.read import plan_tasks, read_batches, read_spec
from lakefmt.scan.row_selection import vector_selections
from lakefmt.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from lakefmt.engine import ReadSpec
    from lakefmt.scan.plan import ScanPlan
    from lakefmt.store import Store

__all__ = ["DuckdbSource", "plan_duckdb_source"]

_PATHS_IN_TEXT = 64  # more go into a variable: DuckDB takes a list faster than it parses one
_VECTORS_ALONE = 16  # more are one variable, twice as slow to look at, for one scan of all their files
_MOST_BITS = 2**31 - 1  # get_bit() counts in INTEGER
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(slots=True)
class DuckdbSource:
    """A query whose rows are those of a plan's files, and what it needs of the session that runs it.

    Attributes:
        query: the text; its columns are the plan's, in order.
        lists: variables that are lists, one Arrow array each.
        files: variables that are lists of paths; a view over one of the paths is one over all of them.
        bits: variables that are bit strings: the bytes, first bit highest.
        streams: what is registered beside it: exports an Arrow stream, anew each time.
        folders: that DuckDB reads files in.
        own_files: how many files come through the streams.
    """

    query: str = ""
    lists: dict[str, pa.Array[Any]] = field(default_factory=dict)
    files: dict[str, pa.Array[Any]] = field(default_factory=dict)
    bits: dict[str, bytes] = field(default_factory=dict)
    streams: dict[str, Any] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    own_files: int = 0


def plan_duckdb_source(
    store: Store, plan: ScanPlan, name: str, columns: Collection[str] | None = None, *, masked: bool = False
) -> DuckdbSource:
    """Return how DuckDB reads a plan's files; the plan's predicate filters no row.

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
        self._spec: ReadSpec = replace(read_spec(plan), predicate=None)
        self._keys: list[str] = []
        self._num_rows: list[int] = []

    def build(self) -> DuckdbSource:
        parts = []
        groups, others = self._group_files()
        for layout, places, has_vectors in groups:
            if not has_vectors:
                parts.append(self._select(layout, places))
            elif len(places) <= _VECTORS_ALONE:
                parts += [self._select_present(layout, [place]) for place in places]
            else:
                parts += [self._select_present(layout, run) for run in self._runs_of_bits(places)]
        if others:
            parts.append(self._select_stream(others))
        self._source.query = " UNION ALL ".join(parts) if parts else self._select_nothing()
        return self._source

    def _group_files(self) -> tuple[list[tuple[FileLayout, list[int], bool]], list[int]]:
        """Return the places of the files that DuckDB reads, by layout, and of the others."""
        files, count = self._plan.files, self._plan.files.num_files
        if not count:
            return [], []
        self._keys = locate_all(self._store, files.table["path"]).to_pylist()
        if self._store.local_path(self._keys[0]) is None or not self._spec.result_schema.names:
            return [], list(range(count))
        known = self._known_files()
        self._num_rows = [file.num_rows for file in known]
        if not files.has_deletion_vectors and len({id(file.layout) for file in known}) == 1:
            layout, everything = known[0].layout, list(range(count))
            return ([], everything) if layout is None else ([(layout, everything, False)], [])
        has_vectors: list[Any] = files.table["deletion_vector"].is_valid().to_pylist()
        groups: dict[tuple[int, bool], tuple[FileLayout, list[int], bool]] = {}
        others: list[int] = []
        for place, (file, vector) in enumerate(zip(known, has_vectors, strict=True)):
            if file.layout is None or (vector and self._masked):
                others.append(place)
            else:
                group = groups.setdefault((id(file.layout), vector), (file.layout, [], vector))
                group[1].append(place)
        return list(groups.values()), others

    def _known_files(self) -> list[KnownFile]:
        """Return what footers tell of each file; those not known yet are read. Equal layouts are one object."""
        snapshot, table = self._plan.snapshot, self._plan.files.table
        columns = (snapshot.metadata.schema_string, snapshot.column_mapping, tuple(self._plan.schema.names))
        known = known_files.of_table((self._store.identity, *columns))
        sizes: list[Any] = table["size_bytes"].to_pylist()
        found = [known.get(key) for key in self._keys]
        missing = [
            place
            for place, (file, size) in enumerate(zip(found, sizes, strict=True))
            if file is None or file.size_bytes != size
        ]
        if missing:
            files = type(self._plan.files)(table.take(pa.array(missing, pa.int64())))
            tasks = list(plan_tasks(self._store, replace(self._plan, files=files)))
            same = {file.layout: file.layout for file in list(known.values())}
            for place, task, file in zip(
                missing, tasks, load_known_files(self._store, tasks, self._spec), strict=True
            ):
                layout = same.setdefault(file.layout, file.layout)
                found[place] = known[task.key] = replace(file, layout=layout)
        return cast("list[KnownFile]", found)

    def _select(self, layout: FileLayout, places: Sequence[int]) -> str:
        """Return the query of some files, all of whose rows are there."""
        return f"SELECT {self._result(layout, places)} FROM {self._read_parquet(places)}"

    def _select_present(self, layout: FileLayout, places: Sequence[int]) -> str:
        """Return the query of some files of which deletion vectors leave a part."""
        bits = self._new_name("rows")
        vectors = vector_selections(self._files(places))
        starts, content = [], []
        for place, vector in zip(places, vectors, strict=True):
            rows = self._num_rows[place]
            present: Any = cast("Any", vector).load(self._store, self._keys[place], rows).keep(0, rows)
            starts.append((rows + 7) // 8)
            content.append(present.buffers()[1].to_pybytes()[: (rows + 7) // 8].translate(_REVERSED))
        self._source.bits[bits] = b"".join(content)
        position = "file_row_number"
        if len(places) > 1:
            offsets = [8 * start for start in accumulate(starts, initial=0)][:-1]
            position = f"({self._by_file('starts', pa.array(offsets, pa.int64()))} + file_row_number)"
        keep = f"get_bit(getvariable('{bits}'), {position}::INTEGER) = 1" if any(content) else "false"
        scan = self._read_parquet(places, "file_row_number = true")
        return f"SELECT {self._result(layout, places)} FROM {scan} WHERE {keep}"

    def _runs_of_bits(self, places: Sequence[int]) -> Iterator[list[int]]:
        """Cut files into runs whose rows one bit string holds."""
        run: list[int] = []
        bits = 0
        for place in places:
            own = 8 * ((self._num_rows[place] + 7) // 8)
            if run and bits + own > _MOST_BITS:
                yield run
                run, bits = [], 0
            run.append(place)
            bits += own
        yield run

    def _select_stream(self, places: Sequence[int]) -> str:
        """Return the query of the files that this library reads, their columns in the table's types."""
        self._source.own_files += len(places)
        fields = self._plan.schema.fields
        wanted = [each for each in fields if self._columns is None or each.name in self._columns]
        read = Schema(wanted or fields[:1])
        plan = replace(self._plan, files=self._files(places), schema=read, predicate=None)
        stream = self._new_name("stream")
        self._source.streams[stream] = _PlanStream(self._store, plan)
        columns = []
        for each in fields:
            name, kind = quote_identifier(each.name), duckdb_type(each.type)
            if each.name in read.names:
                # TRY: DuckDB 1.5 has Arrow filter what it reads from Arrow, to which NaN is greater than no number.
                columns.append(f"TRY({name}) AS {name}" if "DOUBLE" in kind or "FLOAT" in kind else name)
            else:
                why = f"column {each.name} was not expected to be read; please report this query"
                columns.append(f"CAST(error({quote_literal(why)}) AS {kind}) AS {name}")
        return f"SELECT {', '.join(columns)} FROM temp.main.{quote_identifier(stream)}"

    def _select_nothing(self) -> str:
        columns = [
            f"CAST(NULL AS {duckdb_type(each.type)}) AS {quote_identifier(each.name)}"
            for each in self._plan.schema.fields
        ]
        return f"SELECT {', '.join(columns)} WHERE false"

    def _result(self, layout: FileLayout, places: Sequence[int]) -> str:
        columns = []
        for name, expression in zip(self._plan.schema.names, layout.expressions, strict=True):
            given = self._partition_value(name, places) if expression is None else expression
            columns.append(f"{given} AS {quote_identifier(name)}")
        return ", ".join(columns)

    def _partition_value(self, name: str, places: Sequence[int]) -> str:
        import pyarrow.compute as pc

        column = self._spec.partition_columns.index(name)
        texts: Any = pc.struct_field(self._files(places).table["partition_values"], [column])
        values: Any = parse_partition_values(texts, self._plan.snapshot.schema.field(name).type)
        return self._by_file("values", values)

    def _by_file(self, what: str, values: Any) -> str:
        """Return what gives each file its own of some values."""
        variable = self._new_name(what)
        whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        self._source.lists[variable] = (
            pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
        )
        return f"getvariable('{variable}')[(file_index + 1)::BIGINT]"

    def _read_parquet(self, places: Sequence[int], option: str = "") -> str:
        paths = self._paths([self._keys[place] for place in places])
        if len(paths) <= _PATHS_IN_TEXT:
            files = f"[{', '.join(map(quote_literal, paths.to_pylist()))}]"
        else:
            variable = self._new_name("files")
            self._source.files[variable] = paths
            files = f"getvariable('{variable}')"
        options = ["hive_partitioning = false", "union_by_name = false", *([option] if option else [])]
        return f"read_parquet({files}, {', '.join(options)})"

    def _paths(self, keys: list[str]) -> Any:
        """Return the paths of some files, and note their folders: the table's own, and others for shallow clones."""
        import pyarrow.compute as pc

        join: Any = pc.binary_join_element_wise
        own = (self._store.local_path("x") or "")[:-1]
        if any(key[:1] == "/" for key in keys):
            paths = [self._store.local_path(key) or "" for key in keys]
            self._source.folders.update(path.rpartition("/")[0] + "/" for path in paths)
            return pa.array(paths, pa.string())
        self._source.folders.add(own)
        return join(own, pa.array(keys, pa.string()), "")

    def _files(self, places: Sequence[int]) -> Any:
        files = self._plan.files
        if len(places) == files.num_files:
            return files
        return type(files)(files.table.take(pa.array(places, pa.int64())))

    def _new_name(self, what: str) -> str:
        source = self._source
        return f"{self._name}_{what}_{len(source.lists) + len(source.files) + len(source.bits) + len(source.streams)}"


@dataclass(frozen=True, slots=True)
class _PlanStream:
    """The rows of a plan as an Arrow stream, anew each time."""

    store: Store
    plan: ScanPlan

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        schema = self.plan.schema.to_arrow()
        reader: Any = pa.RecordBatchReader.from_batches(schema, read_batches(self.store, self.plan))
        return reader.__arrow_c_stream__(requested_schema)
