"""Variants, plain and shredded, at the top and nested."""

from __future__ import annotations

from typing import Any

from interop_spark.cases import table
from interop_spark.sql import create, run

TEXTS = [
    '{"a": 1, "b": "text", "c": [1, 2.5, null, true], "d": {"e": "deep"}}',
    '{"a": "another type", "b": 7}',
    "[]",
    "{}",
    "null",
    "true",
    "12345678901234567890",
    "0.1",
    "1e100",
    '"Zürich \U0001f30d"',
    '"' + "long " * 40 + '"',
]


def _insert(path: str) -> str:
    rows = ", ".join(f"({number}, parse_json('{text}'))" for number, text in enumerate(TEXTS))
    return f"INSERT INTO {{t}} VALUES {rows}, (100, NULL)"


@table()
def variant_column(spark: Any, path: str) -> None:
    create(spark, path, "id INT, v VARIANT")
    run(spark, path, _insert(path))


@table()
def variant_of_every_scalar(spark: Any, path: str) -> None:
    create(spark, path, "id INT, v VARIANT")
    scalars = [
        "1Y",
        "300S",
        "70000",
        "5000000000L",
        "1.5D",
        "float('1.5')",
        "1.25",
        "DATE'2026-01-01'",
        "TIMESTAMP'2026-01-01 01:02:03.4'",
        "TIMESTAMP_NTZ'2026-01-01 01:02:03.4'",
        "X'00ff'",
        "'text'",
        "false",
        "cast(1.5 AS DECIMAL(38, 10))",
    ]
    for number, scalar in enumerate(scalars):
        run(
            spark, path, f"INSERT INTO {{t}} SELECT {number}, cast({scalar} AS VARIANT)"
        ) if number == 0 else None
    union = " UNION ALL ".join(
        f"SELECT {number}, cast({scalar} AS VARIANT)" for number, scalar in enumerate(scalars) if number
    )
    run(spark, path, f"INSERT INTO {{t}} {union}")


@table(
    settings={
        "spark.sql.variant.allowReadingShredded": "true",
        "spark.sql.variant.writeShredding.enabled": "true",
        "spark.sql.variant.inferShreddingSchema": "true",
    }
)
def variant_shredded(spark: Any, path: str) -> None:
    create(spark, path, "id INT, v VARIANT", {"delta.enableVariantShredding": "true"})
    spark.range(60).selectExpr(
        "cast(id AS int) AS id",
        """parse_json(CASE WHEN id % 7 = 6 THEN '"no object"' ELSE concat('{"a": ', id, ', "b": "t', id, '", "c": {"d": ', id, '.5, "e": [', id, ']}',
           if(id % 5 = 0, ', "rare": true', ''), '}') END) AS v""",
    ).coalesce(1).write.format("delta").mode("append").save(path)


@table(
    settings={
        "spark.sql.variant.writeShredding.enabled": "true",
        "spark.sql.variant.forceShreddingSchemaForTest": "a INT, b STRING, c ARRAY<STRUCT<x: INT>>, d DECIMAL(10, 2)",
    }
)
def variant_shredded_by_force(spark: Any, path: str) -> None:
    create(spark, path, "id INT, v VARIANT", {"delta.enableVariantShredding": "true"})
    run(spark, path, _insert(path))
    run(
        spark,
        path,
        """INSERT INTO {t} SELECT 200, parse_json('{"a": 1, "b": "x", "c": [{"x": 1}, {"y": 2}, 3], "d": 1.25, "z": null}')""",
    )


@table()
def variant_with_vectors_and_mapping(spark: Any, path: str) -> None:
    create(
        spark,
        path,
        "id INT, v VARIANT",
        {"delta.columnMapping.mode": "name", "delta.enableDeletionVectors": "true"},
    )
    run(
        spark, path, _insert(path), "ALTER TABLE {t} RENAME COLUMN v TO w", "DELETE FROM {t} WHERE id % 3 = 1"
    )


@table()
def variant_nested(spark: Any, path: str) -> None:
    create(spark, path, "id INT, s STRUCT<v: VARIANT>, l ARRAY<VARIANT>, m MAP<STRING, VARIANT>")
    run(
        spark,
        path,
        """INSERT INTO {t} VALUES (1, named_struct('v', parse_json('{"a": 1}')), array(parse_json('1'), NULL), map('k', parse_json('[1]'))),
        (2, NULL, NULL, NULL)""",
    )
