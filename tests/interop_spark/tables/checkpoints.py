"""Checkpoints of every shape and with every kind of statistics; the files of the log that go with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from interop_spark.cases import add_case, table
from interop_spark.sql import NUMBERS, create, log_files, numbers, run

V2 = {"delta.checkpointPolicy": "v2", "delta.checkpointInterval": "3"}
VECTORS = {"delta.enableDeletionVectors": "true"}


def _grown(properties: dict[str, str], pattern: str) -> Any:
    """A partitioned table of several commits, some files removed and replaced, then commits after the checkpoint."""

    def write(spark: Any, path: str) -> None:
        create(spark, path, NUMBERS, {"delta.checkpointInterval": "3"} | properties, "PARTITIONED BY (part)")
        for number in range(5):
            numbers(spark, path, 10 * number, 10 * number + 10)
        run(spark, path, "DELETE FROM {t} WHERE id = 7", "DELETE FROM {t} WHERE id BETWEEN 20 AND 29")
        numbers(spark, path, 50, 60)
        assert log_files(path, pattern), "the checkpoint is not of the shape it should have"

    return write


STATISTICS = {
    "json": {"delta.checkpoint.writeStatsAsJson": "true", "delta.checkpoint.writeStatsAsStruct": "false"},
    "struct": {"delta.checkpoint.writeStatsAsJson": "false", "delta.checkpoint.writeStatsAsStruct": "true"},
    "both": {"delta.checkpoint.writeStatsAsJson": "true", "delta.checkpoint.writeStatsAsStruct": "true"},
    "none": {"delta.checkpoint.writeStatsAsJson": "false", "delta.checkpoint.writeStatsAsStruct": "false"},
}
for _name, _properties in STATISTICS.items():
    add_case(f"classic_checkpoint_with_statistics_{_name}", _grown(_properties, "*.checkpoint.parquet"))
    add_case(f"v2_checkpoint_with_statistics_{_name}", _grown(V2 | _properties, "*.checkpoint.*-*.*"))
add_case(
    "multi_part_checkpoint",
    _grown({}, "*.checkpoint.0000000001.00000000*.parquet"),
    settings={"spark.databricks.delta.checkpoint.partSize": "2"},
)
for _format in ("json", "parquet"):
    add_case(
        f"v2_checkpoint_{_format}",
        _grown(V2, f"*.checkpoint.*-*.{_format}"),
        settings={"spark.databricks.delta.checkpointV2.topLevelFileFormat": _format},
    )
    add_case(
        f"v2_checkpoint_{_format}_many_sidecars_and_vectors",
        _grown(V2 | VECTORS, f"*.checkpoint.*-*.{_format}"),
        settings={
            "spark.databricks.delta.checkpointV2.topLevelFileFormat": _format,
            "spark.databricks.delta.checkpoint.partSize": "2",
        },
        versions=True,
    )
    add_case(
        f"v2_checkpoint_{_format}_column_mapping",
        _grown(V2 | {"delta.columnMapping.mode": "name"}, f"*.checkpoint.*-*.{_format}"),
        settings={"spark.databricks.delta.checkpointV2.topLevelFileFormat": _format},
    )
add_case("classic_checkpoint_with_vectors", _grown(VECTORS, "*.checkpoint.parquet"))
add_case(
    "classic_checkpoint_column_mapping_and_typed_statistics",
    _grown({"delta.columnMapping.mode": "id"} | STATISTICS["struct"], "*.checkpoint.parquet"),
)


@table(versions=True)
def classic_then_v2_then_classic_checkpoints(spark: Any, path: str) -> None:
    create(spark, path, NUMBERS, {"delta.checkpointInterval": "2"})
    for number, policy in enumerate(["classic", "v2", "classic", "v2"]):
        run(spark, path, f"ALTER TABLE {{t}} SET TBLPROPERTIES ('delta.checkpointPolicy' = '{policy}')")
        numbers(spark, path, 10 * number, 10 * number + 4)
        numbers(spark, path, 10 * number + 4, 10 * number + 8)


@table(versions=True)
def v2_checkpoints_dropped_again(spark: Any, path: str) -> None:
    _grown(V2, "*.checkpoint.*-*.*")(spark, path)
    run(
        spark,
        path,
        "ALTER TABLE {t} SET TBLPROPERTIES ('delta.checkpointPolicy' = 'classic')",
        "ALTER TABLE {t} DROP FEATURE v2Checkpoint",
    )


@table()
def checkpoint_alone(spark: Any, path: str) -> None:
    """The early log is gone: the checkpoint and what follows are all there is."""
    _grown({}, "*.checkpoint.parquet")(spark, path)
    newest = int(log_files(path, "*.checkpoint.parquet")[-1].name.split(".")[0])
    for file in log_files(path, "*"):
        if file.name[:20].isdigit() and int(file.name[:20]) < newest:
            file.unlink()


@table()
def no_hint_of_the_last_checkpoint(spark: Any, path: str) -> None:
    _grown({}, "*.checkpoint.parquet")(spark, path)
    Path(path, "_delta_log", "_last_checkpoint").unlink()


@table()
def hint_of_an_older_checkpoint(spark: Any, path: str) -> None:
    _grown({}, "*.checkpoint.parquet")(spark, path)
    hint = Path(path, "_delta_log", "_last_checkpoint")
    hint.write_text(json.dumps({"version": 3, "size": 10}))


@table()
def no_checksum_files(spark: Any, path: str) -> None:
    _grown({}, "*.checkpoint.parquet")(spark, path)
    for file in log_files(path, "*.crc"):
        file.unlink()


def _compacted(properties: dict[str, str]) -> Any:
    def write(spark: Any, path: str) -> None:
        create(
            spark, path, NUMBERS, {"delta.checkpointInterval": "100"} | properties, "PARTITIONED BY (part)"
        )
        for number in range(5):
            numbers(spark, path, 10 * number, 10 * number + 10)
        run(spark, path, "DELETE FROM {t} WHERE id = 7", "DELETE FROM {t} WHERE id BETWEEN 20 AND 29")
        for number in range(6, 9):
            numbers(spark, path, 10 * number, 10 * number + 10)
        compact(path, 1, 6)
        spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()  # so that Spark reads the compacted commits too

    return write


def compact(path: str, first: int, last: int) -> None:
    """Write a log compaction file of commits, as "Log Compaction Files" says: their actions, reconciled.

    Spark reads them and has no command that writes them.
    """
    files: dict[tuple[str, str], str] = {}
    others: dict[str, str] = {}
    for version in range(first, last + 1):
        for line in Path(path, "_delta_log", f"{version:020}.json").read_text().splitlines():
            ((kind, body),) = json.loads(line).items()
            if kind in ("add", "remove"):
                vector = body.get("deletionVector") or {}
                unique = f"{vector.get('storageType')}{vector.get('pathOrInlineDv')}@{vector.get('offset')}"
                files[body["path"], unique] = line
            elif kind not in ("commitInfo", "cdc"):
                others[kind] = line
    name = f"{first:020}.{last:020}.compacted.json"
    Path(path, "_delta_log", name).write_text("\n".join([*others.values(), *files.values()]) + "\n")


add_case("log_compaction", _compacted({}), versions=True)
add_case("log_compaction_with_vectors", _compacted(VECTORS), versions=True)


@table(versions=True)
def many_commits(spark: Any, path: str) -> None:
    create(spark, path, NUMBERS)
    for number in range(23):
        numbers(spark, path, number, number + 1)


@table()
def statistics_of_no_columns(spark: Any, path: str) -> None:
    create(spark, path, NUMBERS, {"delta.dataSkippingNumIndexedCols": "0", "delta.checkpointInterval": "2"})
    for number in range(4):
        numbers(spark, path, number, number + 2)


@table()
def statistics_of_named_columns(spark: Any, path: str) -> None:
    create(
        spark,
        path,
        "id INT, s STRUCT<a: INT, b: STRING>, t STRING",
        {"delta.dataSkippingStatsColumns": "s.b,t", "delta.checkpointInterval": "2"},
    )
    for number in range(4):
        run(
            spark,
            path,
            f"INSERT INTO {{t}} VALUES ({number}, named_struct('a', {number}, 'b', 'x{number}'), 't{number}')",
        )


@table(settings={"spark.databricks.delta.stats.collect": "false"})
def no_statistics(spark: Any, path: str) -> None:
    create(spark, path, NUMBERS, {"delta.checkpointInterval": "2"})
    for number in range(4):
        numbers(spark, path, number, number + 2)


@table()
def transactions_of_a_stream(spark: Any, path: str) -> None:
    frame = spark.range(3)
    for number in range(3):
        frame.write.format("delta").option("txnAppId", "app").option("txnVersion", str(number)).mode(
            "append"
        ).save(path)
