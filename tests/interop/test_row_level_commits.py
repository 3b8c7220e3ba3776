"""Tables after races that were settled row by row, as every reader sees them."""

from __future__ import annotations

import pyarrow as pa
import pytest

import lakefmt
from lakefmt.testing.rewriter import rewrite_table
from lakefmt.txn.transaction import Transaction
from lakefmt.txn.writer import Writer

NUM_ROWS = 60_000


@pytest.fixture(params=["vectors in the log", "vectors in files"])
def step(request: pytest.FixtureRequest) -> int:
    """Every how many rows are deleted."""
    return 5_000 if request.param == "vectors in the log" else 7


def test_deletes_that_were_joined_and_carried_over_a_compaction(tmp_path, reader, step, assert_same_rows):
    uri = str(tmp_path / "table")
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
    assert table.refresh().count() == sum(kept)
    assert_same_rows(reader.read(uri), rows.filter(pa.array(kept)))
