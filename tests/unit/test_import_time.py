"""Importing lakefmt costs little: what is heavy is loaded when it is first used. Structure, not seconds."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = [
    "adlfs",
    "aiobotocore",
    "botocore",
    "deltalake",
    "duckdb",
    "gcsfs",
    "numpy",
    "pandas",
    "polars",
    "pyarrow.acero",
    "pyarrow.compute",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "pydantic",
    "rich",
    "s3fs",
    "sqlglot",
    "typer",
]


def modules_after(code: str) -> set[str]:
    """Return the modules a fresh interpreter has loaded after running ``code``, without those of pyarrow itself."""
    script = (
        "import sys, json, pyarrow; before = set(sys.modules)\n"
        f"{code}\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_importing_lakefmt_loads_nothing_heavy():
    assert modules_after("import lakefmt").isdisjoint(HEAVY)


def test_public_names_load_none_of_the_readers_and_writers():
    loaded = modules_after("import lakefmt\nfor name in lakefmt.__all__: getattr(lakefmt, name)")
    assert loaded.isdisjoint(HEAVY)


def test_local_append_and_read_load_no_other_engine(tmp_path):
    code = (
        "import lakefmt, pyarrow as pa\n"
        f"t = lakefmt.write({str(tmp_path / 'table')!r}, pa.table({{'x': [1]}}))\n"
        "assert t.to_arrow().num_rows == 1 and t.count() == 1"
    )
    loaded = modules_after(code)
    # pandas is loaded by pyarrow where it is installed, as soon as Python values become an array.
    assert loaded.isdisjoint({"polars", "duckdb", "s3fs", "gcsfs", "adlfs", "deltalake", "rich", "typer"})


def test_small_query_in_a_fresh_process_does_without_pandas(tmp_path):
    place = str(tmp_path / "table")
    modules_after(
        "import lakefmt, pyarrow as pa\n"
        f"t = lakefmt.create({place!r}, pa.schema([('x', pa.int64()), ('day', pa.date32())]), partition_by=['day'])\n"
        "import datetime\n"
        "for n in range(12):\n"  # a checkpoint, and commits after it
        "    t.append(pa.table({'x': [n], 'day': [datetime.date(2026, 1, 1 + n)]}))\n"
        "t.close()"
    )
    code = (
        "import lakefmt\n"
        f"t = lakefmt.open({place!r})\n"
        "text = \"SELECT sum(x) AS total FROM t WHERE x < 7 AND day > DATE '2026-01-02'\"\n"
        "assert lakefmt.sql(text, {'t': t}).to_arrow().to_pylist() == [{'total': 2 + 3 + 4 + 5 + 6}]"
    )
    loaded = modules_after(code)
    # pyarrow imports it, where it is installed, to ask whether Python values are its own; so does DuckDB for parameters.
    assert loaded.isdisjoint({"pandas", "polars", "pyarrow.dataset", "s3fs", "pydantic", "rich"})


@pytest.mark.parametrize("module", ["lakefmt.cli"])
def test_command_starts_without_data_libraries(module):
    assert modules_after(f"import {module}").isdisjoint(
        {"duckdb", "pandas", "polars", "s3fs", "gcsfs", "adlfs"}
    )


def test_small_query_in_a_fresh_process_leaves_the_write_side_alone(tmp_path):
    place = str(tmp_path / "table")
    modules_after(f"import lakefmt, pyarrow as pa\nlakefmt.write({place!r}, pa.table({{'x': [1]}}))")
    code = f"import lakefmt\nlakefmt.sql('SELECT sum(x) FROM t', {{'t': lakefmt.open({place!r})}}).to_arrow()"
    loaded = {name for name in modules_after(code) if name.startswith("lakefmt.")}
    not_needed = (
        "txn",
        "upkeep",
        "variant",
        "display",
        "background",
        "engine.write",
        "query.explanation",
        "scan.scan",
    )
    assert not [name for name in loaded if name.removeprefix("lakefmt.").startswith(not_needed)]


def test_opening_a_table_loads_no_duckdb(tmp_path):
    place = str(tmp_path / "table")
    modules_after(
        "import lakefmt, pyarrow as pa\n"
        f"t = lakefmt.write({place!r}, pa.table({{'x': [1]}}))\n"
        "t.append(pa.table({'x': [2]}))\n"
        "t.checkpoint()"
    )
    assert modules_after(f"import lakefmt\nlakefmt.open({place!r})").isdisjoint({"duckdb", "pandas"})


@pytest.mark.parametrize(
    "package", ["", "engine", "expressions", "log", "query", "scan", "schema", "txn", "upkeep", "variant"]
)
def test_every_name_of_a_lazy_package_is_there_and_no_module_takes_its_place(package):
    code = (
        "import importlib, pkgutil, types\n"
        f"package = importlib.import_module({'lakefmt.' + package if package else 'lakefmt'!r})\n"
        "assert sorted(package._HOMES) == sorted(package.__all__)\n"
        "assert not set(package.__all__) & {module.name for module in pkgutil.iter_modules(package.__path__)}\n"
        "assert not [n for n in package.__all__ if isinstance(getattr(package, n), types.ModuleType)]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
