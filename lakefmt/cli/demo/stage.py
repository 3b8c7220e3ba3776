"""What the demo shows: headings, the line a user would write, what came of it; and the same as one JSON document."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from rich.syntax import Syntax
from rich.text import Text

from lakefmt.cli.output import print_rows, print_table, stdout, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa

    from lakefmt.cli.output import Column

__all__ = ["Stage"]

_INDENT = "   "


class Stage:
    """Prints the steps as they happen, and keeps what they found.

    Args:
        quiet: print nothing; only ``write_json`` at the end.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._steps: list[dict[str, Any]] = []
        self._start = time.perf_counter()

    def opening(self, uri: str, num_rows: int) -> None:
        """Say what the demo is about."""
        self._print(
            Text.assemble(
                ("lakefmt demo", "bold"), f": {num_rows:,} flights that left New York in 2013, in one table"
            )
        )
        self._print(Text(uri, style="dim"))

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Run a step under its heading, and time it."""
        self._steps.append({"title": title})
        self._print(Text(""))
        self._print(Text.assemble((f"{len(self._steps)}  ", "bold cyan"), (title, "bold")))
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        self._steps[-1]["seconds"] = round(seconds, 3)
        self._print(Text(f"{_INDENT}{seconds:.2f} s", style="dim"))

    def code(self, *statements: str) -> None:
        """Show the Python that a user would write."""
        syntax = Syntax("", "python", theme="ansi_dark", background_color="default")
        for statement in statements:
            shown = syntax.highlight(statement)
            shown.rstrip()
            for number, line in enumerate(shown.split("\n")):
                self._print(Text.assemble((_INDENT + ("... " if number else ">>> "), "green"), line))

    @contextlib.contextmanager
    def waiting(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show in a terminal, while it lasts, how far something is that takes a second or more."""
        console = stdout()
        if self._quiet or not console.is_terminal:
            yield lambda _: None
            return
        with console.status(_INDENT + text) as status:
            yield lambda text: status.update(_INDENT + text)

    def say(self, text: str, style: str = "") -> None:
        """Say what came of it."""
        self._print(Text(_INDENT + text, style=style))

    def lines(self, lines: Iterable[str]) -> None:
        """Show lines as they are, cut where a terminal is too narrow for them."""
        console = stdout()
        if not self._quiet:
            for line in lines:
                console.print(Text((_INDENT + line).rstrip()), no_wrap=True, overflow="ellipsis")

    def found(self, **facts: Any) -> None:
        """Keep facts of this step for the JSON document; nothing is printed."""
        self._steps[-1].update(facts)

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
        """Show a table of text."""
        if not self._quiet:
            print_table(columns, rows, indent=len(_INDENT))

    def rows(self, rows: pa.Table) -> None:
        """Show rows of data."""
        if not self._quiet:
            print_rows(rows, indent=len(_INDENT))

    def closing(self, lines: Iterable[str]) -> None:
        """Say where the table is and what to try next."""
        self._print(Text(""))
        self._print(Text(f"All of it in {time.perf_counter() - self._start:.1f} s.", style="bold"))
        for line in lines:
            self._print(Text(line))

    def write_json(self, uri: str) -> None:
        """Write all that the steps found."""
        seconds = round(time.perf_counter() - self._start, 3)
        write_json({"table": uri, "seconds": seconds, "steps": self._steps})

    def _print(self, text: Text) -> None:
        if not self._quiet:
            stdout().print(text, soft_wrap=True)
