"""One run of a command: its log on stderr, and what becomes of an error.

Exit codes: 0; 1 for a ``LakefmtError`` (message and way out on stderr) and for a bug (one line; ``--debug`` shows the
traceback of either); 2 for a wrong command line; 130 after Ctrl-C and 141 after a closed pipe, both without a word,
as a shell reports them for other programs.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakefmt import background
from lakefmt.cli.output import print_error
from lakefmt.errors import LakefmtError, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["as_command"]

_INTERRUPTED = 130
_BROKEN_PIPE = 141

_Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Log every request to storage, and every commit, to stderr.")
]
_Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def as_command(function: Callable[..., None]) -> Callable[..., None]:
    """Return ``function`` with the options every command has, and with errors turned into exit codes."""

    @functools.wraps(function)
    def run(*, verbose: bool = False, debug: bool = False, **arguments: Any) -> None:
        with _log_to_stderr(logging.DEBUG if verbose else logging.WARNING), _exit_codes(debug=debug):
            function(**arguments)
            # What is to follow a commit belongs to the command that made it.
            background.flush()
            # Now, while a reader that has gone can still be told from a bug.
            sys.stdout.flush()

    own = inspect.signature(function, eval_str=True)
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in (("verbose", _Verbose), ("debug", _Debug))
    ]
    parameters = [*own.parameters.values(), *shared]
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]  # read by typer
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


@contextlib.contextmanager
def _exit_codes(*, debug: bool) -> Iterator[None]:
    try:
        yield
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None
    except BrokenPipeError:
        _let_go_of_stdout()
        raise typer.Exit(_BROKEN_PIPE) from None
    except LakefmtError as error:
        if debug:
            raise
        print_error(_what_happened(error), error.hint)
        raise typer.Exit(1) from None
    except Exception as error:
        if debug:
            raise
        print_error(
            f"{type(error).__name__}: {redact(str(error))}",
            "This is a bug in lakefmt: run it again with --debug for the traceback, and report it",
        )
        raise typer.Exit(1) from None


@contextlib.contextmanager
def _log_to_stderr(level: int) -> Iterator[None]:
    logger = logging.getLogger("lakefmt")
    handler = logging.StreamHandler()
    handler.setLevel(level)
    handler.setFormatter(_LogFormatter())
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _LogFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        if record.levelno >= logging.WARNING:
            return f"{record.levelname.lower()}: {record.getMessage()}"
        return f"{record.relativeCreated:7.0f} ms  {record.name}  {record.getMessage()}"


def _what_happened(error: LakefmtError) -> str:
    return str(error).removesuffix(f". {error.hint}")


def _let_go_of_stdout() -> None:
    # The interpreter flushes stdout once more at its end; what is left goes nowhere.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
