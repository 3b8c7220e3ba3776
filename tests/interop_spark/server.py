"""Spark's side: one session that writes cases and reads tables, told what to do line by line.

``python -m interop_spark.server`` takes JSON requests on standard input and answers each on standard output;
``python -m interop_spark.server FOLDER [NAME...]`` writes cases into a folder, to look at. A case leaves
``<name>/<folder of the table>``, ``<name>/case.json`` and ``<name>/expected/*.parquet``: the rows as Spark reads them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from interop_spark.cases import Case, all_cases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame, SparkSession

CONFIGURATION = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.driver.memory": "1500m",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # Hundreds of small queries: compiling them, and the virtual machine itself, would take twice the time of the rest.
    "spark.driver.extraJavaOptions": "-Duser.timezone=UTC -XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    # One task a step: tables of a few rows are written as one file, and fast.
    "spark.sql.shuffle.partitions": "1",
    "spark.default.parallelism": "1",
    "spark.sql.leafNodeDefaultParallelism": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "1",
    "spark.databricks.delta.retentionDurationCheck.enabled": "false",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
}


def start(scratch: Path) -> SparkSession:
    """Start a session; its warehouse and Derby's files are in ``scratch``."""
    from delta import configure_spark_with_delta_pip
    from pyspark.sql import SparkSession

    scratch.mkdir(parents=True, exist_ok=True)
    os.chdir(scratch)
    builder = SparkSession.builder.master("local[2]").appName("lakefmt")
    for name, value in (CONFIGURATION | {"spark.sql.warehouse.dir": str(scratch / "warehouse")}).items():
        builder = builder.config(name, value)
    spark = configure_spark_with_delta_pip(builder).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def write_case(spark: SparkSession, case: Case, root: Path) -> None:
    """Write a case and what Spark reads in it."""
    home = root / case.name
    shutil.rmtree(home, ignore_errors=True)
    path = str(home / case.folder)
    home.mkdir(parents=True)
    with settings(spark, case.settings):
        case.write(spark, path)
    (home / "expected").mkdir()
    newest = newest_version(path)
    save(spark.read.format("delta").load(path), home / "expected" / "latest.parquet")
    versions = some_versions(first_version(path), newest) if case.versions else []
    for version in versions:
        frame = spark.read.format("delta").option("versionAsOf", version).load(path)
        save(frame, home / "expected" / f"v{version}.parquet")
    if case.changes:
        save(change_feed(spark, path, 0), home / "expected" / "changes.parquet")
    detail = spark.sql(f"DESCRIBE DETAIL delta.`{path}`").collect()[0]
    facts = {
        "name": case.name,
        "group": case.group,
        "table": case.folder,
        "version": newest,
        "versions": versions,
        "changes": case.changes,
        "files": detail.numFiles,
        "partition_columns": list(detail.partitionColumns),
        "reader_version": detail.minReaderVersion,
        "writer_version": detail.minWriterVersion,
        "features": list(detail.tableFeatures),
    }
    (home / "case.json").write_text(json.dumps(facts, indent=1))


def save(frame: DataFrame, file: Path) -> None:
    """Write the rows of a frame as one Parquet file; columns with variants as JSON text, marked so in the field's metadata."""
    from pyspark.sql import functions as f

    as_json = {field.name for field in frame.schema if '"variant"' in field.json()}
    columns = [f.col(quoted(name)) for name in frame.columns]
    columns = [
        f.to_json(column, {"ignoreNullFields": "false"}).alias(name) if name in as_json else column
        for name, column in zip(frame.columns, columns, strict=True)
    ]
    rows = frame.select(*columns).toArrow()
    schema = pa.schema(
        [
            field.with_metadata({"variant": "json"}) if field.name in as_json else field
            for field in rows.schema
        ]
    )
    pq.write_table(pa.Table.from_arrays(rows.columns, schema=schema), file)


def change_feed(spark: SparkSession, path: str, start: int) -> DataFrame:
    """Return the row changes since a version, as Spark reads them, without the time of commit."""
    feed = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", start)
    return feed.load(path).drop("_commit_timestamp")


@contextlib.contextmanager
def settings(spark: SparkSession, values: dict[str, Any]) -> Iterator[None]:
    """Hold settings for a while."""
    before = {name: spark.conf.get(name, None) for name in values}
    for name, value in values.items():
        spark.conf.set(name, str(value))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                spark.conf.unset(name)
            else:
                spark.conf.set(name, value)


def quoted(name: str) -> str:
    """Return a column's name as SQL takes it."""
    return "`" + name.replace("`", "``") + "`"


def some_versions(first: int, newest: int) -> list[int]:
    """Return the versions whose rows are asked for: all of a few, else some of early, middle and late ones."""
    every = range(first, newest)
    step = max(1, len(every) // 4)
    return sorted({*every[1::step], *every[-1:]})


def newest_version(path: str) -> int:
    """Return the last version in a table's log."""
    return max(int(file.stem) for file in Path(path, "_delta_log").glob("*.json") if file.stem.isdigit())


def first_version(path: str) -> int:
    """Return the first version in a table's log."""
    return min(int(file.stem) for file in Path(path, "_delta_log").glob("*.json") if file.stem.isdigit())


def answer(spark: SparkSession, request: dict[str, Any]) -> None:
    """Do what one request asks: ``write`` a case, ``read`` a table, or run ``sql``."""
    match request:
        case {"do": "write", "case": name, "root": root}:
            write_case(spark, all_cases()[name], Path(root))
        case {"do": "read", "path": path, "to": to, "where": where}:
            frame = spark.read.format("delta").load(path)
            save(frame.where(where) if where else frame, Path(to))
        case {"do": "row ids", "path": path, "to": to}:
            ids = ["*", "_metadata.row_id AS _row_id", "_metadata.row_commit_version AS _row_commit_version"]
            save(spark.read.format("delta").load(path).selectExpr(*ids), Path(to))
        case {"do": "changes", "path": path, "to": to, "start": start_version}:
            save(change_feed(spark, path, start_version), Path(to))
        case {"do": "sql", "text": text}:
            spark.sql(text).collect()
        case _:
            raise ValueError(f"no such request: {request}")


def serve(spark: SparkSession) -> None:
    """Answer requests until there are no more."""
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            answer(spark, json.loads(line))
            reply = {"ok": True}
        except Exception as error:  # whatever Spark says is the test's to judge
            reply = {"ok": False, "error": str(error)[:4000], "trace": traceback.format_exc()[-2000:]}
        print(json.dumps(reply), flush=True)


def write_all(spark: SparkSession, root: Path, names: list[str]) -> None:
    """Write cases into a folder and say how it went."""
    cases = all_cases()
    for case in [cases[name] for name in names] or cases.values():
        try:
            write_case(spark, case, root)
            print(f"ok   {case.group}/{case.name}", flush=True)
        except Exception as error:
            print(f"FAIL {case.group}/{case.name}: {str(error)[:600]}", flush=True)


def main() -> None:
    """Serve, or write cases into the folder that the arguments name."""
    root = Path(sys.argv[1]).absolute() if len(sys.argv) > 1 else None
    spark = start(Path(os.environ["SPARK_SCRATCH"]) if "SPARK_SCRATCH" in os.environ else Path.cwd())
    try:
        if root is None:
            serve(spark)
        else:
            write_all(spark, root, sys.argv[2:])
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
