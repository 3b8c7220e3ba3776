"""Progress of long reads and writes, shown where somebody asked for it.

Nothing is shown by default. Within ``with lakefmt.show_progress():`` every read and write of this context (thread or
asyncio task) tells a sink how many rows have passed; the sink that is used unless another is given draws bars: with rich
on a terminal, as an output of the cell in a notebook, and nowhere else.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["ProgressSink", "current_sink", "show_progress", "track_rows", "tracking"]

_T = TypeVar("_T")


class ProgressSink(Protocol):
    """What is told of progress."""

    def start(self, what: str, total_rows: int | None) -> int:
        """Begin to show a read or write and return its number; ``total_rows`` is None where nobody knows."""

    def advance(self, number: int, rows: int) -> None:
        """Show that so many more rows have passed."""

    def finish(self, number: int) -> None:
        """Show that it has ended, well or not."""


_sink: ContextVar[ProgressSink | None] = ContextVar("lakefmt_progress", default=None)


@contextmanager
def show_progress(sink: ProgressSink | None = None) -> Iterator[None]:
    """Show the progress of reads and writes within this block.

    Args:
        sink: what is told of it; None draws bars in a notebook and on a terminal (on stderr, so that output that goes on
            through a pipe holds rows alone), and nothing elsewhere.
    """
    if sink is not None:
        token = _sink.set(sink)
        try:
            yield
        finally:
            _sink.reset(token)
        return
    from lakefmt.engine.notebook_bars import NotebookBars, is_notebook

    if is_notebook():
        with show_progress(NotebookBars()):
            yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with (
        Progress(*columns, console=console, disable=not console.is_terminal) as bars,
        show_progress(_Bars(bars)),
    ):
        yield


def current_sink() -> ProgressSink | None:
    """Return what is told of progress in this context, None where nobody asked."""
    return _sink.get()


def track_rows(
    items: Iterable[_T], what: str, rows_of: Callable[[_T], int], total_rows: int | None = None
) -> Iterable[_T]:
    """Return ``items``, telling the sink of this context of their rows as they pass; untouched where there is none."""
    return items if _sink.get() is None else _tell(items, what, rows_of, total_rows)


@contextmanager
def tracking(what: str, total_rows: int | None = None) -> Iterator[Callable[[int], None]]:
    """Give a function that tells the sink of this context of rows that have passed; it does nothing where there is none."""
    sink = _sink.get()
    if sink is None:
        yield lambda _: None
        return
    number = sink.start(what, total_rows)
    try:
        yield lambda rows: sink.advance(number, rows)
    finally:
        sink.finish(number)


def _tell(
    items: Iterable[_T], what: str, rows_of: Callable[[_T], int], total_rows: int | None
) -> Iterator[_T]:
    with tracking(what, total_rows) as advance:
        for item in items:
            yield item
            advance(rows_of(item))


class _Bars:
    """A sink that draws one bar per read or write."""

    def __init__(self, bars: object) -> None:
        self._bars: Any = bars

    def start(self, what: str, total_rows: int | None) -> int:
        number: int = self._bars.add_task(what, total=total_rows)
        return number

    def advance(self, number: int, rows: int) -> None:
        self._bars.advance(number, rows)

    def finish(self, number: int) -> None:
        task = next(task for task in self._bars.tasks if task.id == number)
        self._bars.update(number, total=task.completed)
