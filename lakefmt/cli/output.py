"""What commands print: tables and lines for a person, one JSON document for a program, errors on stderr.

A terminal gets colours and its own width; anything else gets plain text, as wide as the data is: nothing is cut
by a guess at 80 columns.
"""

from __future__ import annotations

import functools
import itertools
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import orjson
import pyarrow as pa
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from lakefmt.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = [
    "Column",
    "print_error",
    "print_facts",
    "print_line",
    "print_note",
    "print_rows",
    "print_table",
    "stdout",
    "value_alignment",
    "write_json",
]

_UNBOUNDED = 1_000_000
# What a cell of a wide table may take of a terminal's line before it is folded.
_WIDEST_CELL = 40
_BETWEEN_COLUMNS = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a printed table.

    Attributes:
        heading: its name.
        align: numbers stand to the right.
        style: its colour in a terminal.
        keep: never folded to make room for others.
        brief: cut, not folded, where a terminal is too narrow for it; one line a row is worth more there.
        from_width: left out of terminals narrower than this.
    """

    heading: str
    align: Literal["left", "right"] = "left"
    style: str = ""
    keep: bool = False
    brief: bool = False
    from_width: int = 0


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - called while BrokenPipeError is handled; invocation.py knows what to do with it


def stdout() -> Console:
    """Return the console that writes to what stdout is now."""
    console = _Console(highlight=False, emoji=False, markup=False)
    if not console.is_terminal:
        console.width = _UNBOUNDED
    return console


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]], *, indent: int = 0) -> None:
    """Print rows of text under headings."""
    console = stdout()
    table = RichTable(
        box=box.SIMPLE_HEAD if console.is_terminal else None,
        pad_edge=False,
        padding=(0, 1 if console.is_terminal else 2, 0, 0),
        header_style="bold",
        show_edge=False,
    )
    shown = [index for index, column in enumerate(columns) if column.from_width <= console.width]
    for column in (columns[index] for index in shown):
        table.add_column(
            Text(column.heading),
            justify=column.align,
            style=column.style,
            no_wrap=column.keep,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(_cell(row[index], columns[index]) for index in shown))
    _print_grid(console, table, indent)


def print_rows(rows: pa.Table, *, indent: int = 0) -> int:
    """Print rows of data, in a terminal as many columns as its width holds; return how many are left out."""
    from lakefmt.cli.values import text_rows

    cells = text_rows(rows)
    widths = [
        min(_WIDEST_CELL, max(map(cell_len, (name, *(row[index] for row in cells)))))
        for index, name in enumerate(rows.column_names)
    ]
    shown = _fitting(widths, stdout().width - indent)
    print_table(
        [Column(field.name, value_alignment(field.type)) for field in list(rows.schema)[:shown]],
        [row[:shown] for row in cells],
        indent=indent,
    )
    return len(widths) - shown


def _fitting(widths: Sequence[int], room: int) -> int:
    """Return how many columns of these widths stand side by side; at least one (pure)."""
    ends = itertools.accumulate(width + _BETWEEN_COLUMNS for width in widths)
    return max(1, sum(end - _BETWEEN_COLUMNS <= room for end in ends))


def _cell(text: str, column: Column) -> Text:
    style = "dim" if text == "NULL" else ""
    if column.brief:
        return Text(printable(text), style, no_wrap=True, overflow="ellipsis")
    return Text(printable(text), style)


def value_alignment(kind: pa.DataType) -> Literal["left", "right"]:
    """Return the side that values of a type stand on: numbers to the right."""
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return "right" if is_number else "left"


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print names and what there is to say of each."""
    console = stdout()
    table = RichTable(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(Text(name), Text(printable(value)))
    _print_grid(console, table)


def print_line(text: str = "", style: str = "") -> None:
    """Print one line; the terminal wraps it where it must."""
    stdout().print(Text(text, style=style), soft_wrap=True)


def print_note(text: str) -> None:
    """Print what a reader should know beside the data: dimmed in a terminal, on stderr where stdout is read by a program."""
    if stdout().is_terminal:
        print_line(text, "dim")
    else:
        sys.stderr.write(text + "\n")


def print_error(message: str, hint: str | None) -> None:
    """Print what happened, and the way out, on stderr."""
    console = Console(stderr=True, highlight=False, emoji=False, markup=False)
    console.print(
        Text.assemble(("error: ", "bold red"), printable(" ".join(message.split()))), soft_wrap=True
    )
    if hint:
        console.print(Text(printable(" ".join(hint.split()))), soft_wrap=True)


def write_json(document: Mapping[str, Any], items: tuple[str, Iterator[Sequence[Any]]] | None = None) -> None:
    """Write one JSON document, indented, with a line end.

    Args:
        document: its members.
        items: name and batches (none of them empty) of one more member, a list, which is written batch by batch
            and never held whole; ``document`` has other members then.
    """
    if items is None:
        _write(_dumps(document, orjson.OPT_INDENT_2) + b"\n")
        return
    name, batches = items
    head = _dumps(document, orjson.OPT_INDENT_2).removesuffix(b"\n}")
    _write(head + b",\n  " + orjson.dumps(name) + b": [")
    separator = b"\n    "
    for batch in batches:
        _write(separator + b",\n    ".join(map(_dumps, batch)))
        separator = b",\n    "
    _write(b"\n  ]\n}\n")


def _print_grid(console: Console, table: RichTable, indent: int = 0) -> None:
    shown = Padding(table, (0, 0, 0, indent), expand=False) if indent else table
    if console.is_terminal:
        console.print(shown)
        return
    with console.capture() as capture:
        console.print(shown)
    # Columns are padded to their width; the last one's padding is nothing but bytes in a pipe.
    text = "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())
    _write(text.encode(sys.stdout.encoding, sys.stdout.errors or "strict"))


def _write(data: bytes) -> None:
    """Write all of ``data`` to stdout: one write may take a part of it only, where Python runs unbuffered."""
    sys.stdout.flush()
    left = memoryview(data)
    while left:
        left = left[sys.stdout.buffer.write(left) :]
    sys.stdout.buffer.flush()


def _dumps(value: Any, option: int = 0) -> bytes:
    return orjson.dumps(value, default=_json_value, option=option | orjson.OPT_NON_STR_KEYS)


@functools.singledispatch
def _json_value(value: Any) -> Any:
    return str(value)


@_json_value.register
def _(value: bytes) -> str:
    import base64

    return base64.b64encode(value).decode()
