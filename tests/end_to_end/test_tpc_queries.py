"""The 22 queries of TPC-H and the 99 of TPC-DS over lakefmt tables, as DuckDB answers them from tables of its own."""

from __future__ import annotations

import importlib.util
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

import lakefmt

if TYPE_CHECKING:
    import pyarrow as pa

SCALE = float(os.environ.get("LAKEFMT_TPC_SCALE", "0.01"))
# Tables in several files, or partitioned, so that conditions leave files out and one name stands for many files.
PARTS = {"lineitem": 4, "orders": 3, "store_sales": 4, "web_sales": 3, "catalog_sales": 3, "date_dim": 5}
PARTITIONED = {"nation": ["n_regionkey"], "supplier": ["s_nationkey"], "store": ["s_state"]}
ANSWERS = {"tpch": 20, "tpcds": 70}  # at this scale at least so many have rows
ORDERED = {"tpch": 15, "tpcds": 45}  # and so many have rows in an order that columns of the answer decide


def load_extension(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    found = importlib.util.find_spec(f"duckdb_extension_{name}")
    if found is None or found.origin is None:
        pytest.skip(f"there is no wheel with the {name} extension")
    file = Path(found.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not file.exists():
        pytest.skip(f"there is no wheel with the {name} extension for DuckDB {duckdb.__version__}")
    connection.execute(f"LOAD '{file}'")


@dataclass(frozen=True, slots=True)
class Checked:
    """What there was to check of one answer: its rows, and whether their order was."""

    rows: int
    ordered: bool


class Suite:
    """The data in DuckDB's own tables and in lakefmt's."""

    def __init__(self, name: str, folder: Path) -> None:
        self.native = duckdb.connect(config={"allow_unsigned_extensions": "true"})
        load_extension(self.native, name)
        self.native.execute("SET TimeZone = 'UTC'")
        self.native.execute(f"CALL {'dbgen' if name == 'tpch' else 'dsdgen'}(sf = {SCALE})")
        self.queries: dict[int, str] = dict(
            self.native.sql(f"SELECT query_nr, query FROM {name}_queries()").fetchall()
        )
        self.tables = {}
        for (table,) in self.native.sql("SELECT table_name FROM duckdb_tables()").fetchall():
            rows = self.native.sql(f"FROM {table}").to_arrow_table()
            made = lakefmt.create(
                folder / table,
                rows.schema,
                partition_by=PARTITIONED.get(table, []),
                storage_options={"fsync": False},
            )
            size = -(-max(rows.num_rows, 1) // PARTS.get(table, 1))
            for start in range(0, max(rows.num_rows, 1), size):
                made.append(rows.slice(start, size))
            self.tables[table] = made

    def check(self, number: int) -> Checked:
        """Check one query."""
        text = self.queries[number]
        mine = lakefmt.sql(text, self.tables).to_arrow()
        relation = self.native.sql(text)
        theirs = relation.to_arrow_table()
        assert mine.column_names == list(relation.columns)
        assert mine.schema.types == theirs.schema.types
        assert_same(mine, theirs)
        keys = leading_order(text, mine.column_names)
        for left, right in zip(rows_of(mine.select(keys)), rows_of(theirs.select(keys)), strict=True):
            assert all(map(is_same, left, right)), (keys, left, right)
        return Checked(mine.num_rows, bool(keys) and mine.num_rows > 1)


@pytest.fixture(scope="module")
def tpch(tmp_path_factory):
    return Suite("tpch", tmp_path_factory.mktemp("tpch"))


@pytest.fixture(scope="module")
def tpcds(tmp_path_factory):
    return Suite("tpcds", tmp_path_factory.mktemp("tpcds"))


def test_tpch_queries_answer_as_duckdb_does(tpch):
    assert len(tpch.queries) == 22
    assert_enough("tpch", [tpch.check(number) for number in tpch.queries])


def test_tpcds_queries_answer_as_duckdb_does(tpcds):
    assert len(tpcds.queries) == 99
    assert_enough("tpcds", [tpcds.check(number) for number in tpcds.queries])


def assert_enough(suite: str, checked: list[Checked]) -> None:
    """Check that answers had something to compare."""
    assert sum(each.rows > 0 for each in checked) >= ANSWERS[suite]
    assert sum(each.ordered for each in checked) >= ORDERED[suite]


def leading_order(text: str, columns: list[str]) -> list[str]:
    """Return the columns that the text's outermost ORDER BY names first, up to one that is not in the answer.

    Rows that are equal in these may come in any order.
    """
    found = duckdb.execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchone()
    assert found is not None
    modifiers = json.loads(found[0])["statements"][0]["node"]["modifiers"]
    orders = [order for each in modifiers if each["type"] == "ORDER_MODIFIER" for order in each["orders"]]
    keys = []
    for expression in (order["expression"] for order in orders):
        match expression["class"]:
            case "CONSTANT":
                keys.append(columns[expression["value"]["value"] - 1])
            case "COLUMN_REF" if columns.count(expression["column_names"][-1]) == 1:
                keys.append(expression["column_names"][-1])
            case _:
                break
    return keys


def assert_same(mine: pa.Table, theirs: pa.Table) -> None:
    """Check that two results hold the same rows in any order; floats to nine digits."""
    found, expected = (sorted(rows_of(each), key=sort_key) for each in (mine, theirs))
    assert len(found) == len(expected)
    for left, right in zip(found, expected, strict=True):
        assert all(map(is_same, left, right)), (left, right)


def rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def sort_key(row: tuple[Any, ...]) -> list[str]:
    return [f"{value:.6e}" if isinstance(value, float) else repr(value) for value in row]


def is_same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-9) or (math.isnan(left) and math.isnan(right))
    return bool(left == right)
