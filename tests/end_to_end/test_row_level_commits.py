"""Deletes that meet in one file, and a compaction under way beside them, on each kind of storage."""

import lakefmt
from lakefmt.testing.rewriter import rewrite_table
from lakefmt.txn.transaction import Transaction
from lakefmt.txn.writer import Writer

NUM_ROWS = 40_000


def test_deletes_of_one_file_and_its_compaction_all_stand(table_uri):
    uri, options = table_uri
    table = lakefmt.write(uri, {"id": list(range(NUM_ROWS))}, storage_options=options)
    writer, base = Writer(table._store), table.snapshot
    (path,) = base.files.table["path"].to_pylist()

    def delete(snapshot, rows):
        transaction = Transaction(writer, snapshot, "DELETE")
        transaction.stage_delete({path: rows})
        return transaction.commit()

    delete(base, range(0, NUM_ROWS, 7))  # so many that the vector has a file
    delete(base, [1, 2])
    seen = delete(base, [3])
    rewrite_table(writer, seen, num_outputs=2, between=lambda: delete(seen, range(4, NUM_ROWS, 7)))
    rows = lakefmt.open(uri, storage_options=options).to_arrow()["id"].to_pylist()
    assert sorted(rows) == [i for i in range(NUM_ROWS) if i % 7 not in {0, 4} and i not in {1, 2, 3}]
    # The vectors that earlier versions name are still there.
    before = lakefmt.open(uri, version=seen.version, storage_options=options)
    assert before.count() == before.to_arrow().num_rows
