"""Three tables of one row a file, so that whatever may be left out is, and the same rows in DuckDB's own tables."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest

import lakefmt

if TYPE_CHECKING:
    from lakefmt import Table

NAN = float("nan")
DAY = dt.date(2026, 1, 1)


@dataclass
class Twins:
    """The same tables for lakefmt and for DuckDB."""

    tables: dict[str, Table]
    native: duckdb.DuckDBPyConnection

    def check(self, text: str, params: Any = None, *, ordered: bool = False) -> lakefmt.Query:
        """Check that both give the same names, types and rows."""
        query = lakefmt.sql(text, self.tables, params=params)
        mine = query.to_arrow()
        relation = self.native.sql(text, params=params)
        theirs = relation.to_arrow_table()
        assert mine.schema.names == list(relation.columns)
        assert mine.schema.types == theirs.schema.types
        assert query.schema.types == mine.schema.types
        assert query.schema.names == mine.schema.names
        assert rows_of(mine, ordered=ordered) == rows_of(theirs, ordered=ordered)
        return query


def rows_of(table: pa.Table, *, ordered: bool = False) -> list[str]:
    columns = [column.to_pylist() for column in table.columns]
    rows = [repr(row) for row in zip(*columns, strict=True)] if columns else [""] * table.num_rows
    return rows if ordered else sorted(rows)


def trips() -> pa.Table:
    return pa.table(
        {
            "id": pa.array(range(8), pa.int64()),
            "fare": pa.array([1.5, None, NAN, -0.0, 0.0, 9.75, float("inf"), 2.5]),
            "city": pa.array(["Bern", "Basel", None, "Genf", "Zug", "bern", "", "Chur"]),
            "day": pa.array([DAY + dt.timedelta(days=i % 4) if i != 5 else None for i in range(8)]),
            "k": pa.array([1, 2, 3, None, 5, 1, 2, 9], pa.int32()),
            "cost": pa.array([Decimal(i).scaleb(-1) for i in range(8)], pa.decimal128(9, 2)),
            "moment": pa.array(
                [dt.datetime(2026, 1, 1, i, tzinfo=dt.UTC) for i in range(8)], pa.timestamp("us", "UTC")
            ),
            "s": pa.array([{"a": i, "k": "x"} if i % 3 else None for i in range(8)]),
        }
    )


def shops() -> pa.Table:
    return pa.table(
        {
            "k": pa.array([1, 2, 2, 4, None, 9], pa.int32()),
            "name": pa.array(["a", "b", "c", None, "e", "f"]),
            "size": pa.array([10, 20, None, 40, 50, 60], pa.int64()),
        }
    )


def parts() -> pa.Table:
    return pa.table(
        {"day": pa.array([DAY, DAY + dt.timedelta(days=1), None]), "n": pa.array([1, 2, 3], pa.int8())}
    )


@pytest.fixture(scope="session")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Twins:
    native = duckdb.connect()
    native.execute("SET TimeZone = 'UTC'")
    tables = {}
    for name, rows in {"trips": trips(), "shops": shops(), "parts": parts()}.items():
        uri = tmp_path_factory.mktemp("tables") / name
        partition_by = ["day"] if name == "parts" else []
        table = lakefmt.create(uri, rows.schema, partition_by=partition_by)
        for start in range(rows.num_rows):
            table.append(rows.slice(start, 1))
        tables[name] = table
        native.register("rows", rows)
        native.execute(f"CREATE TABLE {name} AS SELECT * FROM rows")
    return Twins(tables, native)
