"""How the cases speak to Spark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def run(spark: Any, path: str, *statements: str) -> None:
    """Run statements in which ``{t}`` is the table at ``path``."""
    for statement in statements:
        spark.sql(statement.replace("{t}", f"delta.`{path}`")).collect()


def create(
    spark: Any, path: str, columns: str, properties: Mapping[str, str] | None = None, more: str = ""
) -> None:
    """Create an empty table of columns in SQL; ``more`` stands before the properties (PARTITIONED BY, ...)."""
    pairs = ", ".join(f"'{name}' = '{value}'" for name, value in (properties or {}).items())
    given = f" TBLPROPERTIES ({pairs})" if pairs else ""
    run(spark, path, f"CREATE TABLE {{t}} ({columns}) USING delta {more}{given}")


def numbers(spark: Any, path: str, start: int, stop: int, *, files: int = 1) -> None:
    """Append rows (id, text, part) of a range of ids."""
    frame = spark.range(start, stop, 1, files).selectExpr(
        "id", "concat('row ', id) AS text", "cast(id % 3 AS int) AS part"
    )
    frame.write.format("delta").mode("append").save(path)


NUMBERS = "id BIGINT, text STRING, part INT"


def log_files(path: str, pattern: str) -> list[Path]:
    """Return files of the table's log, sorted; a case makes sure with it that it made what it is for."""
    return sorted(Path(path, "_delta_log").glob(pattern))
