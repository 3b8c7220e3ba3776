"""Errors of users' functions, kept apart from those of the engine that calls them.

A job asks an error what to do about it: a ``StoreError`` of the engine is worth another attempt, and the same error raised
by a function is not. So a function's own error travels in an envelope, which only the job opens.
"""

from __future__ import annotations

from typing import NoReturn

from lakefmt.engine.tasks.failures import is_of_memory, reason_of
from lakefmt.engine.tasks.pickling import decode, encode
from lakefmt.errors import TaskError

__all__ = ["FunctionError", "raise_function_error"]


class FunctionError(Exception):
    """A user's function failed; reaches no user.

    Attributes:
        error: what is raised to the user.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def raise_function_error(error: BaseException, function: str) -> NoReturn:
    """Raise the error of a user's function, as it will reach him wherever the function runs.

    It is itself wherever that can be sent between processes, else a TaskError with its text: also on threads, so that a
    program behaves the same on both. SystemExit, KeyboardInterrupt and their like, and StopIteration, would mean something
    else to whoever waits for the task: they are TaskErrors, too. Memory that ran out is the engine's business.

    Args:
        error: what the function raised.
        function: its name.

    Raises:
        FunctionError: always, save for errors of memory.
    """
    if is_of_memory(error):
        raise error
    if isinstance(error, Exception) and not isinstance(error, StopIteration) and _can_be_sent(error):
        raise FunctionError(error) from error
    kind, reason = type(error).__name__, reason_of(error)
    found = TaskError(
        f"Function {function!r} raised {kind if reason == kind else f'{kind}: {reason}'}",
        hint=None
        if isinstance(error, Exception)
        else "A function ends by returning rows, or None for none; to end the job, raise an error of your own",
    )
    found.__cause__ = error
    raise FunctionError(found) from error


def _can_be_sent(error: Exception) -> bool:
    try:
        return type(decode(encode(error))) is type(error)
    except Exception:  # noqa: BLE001 - an error's own pickling may raise anything
        return False
