"""Parquet as Spark has written it over the years: INT96, legacy lists and decimals, old calendars, encodings, codecs."""

from __future__ import annotations

from typing import Any

from interop_spark.cases import add_case, table
from interop_spark.sql import create, run
from interop_spark.tables.types import EDGES, NESTED, NESTED_ROWS, PRIMITIVES

MOMENTS = "id INT, ts TIMESTAMP, d DATE, s STRUCT<ts: TIMESTAMP>, l ARRAY<TIMESTAMP>"
MOMENT_ROWS = """INSERT INTO {t} SELECT id, ts, cast(ts AS DATE), named_struct('ts', ts), array(ts, NULL) FROM VALUES
    (1, TIMESTAMP'2026-03-29 02:30:00.123456'), (2, TIMESTAMP'1969-12-31 23:59:59.999999'), (3, TIMESTAMP'1900-01-01 00:00:00'),
    (4, TIMESTAMP'9999-12-31 23:59:59.999999'), (5, TIMESTAMP'1677-01-01 00:00:00'), (6, TIMESTAMP'1582-10-15 00:00:00'), (7, NULL) AS t(id, ts)"""
OLD_ROWS = """INSERT INTO {t} SELECT id, ts, cast(ts AS DATE), named_struct('ts', ts), array(ts, NULL) FROM VALUES
    (1, TIMESTAMP'1500-02-28 12:00:00'), (2, TIMESTAMP'0001-01-01 00:00:00'), (3, TIMESTAMP'2026-01-01 00:00:00') AS t(id, ts)"""


def _moments(rows: str = MOMENT_ROWS) -> Any:
    def write(spark: Any, path: str) -> None:
        create(spark, path, MOMENTS)
        run(spark, path, rows)

    return write


for _kind in ("INT96", "TIMESTAMP_MICROS", "TIMESTAMP_MILLIS"):
    add_case(
        f"moments_as_{_kind.lower()}", _moments(), settings={"spark.sql.parquet.outputTimestampType": _kind}
    )
RECENT_ROWS = OLD_ROWS.replace("1500-02-28 12", "1900-01-01 00").replace("0001-01-01", "1950-06-15")
for _mode in ("CORRECTED", "LEGACY"):
    for _kind in ("INT96", "TIMESTAMP_MICROS"):
        _rebased = {
            "spark.sql.parquet.outputTimestampType": _kind,
            "spark.sql.parquet.datetimeRebaseModeInWrite": _mode,
            "spark.sql.parquet.int96RebaseModeInWrite": _mode,
        }
        add_case(
            f"old_moments_as_{_kind.lower()}_rebased_{_mode.lower()}",
            _moments(OLD_ROWS),
            settings=_rebased,
        )
        add_case(
            f"recent_moments_as_{_kind.lower()}_rebased_{_mode.lower()}",
            _moments(RECENT_ROWS),
            settings=_rebased,
        )


LEGACY = {"spark.sql.parquet.writeLegacyFormat": "true"}


@table(settings=LEGACY)
def legacy_lists_and_maps(spark: Any, path: str) -> None:
    create(spark, path, NESTED)
    run(spark, path, NESTED_ROWS)


@table(settings=LEGACY)
def legacy_decimals(spark: Any, path: str) -> None:
    create(spark, path, "d5 DECIMAL(5, 2), d18 DECIMAL(18, 2), d38 DECIMAL(38, 2), l ARRAY<DECIMAL(9, 3)>")
    run(
        spark,
        path,
        "INSERT INTO {t} VALUES (-999.99, 1234567890123456.78, -0.01, array(1.5, NULL)), (NULL, NULL, NULL, NULL), (0, -1, 3.75, array())",
    )


@table()
def lists_of_one_field_structs_in_both_formats(spark: Any, path: str) -> None:
    """Where a legacy list cannot be told from a struct by its shape alone."""
    create(spark, path, "id INT, l ARRAY<STRUCT<element: INT>>, m ARRAY<STRUCT<array: ARRAY<INT>>>")
    for number, legacy in enumerate(("true", "false")):
        spark.conf.set("spark.sql.parquet.writeLegacyFormat", legacy)
        run(
            spark,
            path,
            f"INSERT INTO {{t}} VALUES ({number}, array(named_struct('element', 1), NULL), array(named_struct('array', array(1, 2))))",
        )
    spark.conf.unset("spark.sql.parquet.writeLegacyFormat")


for _codec in ("uncompressed", "snappy", "gzip", "lz4_raw", "zstd"):

    def _compressed(spark: Any, path: str) -> None:
        create(spark, path, PRIMITIVES)
        run(spark, path, EDGES)

    add_case(f"codec_{_codec}", _compressed, settings={"spark.sql.parquet.compression.codec": _codec})


def _pages(version: str, dictionary: str) -> Any:
    def write(spark: Any, path: str) -> None:
        hadoop = spark.sparkContext._jsc.hadoopConfiguration()
        hadoop.set("parquet.writer.version", version)
        hadoop.set("parquet.enable.dictionary", dictionary)
        try:
            create(spark, path, PRIMITIVES)
            run(spark, path, EDGES)
            run(spark, path, *["INSERT INTO {t} SELECT * FROM {t}"] * 3)
        finally:
            hadoop.unset("parquet.writer.version")
            hadoop.unset("parquet.enable.dictionary")

    return write


for _version in ("PARQUET_1_0", "PARQUET_2_0"):
    for _dictionary in ("true", "false"):
        add_case(f"pages_{_version.lower()}_dictionary_{_dictionary}", _pages(_version, _dictionary))


@table()
def parquet_format_version_of_the_table(spark: Any, path: str) -> None:
    create(spark, path, PRIMITIVES, {"delta.parquet.format.version": "2.12.0"})
    run(spark, path, EDGES)
