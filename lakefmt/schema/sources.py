"""Anything with rows, as a stream of Arrow batches.

Libraries are recognised without being imported: a pandas frame can only come from a program that has imported
pandas.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.errors import InvalidInputError, SchemaMismatchError, StoreError
from lakefmt.parquet_files import open_parquet_file
from lakefmt.schema.types import MAX_DECIMAL_PRECISION

if TYPE_CHECKING:
    import pyarrow.parquet as pq

    from lakefmt.schema.table_schema import Schema

__all__ = ["BatchSource", "open_source"]

_ACCEPTED = (
    "Pass an Arrow table, batch or stream of any library, a pandas or polars frame, a DuckDB relation, an iterator of "
    "batches, a dict of columns, a list of dicts, or paths to Parquet files"
)
_DUCKDB_BATCH_ROWS = 122_880


@dataclass(frozen=True, slots=True)
class BatchSource:
    """Rows to be read once.

    Attributes:
        schema: of the first batch; of an iterator's later ones only what the iterator's owner promises.
        batches: the rows, drawn from the input as they are asked for.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


def open_source(data: Any, schema: Schema | None = None) -> BatchSource:
    """Open what a user passes as rows.

    Taken are: Arrow tables, batches, readers, datasets and scanners; any object of the Arrow PyCapsule protocol
    (a stream or one batch); pandas frames (NaN is null there; named indexes become columns, others are left
    out); polars frames, lazy ones run as a stream; DuckDB relations; a dict of columns; a list of dicts, one a
    row; paths to Parquet files; iterators and lists of any of these but dicts.

    Args:
        data: the rows.
        schema: of the table they are for; helps with plain Python values whose type does not show, such as maps.

    Raises:
        InvalidInputError: nothing that has rows, no such file, no Parquet.
        SchemaMismatchError: plain Python values of several types in one column.
        Exception: an iterator's own error, unchanged, here for the first batch and from ``batches`` for others.
    """
    if isinstance(data, BatchSource):
        return data
    if isinstance(data, pa.RecordBatch):
        return BatchSource(data.schema, iter((data,)))
    if isinstance(data, pa.Table):
        return BatchSource(data.schema, iter(data.to_batches()))
    if isinstance(data, pa.RecordBatchReader):
        return BatchSource(data.schema, iter(data))
    if isinstance(data, str | os.PathLike):
        return _open_parquet(os.fspath(data))
    if isinstance(data, Mapping):
        return open_source(_table_of_columns(data, schema))
    library = _library(data)
    if library == "pandas":
        return open_source(_table_of_pandas(data))
    if library == "polars" and hasattr(data, "collect_schema") and hasattr(data, "collect"):
        return _open_lazy_frame(data)
    if library == "pyarrow" and (reader := _dataset_reader(data)) is not None:
        return open_source(reader)
    if library in {"duckdb", "_duckdb"} and (reader := _duckdb_reader(data)) is not None:
        return open_source(reader)
    if library == "lakefmt" and hasattr(data, "to_batches") and hasattr(data, "__arrow_c_schema__"):
        # Not by Arrow's stream, which makes one error of Arrow's of all there are.
        return BatchSource(cast("pa.Schema", cast("Any", pa.schema)(data)), iter(data.to_batches()))
    if hasattr(data, "__arrow_c_stream__"):
        return open_source(_import_stream(data))
    if hasattr(data, "__arrow_c_array__"):
        return open_source(cast("Any", pa.record_batch)(data))
    if isinstance(data, Sequence) and not isinstance(data, bytes | bytearray | memoryview):
        return _open_sequence(data, schema)
    if isinstance(data, Iterator) or (isinstance(data, Iterable) and not isinstance(data, bytes | bytearray)):
        return _open_iterator(iter(data), schema)
    raise InvalidInputError(f"a {type(data).__name__} has no rows", hint=_ACCEPTED)


def _open_sequence(data: Sequence[Any], schema: Schema | None) -> BatchSource:
    if not data:
        return _empty(schema)
    if all(isinstance(each, Mapping) for each in data):
        # In order of first appearance; a key that only a later row has is a column too.
        names = list(dict.fromkeys(name for row in data for name in row))
        return open_source(
            _table_of_columns({name: [row.get(name) for row in data] for name in names}, schema)
        )
    return _open_iterator(iter(data), schema)


def _open_iterator(items: Iterator[Any], schema: Schema | None) -> BatchSource:
    for first in items:
        if isinstance(first, Mapping | list | tuple | int | float):
            raise InvalidInputError(
                f"an iterator of {type(first).__name__}",
                hint="Pass rows as one list of dicts, or batches of them",
            )
        opened = open_source(first, schema)
        return BatchSource(opened.schema, _chain(opened, items, schema))
    return _empty(schema)


def _chain(first: BatchSource, items: Iterator[Any], schema: Schema | None) -> Iterator[pa.RecordBatch]:
    try:
        yield from first.batches
        for each in items:
            yield from open_source(each, schema).batches
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()


def _empty(schema: Schema | None) -> BatchSource:
    return BatchSource(pa.schema([]) if schema is None else schema.to_arrow(), iter(()))


def _table_of_columns(columns: Mapping[Any, Any], schema: Schema | None) -> pa.Table:
    arrays = {str(name): _column(str(name), values, schema) for name, values in columns.items()}
    try:
        return pa.table(arrays)
    except (pa.ArrowInvalid, TypeError) as error:
        raise InvalidInputError(f"the columns do not make a table: {error}") from error


