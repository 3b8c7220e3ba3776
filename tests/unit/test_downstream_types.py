"""A user's program is checked against the package as installed: mypy --strict finds types, and finds mistakes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

import lakefmt

PACKAGE = Path(lakefmt.__file__).parent

GOOD = """
    from collections.abc import Iterator
    from datetime import datetime

    import lakefmt
    import pyarrow as pa
    from lakefmt import Schema, Table, col, lit


    def make(uri: str, schema: pa.Schema) -> Table:
        t = lakefmt.create(uri, schema, partition_by=["day"], properties={"delta.appendOnly": True})
        result = t.append({"day": [1]})
        print(result.version + 1, result.num_rows, result.committed)
        t.overwrite([{"day": 1}], where="day = 1")
        t.overwrite([], where=col("day") == 1, params=None)
        return lakefmt.write(uri, {"day": [2]}, mode="append")


    def read(t: Table, since: datetime) -> pa.Table:
        schema: Schema = t.schema
        names: list[str] = schema.names
        batches: Iterator[pa.RecordBatch] = t.scan(names, where=col("day") > lit(3)).to_batches()
        for batch in batches:
            print(batch.num_rows)
        for entry in t.history(limit=3):
            print(entry.version, entry.operation)
        total: int = t.count("day > ?", params=[1]) + t.at(version=1).version + t.at(timestamp=since).version
        frame = t.scan(where="day > 1", limit=5).to_pandas()
        lazy = t.to_polars()
        print(total, frame.shape, lazy.collect().height, t.head(3).num_rows, t.files().num_rows)
        return t.scan(columns=["day"]).to_arrow()


    def careful(uri: str) -> Table | None:
        try:
            return lakefmt.open(uri, timestamp="2026-11-01", storage_options={"anon": True})
        except lakefmt.TableNotFoundError as error:
            print(error.table, error.hint)
        except lakefmt.CommitConflictError as error:
            print(error.kind, error.retry_helps)
        return None
"""

BAD = """
    import lakefmt

    t = lakefmt.open("x", version="1")
    t.append()
    t.scan(colums=["a"])
    lakefmt.write("x", [], mode="upsert")
    n: str = t.count()
"""


def check(tmp_path: Path, source: str) -> subprocess.CompletedProcess[str]:
    """Run mypy on a program of a user's, outside of this project and its configuration."""
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(source))
    cache = Path(__file__).parents[2] / ".mypy_cache" / "downstream"
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={cache}", str(program)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )


def test_a_users_program_passes_strict_type_checks(tmp_path):
    done = check(tmp_path, GOOD)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mistakes_of_a_user_are_found(tmp_path):
    done = check(tmp_path, BAD)
    lines = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line}
    assert lines == {4, 5, 6, 7, 8}, done.stdout


def test_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").is_file()


@pytest.mark.skipif(
    find_spec("hatchling") is None, reason="hatchling, which builds the wheel, is not installed"
)
def test_wheel_contains_the_package_and_its_marker(tmp_path):
    root = PACKAGE.parent
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=root,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {str(path.relative_to(root)) for path in PACKAGE.rglob("*.py")} | {"lakefmt/py.typed"}
    assert expected <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
