"""The report's ratios as one small SVG: lakefmt against the fastest peer, a row for each bar.

Written by hand, as nothing else here needs a plotting library. Colours follow the reader's light or dark scheme.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from benchmarks.markdown import format_number
from benchmarks.results import Comparison, Report

if TYPE_CHECKING:
    from benchmarks.paired_statistics import Interval

__all__ = ["draw_chart"]

WIDTH = 920
LABELS_END = 270
AXIS_START, AXIS_END = 290, 660
VALUES_START = 680
TOP, ROW_HEIGHT, BOTTOM = 84, 34, 58
TICKS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)

STYLE = """
  svg { color-scheme: light dark; }
  .paper { fill: #ffffff; }
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
  .title { font-size: 16px; font-weight: 600; }
  .quiet { fill: #59636e; font-size: 12px; }
  .grid { stroke: #d1d9e0; }
  .even { stroke: #59636e; stroke-width: 1.5; }
  .noise { fill: #818b98; opacity: 0.35; }
  .bar { stroke: #bc4c00; stroke-width: 2.5; }
  .good { stroke: #0969da; fill: #0969da; }
  .bad { stroke: #cf222e; fill: #cf222e; }
  .whisker { stroke-width: 2.5; }
  circle { stroke-width: 2.5; }
  .unsure { fill: #ffffff; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; }
    text { fill: #f0f6fc; }
    .quiet { fill: #9198a1; }
    .grid { stroke: #3d444d; }
    .even { stroke: #9198a1; }
    .bar { stroke: #f0883e; }
    .good { stroke: #58a6ff; fill: #58a6ff; }
    .bad { stroke: #ff7b72; fill: #ff7b72; }
    .unsure { fill: #0d1117; }
  }
"""


@dataclass(frozen=True, slots=True)
class Axis:
    """A logarithmic axis of ratios."""

    low: float
    high: float

    def x(self, ratio: float) -> float:
        """Return where a ratio stands, held inside the axis."""
        share = math.log(ratio / self.low) / math.log(self.high / self.low)
        return AXIS_START + min(max(share, 0.0), 1.0) * (AXIS_END - AXIS_START)


def draw_chart(report: Report) -> str:
    """Return the SVG text; comparisons judged by a ratio are drawn, in the report's order."""
    tables = [
        table
        for result in report.benchmarks
        for table in result.tables
        if isinstance(table, Comparison) and table.bar.ratio is not None
    ]
    axis = _axis(tables)
    height = TOP + ROW_HEIGHT * len(tables) + BOTTOM
    bottom = height - BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title">',
        '<title id="title">Time of lakefmt against the fastest peer, by job</title>',
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="8"/>',
        '<text class="title" x="20" y="30">Time of lakefmt / time of the fastest peer, same rounds</text>',
        '<text class="quiet" x="20" y="50">left of 1 is quicker than every peer; logarithmic scale</text>',
        *_scale(axis, bottom),
        *(
            line
            for number, table in enumerate(tables)
            for line in _row(axis, table, TOP + ROW_HEIGHT * number)
        ),
        *_legend(height),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _axis(tables: list[Comparison]) -> Axis:
    shown = [1.0]
    for table in tables:
        ratio = _fastest_ratio(table)
        shown += [
            ratio.low,
            ratio.high,
            table.again_ratio.low,
            table.again_ratio.high,
            table.bar.ratio or 1.0,
        ]
    return Axis(min(shown) / 1.3, max(*shown, 1.5) * 1.3)


def _scale(axis: Axis, bottom: int) -> list[str]:
    parts: list[str] = []
    for tick in TICKS:
        if axis.low <= tick <= axis.high:
            x = axis.x(tick)
            parts += [
                f'<line class="{"even" if tick == 1.0 else "grid"}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{bottom}"/>',
                f'<text class="quiet" x="{x:.1f}" y="{TOP - 14}" text-anchor="middle">{tick:g} x</text>',
            ]
    return parts


def _row(axis: Axis, table: Comparison, top: int) -> list[str]:
    middle = top + ROW_HEIGHT / 2
    ratio, noise, fastest = _fastest_ratio(table), table.again_ratio, table.fastest_peer
    colour = "bad" if table.verdict == "missed" else "good"
    dot = f"{colour} unsure" if table.verdict == "met within noise" else colour
    low, high, limit = axis.x(ratio.low), axis.x(ratio.high), axis.x(table.bar.ratio or 1.0)
    noise_low, noise_high = axis.x(noise.low), axis.x(noise.high)
    value = f"{ratio.median:.2f} x {format_number(fastest.median_ms.median)} ms ({fastest.name})"
    return [
        f'<text x="{LABELS_END}" y="{middle + 4:.1f}" text-anchor="end">{escape(table.title)}</text>',
        f'<rect class="noise" x="{noise_low:.1f}" y="{middle - 9:.1f}" width="{max(noise_high - noise_low, 2):.1f}" height="18"/>',
        f'<line class="bar" x1="{limit:.1f}" x2="{limit:.1f}" y1="{middle - 10:.1f}" y2="{middle + 10:.1f}"/>',
        f'<line class="{colour} whisker" x1="{low:.1f}" x2="{high:.1f}" y1="{middle:.1f}" y2="{middle:.1f}"/>',
        f'<circle class="{dot}" cx="{axis.x(ratio.median):.1f}" cy="{middle:.1f}" r="4.5"/>',
        f'<text class="quiet" x="{VALUES_START}" y="{middle + 4:.1f}">{escape(value)}</text>',
    ]


def _legend(height: int) -> list[str]:
    y = height - 24
    return [
        f'<circle class="good" cx="26" cy="{y - 4}" r="4.5"/>',
        f'<text class="quiet" x="40" y="{y}">median and its interval (hollow: bar met within noise, red: missed)</text>',
        f'<line class="bar" x1="470" x2="470" y1="{y - 13}" y2="{y + 5}"/>',
        f'<text class="quiet" x="482" y="{y}">the bar: no further right</text>',
        f'<rect class="noise" x="650" y="{y - 13}" width="18" height="18"/>',
        f'<text class="quiet" x="676" y="{y}">noise: the peer against itself</text>',
    ]


def _fastest_ratio(table: Comparison) -> Interval:
    ratio = table.fastest_peer.ratio
    assert ratio is not None
    return ratio
