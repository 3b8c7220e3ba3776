"""A report as Markdown, between two markers of a page that people wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.results import BenchmarkResult, Comparison, Counts, Report

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.paired_statistics import Interval
    from benchmarks.results import TimedRow

__all__ = ["format_number", "format_report", "format_table", "replace_between_markers"]

BEGIN = "<!-- benchmarks: generated from here -->"
END = "<!-- benchmarks: generated to here -->"


def replace_between_markers(page: str, generated: str) -> str:
    """Return ``page`` with what stands between the markers replaced; the markers are added where they are missing."""
    before, found_begin, rest = page.partition(BEGIN)
    _, found_end, after = rest.partition(END)
    if not (found_begin and found_end):
        before, after = page.rstrip() + "\n\n", "\n"
    return f"{before}{BEGIN}\n\n{generated.strip()}\n\n{END}{after}"


def format_report(report: Report) -> str:
    """Return the summary of all bars, then every benchmark with its tables and its machine."""
    return "\n\n".join(["## Summary", _summary(report), *map(_benchmark, report.benchmarks)])


def format_table(table: Comparison | Counts) -> str:
    """Return one table with its title and its verdict."""
    body = _comparison(table) if isinstance(table, Comparison) else _counts(table)
    return f"### {table.title}\n\n{body}"


def format_number(value: float) -> str:
    """Return three significant digits, without an exponent."""
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:,.{digits}f}"


def _summary(report: Report) -> str:
    rows: list[Sequence[str]] = []
    for result in report.benchmarks:
        for table in result.tables:
            if isinstance(table, Counts):
                if table.bar:
                    rows.append(
                        (
                            table.title,
                            f"{table.rows[0][1]} {_unit(table)}",
                            "",
                            "",
                            "",
                            table.bar,
                            table.verdict,
                        )
                    )
                continue
            fastest = table.fastest_peer
            by_difference = table.bar.difference_ms is not None
            rows.append(
                (
                    table.title,
                    _ms(table.subject.median_ms.median),
                    f"{fastest.name}, {_ms(fastest.median_ms.median)}",
                    _difference(fastest.difference_ms) if by_difference else _ratio(fastest.ratio),
                    _difference(table.again_difference_ms) if by_difference else _ratio(table.again_ratio),
                    str(table.bar),
                    table.verdict,
                )
            )
    heads = ("", "lakefmt", "fastest peer", "lakefmt against it", "the peer against itself", "bar", "")
    return _grid(heads, rows, right=())


def _unit(table: Counts) -> str:
    return table.columns[1].rpartition(", ")[2]


def _benchmark(result: BenchmarkResult) -> str:
    title = result.name.replace("_", " ").capitalize()
    tables = [format_table(table) for table in result.tables]
    return "\n\n".join([f"## {title}", result.summary, *tables, f"*{result.machine}.*"])


def _comparison(table: Comparison) -> str:
    by_difference = table.bar.difference_ms is not None
    relation = "lakefmt - it" if by_difference else "lakefmt / it"
    rows: list[Sequence[str]] = [_timed(row, by_difference=by_difference) for row in table.rows]
    again = _difference(table.again_difference_ms) if by_difference else _ratio(table.again_ratio)
    rows.append((f"*A/A: {table.again_name} against itself*", "", "", again))
    per_round = f", each the sum of {table.calls_per_round} calls" if table.calls_per_round > 1 else ""
    note = (
        f"{len(table.subject.seconds)} rounds{per_round}; medians; in brackets the exact interval of the median, "
        f"{table.subject.median_ms.coverage:.0%}."
    )
    fastest = table.fastest_peer
    verdict = f"Bar: {table.bar} against the fastest peer ({fastest.name}): **{table.verdict}**."
    grid = _grid(("", "median, ms", "interval, ms", relation), rows, right=(1, 2, 3))
    return f"{grid}\n\n{note} {verdict}"


def _timed(row: TimedRow, *, by_difference: bool) -> Sequence[str]:
    name = {"subject": f"**{row.name}**", "peer": row.name, "shown": f"*{row.name}* (shown only)"}[row.role]
    interval = row.median_ms
    related = _difference(row.difference_ms) if by_difference else _ratio(row.ratio)
    return (
        name,
        format_number(interval.median),
        f"{format_number(interval.low)} to {format_number(interval.high)}",
        related,
    )


def _counts(table: Counts) -> str:
    grid = _grid(table.columns, table.rows, right=range(1, len(table.columns)))
    return f"{grid}\n\nBar: {table.bar}: **{table.verdict}**." if table.bar else grid


def _ratio(interval: Interval | None) -> str:
    if interval is None:
        return ""
    digits = 3 if interval.median < 0.1 else 2
    return f"{interval.median:.{digits}f} x [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def _difference(interval: Interval | None) -> str:
    return (
        "" if interval is None else f"{interval.median:+.0f} ms [{interval.low:+.0f}, {interval.high:+.0f}]"
    )


def _ms(value: float) -> str:
    return f"{format_number(value)} ms"


def _grid(heads: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int]) -> str:
    rule = ["---:" if number in right else "---" for number in range(len(heads))]
    lines = (heads, rule, *rows)
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
