"""Checkpoints that lakefmt wrote, with nothing else of the log left, as others read them."""

from __future__ import annotations

import pytest
from checkpoints import KINDS, write_checkpointed

FILTERS = [
    "id = 1005",
    "id < 120 AND day = DATE '2026-01-02'",
    "text = 'Zürich 00101'",
    "price > 240",
    "city IS NULL AND id > 250",
    "amount >= 2.95",
    "local >= TIMESTAMP '2026-03-20 00:00:00'",
]


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_the_same_whole_and_filtered(kind, reader, tmp_path, assert_same_rows):
    if reader.name == "polars" and "v2" in kind:
        pytest.skip("polars 2.1 refuses tables with v2Checkpoint")
    uri = str(tmp_path / "table")
    expected = write_checkpointed(uri, KINDS[kind], vectors=reader.name != "pyarrow")
    assert_same_rows(reader.read(uri), expected)
    if reader.name == "polars":
        return
    import duckdb

    connection = duckdb.connect()
    # A table of its own: filters pushed down into Arrow compare NaN otherwise.
    connection.execute("SET TimeZone = 'UTC'; CREATE TABLE rows AS SELECT * FROM expected")
    for where in FILTERS:
        wanted = connection.sql(f"SELECT * FROM rows WHERE {where}").to_arrow_table().cast(expected.schema)
        assert_same_rows(reader.read(uri, where), wanted)
