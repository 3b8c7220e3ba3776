"""The live files of one Parquet file of a checkpoint: rows whose ``add`` is not null, read as they are asked for."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.arrow_values import row_numbers, scalar_of
from lakefmt.manifest.checkpoint.add_columns import to_file_rows, wanted_columns
from lakefmt.manifest.file_list import FileList
from lakefmt.manifest.statistics import nan_free_files
from lakefmt.manifest.statistics_json import Kind, extract_texts
from lakefmt.manifest.statistics_reader import JsonStatistics, StatisticsReader, holds_floats
from lakefmt.schema import Schema
from lakefmt.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.manifest.checkpoint.action_file import ActionFile
    from lakefmt.schema import FieldPath

__all__ = ["LiveFiles"]

_PATH: FieldPath = ("add", "path")
_VALUES: FieldPath = ("add", "partitionValues")
_STATS: FieldPath = ("add", "stats")
_PARSED: FieldPath = ("add", "stats_parsed")
_TAGS: FieldPath = ("add", "tags")
# Whether a row is an add can be seen from any of its columns; these take least to read.
_CHEAPEST_FIRST: tuple[FieldPath, ...] = (
    ("add", "dataChange"),
    ("add", "modificationTime"),
    ("add", "size"),
    _PATH,
)
_SPARSE = 20  # one row in so many or fewer is looked for by its number
_DENSE = 2  # one row in so many or more: texts stream by, those of other rows too, and none is kept
_STREAMED_ROWS = 8_192  # memory that is used again and again stays in the cache


class LiveFiles:
    """Some of the files that a Parquet file of a checkpoint lists; implements ``Candidates``.

    Args:
        file: the Parquet file.
        groups: the row groups that they are in.
        rows: their rows, counted over those groups; None for all rows of the groups.
        keys: what the log calls the partition columns.
        columns: those that have been read, for these files.
    """

    def __init__(
        self,
        file: ActionFile,
        groups: tuple[int, ...],
        rows: pa.Int64Array | None,
        keys: tuple[str, ...],
        columns: dict[FieldPath, Any] | None = None,
    ) -> None:
        self._file = file
        self._groups = groups
        self._rows = rows
        self._keys = keys
        self._columns: dict[FieldPath, Any] = columns or {}

    @classmethod
    def of(cls, file: ActionFile, groups: tuple[int, ...], keys: tuple[str, ...]) -> LiveFiles:
        """Return all live files in some row groups."""
        if all(file.null_count(_PATH, group) == 0 for group in groups):
            return cls(file, groups, None, keys)
        import pyarrow.compute as pc

        path = next(each for each in _CHEAPEST_FIRST if file.type_of(each) is not None)
        # The struct, not its member: an add without that member is an add.
        adds = file.read_struct(path, groups)
        rows: Any = pc.indices_nonzero(pc.is_valid(adds)).cast(pa.int64())
        return cls(file, groups, rows, keys).compact()

    @property
    def num_files(self) -> int:
        """How many they are."""
        return self._num_rows if self._rows is None else len(self._rows)

    def log_paths(self) -> pa.ChunkedArray[Any]:
        """Return their paths, as in the log."""
        with self._file.reading():
            paths: Any = self._load([_PATH])[_PATH].cast(pa.string())
        return paths if isinstance(paths, pa.ChunkedArray) else pa.chunked_array([paths])

    def partition_texts(self, place: int) -> pa.ChunkedArray[Any]:
        """Return the log's texts of a partition column."""
        from lakefmt.manifest.checkpoint.add_columns import map_values

        with self._file.reading():
            return map_values(self._load([_VALUES]).get(_VALUES), self._keys[place], self.num_files)

    def statistics(
        self, schema: Schema, columns: Sequence[FieldPath], *, counts: bool = True
    ) -> StatisticsReader:
        """Return a reader of their statistics: typed where the checkpoint has them so, else by their text."""
        nan_free = None
        if holds_floats(schema, columns) and self._file.type_of(_TAGS) is not None:
            with self._file.reading():
                nan_free = nan_free_files(self._load([_TAGS])[_TAGS].cast(pa.map_(pa.string(), pa.string())))
        source: Any
        if self._file.type_of(_PARSED) is not None:
            source = _TypedStatistics(self)
        elif self._file.type_of(_STATS) is None:
            source = JsonStatistics(cast("Any", pa.nulls)(self.num_files, pa.string()))
        elif _STATS not in self._columns and self.num_files * _DENSE >= self._num_rows:
            source = _StreamedStatistics(self._file, self._groups, self._rows)
        else:
            source = JsonStatistics(self._load([_STATS])[_STATS])
        return StatisticsReader(source, schema, columns, nan_free=nan_free, counts=counts)

    def keeps_statistics(self, schema: Schema, columns: Sequence[FieldPath], wanted: int) -> bool:  # noqa: ARG002
        """See ``Candidates``; what is read of a checkpoint's files goes with them."""
        return False

    def filter(self, mask: Any) -> LiveFiles:
        """Keep the files where ``mask`` is true."""
        import pyarrow.compute as pc

        rows: Any = (
            pc.indices_nonzero(mask).cast(pa.int64()) if self._rows is None else self._rows.filter(mask)
        )
        columns = {path: column.filter(mask) for path, column in self._columns.items()}
        return LiveFiles(self._file, self._groups, rows, self._keys, columns).compact()

    def compact(self) -> LiveFiles:
        """Leave out row groups in which no file is left."""
        if self._rows is None or len(self._rows) == self._num_rows:
            return LiveFiles(self._file, self._groups, None, self._keys, self._columns)
        import pyarrow.compute as pc

        counts = [self._file.row_counts[group] for group in self._groups]
        starts = [0, *accumulate(counts)]
        # Where each group's rows end among the wanted ones: by halving, never over all of them.
        ends = [_count_below(self._rows, end) for end in starts[1:]]
        groups, pieces, shift = [], [], 0
        for place, (begin, end) in enumerate(zip([0, *ends], ends, strict=False)):
            if begin == end:
                shift += counts[place]
                continue
            groups.append(self._groups[place])
            pieces.append(pc.subtract(self._rows.slice(begin, end - begin), scalar_of(shift, pa.int64())))
        rows: Any = pa.concat_arrays(cast("Any", pieces)) if pieces else pa.nulls(0, pa.int64())
        return LiveFiles(self._file, tuple(groups), rows, self._keys, self._columns)

    def head(self, count: int) -> LiveFiles:
        """Keep the first ``count`` files."""
        rows: Any = row_numbers(min(count, self._num_rows)) if self._rows is None else self._rows
        return LiveFiles(self._file, self._groups, rows.slice(0, count), self._keys).compact()

    def to_file_list(self, *, statistics: bool = True, counts: bool = False) -> FileList:
        """Read what a file list has of them.

        Args:
            statistics: with the text of their statistics.
            counts: with the numbers of their rows, taken out of the statistics.
        """
        if not self.num_files:
            return FileList.empty(self._keys)
        wanted = wanted_columns(self._file, statistics=statistics)
        if _PATH not in wanted:
            raise self._file.corrupt("its add actions have no path")
        if not counts:
            with self._file.reading():
                return FileList(to_file_rows(self._load(wanted), self._keys, self.num_files))
        counted = self.statistics(Schema(()), ())
        # Texts are parsed beside the decoding of the other columns, which is one thread's work for the most part.
        with Threads(1, "lakefmt-checkpoint") as pool, self._file.reading():
            num_records = pool.submit(counted.num_records)
            columns = self._load(wanted)
            return FileList(to_file_rows(columns, self._keys, self.num_files, num_records.result()))

    def load_present(self, paths: Sequence[FieldPath]) -> dict[FieldPath, Any]:
        """Return those of the columns that the checkpoint has."""
        return self._load([path for path in paths if self._file.type_of(path) is not None])

    @property
    def _num_rows(self) -> int:
        return sum(self._file.row_counts[group] for group in self._groups)

    def _load(self, paths: Sequence[FieldPath]) -> dict[FieldPath, Any]:
        missing = [
            path for path in paths if path not in self._columns and self._file.type_of(path) is not None
        ]
        if missing:
            with self._file.reading():
                self._columns |= self._read(missing)
        return {path: self._columns[path] for path in paths if path in self._columns}

    def _read(self, paths: Sequence[FieldPath]) -> dict[FieldPath, Any]:
        if self._rows is None:
            return self._file.read(paths, self._groups)
        if len(self._rows) * _SPARSE <= self._num_rows:
            found = self._file.read_rows(paths, self._rows_in_file())
            if found is not None:
                return found
        columns = self._file.read(paths, self._groups)
        return {path: _at(column, self._rows) for path, column in columns.items()}

    def _rows_in_file(self) -> Any:
        """Return the rows counted over the whole file."""
        import pyarrow.compute as pc

        if self._rows is None:
            raise AssertionError("asked for without a choice of rows")
        pieces, start = [], 0
        for group in self._groups:
            end = start + self._file.row_counts[group]
            first, last = _count_below(self._rows, start), _count_below(self._rows, end)
            move = scalar_of(self._file.first_rows[group] - start, pa.int64())
            pieces.append(pc.add(self._rows.slice(first, last - first), move))
            start = end
        return pa.concat_arrays(cast("Any", pieces))