def _column(name: str, values: Any, schema: Schema | None) -> Any:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    field = None if schema is None else schema.find(name)
    wanted = None if field is None else _untold_type(field.type)
    if not isinstance(values, Iterable) or isinstance(values, str | bytes):
        raise InvalidInputError(
            f"column {name} is a {type(values).__name__}", hint="Pass a list of its values"
        )
    values = values if hasattr(values, "__arrow_c_array__") or hasattr(values, "__array__") else list(values)
    try:
        # By its own values first: told a type, pyarrow reads naive times as UTC and drops time zones.
        return pa.array(values, wanted)
    except OverflowError as error:  # integers past 64 bits
        return _wide_integers(name, values, error)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise SchemaMismatchError(f"column {name}: {error}", hint="Give all its values one type") from error


def _wide_integers(name: str, values: Any, error: OverflowError) -> pa.Array[Any]:
    try:
        return pa.array(values, pa.decimal128(MAX_DECIMAL_PRECISION, 0))
    except (pa.ArrowException, TypeError, ValueError):
        raise SchemaMismatchError(f"column {name}: {error}", hint="Pass such numbers as decimals") from error


def _untold_type(type_: Any) -> pa.DataType | None:
    """Return the Arrow type of columns whose plain Python values do not tell it: dicts that mean maps."""
    from lakefmt.schema.arrow import arrow_type_of

    return arrow_type_of(type_) if "map<" in str(type_) else None


def _table_of_pandas(data: Any) -> pa.Table:
    frame = data.to_frame() if data.ndim == 1 else data
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, TypeError, ValueError) as error:
        text = "; ".join(str(each) for each in error.args)
        raise SchemaMismatchError(
            f"the pandas frame is no table: {text}", hint="Give each column one type"
        ) from error


def _open_lazy_frame(frame: Any) -> BatchSource:
    polars: Any = sys.modules["polars"]
    schema = polars.DataFrame(schema=frame.collect_schema()).to_arrow().schema
    if not hasattr(frame, "collect_batches"):
        return open_source(frame.collect())

    def batches() -> Iterator[pa.RecordBatch]:
        for each in frame.collect_batches():
            yield from each.to_arrow().to_batches()

    return BatchSource(schema, batches())


def _dataset_reader(data: Any) -> pa.RecordBatchReader | None:
    dataset: Any = sys.modules.get("pyarrow.dataset")
    if dataset is None:
        return None
    if isinstance(data, dataset.Dataset):
        data = data.scanner()
    return cast("pa.RecordBatchReader", data.to_reader()) if isinstance(data, dataset.Scanner) else None


def _duckdb_reader(data: Any) -> pa.RecordBatchReader | None:
    # As batches while it runs; the method changed its name between releases.
    for name in ("to_arrow_reader", "fetch_record_batch"):
        if (method := getattr(data, name, None)) is not None:
            return cast("pa.RecordBatchReader", method(_DUCKDB_BATCH_ROWS))
    return None


def _import_stream(data: Any) -> pa.RecordBatchReader:
    try:
        return cast("pa.RecordBatchReader", cast("Any", pa.RecordBatchReader).from_stream(data))
    except (pa.ArrowInvalid, TypeError) as error:
        raise InvalidInputError(
            f"a {type(data).__name__} is no table: {error}", hint="Pass columns with names, not one column"
        ) from error


def _open_parquet(path: str) -> BatchSource:
    with _reading(path):
        source = pa.PythonFile(_open_remote(path), "r") if "://" in path else pa.OSFile(path, "r")
        file = open_parquet_file(source, coerce_int96_timestamp_unit="us")
        return BatchSource(file.schema_arrow, _parquet_batches(path, source, file))


def _parquet_batches(path: str, source: pa.NativeFile, file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    num_rows = 0
    batches = file.iter_batches()
    with source, file:
        while True:
            with _reading(path):
                batch = next(batches, None)
            if batch is None:
                break
            num_rows += batch.num_rows
            yield batch
    if num_rows != file.metadata.num_rows:
        # Where all columns end early, as pages that say so make them, Parquet readers find nothing wrong.
        raise InvalidInputError(
            f"{path} is damaged: its pages hold {num_rows} rows where its footer counts {file.metadata.num_rows}"
        )


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """Map what goes wrong with a Parquet file in the block."""
    try:
        yield
    except FileNotFoundError as error:
        raise InvalidInputError(f"there is no file {path}") from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"{path} is not a Parquet file, or a damaged one: {_first_line(error)}",
            hint="Only Parquet is read by its path",
        ) from error
    except OSError as error:
        if os.path.isdir(path):  # noqa: PTH112  (a str, which Path would alter)
            raise InvalidInputError(
                f"{path} is a folder", hint="Pass the files, or a pyarrow dataset of it"
            ) from error
        if type(error) is OSError and error.errno is None:  # the Parquet reader's own
            raise InvalidInputError(f"{path} cannot be read: {_first_line(error)}") from error
        raise StoreError(f"{path} cannot be read: {error}") from error


def _open_remote(uri: str) -> Any:
    import fsspec

    try:
        return fsspec.open(uri, "rb").open()
    except (ImportError, ValueError) as error:
        raise InvalidInputError(f"{uri} cannot be opened: {error}") from error


def _library(data: Any) -> str:
    return type(data).__module__.partition(".")[0]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")
