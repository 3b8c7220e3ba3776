"""Tables after races that were settled row by row, as every reader sees them."""

from __future__ import annotations

import pyarrow as pa
import pytest

import lakefmt
from lakefmt.testing.rewriter import rewrite_table
from lakefmt.txn.transaction import Transaction
from lakefmt.txn.writer import Writer

NUM_ROWS = 60_000


TRACKED = {"delta.enableRowTracking": True}

STEPS = {"vectors in the log": 5_000, "vectors in files": 7}
"""Every how many rows are deleted."""


@pytest.fixture(params=STEPS)
def step(request: pytest.FixtureRequest) -> int:
    """Every how many rows are deleted."""
    return STEPS[request.param]


def test_deletes_that_were_joined_and_carried_over_a_compaction(tmp_path, reader, step, assert_same_rows):
    uri = str(tmp_path / "table")
    rows = write_raced(uri, step)
    assert lakefmt.open(uri).count() == rows.num_rows
    assert_same_rows(reader.read(uri), rows)


def test_rows_that_were_moved_with_their_ids(tmp_path, reader, assert_same_rows):
    uri = str(tmp_path / "table")
    table = lakefmt.create(
        uri, {"id": pa.int64(), "part": pa.string()}, partition_by="part", properties=TRACKED
    )
    rows = pa.table({"id": range(8), "part": ["a", "b"] * 4})
    table.append(rows.slice(0, 4))
    table.append(rows.slice(4))
    rewrite_table(Writer(table._store), table.snapshot, sort_by="id")
    assert_same_rows(reader.read(uri), rows)
    shown = lakefmt.open(uri).scan(columns=["id", "_row_commit_version"], where="part = 'b'").to_arrow()
    assert dict(zip(*shown.to_pydict().values(), strict=True)) == {1: 1, 3: 1, 5: 2, 7: 2}


def write_raced(uri: str, step: int) -> pa.Table:
    """Write a table of which rows were deleted by races that both won, one of them with a compaction; return those left."""
    rows = pa.table({"id": range(2 * NUM_ROWS), "part": [["a", "b"][i % 2] for i in range(2 * NUM_ROWS)]})
    table = lakefmt.write(uri, rows.slice(0, NUM_ROWS), partition_by="part")
    table.append(rows.slice(NUM_ROWS))
    writer, base = Writer(table._store), table.snapshot
    paths = base.files.table["path"].to_pylist()

    def delete(snapshot, first):
        transaction = Transaction(writer, snapshot, "DELETE")
        transaction.stage_delete({path: range(first, NUM_ROWS // 2, step) for path in paths})
        transaction.commit()

    delete(base, 0)
    delete(base, 1)
    seen = table.refresh().snapshot
    rewrite_table(writer, seen, sort_by="id", num_outputs=2, between=lambda: delete(seen, 2))
    # Both files of a partition have half of its rows, in order.
    kept = [i // 2 % (NUM_ROWS // 2) % step > 2 for i in range(2 * NUM_ROWS)]
    return rows.filter(pa.array(kept))