class _StreamedStatistics:
    """The texts of ``add.stats``, too many to be held at once; implements ``StatisticsSource``."""

    def __init__(self, file: ActionFile, groups: tuple[int, ...], rows: pa.Int64Array | None) -> None:
        self._file = file
        self._groups = groups
        self._rows = rows

    def values(self, wanted: Sequence[tuple[FieldPath, Kind]]) -> list[Any]:
        """See ``StatisticsSource``; the values are texts."""
        with self._file.reading():
            found: list[Any] = extract_texts(self._file.stream(_STATS, self._groups, _STREAMED_ROWS), wanted)
        return found if self._rows is None else [_at(column, self._rows) for column in found]


class _TypedStatistics:
    """The columns of ``add.stats_parsed``; implements ``StatisticsSource``."""

    def __init__(self, files: LiveFiles) -> None:
        self._files = files

    def values(self, wanted: Sequence[tuple[FieldPath, Kind]]) -> list[Any]:
        """See ``StatisticsSource``; the values are of the types that they are stored in."""
        paths = [(*_PARSED, *path) for path, _ in wanted]
        found = self._files.load_present(paths)
        nothing = cast("Any", pa.nulls)(self._files.num_files, pa.int64())
        return [_flat(found[path]) if path in found else nothing for path in paths]


def _at(column: Any, rows: pa.Int64Array) -> Any:
    """Return a column's values at some rows, ascending; one run of rows, as files usually are, is not copied."""
    if not len(rows):
        return column.slice(0, 0)
    first = rows[0].as_py()
    if rows[-1].as_py() - first == len(rows) - 1:
        return column.slice(first, len(rows))
    return column.take(rows)


def _count_below(ascending: Any, limit: int) -> int:
    """Return how many values of an ascending array are below a limit, by halving."""
    return bisect_right(_Values(ascending), limit - 1)


class _Values:
    """An Arrow array of integers as a sequence of Python's."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, place: int) -> int:
        return cast("int", self._values[place].as_py())


def _flat(column: Any) -> Any:
    if not isinstance(column, pa.ChunkedArray):
        return column
    combined: Any = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined
