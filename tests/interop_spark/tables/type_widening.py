"""Type widening: every change the protocol knows, nested, in partitions, with mapping, with vectors, typed statistics."""

from __future__ import annotations

from typing import Any

from interop_spark.cases import add_case, table
from interop_spark.sql import create, run

WIDENING = {"delta.enableTypeWidening": "true"}
LOCAL_TIMES = {"delta.feature.timestampNtz": "supported"}
CHANGES = {
    "byte_to_short_to_int_to_long": (
        "TINYINT",
        "-128",
        [("SMALLINT", "-32768"), ("INT", "2147483647"), ("BIGINT", "9007199254740993")],
    ),
    "byte_to_long": ("TINYINT", "7", [("BIGINT", "-9007199254740993")]),
    "byte_to_double": ("TINYINT", "-1", [("DOUBLE", "0.5D")]),
    "short_to_double": ("SMALLINT", "-300", [("DOUBLE", "0.5D")]),
    "int_to_double": ("INT", "2147483647", [("DOUBLE", "0.5D")]),
    "float_to_double": ("FLOAT", "float('0.1')", [("DOUBLE", "0.1D")]),
    "float_nan_to_double": ("FLOAT", "float('nan')", [("DOUBLE", "double('-inf')")]),
    "decimal_precision": (
        "DECIMAL(5, 2)",
        "-999.99",
        [("DECIMAL(12, 2)", "9999999999.99"), ("DECIMAL(30, 2)", "0.01")],
    ),
    "decimal_precision_and_scale": (
        "DECIMAL(5, 2)",
        "-999.99",
        [("DECIMAL(12, 6)", "0.000001"), ("DECIMAL(38, 20)", "0.00000000000000000001")],
    ),
    "byte_to_decimal": ("TINYINT", "-128", [("DECIMAL(12, 2)", "0.01")]),
    "short_to_decimal": ("SMALLINT", "-32768", [("DECIMAL(10, 0)", "9999999999")]),
    "int_to_decimal": ("INT", "-2147483648", [("DECIMAL(20, 10)", "0.0000000001")]),
    "long_to_decimal": ("BIGINT", "-9223372036854775808", [("DECIMAL(25, 5)", "0.00001")]),
    "date_to_timestamp_ntz": (
        "DATE",
        "DATE'1900-01-01'",
        [("TIMESTAMP_NTZ", "TIMESTAMP_NTZ'2026-03-29 02:30:00.123456'")],
    ),
}


def _widened(start: str, first: str, steps: list[tuple[str, str]], **properties: str) -> Any:
    def write(spark: Any, path: str) -> None:
        create(spark, path, f"id INT, x {start}", WIDENING | LOCAL_TIMES | properties)
        run(spark, path, f"INSERT INTO {{t}} VALUES (0, {first}), (1, NULL)")
        for number, (kind, value) in enumerate(steps):
            run(
                spark,
                path,
                f"ALTER TABLE {{t}} ALTER COLUMN x TYPE {kind}",
                f"INSERT INTO {{t}} VALUES ({number + 2}, {value})",
            )

    return write


def _partitioned(start: str, first: str, steps: list[tuple[str, str]]) -> Any:
    def write(spark: Any, path: str) -> None:
        create(
            spark,
            path,
            f"id INT, x {start}",
            WIDENING | LOCAL_TIMES | {"delta.checkpointInterval": "2"},
            "PARTITIONED BY (x)",
        )
        run(spark, path, f"INSERT INTO {{t}} VALUES (0, {first}), (1, NULL)")
        for number, (kind, value) in enumerate(steps):
            run(
                spark,
                path,
                f"ALTER TABLE {{t}} ALTER COLUMN x TYPE {kind}",
                f"INSERT INTO {{t}} VALUES ({number + 2}, {value})",
            )

    return write


for _name, (_start, _first, _steps) in CHANGES.items():
    add_case(f"widened_{_name}", _widened(_start, _first, _steps))
for _name in (
    "byte_to_short_to_int_to_long",
    "int_to_double",
    "decimal_precision_and_scale",
    "date_to_timestamp_ntz",
):
    add_case(f"widened_partition_{_name}", _partitioned(*CHANGES[_name]))


@table(versions=True)
def widened_with_typed_statistics_in_checkpoints(spark: Any, path: str) -> None:
    """A checkpoint's typed statistics have the newest type, the files an older one."""
    start, first, steps = CHANGES["byte_to_short_to_int_to_long"]
    struct = {"delta.checkpoint.writeStatsAsStruct": "true", "delta.checkpoint.writeStatsAsJson": "false"}
    _widened(start, first, steps, **{"delta.checkpointInterval": "2"}, **struct)(spark, path)


@table(versions=True)
def widened_inside_structs_lists_and_maps(spark: Any, path: str) -> None:
    create(
        spark,
        path,
        "id INT, s STRUCT<a: TINYINT, d: STRUCT<b: FLOAT>>, l ARRAY<SMALLINT>, m MAP<INT, DECIMAL(5, 2)>, ls ARRAY<STRUCT<c: DATE>>",
        WIDENING | LOCAL_TIMES,
    )
    run(
        spark,
        path,
        """INSERT INTO {t} VALUES (1, named_struct('a', 1, 'd', named_struct('b', float('0.1'))), array(1, NULL), map(1, 1.25, 2, NULL),
           array(named_struct('c', DATE'2026-01-01')))""",
        "ALTER TABLE {t} ALTER COLUMN s.a TYPE INT",
        "ALTER TABLE {t} ALTER COLUMN s.d.b TYPE DOUBLE",
        "ALTER TABLE {t} ALTER COLUMN l.element TYPE BIGINT",
        "ALTER TABLE {t} ALTER COLUMN m.key TYPE BIGINT",
        "ALTER TABLE {t} ALTER COLUMN m.value TYPE DECIMAL(10, 4)",
        "ALTER TABLE {t} ALTER COLUMN ls.element.c TYPE TIMESTAMP_NTZ",
        """INSERT INTO {t} VALUES (2, named_struct('a', 100000, 'd', named_struct('b', 0.1D)), array(9007199254740993), map(9007199254740993, 0.0001),
           array(named_struct('c', TIMESTAMP_NTZ'2026-01-01 00:00:00.000001')))""",
    )


@table(versions=True)
def widened_mapped_renamed_and_deleted_by_vectors(spark: Any, path: str) -> None:
    properties = WIDENING | {
        "delta.columnMapping.mode": "name",
        "delta.enableDeletionVectors": "true",
        "delta.checkpointInterval": "3",
    }
    create(spark, path, "id INT, x SMALLINT", properties)
    run(
        spark,
        path,
        "INSERT INTO {t} SELECT id, id FROM range(20)",
        "ALTER TABLE {t} RENAME COLUMN x TO y",
        "ALTER TABLE {t} ALTER COLUMN y TYPE BIGINT",
        "DELETE FROM {t} WHERE y % 4 = 1",
        "INSERT INTO {t} VALUES (100, 5000000000)",
        "DELETE FROM {t} WHERE y = 2",
    )


@table(versions=True)
def widened_by_schema_evolution_and_merge(spark: Any, path: str) -> None:
    create(spark, path, "id INT, x SMALLINT", WIDENING)
    run(spark, path, "INSERT INTO {t} VALUES (1, 1), (2, 2)")
    spark.sql("SELECT 3 AS id, 100000 AS x").write.format("delta").option("mergeSchema", "true").mode(
        "append"
    ).save(path)


@table(versions=True)
def widening_dropped_again(spark: Any, path: str) -> None:
    start, first, steps = CHANGES["byte_to_short_to_int_to_long"]
    _widened(start, first, steps)(spark, path)
    run(spark, path, "ALTER TABLE {t} DROP FEATURE typeWidening")


@table()
def widened_preview(spark: Any, path: str) -> None:
    create(
        spark,
        path,
        "id INT, x SMALLINT",
        {"delta.feature.typeWidening-preview": "supported", "delta.enableTypeWidening": "true"},
    )
    run(
        spark,
        path,
        "INSERT INTO {t} VALUES (1, 1)",
        "ALTER TABLE {t} ALTER COLUMN x TYPE INT",
        "INSERT INTO {t} VALUES (2, 70000)",
    )
