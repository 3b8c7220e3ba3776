"""Queries that need more memory than there is."""

import duckdb
import pyarrow as pa
import pytest

from lakefmt import databases
from lakefmt.engine import duckdb_reader
from lakefmt.errors import OutOfMemoryError, ResourceError
from lakefmt.expressions.duckdb_errors import invalid_predicate, resource_error
from lakefmt.store import open_store

SMALL = databases.ProcessDatabase({"memory_limit": "2MB", "max_temp_directory_size": "0KB", "threads": "1"})
HUNGRY = "SELECT * FROM range(2000000) ORDER BY hash(range)"


def run_out_of_memory(*, streamed):
    """Return what DuckDB says, as a result or as a stream has it."""
    try:
        relation = SMALL.cursor().sql(HUNGRY)
        for _ in pa.RecordBatchReader.from_stream(relation) if streamed else [relation.fetchall()]:
            pass
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        return error
    raise AssertionError("there was memory enough")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_query_that_outgrows_memory_is_no_fault_of_file_or_predicate(tmp_path, streamed):
    error = run_out_of_memory(streamed=streamed)
    explained = duckdb_reader._explain(error, open_store(tmp_path), [], None)
    for found in (explained, invalid_predicate(error, "x > 1", table="t")):
        assert type(found) is OutOfMemoryError
        assert isinstance(found, ResourceError)
        assert "more memory than this process may use" in found.message
        assert "to_batches" in found.hint
        assert found.table


def test_any_other_error_is_none_of_memory():
    with pytest.raises(duckdb.ConversionException) as caught:
        SMALL.cursor().sql("SELECT 'x'::INT").fetchall()
    assert resource_error(caught.value, table=None) is None
