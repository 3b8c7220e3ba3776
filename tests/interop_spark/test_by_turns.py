"""Spark and lakefmt write to one table by turns; both see what the other did."""

from __future__ import annotations

import pyarrow as pa
import pytest

import lakefmt


def rows(*ids):
    return pa.table({"id": list(ids), "text": [f"row {i}" for i in ids], "part": [i % 3 for i in ids]})


def ids_of(table):
    return sorted(table["id"].to_pylist())


@pytest.fixture
def uri(tmp_path):
    return str(tmp_path / "table")


def assert_both_see(spark, uri, ids):
    assert ids_of(lakefmt.open(uri).to_arrow()) == ids
    assert lakefmt.open(uri).count() == len(ids)
    assert ids_of(spark.read(uri)) == ids


def test_spark_changes_rows_of_our_table_by_vectors(spark, uri):
    lakefmt.write(uri, rows(*range(10)), partition_by="part")
    spark.sql("DELETE FROM {t} WHERE id = 4", uri)
    assert_both_see(spark, uri, [0, 1, 2, 3, 5, 6, 7, 8, 9])
    spark.sql("UPDATE {t} SET id = id + 100 WHERE part = 0", uri)
    assert_both_see(spark, uri, [1, 2, 5, 7, 8, 100, 103, 106, 109])
    lakefmt.open(uri).append(rows(50))
    spark.sql("MERGE INTO {t} t USING (SELECT 50 AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE", uri)
    assert_both_see(spark, uri, [1, 2, 5, 7, 8, 100, 103, 106, 109])


def test_our_overwrite_of_rows_that_spark_deleted_from(spark, uri):
    table = lakefmt.write(uri, rows(*range(9)), partition_by="part")
    spark.sql("DELETE FROM {t} WHERE id IN (1, 2)", uri)
    table.refresh().overwrite(rows(10, 13), where="part = 1")
    assert_both_see(spark, uri, [0, 3, 5, 6, 8, 10, 13])
    table.overwrite(rows(7))
    assert_both_see(spark, uri, [7])


def test_spark_compacts_checkpoints_and_restores_our_table(spark, uri):
    table = lakefmt.write(uri, rows(0), partition_by="part", properties={"delta.checkpointInterval": "4"})
    for number in range(1, 4):
        table.append(rows(number))
    spark.sql("OPTIMIZE {t}", uri)
    spark.sql("DELETE FROM {t} WHERE id = 0", uri)
    assert_both_see(spark, uri, [1, 2, 3])
    spark.sql("RESTORE TABLE {t} TO VERSION AS OF 2", uri)
    assert_both_see(spark, uri, [0, 1])
    table.refresh().append(rows(9))
    assert_both_see(spark, uri, [0, 1, 9])


def test_spark_evolves_the_schema_of_our_table(spark, uri):
    table = lakefmt.write(uri, rows(0))
    spark.sql("ALTER TABLE {t} ADD COLUMNS (more STRUCT<x: INT> AFTER id)", uri)
    spark.sql("INSERT INTO {t} VALUES (1, named_struct('x', 5), 'row 1', 1)", uri)
    assert_both_see(spark, uri, [0, 1])
    table.refresh().append(rows(2))
    assert_both_see(spark, uri, [0, 1, 2])
    assert lakefmt.open(uri).to_arrow().sort_by("id")["more"].to_pylist() == [None, {"x": 5}, None]


def test_spark_reads_the_changes_that_our_appends_and_overwrites_make(spark, uri):
    table = lakefmt.write(uri, rows(0, 1), properties={"delta.enableChangeDataFeed": "true"})
    table.append(rows(2))
    table.overwrite(rows(3))
    found = spark.changes(uri)
    kinds = sorted(
        zip(
            found["_commit_version"].to_pylist(),
            found["_change_type"].to_pylist(),
            found["id"].to_pylist(),
            strict=True,
        )
    )
    first = table.version - 2
    assert kinds == [
        (first, "insert", 0),
        (first, "insert", 1),
        (first + 1, "insert", 2),
        (first + 2, "delete", 0),
        (first + 2, "delete", 1),
        (first + 2, "delete", 2),
        (first + 2, "insert", 3),
    ]


def test_our_appends_to_a_table_that_spark_made(spark, uri):
    spark.sql("CREATE TABLE {t} (id BIGINT, text STRING, part BIGINT) USING delta PARTITIONED BY (part)", uri)
    spark.sql("INSERT INTO {t} VALUES (1, 'x', 1)", uri)
    lakefmt.open(uri).append(rows(2, 3))
    spark.sql("INSERT INTO {t} VALUES (4, 'x', 1)", uri)
    assert_both_see(spark, uri, [1, 2, 3, 4])


def test_spark_drops_deletion_vectors_from_our_table(spark, uri):
    lakefmt.write(uri, rows(*range(5)))
    spark.sql("DELETE FROM {t} WHERE id = 1", uri)
    spark.sql("ALTER TABLE {t} DROP FEATURE deletionVectors", uri)
    assert_both_see(spark, uri, [0, 2, 3, 4])
