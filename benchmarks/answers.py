"""Whether two contenders did the same job: rows and a checksum that ignores their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import duckdb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

__all__ = ["Answer", "answer_of_files", "answer_of_rows", "check_same", "live_files"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a job gave: how many rows, and the sum over the rows of a hash of all their values."""

    rows: int
    checksum: int


def answer_of_rows(rows: pa.Table) -> Answer:
    """Return the answer that these rows are."""
    with duckdb.connect() as connection:
        connection.register("arrow_rows", rows)
        return _answer(connection, "arrow_rows", {})


def answer_of_files(files: Sequence[str]) -> Answer:
    """Return the answer that the rows of these Parquet files are."""
    with duckdb.connect() as connection:
        return _answer(connection, "read_parquet($files)", {"files": list(files)})


def check_same(answers: Mapping[str, object]) -> None:
    """Raise AssertionError where two of the answers, by contender, differ."""
    (first, expected), *others = answers.items()
    for name, answer in others:
        if answer != expected:
            raise AssertionError(f"{first} and {name} disagree: {expected!r} against {answer!r}")


def live_files(path: Path) -> list[str]:
    """Return the data files of the table at ``path``, as delta-rs finds them; of a folder without a log, all Parquet files."""
    from deltalake import DeltaTable

    if not (path / "_delta_log").exists():
        return sorted(map(str, path.glob("*.parquet")))
    return sorted(unquote(uri.removeprefix("file://")) for uri in DeltaTable(str(path)).file_uris())


def _answer(connection: duckdb.DuckDBPyConnection, source: str, parameters: dict[str, Any]) -> Answer:
    connection.execute("SET TimeZone = 'UTC'")
    query = f"SELECT count(*), coalesce(sum(hash(*COLUMNS(*))), 0) FROM {source}"
    found = connection.execute(query, parameters).fetchone()
    assert found is not None
    return Answer(*found)
