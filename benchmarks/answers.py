"""Whether two contenders did the same job: rows and a checksum that ignores their order."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import duckdb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

__all__ = ["Answer", "CloseRows", "answer_of_files", "answer_of_rows", "check_same", "live_files"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a job gave: how many rows, and the sum over the rows of a hash of all their values."""

    rows: int
    checksum: int


class CloseRows:
    """Rows that are equal to others where they are the same in any order, numbers to six digits, dates of any type.

    Engines give decimals, doubles and dates different types, and add doubles in different orders.
    """

    __slots__ = ("_rows",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, rows: pa.Table) -> None:
        columns = [[_plain(value) for value in column.to_pylist()] for column in rows.columns]
        # Numbers last: which digits of them are noise does not decide which rows are compared.
        self._rows = sorted(zip(*columns, strict=True), key=_texts_first)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CloseRows):
            return NotImplemented
        return len(self._rows) == len(other._rows) and all(
            len(left) == len(right) and all(map(_is_close, left, right))
            for left, right in zip(self._rows, other._rows, strict=True)
        )

    def __repr__(self) -> str:
        return f"CloseRows({self._rows[:3]}, {len(self._rows)} rows)"


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


def _plain(value: Any) -> str | float | None:
    if isinstance(value, (int, float, Decimal)):
        return float(value)
    if isinstance(value, dt.date):  # a datetime is one, too
        return value.strftime("%Y-%m-%d")
    return value if value is None else str(value)


def _texts_first(row: tuple[str | float | None, ...]) -> tuple[list[str], list[float]]:
    return [repr(each) for each in row if not isinstance(each, float)], [
        each for each in row if isinstance(each, float)
    ]


def _is_close(left: str | float | None, right: str | float | None) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-6, abs_tol=1e-6)
    return left == right
