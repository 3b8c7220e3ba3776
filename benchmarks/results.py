"""What a benchmark found, as values: comparisons of times, and tables of things that are counted."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from benchmarks.machine import Machine  # noqa: TC001  (the report is read back by its annotations)
from benchmarks.paired_statistics import Interval, median_interval, paired_differences, paired_ratios
from benchmarks.rounds import WARM_UP_ROUNDS, Contender, Role, run_rounds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "Bar",
    "BenchmarkResult",
    "Comparison",
    "Counts",
    "Report",
    "TimedRow",
    "Verdict",
    "compare",
    "compare_with_each",
]

Verdict = Literal["met", "met within noise", "missed", "no bar"]


@dataclass(frozen=True, slots=True)
class Bar:
    """What must be reached; any one of the limits that are set is enough.

    Attributes:
        ratio: at most this many times the fastest peer.
        median_ms: at most this median.
        difference_ms: at most this much more than the fastest peer.
        allowance_ms: that a round may take beside ``ratio`` times the fastest peer's.
    """

    ratio: float | None = None
    median_ms: float | None = None
    difference_ms: float | None = None
    allowance_ms: float = 0.0

    def __str__(self) -> str:
        allowed = f" and {self.allowance_ms:g} ms" if self.allowance_ms else ""
        limits = [
            f"at most {self.ratio:g} x{allowed}" if self.ratio is not None else "",
            f"at most {self.median_ms:g} ms" if self.median_ms is not None else "",
            f"at most {self.difference_ms:g} ms more" if self.difference_ms is not None else "",
        ]
        return " or ".join(limit for limit in limits if limit)

    def judge(self, subject_ms: Interval, ratio: Interval, difference_ms: Interval) -> Verdict:
        """Return ``met`` when an interval's lower end is within its limit; ``met within noise`` when its upper end is not."""
        pairs = ((self.ratio, ratio), (self.median_ms, subject_ms), (self.difference_ms, difference_ms))
        judged = [(limit, interval) for limit, interval in pairs if limit is not None]
        if not judged:
            return "no bar"
        if any(interval.high <= limit for limit, interval in judged):
            return "met"
        if any(interval.low <= limit for limit, interval in judged):
            return "met within noise"
        return "missed"


@dataclass(frozen=True, slots=True)
class TimedRow:
    """One contender of a comparison.

    Attributes:
        name: as in `Contender`.
        role: as in `Contender`.
        seconds: of each round.
        median_ms: of those, with its interval.
        ratio: subject / this one, paired by round; None for the subject itself.
        difference_ms: subject - this one, paired by round; None for the subject itself.
    """

    name: str
    role: Role
    seconds: tuple[float, ...]
    median_ms: Interval
    ratio: Interval | None
    difference_ms: Interval | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One timed job done by several contenders in the same rounds.

    Attributes:
        title: the job.
        rows: the subject first, then the peers, fastest first, then the rest.
        bar: what must be reached against the fastest peer.
        verdict: whether it was.
        again_name: the peer that ran against itself.
        again_ratio: itself / its second self: the noise of this table.
        again_difference_ms: the same as a difference.
        calls_per_round: calls that one time of a round adds up.
    """

    title: str
    rows: tuple[TimedRow, ...]
    bar: Bar
    verdict: Verdict
    again_name: str
    again_ratio: Interval
    again_difference_ms: Interval
    calls_per_round: int
    kind: Literal["comparison"] = "comparison"

    @property
    def subject(self) -> TimedRow:
        """The contender that the others are compared with: lakefmt."""
        return self.rows[0]

    @property
    def fastest_peer(self) -> TimedRow:
        """The peer with the least median time, against which the bar is judged."""
        return min((row for row in self.rows if row.role == "peer"), key=lambda row: row.median_ms.median)


@dataclass(frozen=True, slots=True)
class Counts:
    """Things that are counted, not timed: one run of each contender is enough.

    Attributes:
        title: the job.
        columns: heads of the columns, units included; the first holds the contender.
        rows: cells as text, as many as there are columns.
        bar: what must be reached, in words; empty where nothing is asked.
        verdict: whether it was.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    bar: str = ""
    verdict: Verdict = "no bar"
    kind: Literal["counts"] = "counts"


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """All tables of one benchmark, and where and when they were taken."""

    name: str
    summary: str
    tables: tuple[Comparison | Counts, ...]
    machine: Machine


