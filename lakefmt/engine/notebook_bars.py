"""Progress bars in a notebook: one output that is drawn again.

rich draws bars in notebooks by ipywidgets, and without that package shows a warning instead. What IPython itself has, an
output with a name that can be replaced, is there in every notebook, and stays in the file as it was in the end.
"""

from __future__ import annotations

import importlib
import sys
import time
from dataclasses import dataclass
from html import escape
from typing import Any

__all__ = ["NotebookBars", "is_notebook"]

_PAUSE_S = 0.1  # between two drawings
_WIDTH = 30


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None  # a terminal's IPython has none


class NotebookBars:
    """A ``ProgressSink`` that shows a line for each read or write below the cell."""

    def __init__(self) -> None:
        self._bars: list[_Bar] = []
        self._output: Any = None
        self._drawn_s = 0.0

    def start(self, what: str, total_rows: int | None) -> int:
        """Show one more line."""
        self._bars.append(_Bar(what, total_rows, time.monotonic()))
        self._draw()
        return len(self._bars) - 1

    def advance(self, number: int, rows: int) -> None:
        """Move a bar on."""
        self._bars[number].rows += rows
        if time.monotonic() - self._drawn_s >= _PAUSE_S:
            self._draw()

    def finish(self, number: int) -> None:
        """Show a bar as ended."""
        self._bars[number].ended_s = time.monotonic()
        self._draw()

    def _draw(self) -> None:
        display: Any = importlib.import_module("IPython.display").display

        self._drawn_s = time.monotonic()
        width = max(len(bar.what) for bar in self._bars)
        lines = [bar.line(width, self._drawn_s) for bar in self._bars]
        if self._output is None:
            self._output = display(_Lines(lines), display_id=True)
        else:
            self._output.update(_Lines(lines))


@dataclass(slots=True)
class _Bar:
    """One read or write."""

    what: str
    total_rows: int | None
    began_s: float
    rows: int = 0
    ended_s: float | None = None

    def line(self, width: int, now_s: float) -> str:
        """Return it as text."""
        has_ended = self.ended_s is not None
        total = self.rows if has_ended else self.total_rows
        share = 1.0 if has_ended else min(self.rows / total, 1.0) if total else 0.0
        full = int(share * _WIDTH)
        seconds = (self.ended_s or now_s) - self.began_s
        of = "" if total is None else f" of {total:,}"
        bar = "━" * full + "─" * (_WIDTH - full)
        return f"{self.what:{width}} {bar} {self.rows:,}{of} rows, {seconds:.1f} s"


@dataclass(frozen=True, slots=True)
class _Lines:
    lines: list[str]

    def __repr__(self) -> str:
        return "\n".join(self.lines)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"
