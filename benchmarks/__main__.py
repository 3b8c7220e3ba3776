"""``python -m benchmarks [names...]``: run benchmarks, print their tables, keep them in docs/."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from benchmarks.chart import draw_chart
from benchmarks.machine import NeighbourWatch, describe_machine
from benchmarks.markdown import format_report, format_table, replace_between_markers
from benchmarks.registry import BENCHMARKS, Settings, run_benchmark, summary_of
from benchmarks.results import BenchmarkResult, Report

ROOT = Path(__file__).parents[1]
CHECKOUT = ROOT.resolve()
SCRATCH = ROOT / ".bench"
REPORT = TypeAdapter(Report)
BUSY = 0.1


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks named on the command line (all without a name); return the exit code."""
    options = _parse(arguments)
    # A quick run goes through everything but leaves the real numbers alone.
    target = SCRATCH / "quick" if options.quick else ROOT / "docs"
    target.mkdir(parents=True, exist_ok=True)
    _check_measured_code()
    report = _load(target)
    missed: list[str] = []
    for name in options.names or BENCHMARKS:
        print(f"\n## {name}", flush=True)
        result = _run(name, rounds=options.rounds, quick=options.quick)
        missed += [table.title for table in result.tables if table.verdict == "missed"]
        # Written after each, so that a run that is broken off keeps what it has.
        report = report.updated([result], BENCHMARKS)
        _write(target, report)
    print(f"\nwritten: benchmarks.md, .json and .svg in {target.relative_to(ROOT)}/")
    if options.quick:
        print("a quick run shows that everything runs; its verdicts mean nothing")
    elif missed:
        print(f"bars missed: {'; '.join(missed)}")
    return 0


def _check_measured_code() -> None:
    """Stop where another lakefmt than this checkout's would be measured: the report names this one's commit."""
    import lakefmt

    found = Path(lakefmt.__file__).resolve()
    if not found.is_relative_to(CHECKOUT):
        sys.exit("lakefmt is imported from outside this checkout; run `python -m benchmarks` from its root")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure lakefmt side by side with its peers; tables go to docs/benchmarks.*",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"any of: {', '.join(BENCHMARKS)} (default: all)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="small data and 3 rounds, written to .bench/quick/"
    )
    parser.add_argument(
        "--rounds", type=int, help="rounds of every comparison (default: 9, the fewest for 95 %%)"
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}; there are: {', '.join(BENCHMARKS)}")
    options.rounds = options.rounds or (3 if options.quick else 9)
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def _run(name: str, *, rounds: int, quick: bool) -> BenchmarkResult:
    SCRATCH.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=SCRATCH))
    watch = NeighbourWatch()
    try:
        tables = run_benchmark(name, Settings(folder=folder, rounds=rounds, quick=quick))
        machine = describe_machine(folder, watch.others_cores())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for table in tables:
        print(f"\n{format_table(table)}", flush=True)
    if (machine.others_cores or 0) > BUSY:
        print(f"\nother processes took {machine.others_cores} of a core: these numbers are not final")
    return BenchmarkResult(name=name, summary=summary_of(name), tables=tables, machine=machine)


def _load(target: Path) -> Report:
    """Return the results that are there already, so that benchmarks that do not run now keep theirs."""
    kept = target / "benchmarks.json"
    try:
        return REPORT.validate_json(kept.read_bytes())
    except FileNotFoundError:
        return Report(benchmarks=())
    except ValidationError:
        print(f"{kept.name} is of another shape (an older release's): starting anew")
        return Report(benchmarks=())


def _write(target: Path, report: Report) -> None:
    page = target / "benchmarks.md"
    text = page.read_text() if page.exists() else "# Benchmarks\n"
    (target / "benchmarks.json").write_bytes(REPORT.dump_json(report, indent=1) + b"\n")
    page.write_text(replace_between_markers(text, format_report(report)))
    (target / "benchmarks.svg").write_text(draw_chart(report))


if __name__ == "__main__":
    sys.exit(main())
