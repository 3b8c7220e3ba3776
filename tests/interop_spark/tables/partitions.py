"""Partition columns of every type, with nulls, empty texts and values that must be escaped."""

from __future__ import annotations

from typing import Any

from interop_spark.cases import add_case, table
from interop_spark.sql import create, run

VALUES = {
    "boolean": ("BOOLEAN", ["true", "false"]),
    "byte": ("TINYINT", ["-128", "127"]),
    "short": ("SMALLINT", ["-32768", "0"]),
    "integer": ("INT", ["-1", "2147483647"]),
    "long": ("BIGINT", ["-9223372036854775807", "9007199254740993"]),
    "float": ("FLOAT", ["float('1.5')", "float('nan')", "float('-inf')", "float('1e-10')", "float('0.1')"]),
    "double": ("DOUBLE", ["double('nan')", "double('inf')", "1e300D", "0.1D", "double('-0.0')", "1e7D"]),
    "date": ("DATE", ["DATE'0001-01-01'", "DATE'9999-12-31'", "DATE'2024-02-29'"]),
    "timestamp": (
        "TIMESTAMP",
        [
            "TIMESTAMP'1900-01-01 00:00:00'",
            "TIMESTAMP'2026-03-29 02:30:00.123456'",
            "TIMESTAMP'1969-12-31 23:59:59.9'",
        ],
    ),
    "timestamp_ntz": (
        "TIMESTAMP_NTZ",
        ["TIMESTAMP_NTZ'2026-03-29 02:30:00.123456'", "TIMESTAMP_NTZ'0001-01-01 00:00:00'"],
    ),
    "decimal": ("DECIMAL(20, 5)", ["-9.99", "0", "123456789012345.67891", "0.00001"]),
    "binary": ("BINARY", ["X'61'", "X'c3bc'", "X''"]),
}
TEXTS = [
    "plain",
    "with space",
    "a/b",
    "a=b",
    "100%",
    "%20",
    "x#y",
    "[z]",
    "ü",
    "日本",
    "🌍",
    "a+b",
    "a:b",
    "a?b",
    "a&b",
    "a\\\\b",
    "it\\'s",
    'say "x"',
    "a*b",
    "{b}",
    "~",
    "..",
    "a,b;c",
    "tab\\there",
    "line\\nbreak",
    "null",
    "__HIVE_DEFAULT_PARTITION__",
    "NaN",
    "01",
    " ",
]


def _partitioned(kind: str, values: list[str]) -> Any:
    def write(spark: Any, path: str) -> None:
        create(spark, path, f"id INT, p {kind}", more="PARTITIONED BY (p)")
        rows = ", ".join(f"({number}, {value})" for number, value in enumerate([*values, "NULL"]))
        run(spark, path, f"INSERT INTO {{t}} VALUES {rows}")

    return write


for _name, (_kind, _values) in VALUES.items():
    add_case(f"partitioned_by_{_name}", _partitioned(_kind, _values))


@table()
def partitioned_by_texts(spark: Any, path: str) -> None:
    _partitioned("STRING", [f"'{text}'" for text in [*TEXTS, ""]])(spark, path)


@table()
def partitioned_by_local_time_of_another_zone(spark: Any, path: str) -> None:
    """What an old writer wrote: moments without a zone, in the session's."""
    spark.conf.set("spark.databricks.delta.write.utcTimestampPartitionValues", "false")
    _partitioned("TIMESTAMP", ["TIMESTAMP'2026-03-29 02:30:00.5'"])(spark, path)
    spark.conf.unset("spark.databricks.delta.write.utcTimestampPartitionValues")


@table()
def partitioned_by_moments_as_texts_with_zone(spark: Any, path: str) -> None:
    spark.conf.set("spark.databricks.delta.write.utcTimestampPartitionValues", "true")
    _partitioned("TIMESTAMP", ["TIMESTAMP'2026-03-29 02:30:00.5'", "TIMESTAMP'1900-01-01 00:00:00'"])(
        spark, path
    )
    spark.conf.unset("spark.databricks.delta.write.utcTimestampPartitionValues")


@table()
def partitioned_by_several(spark: Any, path: str) -> None:
    create(spark, path, "a STRING, id INT, b INT, c DATE", more="PARTITIONED BY (c, a, b)")
    run(
        spark,
        path,
        "INSERT INTO {t} VALUES ('x', 1, 1, DATE'2026-01-01'), (NULL, 2, NULL, NULL), ('y', 3, 1, DATE'2026-01-02')",
    )


@table()
def partitioned_by_a_name_that_needs_escapes(spark: Any, path: str) -> None:
    create(spark, path, "id INT, `my-column/ü%` STRING", more="PARTITIONED BY (`my-column/ü%`)")
    run(spark, path, "INSERT INTO {t} VALUES (1, 'x'), (2, 'y z'), (3, NULL)")


@table()
def random_file_prefixes(spark: Any, path: str) -> None:
    create(spark, path, "id INT, p STRING", {"delta.randomizeFilePrefixes": "true"}, "PARTITIONED BY (p)")
    run(spark, path, "INSERT INTO {t} VALUES (1, 'x'), (2, 'y z'), (3, NULL)")


@table()
def partition_columns_in_the_files(spark: Any, path: str) -> None:
    create(
        spark,
        path,
        "id INT, p STRING, q INT",
        {"delta.feature.materializePartitionColumns": "supported"},
        "PARTITIONED BY (p)",
    )
    run(spark, path, "INSERT INTO {t} VALUES (1, 'x', 1), (2, 'y z', 2), (3, NULL, 3)")


FOLDERS = ["with space", "100%", "%20", "[x]", "a#b", "a+b", "a=b", "Zürich 日本", "a&b;c", "it's"]


def _in_folder(spark: Any, path: str) -> None:
    frame = spark.createDataFrame([(1, "x"), (2, "y z"), (3, None)], "id INT, p STRING")
    frame.write.format("delta").partitionBy("p").save(path)
    frame.write.format("delta").mode("append").save(path)


for _number, _folder in enumerate(FOLDERS):
    add_case(f"in_folder_{_number}", _in_folder, folder=_folder)
