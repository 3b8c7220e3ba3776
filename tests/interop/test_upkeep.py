"""A log with checkpoints that was cleaned is the same table to every reader."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pyarrow as pa
import pytest
from interop.kinds_of_write import flights

import lakefmt


@pytest.fixture(scope="module", params=["classic", "v2"])
def cleaned(request, tmp_path_factory):
    """A table whose log begins at version 6: (uri, rows, kind of checkpoints)."""
    uri = str(tmp_path_factory.mktemp("cleaned") / "table")
    properties = {
        "delta.checkpointPolicy": request.param,
        "delta.checkpointInterval": 3,
        "delta.logRetentionDuration": "interval 1 day",
        "delta.enableDeletionVectors": "false",
    }
    table = lakefmt.create(uri, flights(1).schema, properties=properties, partition_by="month")
    for month in range(1, 7):
        table.append(flights(month, month + 100, month=month))
        table.close()
    log = Path(uri) / "_delta_log"
    old = time.time() - 3 * 86_400
    for file in log.iterdir():
        if file.is_file():
            os.utime(file, (old, old))
    table.overwrite(flights(7, month=3), where="month = 3")
    found = table.clean_log()
    assert (found.oldest_version, found.num_commits) == (6, 6)
    assert not (log / f"{5:020}.json").exists()
    rows = pa.concat_tables(
        [flights(m, m + 100, month=m) if m != 3 else flights(7, month=3) for m in range(1, 7)]
    )
    return uri, rows, request.param


def test_cleaned_log_has_the_same_rows(cleaned, reader, assert_same_rows):
    uri, rows, kind = cleaned
    if kind == "v2" and reader.name == "polars":
        pytest.skip("polars refuses tables with v2Checkpoint")
    assert_same_rows(reader.read(uri), rows)


def test_cleaned_log_has_the_same_rows_for_a_filter(cleaned, reader, assert_same_rows):
    uri, _, kind = cleaned
    if kind == "v2" and reader.name == "polars":
        pytest.skip("polars refuses tables with v2Checkpoint")
    assert_same_rows(reader.read(uri, "month = 2"), flights(2, 102, month=2))
