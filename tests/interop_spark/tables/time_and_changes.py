"""In-commit timestamps, the change data feed, clones, restores and conversions."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from interop_spark.cases import add_case, table
from interop_spark.sql import NUMBERS, create, numbers, run

IN_COMMIT = {"delta.enableInCommitTimestamps": "true"}
FEED = {"delta.enableChangeDataFeed": "true"}


@table(versions=True)
def in_commit_timestamps(spark: Any, path: str) -> None:
    create(spark, path, NUMBERS, IN_COMMIT | {"delta.checkpointInterval": "2"})
    for number in range(4):
        numbers(spark, path, number, number + 1)


@table(versions=True)
def in_commit_timestamps_switched_on_later_and_off(spark: Any, path: str) -> None:
    create(spark, path, NUMBERS)
    numbers(spark, path, 0, 1)
    run(spark, path, "ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableInCommitTimestamps' = 'true')")
    numbers(spark, path, 1, 2)
    numbers(spark, path, 2, 3)
    run(spark, path, "ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableInCommitTimestamps' = 'false')")
    numbers(spark, path, 3, 4)


def _changed(properties: dict[str, str], more: str = "") -> Any:
    def write(spark: Any, path: str) -> None:
        create(spark, path, NUMBERS, FEED | properties, more)
        numbers(spark, path, 0, 20)
        spark.range(15, 25).createOrReplaceTempView("feed_source")
        run(
            spark,
            path,
            "UPDATE {t} SET text = 'u' WHERE id < 3",
            "DELETE FROM {t} WHERE id IN (4, 5)",
            """MERGE INTO {t} t USING feed_source s ON t.id = s.id WHEN MATCHED AND s.id = 15 THEN DELETE
               WHEN MATCHED THEN UPDATE SET text = 'm' WHEN NOT MATCHED THEN INSERT (id, text, part) VALUES (s.id, 'i', 7)""",
            "DELETE FROM {t} WHERE part = 1",
            "OPTIMIZE {t}",
        )
        spark.range(50, 53).selectExpr("id", "'o' AS text", "0 AS part").write.format("delta").mode(
            "overwrite"
        ).save(path)
        run(spark, path, "DELETE FROM {t}")

    return write


add_case("change_feed", _changed({"delta.enableDeletionVectors": "false"}), changes=True)
add_case("change_feed_with_vectors", _changed({"delta.enableDeletionVectors": "true"}), changes=True)
add_case("change_feed_partitioned", _changed({}, "PARTITIONED BY (part)"), changes=True)
add_case("change_feed_partitioned_by_text", _changed({}, "PARTITIONED BY (text)"), changes=True)
add_case(
    "change_feed_with_mapping",
    _changed({"delta.columnMapping.mode": "name"}, "PARTITIONED BY (part)"),
    changes=True,
)
add_case("change_feed_with_row_tracking", _changed({"delta.enableRowTracking": "true"}), changes=True)


@table(changes=True)
def change_feed_over_added_columns(spark: Any, path: str) -> None:
    create(spark, path, "id INT, p STRING", FEED, "PARTITIONED BY (p)")
    run(
        spark,
        path,
        "INSERT INTO {t} VALUES (1, 'a b'), (2, '100%'), (3, NULL), (4, 'x/y=z')",
        "UPDATE {t} SET id = id + 10 WHERE p = '100%'",
        "ALTER TABLE {t} ADD COLUMNS (x DOUBLE)",
        "UPDATE {t} SET x = 1.5, p = 'new ü' WHERE id = 1",
        "INSERT INTO {t} VALUES (5, 'z', 2.5)",
        "DELETE FROM {t} WHERE p IS NULL",
    )


def _clone_of(properties: dict[str, str], after: tuple[str, ...] = ()) -> Any:
    """A shallow clone beside its source, whose files it names by absolute path."""

    def write(spark: Any, path: str) -> None:
        source = str(Path(path).parent / "source of it")
        create(spark, source, "id INT, p STRING", properties, "PARTITIONED BY (p)")
        run(spark, source, "INSERT INTO {t} VALUES (1, 'x'), (2, 'y z'), (3, NULL), (4, '100%'), (5, 'x')")
        if properties.get("delta.enableDeletionVectors") == "true":
            run(spark, source, "DELETE FROM {t} WHERE id = 5")
        run(spark, path, f"CREATE TABLE {{t}} SHALLOW CLONE delta.`{source}`", *after)

    return write


add_case("shallow_clone", _clone_of({"delta.enableDeletionVectors": "false"}))
add_case("shallow_clone_with_vectors", _clone_of({"delta.enableDeletionVectors": "true"}))
add_case("shallow_clone_of_a_mapped_table", _clone_of({"delta.columnMapping.mode": "name"}))
add_case(
    "shallow_clone_changed",
    _clone_of(
        {"delta.enableDeletionVectors": "true", "delta.checkpointInterval": "2"},
        (
            "INSERT INTO {t} VALUES (6, 'new')",
            "DELETE FROM {t} WHERE id = 1",
            "UPDATE {t} SET id = 20 WHERE id = 2",
            "DELETE FROM {t} WHERE id = 4",
        ),
    ),
    versions=True,
)


@table()
def shallow_clone_of_a_clone(spark: Any, path: str) -> None:
    between = str(Path(path).parent / "between")
    _clone_of({"delta.enableDeletionVectors": "true"})(spark, between)
    run(spark, between, "INSERT INTO {t} VALUES (6, 'x')")
    run(spark, path, f"CREATE TABLE {{t}} SHALLOW CLONE delta.`{between}`", "DELETE FROM {t} WHERE id = 6")


@table(versions=True)
def restored(spark: Any, path: str) -> None:
    create(spark, path, NUMBERS)
    numbers(spark, path, 0, 10)
    run(
        spark,
        path,
        "DELETE FROM {t} WHERE id < 5",
        "RESTORE TABLE {t} TO VERSION AS OF 1",
        "UPDATE {t} SET text = 'u'",
        "RESTORE TABLE {t} TO VERSION AS OF 2",
    )


@table()
def converted_from_parquet(spark: Any, path: str) -> None:
    frame = spark.createDataFrame([(1, "x", 1), (2, "y z", None), (3, "100%", 2)], "id INT, p STRING, q INT")
    frame.write.partitionBy("p", "q").parquet(path)
    spark.sql(f"CONVERT TO DELTA parquet.`{path}` PARTITIONED BY (p STRING, q INT)").collect()


@table()
def vacuumed(spark: Any, path: str) -> None:
    create(spark, path, NUMBERS, {"delta.enableDeletionVectors": "true"})
    numbers(spark, path, 0, 30, files=2)
    run(
        spark,
        path,
        "DELETE FROM {t} WHERE id % 3 = 0",
        "OPTIMIZE {t}",
        "DELETE FROM {t} WHERE id % 3 = 1",
        "VACUUM {t} RETAIN 0 HOURS",
        "VACUUM {t} LITE RETAIN 0 HOURS",
    )


@table()
def copied_elsewhere(spark: Any, path: str) -> None:
    """Relative paths go along with the folder."""
    first = str(Path(path).parent / "first place")
    create(spark, first, NUMBERS, {"delta.enableDeletionVectors": "true"}, "PARTITIONED BY (text)")
    numbers(spark, first, 0, 5)
    run(spark, first, "DELETE FROM {t} WHERE id = 2")
    shutil.move(first, path)
