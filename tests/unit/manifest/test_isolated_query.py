"""What goes wrong in the database of the metadata is told in the library's own terms."""

import subprocess
import sys

import pytest

from lakefmt.manifest.isolated_query import isolated_query

LITTLE_MEMORY = """
import pyarrow as pa
from lakefmt.databases import isolated
from lakefmt.errors import OutOfMemoryError
from lakefmt.manifest.repeated_files import PathsMet, are_unique

isolated.cursor().execute("SET memory_limit = '4MB'")
paths = pa.chunked_array([[f"part-{number}.parquet" for number in range(2_000_000)]])
met = PathsMet()
for ask in (lambda: are_unique(paths), lambda: met.add(paths) or met.are_different()):
    try:
        print(ask())
    except OutOfMemoryError as error:
        print("out of memory", "Error" in str(error))
"""


def test_want_of_memory_is_told_as_that():
    ran = subprocess.run(
        [sys.executable, "-c", LITTLE_MEMORY], check=True, capture_output=True, text=True
    ).stdout
    assert "out of memory False" in ran
    assert "out of memory True" not in ran


def test_other_failure_says_what_could_not_be_done():
    with (
        pytest.raises(ValueError, match=r"its paths cannot be compared: .*no_such_table"),
        isolated_query("its paths cannot be compared") as connection,
    ):
        connection.execute("FROM no_such_table")
