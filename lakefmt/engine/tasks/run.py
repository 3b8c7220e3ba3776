"""Running a task where one stands, and mapping a function over many inputs on an executor."""

from __future__ import annotations

from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Generic, TypeVar

from lakefmt.engine.tasks.failures import explain_failure, name_task
from lakefmt.engine.tasks.function_error import FunctionError
from lakefmt.engine.tasks.scratch import Scratch
from lakefmt.engine.tasks.task import Task, TaskContext, tell_nobody

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from concurrent.futures import Future

    from lakefmt.engine.tasks.executor import Executor, Resources

__all__ = ["map_tasks", "run_task"]

T = TypeVar("T")
R = TypeVar("R")


def run_task(
    task: Task[R],
    resources: Resources,
    is_cancelled: Callable[[], bool],
    report_rows: Callable[[int], object],
) -> R:
    """Run a task in this thread and return its result; raises what ``Executor.submit`` says."""
    scratch = Scratch()
    context = TaskContext(
        task.stage,
        task.number,
        task.attempt,
        resources.task_memory_bytes if task.memory_bytes is None else task.memory_bytes,
        resources.threads,
        task.folder,
        is_cancelled,
        scratch,
        report_rows,
    )
    try:
        return task.function(task.input, context)
    except FunctionError as failure:
        name_task(failure.error, str(task))
        raise
    except Exception as error:
        replacement = explain_failure(error, task)
        if replacement is None:
            raise
        raise replacement from error
    finally:
        scratch.delete()


def map_tasks(
    executor: Executor, function: Callable[[T], R], inputs: Iterable[T], *, stage: str, ordered: bool = True
) -> Generator[R, None, None]:
    """Yield ``function(input)`` for every input, each a task.

    At most twice the executor's parallelism of tasks are begun beyond the results taken, so a slow consumer holds the
    work back; ``inputs`` is drawn from the consumer's thread, as needed. The first error ends the run: tasks not begun
    are dropped, those running are asked to end and waited for. Closing the generator does the same. What would run on
    one thread of this process, a lone task too, runs on the caller's.

    Args:
        executor: where; it stays open.
        function: called once for each input, for several at once.
        inputs: may be endless.
        stage: the tasks' stage.
        ordered: results in the order of the inputs; else as they are done.
    """
    call: _Call[T, R] = _Call(function)
    tasks: Iterator[Task[R]] = (Task(call, each, stage, number) for number, each in enumerate(inputs))
    resources = executor.resources
    if resources.kind == "threads":
        first = list(islice(tasks, min(2, resources.parallelism)))
        if len(first) < 2:
            # Starting a thread costs as much as a small task.
            for task in chain(first, tasks):
                yield run_task(task, resources, _never, tell_nobody)
            return
        tasks = chain(first, tasks)
    pending: deque[Future[R]] = deque()
    window = 2 * resources.parallelism
    try:
        pending.extend(map(executor.submit, islice(tasks, window)))
        while pending:
            if not ordered:
                # What is done comes first; of those, the one that was begun first.
                wait(pending, return_when=FIRST_COMPLETED)
                while not pending[0].done():
                    pending.rotate(-1)
            result = pending[0].result()
            pending.popleft()
            pending.extend(map(executor.submit, islice(tasks, 1)))
            yield result
    finally:
        for future in reversed(
            pending
        ):  # what waits first: it would begin as soon as something that runs has ended
            future.cancel()
        if pending:
            wait(pending)
        pending.clear()  # an error's traceback has this frame, which would have the error


@dataclass(frozen=True, slots=True)
class _Call(Generic[T, R]):
    """A function of an input alone, as a task's."""

    function: Callable[[T], R]

    def __call__(self, value: T, _: TaskContext) -> R:
        return self.function(value)


def _never() -> bool:
    return False
