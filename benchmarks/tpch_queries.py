"""The 22 queries of TPC-H, at scales 1 and 10, on lakefmt tables and on their bare Parquet files.

DuckDB runs the same text in the same process, which stays open, over views of `read_parquet`, its metadata cached: all 22
are one job, one after the other, answers to Arrow. Orders and lineitem are eight files each. A query is parsed and checked
anew each time; handles stay open.

The table of engines is not judged: each runs in a process of its own, on two threads, over the same files: all queries once to
warm up, then three times, of which the median is shown. Polars runs them by its SQL on its streaming engine, Daft by
its SQL (decimals as doubles in queries 1, 8, 9 and 14, which it refuses otherwise), PySpark as `local[2]`. An answer
that is not DuckDB's, to six digits, is said instead of a time, and so is what an engine cannot run; a total is of the
queries that it ran, and `lakefmt / it` of the same ones.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from benchmarks.answers import CloseRows
from benchmarks.bare_files import connect_to_files, data_files
from benchmarks.engine_jobs import PEERS_PYTHON, ROOT
from benchmarks.results import Bar, Comparison, Counts, compare
from benchmarks.rounds import Contender, Role, Run
from benchmarks.tpch import write_tpch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.registry import Settings
    from lakefmt import Table

__all__ = ["measure"]

LAKEFMT = "lakefmt"
REFERENCE = "duckdb"
QUERIES = 22
ENGINE_TIMEOUT_S = 1_800
SAID_LENGTH = 80


def measure(settings: Settings) -> tuple[Comparison | Counts, ...]:
    """Compare with DuckDB at both scales; show the other engines at the lower one."""
    folder = settings.folder / "lower"
    scale = 0.01 if settings.quick else 1.0
    tables, texts = write_tpch(folder / "tables", scale)
    beside_duckdb = _beside_duckdb(settings, scale, tables, texts, warm_up_rounds=2)
    engines = _engines(folder, scale, tables, texts, passes=settings.scaled(full=3, quick=1))
    shutil.rmtree(folder)
    scale = 0.02 if settings.quick else 10.0
    tables, texts = write_tpch(settings.folder / "higher", scale)
    return beside_duckdb, _beside_duckdb(settings, scale, tables, texts, warm_up_rounds=1), engines


def _beside_duckdb(
    settings: Settings, scale: float, tables: dict[str, Table], texts: Sequence[str], *, warm_up_rounds: int
) -> Comparison:
    plain = connect_to_files({name: data_files(table) for name, table in tables.items()})

    def with_lakefmt() -> list[pa.Table]:
        import lakefmt

        return [lakefmt.sql(text, tables).to_arrow() for text in texts]

    def with_duckdb() -> list[pa.Table]:
        return [plain.sql(text).to_arrow_table() for text in texts]

    def contender(name: str, call: Callable[[], list[pa.Table]], role: Role) -> Contender:
        run = Run(call, answer=lambda found: [CloseRows(rows) for rows in found])
        return Contender(name, lambda: run, role)

    try:
        return compare(
            f"The 22 queries of TPC-H at scale {scale:g}",
            [
                contender(LAKEFMT, with_lakefmt, "subject"),
                contender("DuckDB, the same files", with_duckdb, "peer"),
            ],
            bar=Bar(ratio=1.1),
            rounds=settings.rounds,
            warm_up_rounds=warm_up_rounds,
        )
    finally:
        plain.close()


@dataclass(frozen=True, slots=True)
class _EngineRun:
    """What an engine did.

    Attributes:
        name: with its version.
        seconds: the median of each query that it ran, with DuckDB's answer.
        said: of each other query, what is shown in place of a time.
    """

    name: str
    seconds: Mapping[int, float]
    said: Mapping[int, str]

    @classmethod
    def absent(cls, name: str, reason: str) -> _EngineRun:
        """Return the run of an engine that ran nothing."""
        return cls(name, {}, dict.fromkeys(range(1, QUERIES + 1), f"not run: {reason}"))

    def ratio_to(self, other: _EngineRun) -> str:
        """Return the seconds of what both ran, this one's by the other's."""
        both = self.seconds.keys() & other.seconds.keys()
        if not both:
            return ""
        own, others = (sum(run.seconds[each] for each in both) for run in (self, other))
        return f"{own / others:.2f} x"

    def cell(self, query: int) -> str:
        """Return what the table says of a query."""
        return f"{self.seconds[query]:.3f}" if query in self.seconds else self.said[query]


def _engines(
    folder: Path, scale: float, tables: Mapping[str, Table], texts: Sequence[str], *, passes: int
) -> Counts:
    """Run the queries on each engine that is installed."""
    (folder / "answers").mkdir()
    places = {name: {"uri": table.uri, "files": data_files(table)} for name, table in tables.items()}
    (folder / "job.json").write_text(json.dumps({"tables": places, "texts": list(texts)}))
    reference = _run_engine(REFERENCE, "DuckDB", sys.executable, folder, passes)
    subject = _run_engine("lakefmt", LAKEFMT, sys.executable, folder, passes)
    runs = [subject, reference, _run_engine("polars", "Polars", sys.executable, folder, passes)]
    for engine, name in (("daft", "Daft"), ("spark", "PySpark")):
        if not PEERS_PYTHON.exists():
            runs.append(_EngineRun.absent(name, "make .venv-peers/.ready"))
        elif engine == "spark" and shutil.which("java") is None:
            runs.append(_EngineRun.absent(name, "no Java"))
        else:
            runs.append(_run_engine(engine, name, str(PEERS_PYTHON), folder, passes))
    return _table_of_engines(scale, subject, runs)


def _run_engine(engine: str, name: str, interpreter: str, folder: Path, passes: int) -> _EngineRun:
    """Run one; its answers are looked at after those of the reference are there."""
    command = (
        interpreter,
        str(Path(__file__).with_name("tpch_engines.py")),
        engine,
        str(folder),
        str(passes),
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, start_new_session=True
    )
    try:
        output, errors = child.communicate(timeout=ENGINE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return _EngineRun.absent(name, f"stopped after {ENGINE_TIMEOUT_S} s")
    finally:
        # Spark's machine is a process of its own, in the child's session.
        _end_session(child.pid)
    if child.returncode:
        *_, last = ("it died", *errors.decode(errors="replace").strip().splitlines())
        return _EngineRun.absent(name, _short(last))
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    seconds = {int(number): statistics.median(taken) for number, taken in found["seconds"].items()}
    said = {int(number): f"refused: {_short(text)}" for number, text in found["errors"].items()}
    for number in sorted(seconds):
        if _read_answer(folder, engine, number) != _read_answer(folder, REFERENCE, number):
            said[number] = "another answer"
            del seconds[number]
    return _EngineRun(f"{name} {found['version']}", seconds, said)


def _read_answer(folder: Path, engine: str, number: int) -> CloseRows:
    with pa.ipc.open_file(folder / "answers" / f"{engine}-{number}.arrow") as answer:
        return CloseRows(answer.read_all())


def _end_session(session: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)


def _short(text: str) -> str:
    return text if len(text) <= SAID_LENGTH else f"{text[:SAID_LENGTH]}..."


def _table_of_engines(scale: float, subject: _EngineRun, runs: Sequence[_EngineRun]) -> Counts:
    def total(run: _EngineRun) -> str:
        missing = QUERIES - len(run.seconds)
        return f"{sum(run.seconds.values()):.2f}" + (f" ({missing} missing)" if missing else "")

    rows = [
        ("all", *(total(run) for run in runs)),
        ("lakefmt / it", *("" if run is subject else subject.ratio_to(run) for run in runs)),
        *((f"query {number}", *(run.cell(number) for run in runs)) for number in range(1, QUERIES + 1)),
    ]
    return Counts(
        f"Engines on the 22 queries at scale {scale:g}", ("seconds", *(run.name for run in runs)), tuple(rows)
    )
