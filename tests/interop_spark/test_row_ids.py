"""Row ids and commit versions are the same to Spark and to lakefmt, whoever wrote and moved the rows."""

from __future__ import annotations

import pyarrow as pa
import pytest
from interop_spark.cases import all_cases

import lakefmt
from lakefmt.testing.rewriter import rewrite_table
from lakefmt.txn import Writer
from lakefmt.txn.transaction import Transaction

IDS = ["_row_id", "_row_commit_version"]
TRACKED = ("row_tracking", "row_tracking_switched_on_later_with_vectors_and_mapping")


def assert_same_ids(spark, uri, assert_same_rows):
    """Compare all rows with their ids; return ours."""
    table = lakefmt.open(uri)
    found = table.scan(columns=[*table.schema.names, *IDS]).to_arrow()
    assert_same_rows(found, spark.row_ids(uri))
    assert len(found["_row_id"].unique()) == found.num_rows
    return found


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in TRACKED]
)
def test_ids_of_rows_that_spark_updated_and_moved(name, spark, written, assert_same_rows):
    table = written(all_cases()[name])
    found = assert_same_ids(spark, table.uri, assert_same_rows)
    assert len(found["_row_commit_version"].unique()) > 1


def test_ids_of_rows_that_both_have_moved(spark, tmp_path, assert_same_rows):
    uri = str(tmp_path / "table")
    properties = {"delta.enableRowTracking": True}
    table = lakefmt.create(
        uri, {"id": pa.int64(), "part": pa.string()}, partition_by="part", properties=properties
    )
    for first in (0, 10):
        table.append({"id": range(first, first + 10), "part": ["a", "b"] * 5})
    writer = Writer(table._store)
    deletion = Transaction(writer, table.snapshot, "DELETE")
    deletion.stage_delete({table.snapshot.files.table["path"][0].as_py(): [1, 3]})
    before = deletion.commit()
    known = ids_by_name(assert_same_ids(spark, uri, assert_same_rows))
    rewrite_table(writer, before, sort_by="id")
    assert ids_by_name(assert_same_ids(spark, uri, assert_same_rows)) == known

    spark.sql("UPDATE {t} SET id = id + 100 WHERE id IN (4, 5)", uri)
    spark.sql("INSERT INTO {t} VALUES (77, 'a')", uri)
    spark.sql("OPTIMIZE {t}", uri)
    after = ids_by_name(assert_same_ids(spark, uri, assert_same_rows))
    for name in (4, 5):
        known[name + 100] = (known.pop(name)[0], 5)
    assert {name: ids for name, ids in after.items() if name != 77} == known
    rewrite_table(writer, table.refresh().snapshot)
    assert ids_by_name(assert_same_ids(spark, uri, assert_same_rows)) == after


def ids_by_name(rows):
    columns = [rows[name].to_pylist() for name in ("id", *IDS)]
    return {name: (row_id, version) for name, row_id, version in zip(*columns, strict=True)}
