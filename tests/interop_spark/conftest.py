"""One Spark session for all tests, and the tables that it wrote."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from interop_spark.spark_process import Spark, SparkMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from interop_spark.cases import Case


@dataclass(frozen=True)
class Written:
    """A table that Spark wrote, with what Spark says of it."""

    home: Path
    facts: dict[str, Any]

    @property
    def uri(self) -> str:
        return str(self.home / self.facts["table"])

    def expected(self, of: str = "latest") -> pa.Table:
        """Return Spark's own rows: ``latest``, ``v3``, ``changes``."""
        return pq.read_table(self.home / "expected" / f"{of}.parquet")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spark]:
    """Spark itself."""
    try:
        process = Spark.start(tmp_path_factory.mktemp("spark"))
    except SparkMissingError as missing:
        pytest.skip(str(missing))
    yield process
    process.stop()


@pytest.fixture(scope="session")
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Case], Written]:
    """A function that has a case written once.

    ``LAKEFMT_SPARK_TABLES`` names a folder of tables written earlier (``python -m interop_spark.server FOLDER``), to
    work on lakefmt without waiting for Spark.
    """
    earlier = os.environ.get("LAKEFMT_SPARK_TABLES")
    root = Path(earlier) if earlier else tmp_path_factory.mktemp("tables")
    done: dict[str, Written] = {}

    def write(case: Case) -> Written:
        if case.name not in done:
            facts = root / case.name / "case.json"
            if not earlier:
                request.getfixturevalue("spark").write(case.name, root)
            elif not facts.exists():
                pytest.skip(f"{case.name} is not among the tables in {root}")
            done[case.name] = Written(facts.parent, json.loads(facts.read_text()))
        return done[case.name]

    return write
