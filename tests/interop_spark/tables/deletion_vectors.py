"""Deletion vectors after DELETE, UPDATE and MERGE: few rows, many, all, again and again."""

from __future__ import annotations

from typing import Any

from interop_spark.cases import add_case, table
from interop_spark.sql import NUMBERS, create, numbers, run

VECTORS = {"delta.enableDeletionVectors": "true"}


def _vectored(spark: Any, path: str, *, more: str = "", **properties: str) -> None:
    create(spark, path, NUMBERS, VECTORS | properties, more)


@table(versions=True)
def deleted_by_vectors(spark: Any, path: str) -> None:
    _vectored(spark, path)
    numbers(spark, path, 0, 1000, files=3)
    run(
        spark,
        path,
        "DELETE FROM {t} WHERE id % 10 = 3",
        "DELETE FROM {t} WHERE id % 7 = 3",
        "DELETE FROM {t} WHERE id BETWEEN 200 AND 400",
        "DELETE FROM {t} WHERE id IN (0, 999)",
    )


@table(versions=True)
def updated_by_vectors(spark: Any, path: str) -> None:
    _vectored(spark, path, more="PARTITIONED BY (part)")
    numbers(spark, path, 0, 300, files=2)
    run(
        spark,
        path,
        "UPDATE {t} SET text = 'changed' WHERE id % 5 = 0",
        "UPDATE {t} SET part = 9 WHERE id < 4",
    )


@table(versions=True)
def merged_by_vectors(spark: Any, path: str) -> None:
    _vectored(spark, path)
    numbers(spark, path, 0, 100)
    spark.range(50, 150).selectExpr("id", "id % 2 AS odd").createOrReplaceTempView("source")
    run(
        spark,
        path,
        """MERGE INTO {t} t USING source s ON t.id = s.id
           WHEN MATCHED AND s.odd = 1 THEN DELETE
           WHEN MATCHED THEN UPDATE SET text = 'merged'
           WHEN NOT MATCHED THEN INSERT (id, text, part) VALUES (s.id, 'new', -1)
           WHEN NOT MATCHED BY SOURCE AND t.id < 10 THEN DELETE""",
    )


@table(versions=True)
def deleted_whole_file_by_parts(spark: Any, path: str) -> None:
    _vectored(spark, path)
    numbers(spark, path, 0, 100, files=2)
    run(
        spark,
        path,
        "DELETE FROM {t} WHERE id < 25",
        "DELETE FROM {t} WHERE id < 50",
        "DELETE FROM {t} WHERE id >= 50 AND id % 2 = 0",
    )


@table(settings={"spark.databricks.delta.deletionVectors.packing.targetSize": "1"})
def vectors_of_many_files(spark: Any, path: str) -> None:
    _vectored(spark, path)
    numbers(spark, path, 0, 2000, files=10)
    run(spark, path, "DELETE FROM {t} WHERE id % 3 = 1")


@table()
def vectors_packed_in_one_file(spark: Any, path: str) -> None:
    _vectored(spark, path)
    numbers(spark, path, 0, 2000, files=10)
    run(spark, path, "DELETE FROM {t} WHERE id % 3 = 1")


@table()
def vectors_over_row_groups_and_containers(spark: Any, path: str) -> None:
    """More rows than one bitmap container takes, in small row groups, with runs, arrays and dense containers."""
    spark.sparkContext._jsc.hadoopConfiguration().set("parquet.block.size", "65536")
    try:
        _vectored(spark, path)
        numbers(spark, path, 0, 200_000)
        run(
            spark,
            path,
            "DELETE FROM {t} WHERE id % 2 = 0 AND id < 70000 OR id BETWEEN 90000 AND 140000 OR id % 5003 = 0",
        )
    finally:
        spark.sparkContext._jsc.hadoopConfiguration().unset("parquet.block.size")


@table(versions=True)
def purged_and_restored(spark: Any, path: str) -> None:
    _vectored(spark, path)
    numbers(spark, path, 0, 100)
    run(
        spark,
        path,
        "DELETE FROM {t} WHERE id % 3 = 0",
        "REORG TABLE {t} APPLY (PURGE)",
        "DELETE FROM {t} WHERE id % 3 = 1",
        "RESTORE TABLE {t} TO VERSION AS OF 2",
        "DELETE FROM {t} WHERE id % 3 = 2",
        "RESTORE TABLE {t} TO VERSION AS OF 1",
    )


@table(versions=True)
def vectors_switched_off_and_dropped(spark: Any, path: str) -> None:
    _vectored(spark, path)
    numbers(spark, path, 0, 100)
    run(
        spark,
        path,
        "DELETE FROM {t} WHERE id % 3 = 0",
        "ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'false')",
        "DELETE FROM {t} WHERE id % 3 = 1",
        "ALTER TABLE {t} DROP FEATURE deletionVectors",
    )


def _by_copy(spark: Any, path: str) -> None:
    create(spark, path, NUMBERS, {"delta.enableDeletionVectors": "false"})
    numbers(spark, path, 0, 50)
    run(
        spark,
        path,
        "DELETE FROM {t} WHERE id % 3 = 0",
        "UPDATE {t} SET text = 'u' WHERE id = 4",
        "OPTIMIZE {t}",
        "VACUUM {t} RETAIN 0 HOURS",
    )


add_case("deleted_by_copies_and_vacuumed", _by_copy)


@table(versions=True)
def vectors_and_column_mapping(spark: Any, path: str) -> None:
    _vectored(spark, path, **{"delta.columnMapping.mode": "name"})
    numbers(spark, path, 0, 60, files=2)
    run(
        spark,
        path,
        "DELETE FROM {t} WHERE id % 3 = 0",
        "ALTER TABLE {t} RENAME COLUMN text TO words",
        "DELETE FROM {t} WHERE words = 'row 4'",
    )
