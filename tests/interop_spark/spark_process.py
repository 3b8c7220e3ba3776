"""Spark in a process of its own, behind a line of JSON each way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-spark" / "bin" / "python"


class SparkError(Exception):
    """What Spark answered when it could not."""


class SparkMissingError(Exception):
    """Why there is no Spark here."""


@dataclass
class Spark:
    """A running session."""

    process: subprocess.Popen[str]
    scratch: Path

    @classmethod
    def start(cls, scratch: Path) -> Spark:
        """Start Spark, or raise SparkMissingError with what is missing."""
        if not PYTHON.exists():
            raise SparkMissingError("there is no .venv-spark: `make interop-spark` makes it")
        if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
            raise SparkMissingError("there is no Java: Spark 4 needs version 17 or newer")
        scratch.mkdir(parents=True, exist_ok=True)
        log = scratch / "spark.log"
        environment = os.environ | {"PYTHONPATH": str(ROOT / "tests"), "SPARK_SCRATCH": str(scratch)}
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [PYTHON, "-m", "interop_spark.server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env=environment,
            )
        spark = cls(process, scratch)
        if not spark._is_ready():
            said = log.read_text()
            if "UNRESOLVED DEPENDENCIES" in said:
                raise SparkMissingError("the jars of Delta for Spark cannot be had from Maven Central")
            raise SparkError(f"Spark did not start:\n{said[-4000:]}")
        return spark

    def write(self, case: str, root: Path) -> Path:
        """Have a case written below ``root``; return its folder."""
        self._ask(do="write", case=case, root=str(root))
        return root / case

    def read(self, path: str | Path, where: str | None = None) -> pa.Table:
        """Return a table's rows as Spark reads them."""
        return self._rows(do="read", path=str(path), where=where)

    def row_ids(self, path: str | Path) -> pa.Table:
        """Return a table's rows with their row ids and commit versions, named as lakefmt names them."""
        return self._rows(do="row ids", path=str(path))

    def changes(self, path: str | Path, start: int = 0) -> pa.Table:
        """Return a table's change feed as Spark reads it, without the times of commit."""
        return self._rows(do="changes", path=str(path), start=start)

    def sql(self, text: str, path: str | Path) -> None:
        """Run a statement in which ``{t}`` is the table at a path."""
        self._ask(do="sql", text=text.replace("{t}", f"delta.`{path}`"))

    def stop(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()

    def _is_ready(self) -> bool:
        assert self.process.stdout is not None
        return any(line.strip() == "ready" for line in self.process.stdout)

    def _rows(self, **request: Any) -> pa.Table:
        to = self.scratch / "answer.parquet"
        self._ask(**request, to=str(to))
        return pq.read_table(to)

    def _ask(self, **request: Any) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("{"):  # anything else is said by a library
                answer = json.loads(line)
                break
        else:
            raise SparkError("Spark's process has ended")
        if not answer["ok"]:
            raise SparkError(answer["error"])
