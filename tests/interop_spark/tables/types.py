"""Every type, nested and not, with the values at its edges."""

from __future__ import annotations

from typing import Any

from interop_spark.cases import table
from interop_spark.sql import create, run

PRIMITIVES = """b BOOLEAN, i8 TINYINT, i16 SMALLINT, i32 INT, i64 BIGINT, f32 FLOAT, f64 DOUBLE, s STRING, raw BINARY,
    d DATE, ts TIMESTAMP, ntz TIMESTAMP_NTZ, dec5 DECIMAL(5, 2), dec18 DECIMAL(18, 0), dec38 DECIMAL(38, 18)"""
EDGES = """INSERT INTO {t} VALUES
    (true, -128, -32768, -2147483648, -9223372036854775808, float('-inf'), double('-inf'), '', X'',
     DATE'0001-01-01', TIMESTAMP'0001-01-01 00:00:00', TIMESTAMP_NTZ'0001-01-01 00:00:00', -999.99, -999999999999999999,
     -99999999999999999999.999999999999999999),
    (false, 127, 32767, 2147483647, 9223372036854775807, float('nan'), double('nan'), 'Zürich \U0001f30d "q" \\\\ \\n', X'00ff',
     DATE'9999-12-31', TIMESTAMP'9999-12-31 23:59:59.999999', TIMESTAMP_NTZ'9999-12-31 23:59:59.999999', 999.99, 999999999999999999,
     99999999999999999999.999999999999999999),
    (true, 0, 0, 0, 9007199254740993, float('-0.0'), 4.9E-324D, 'x', X'5a',
     DATE'1582-10-15', TIMESTAMP'1969-12-31 23:59:59.999999', TIMESTAMP_NTZ'1969-12-31 23:59:59.999999', 0.01, 1, 0.000000000000000001),
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"""
NESTED = """id INT,
    list ARRAY<BIGINT>, lists ARRAY<ARRAY<STRING>>, struct STRUCT<x: DOUBLE, deep: STRUCT<day: DATE, at: TIMESTAMP>>,
    structs ARRAY<STRUCT<a: INT, b: ARRAY<STRING>>>, map MAP<STRING, BIGINT>, maps MAP<INT, STRUCT<x: DECIMAL(10, 2)>>,
    map_of_lists MAP<STRING, ARRAY<INT>>, list_of_maps ARRAY<MAP<STRING, DOUBLE>>"""
NESTED_ROWS = """INSERT INTO {t} VALUES
    (1, array(1, NULL, 3), array(array('a', NULL), array(), NULL), named_struct('x', double('nan'), 'deep', named_struct('day', DATE'2026-01-01', 'at', TIMESTAMP'2026-01-01 01:02:03.456789')),
     array(named_struct('a', 1, 'b', array('x', 'y')), NULL), map('k', 1, 'l', NULL), map(1, named_struct('x', 1.25), 2, NULL),
     map('k', array(1, 2), 'l', array()), array(map('x', 1.5D), map())),
    (2, array(), array(), named_struct('x', NULL, 'deep', NULL), array(), map(), map(), map(), array()),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"""


@table()
def primitive_types(spark: Any, path: str) -> None:
    create(spark, path, PRIMITIVES)
    run(spark, path, EDGES)


@table()
def nested_types(spark: Any, path: str) -> None:
    create(spark, path, NESTED)
    run(spark, path, NESTED_ROWS)


@table()
def required_columns(spark: Any, path: str) -> None:
    create(
        spark,
        path,
        "id BIGINT NOT NULL, s STRUCT<x: INT NOT NULL, y: STRING> NOT NULL, a ARRAY<INT> NOT NULL",
    )
    run(spark, path, "INSERT INTO {t} VALUES (1, named_struct('x', 1, 'y', NULL), array(1))")


@table()
def char_and_varchar(spark: Any, path: str) -> None:
    create(spark, path, "c CHAR(2), v VARCHAR(10), l ARRAY<VARCHAR(3)>")
    run(spark, path, "INSERT INTO {t} VALUES ('ab', 'cd', array('e', NULL)), (NULL, NULL, NULL)")


@table()
def column_of_nulls(spark: Any, path: str) -> None:
    spark.sql("SELECT id, cast(NULL AS STRING) AS t, NULL AS nothing FROM range(3)").write.format(
        "delta"
    ).save(path)


@table()
def names_that_need_quotes(spark: Any, path: str) -> None:
    names = [
        "order",
        "Größe",
        "UPPER",
        "dash-ed",
        "0digit",
        'quo"te',
        "per%cent",
        "a.b",
        "it's",
        "back``tick",
    ]
    create(spark, path, ", ".join(f"`{name}` INT" for name in names))
    run(spark, path, f"INSERT INTO {{t}} VALUES ({', '.join(str(i) for i in range(len(names)))})")


@table(versions=True)
def schema_evolution(spark: Any, path: str) -> None:
    """Columns added at the end, first, after another and inside a struct; older files lack them."""
    create(spark, path, "id INT, s STRUCT<a: INT>, l ARRAY<STRUCT<a: INT>>, m MAP<STRING, STRUCT<a: INT>>")
    insert = "INSERT INTO {t} VALUES (1, named_struct('a', 1), array(named_struct('a', 1)), map('k', named_struct('a', 1)))"
    run(
        spark,
        path,
        insert,
        "ALTER TABLE {t} ADD COLUMNS (first STRING FIRST, after_id DOUBLE AFTER id, s.b STRING, l.element.b INT, m.value.b DATE)",
        """INSERT INTO {t} VALUES ('f', 2, 2.5, named_struct('a', 2, 'b', 'x'), array(named_struct('a', 2, 'b', 3)),
           map('k', named_struct('a', 2, 'b', DATE'2026-01-01')))""",
    )


@table()
def columns_in_another_case_and_order(spark: Any, path: str) -> None:
    create(spark, path, "Id INT, Name STRING, S STRUCT<Aa: INT, Bb: INT>")
    spark.sql("SELECT 'x' AS NAME, named_struct('BB', 2, 'AA', 1) AS s, 1 AS ID").write.format("delta").mode(
        "append"
    ).save(path)


@table()
def required_column_made_nullable(spark: Any, path: str) -> None:
    create(spark, path, "id BIGINT NOT NULL, x INT")
    run(
        spark,
        path,
        "INSERT INTO {t} VALUES (1, 1)",
        "ALTER TABLE {t} ALTER COLUMN id DROP NOT NULL",
        "INSERT INTO {t} VALUES (NULL, 2)",
    )
