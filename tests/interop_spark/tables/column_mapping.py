"""Column mapping by name and by id: renames, drops, names that need quotes, nested fields, partition columns."""

from __future__ import annotations

from typing import Any

from interop_spark.cases import add_case, table
from interop_spark.sql import create, run

NAME = {"delta.columnMapping.mode": "name"}
ID = {"delta.columnMapping.mode": "id"}
NESTED = "id INT, s STRUCT<a: INT, deep: STRUCT<x: INT, y: STRING>>, l ARRAY<STRUCT<a: INT, b: STRING>>, m MAP<STRING, STRUCT<v: INT>>, p STRING"
ROW = "({0}, named_struct('a', {0}, 'deep', named_struct('x', {0}, 'y', 'y{0}')), array(named_struct('a', {0}, 'b', 'b')), map('k', named_struct('v', {0})), 'p {0}')"


def _nested(properties: dict[str, str]) -> Any:
    def write(spark: Any, path: str) -> None:
        create(spark, path, NESTED, properties | {"delta.checkpointInterval": "4"}, "PARTITIONED BY (p)")
        run(
            spark,
            path,
            f"INSERT INTO {{t}} VALUES {ROW.format(1)}",
            "ALTER TABLE {t} RENAME COLUMN s.deep.x TO z",
            "ALTER TABLE {t} RENAME COLUMN l.element.a TO c",
            "ALTER TABLE {t} RENAME COLUMN m.value.v TO w",
            "ALTER TABLE {t} RENAME COLUMN p TO `part of it`",
            f"INSERT INTO {{t}} VALUES {ROW.format(2)}",
            "ALTER TABLE {t} DROP COLUMN s.a",
            "ALTER TABLE {t} ADD COLUMNS (s.a STRING)",
            "ALTER TABLE {t} RENAME COLUMN s TO `a, b;=`",
            "DELETE FROM {t} WHERE id = 5",
        )

    return write


for _name, _properties in (("name", NAME), ("id", ID)):
    add_case(f"mapped_by_{_name}_nested", _nested(_properties), versions=True)


def _swapped(properties: dict[str, str]) -> Any:
    def write(spark: Any, path: str) -> None:
        create(spark, path, "a INT, b INT, c STRING", properties)
        run(
            spark,
            path,
            "INSERT INTO {t} VALUES (1, 10, 'x')",
            "ALTER TABLE {t} RENAME COLUMN a TO tmp",
            "ALTER TABLE {t} RENAME COLUMN b TO a",
            "ALTER TABLE {t} RENAME COLUMN tmp TO b",
            "INSERT INTO {t} VALUES (2, 20, 'y')",
            "ALTER TABLE {t} DROP COLUMN c",
            "ALTER TABLE {t} ADD COLUMN c INT",
            "INSERT INTO {t} (b, a, c) VALUES (3, 30, 300)",
        )

    return write


for _name, _properties in (("name", NAME), ("id", ID)):
    add_case(f"mapped_by_{_name}_names_swapped_and_reused", _swapped(_properties), versions=True)


@table(versions=True)
def mapping_switched_on_later(spark: Any, path: str) -> None:
    create(spark, path, "id INT, s STRUCT<a: INT>, p STRING", more="PARTITIONED BY (p)")
    run(
        spark,
        path,
        "INSERT INTO {t} VALUES (1, named_struct('a', 1), 'x')",
        "ALTER TABLE {t} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
        "INSERT INTO {t} VALUES (2, named_struct('a', 2), 'y')",
        "ALTER TABLE {t} RENAME COLUMN id TO key",
        "ALTER TABLE {t} RENAME COLUMN s.a TO b",
        "ALTER TABLE {t} RENAME COLUMN p TO q",
        "INSERT INTO {t} VALUES (3, named_struct('b', 3), 'z')",
    )


@table(versions=True)
def mapping_dropped_again(spark: Any, path: str) -> None:
    create(spark, path, "id INT, t STRING", NAME)
    run(
        spark,
        path,
        "INSERT INTO {t} VALUES (1, 'x')",
        "ALTER TABLE {t} RENAME COLUMN t TO text",
        "ALTER TABLE {t} DROP FEATURE columnMapping",
        "INSERT INTO {t} VALUES (2, 'y')",
    )


@table()
def mapped_names_of_any_character(spark: Any, path: str) -> None:
    names = ["a b", "c,d", "e;f", "g{h}", "i(j)", "k=l", "tab\\there", "Ünï", "日本", "m.n"]
    create(spark, path, ", ".join(f"`{name}` INT" for name in names), NAME, "PARTITIONED BY (`a b`, `k=l`)")
    run(spark, path, f"INSERT INTO {{t}} VALUES ({', '.join(str(i) for i in range(len(names)))})")


@table()
def mapped_names_that_differ_in_case_over_time(spark: Any, path: str) -> None:
    create(spark, path, "Name STRING, id INT", NAME)
    run(
        spark,
        path,
        "INSERT INTO {t} VALUES ('x', 1)",
        "ALTER TABLE {t} RENAME COLUMN Name TO other",
        "ALTER TABLE {t} RENAME COLUMN other TO NAME",
        "INSERT INTO {t} VALUES ('y', 2)",
    )


for _version in ("V1", "V2"):

    def _iceberg(spark: Any, path: str, version: str = _version) -> None:
        mapping = NAME | {f"delta.enableIceberg{'Compat' + version}": "true"}
        columns = (
            "id INT, at TIMESTAMP, p STRING"
            if version == "V1"
            else "id INT, at TIMESTAMP, p STRING, l ARRAY<STRUCT<a: INT>>, m MAP<STRING, INT>"
        )
        create(spark, path, columns, mapping | {"delta.enableDeletionVectors": "false"}, "PARTITIONED BY (p)")
        more = "" if version == "V1" else ", array(named_struct('a', 1)), map('k', 1)"
        run(
            spark,
            path,
            f"INSERT INTO {{t}} VALUES (1, TIMESTAMP'2026-01-01 00:00:00', 'x'{more}), (2, NULL, NULL{more})",
        )

    add_case(f"iceberg_compat_{_version.lower()}", _iceberg)


@table()
def iceberg_compat_v3(spark: Any, path: str) -> None:
    properties = ID | {"delta.enableIcebergCompatV3": "true", "delta.enableRowTracking": "true"}
    create(
        spark,
        path,
        "id INT, p STRING, l ARRAY<STRUCT<a: INT>>, m MAP<STRING, INT>",
        properties,
        "PARTITIONED BY (p)",
    )
    run(
        spark,
        path,
        "INSERT INTO {t} VALUES (1, 'x', array(named_struct('a', 1)), map('k', 1)), (2, NULL, NULL, NULL)",
    )
