"""A task's outcome on its way from a worker to the driver: the result, or an error and where it came from."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any, Literal, cast

from lakefmt.engine.tasks.failures import as_task_error, name_task, reason_of, sentence
from lakefmt.engine.tasks.function_error import FunctionError
from lakefmt.engine.tasks.pickling import decode, encode
from lakefmt.errors import InvalidInputError, OutOfMemoryError, TaskError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from lakefmt.engine.tasks.frames import Part
    from lakefmt.engine.tasks.task import Task

    Answer: TypeAlias = tuple[Literal["done", "failed"], list[Part]]

__all__ = ["RemoteTraceback", "decode_task", "encode_error", "encode_result", "encode_task", "outcome"]


class RemoteTraceback(Exception):  # noqa: N818 - it is no error of its own, but the cause of one
    """Where in a worker process an error came from; the cause of the error that a future raises."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        """Return the traceback below an empty line."""
        return f"\n{self.text}"


def encode_task(task: Task[Any]) -> list[Part]:
    """Return a task as it goes to a worker.

    Raises:
        InvalidInputError: its function or input cannot be sent.
    """
    try:
        return encode(task)
    except Exception as error:
        what = "input"
        try:
            encode(task.function)
        except Exception:  # noqa: BLE001 - the first error is the one that is told
            what = "function"
        raise InvalidInputError(
            f"The {what} of {task} cannot be sent to a worker process: {reason_of(error)}",
            hint="Open files, connections and locks inside the function, not outside, or run it on threads",
        ) from error


def decode_task(parts: Sequence[Part]) -> Task[Any]:
    """Return a task as it came.

    Raises:
        InvalidInputError: it names what this process does not have.
    """
    try:
        return cast("Task[Any]", decode(parts))
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidInputError(
            f"A task cannot be read in its worker process: {reason_of(error)}",
            hint="What it names must be importable there: by name from sys.path, or sent along by being defined in __main__",
        ) from error


def encode_result(result: object, task: Task[Any]) -> list[Part]:
    """Return a result as it goes to the driver.

    Raises:
        InvalidInputError: it cannot be sent.
    """
    try:
        return encode(result)
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidInputError(
            f"The result of {task}, a {type(result).__name__}, cannot be sent back from its worker process: {reason_of(error)}",
            hint="Return values such as Arrow tables, numbers and lists, or run the function on threads",
        ) from error


def encode_error(error: BaseException, name: str) -> list[Part]:
    """Return an error as it goes to the driver: itself where it can be sent and read, else a TaskError with its text."""
    text = "".join(traceback.format_exception(error.error if isinstance(error, FunctionError) else error))
    try:
        if not isinstance(error, Exception):
            # SystemExit and its like would end whoever waits.
            raise TypeError  # noqa: TRY301
        parts = encode(error)
        if type(decode(parts)) is not type(error):
            raise TypeError  # noqa: TRY301
    except Exception:  # noqa: BLE001 - an error's own pickling may raise anything
        parts = encode(as_task_error(error, name))
    return [*encode(text)[:1], *parts]


def outcome(kind: Literal["done", "failed"], parts: Sequence[Part], name: str) -> Any:
    """Return a task's result as it came from a worker, or raise its error."""
    if kind == "done":
        return _decode_result(parts, name)
    text = decode(parts[:1])
    try:
        failure = decode(parts[1:])
    except Exception:  # noqa: BLE001 - such as of a module that only the worker has
        failure = TaskError(f"{sentence(name)} failed: {text.strip().rpartition(chr(10))[2]}")
    if isinstance(failure, FunctionError):
        name_task(failure.error, name)
        failure.error.__cause__ = RemoteTraceback(text)
        raise failure
    name_task(failure, name)
    raise failure from RemoteTraceback(text)


def _decode_result(parts: Sequence[Part], name: str) -> Any:
    try:
        return decode(parts)
    except MemoryError as error:
        raise OutOfMemoryError(
            f"The result of {name} does not fit into this process's memory",
            hint="Have tasks write large results to files",
        ) from error
    except Exception as error:
        raise TaskError(
            f"The result of {name} cannot be read in this process: {reason_of(error)}",
            hint="Return values of modules that this process can import",
        ) from error