@dataclass(frozen=True, slots=True)
class Report:
    """The newest result of every benchmark, in the order of the registry."""

    benchmarks: tuple[BenchmarkResult, ...]

    def updated(self, newer: Sequence[BenchmarkResult], order: Sequence[str]) -> Report:
        """Return the report with ``newer`` in place of what it holds under the same names."""
        merged = {result.name: result for result in (*self.benchmarks, *newer)}
        return replace(self, benchmarks=tuple(merged[name] for name in order if name in merged))


def compare(
    title: str,
    contenders: Sequence[Contender],
    *,
    bar: Bar,
    rounds: int,
    calls_per_round: int = 1,
    warm_up_rounds: int = WARM_UP_ROUNDS,
) -> Comparison:
    """Run the contenders turn by turn and judge the subject (exactly one of them) against the fastest peer."""
    timed = run_rounds(
        contenders, rounds=rounds, calls_per_round=calls_per_round, warm_up_rounds=warm_up_rounds
    )
    return _comparison(title, contenders, bar, timed, calls_per_round)


def compare_with_each(
    title: str, contenders: Sequence[Contender], *, bars: Mapping[str, Bar], rounds: int, warm_up_rounds: int
) -> tuple[Comparison, ...]:
    """Run the contenders as ``compare`` does, once, and judge the subject against each peer by that peer's bar.

    Returns:
        One comparison for each of ``bars``, by the peer's name; all are of the same rounds.
    """
    timed = run_rounds(contenders, rounds=rounds, warm_up_rounds=warm_up_rounds)

    def only(peer: str) -> list[Contender]:
        return [
            replace(contender, role="shown")
            if contender.role == "peer" and contender.name != peer
            else contender
            for contender in contenders
        ]

    return tuple(
        _comparison(f"{title}, against {peer}", only(peer), bar, timed, calls_per_round=1)
        for peer, bar in bars.items()
    )


def _comparison(
    title: str,
    contenders: Sequence[Contender],
    bar: Bar,
    timed: tuple[Mapping[str, list[float]], str, list[float]],
    calls_per_round: int,
) -> Comparison:
    seconds, again_name, again = timed
    subject = next(contender.name for contender in contenders if contender.role == "subject")
    rows = [_timed_row(contender, seconds[contender.name], seconds[subject]) for contender in contenders]
    places = ("subject", "peer", "shown")
    rows.sort(key=lambda row: (places.index(row.role), statistics.median(row.seconds)))
    fastest = next(row for row in rows if row.role == "peer")
    assert fastest.ratio is not None
    assert fastest.difference_ms is not None
    judged = [value - bar.allowance_ms / 1000 for value in rows[0].seconds]
    ratio = median_interval(paired_ratios(judged, fastest.seconds)) if bar.allowance_ms else fastest.ratio
    return Comparison(
        title=title,
        rows=tuple(rows),
        bar=bar,
        verdict=bar.judge(rows[0].median_ms, ratio, fastest.difference_ms),
        again_name=again_name,
        again_ratio=median_interval(paired_ratios(seconds[again_name], again)),
        again_difference_ms=_in_ms(paired_differences(seconds[again_name], again)),
        calls_per_round=calls_per_round,
    )


def _timed_row(contender: Contender, seconds: list[float], subject_seconds: list[float]) -> TimedRow:
    own = contender.role == "subject"
    return TimedRow(
        name=contender.name,
        role=contender.role,
        seconds=tuple(round(value, 7) for value in seconds),
        median_ms=_in_ms(seconds),
        ratio=None if own else median_interval(paired_ratios(subject_seconds, seconds)),
        difference_ms=None if own else _in_ms(paired_differences(subject_seconds, seconds)),
    )


def _in_ms(seconds: Sequence[float]) -> Interval:
    return median_interval([value * 1000 for value in seconds])
