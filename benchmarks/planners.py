"""How lakefmt and its peers open a table and say which files a scan must read; each a job for a fresh process."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    import duckdb

__all__ = [
    "connect_duckdb_with_delta",
    "list_files_with_delta_rs",
    "list_files_with_lakefmt",
    "plan_with_delta_rs",
    "plan_with_duckdb",
    "plan_with_lakefmt",
]

_REMOTE_STORES = {f"lakefmt.store.{name}" for name in ("azure", "contract", "gcs", "generic", "s3")}


def plan_with_lakefmt(path: str, where: str) -> Callable[[], int]:
    """Open and plan; the answer is how many files are left."""
    lakefmt = _import_lakefmt()
    return lambda: lakefmt.open(path).scan(where=where).plan.files.num_files


def plan_with_delta_rs(path: str, where: str) -> Callable[[], int]:
    """Open and name the files that delta-rs's own pruning leaves; the answer is how many."""
    from deltalake import DeltaTable

    return lambda: len(DeltaTable(path).file_uris(file_pruning_predicate=where))


def plan_with_duckdb(path: str, where: str) -> Callable[[], int]:
    """Count the rows: DuckDB plans no further than a query needs, EXPLAIN less; the answer is 1, if there are any.

    The files that are left must be there: that they hold little makes this the time of the plan.
    """
    connection = connect_duckdb_with_delta()
    query = f"SELECT count(*) > 0 FROM delta_scan('{path}') WHERE {where}"
    return lambda: int(connection.sql(query).fetchall()[0][0])


def list_files_with_lakefmt(path: str) -> Callable[[], int]:
    """Open and return all live files as an Arrow table; the answer is how many."""
    lakefmt = _import_lakefmt()
    return lambda: lakefmt.open(path).files().num_rows


def list_files_with_delta_rs(path: str) -> Callable[[], int]:
    """Open and return all live files, flat, as an Arrow table; the answer is how many."""
    import pyarrow as pa
    from deltalake import DeltaTable

    _import_what_pyarrow_imports()
    return lambda: pa.table(DeltaTable(path).get_add_actions(flatten=True)).num_rows


def connect_duckdb_with_delta() -> duckdb.DuckDBPyConnection:
    """Return a connection that has the delta extension, which comes as a wheel."""
    import duckdb

    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    for name in ("httpfs", "delta"):
        found = importlib.util.find_spec(f"duckdb_extension_{name}")
        assert found is not None
        assert found.origin is not None
        folder = Path(found.origin).parent / "extensions" / f"v{duckdb.__version__}"
        connection.execute(f"LOAD '{folder / name}.duckdb_extension'")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _import_lakefmt() -> ModuleType:
    """Import lakefmt with all that it, and pyarrow below it, would import in the midst of its first call."""
    import lakefmt

    _import_what_pyarrow_imports()
    for name in ("duckdb", "orjson", "pyarrow.compute", "pyarrow.parquet", "pydantic"):
        importlib.import_module(name)
    for package in (
        "expressions",
        "log",
        "manifest",
        "properties",
        "scan",
        "schema",
        "snapshot",
        "store",
        "table",
    ):
        module = importlib.import_module(f"lakefmt.{package}")
        for found in pkgutil.iter_modules(getattr(module, "__path__", ()), f"lakefmt.{package}."):
            # The clients of object stores are no part of a read from disk.
            if found.name not in _REMOTE_STORES:
                importlib.import_module(found.name)
    return lakefmt


def _import_what_pyarrow_imports() -> None:
    """Import what pyarrow loads, where it is installed, as soon as anything in Python becomes Arrow."""
    for name in ("numpy", "pandas"):
        importlib.import_module(name)
