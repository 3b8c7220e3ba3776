"""The Typer application: which commands there are, in the order ``lakefmt --help`` shows them."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from lakefmt.cli.changes import changes
from lakefmt.cli.checkpoint import checkpoint
from lakefmt.cli.demo.command import demo
from lakefmt.cli.files import files
from lakefmt.cli.head import head
from lakefmt.cli.history import history
from lakefmt.cli.info import info
from lakefmt.cli.invocation import as_command
from lakefmt.cli.schema import schema
from lakefmt.cli.sql import sql

__all__ = ["app", "run"]

# A new command is a file with a function, and a line here.
_COMMANDS = (info, history, files, schema, head, sql, changes, checkpoint, demo)

app = typer.Typer(
    name="lakefmt",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in _COMMANDS:
    app.command(_command.__name__)(as_command(_command))


@app.callback()
def _lakefmt(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda asked: _print_version() if asked else None,
            is_eager=True,
            help="Print the version of lakefmt and exit.",
        ),
    ] = False,
) -> None:
    """ACID tables over Parquet on any fsspec store, in the open Delta format.

    Exit code 0; 1 when the table or storage said no (one or two lines on stderr say what and the way out);
    2 when the command line is wrong.
    """


def run() -> None:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        # A table may hold what the terminal's encoding cannot show.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="lakefmt")


def _print_version() -> None:
    from lakefmt import __version__

    typer.echo(f"lakefmt {__version__}")
    raise typer.Exit
