"""Running a job: its tasks on an executor, what fails tried again, results as they are taken."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, CancelledError, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakefmt.engine.jobs.measured import MeasuredFunction
from lakefmt.engine.jobs.metrics import JobMetrics, StageMetrics
from lakefmt.engine.jobs.progress import JobProgress
from lakefmt.engine.jobs.spare_memory import SpareMemory
from lakefmt.engine.jobs.state import JobState
from lakefmt.engine.jobs.verdict import Verdict
from lakefmt.engine.progress import current_sink
from lakefmt.engine.tasks.failures import reason_of
from lakefmt.engine.tasks.function_error import FunctionError
from lakefmt.engine.tasks.task import Task
from lakefmt.errors import InvalidInputError, LakefmtError, LostOutputError, TaskCancelledError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from lakefmt.engine.jobs.metrics import Usage
    from lakefmt.engine.jobs.stage import Job, Stage, TaskOutput
    from lakefmt.engine.jobs.state import Attempt
    from lakefmt.engine.jobs.verdict import Bounds
    from lakefmt.engine.tasks.executor import Executor, Resources, TaskFuture

__all__ = ["describe_resources", "run_job", "start_metrics"]


def run_job(
    job: Job,
    executor: Executor,
    *,
    folder: str,
    open_result: Callable[[Any], Any] | None = None,
    metrics: JobMetrics | None = None,
    bounds: Bounds | None = None,
    may_move: bool = True,
) -> Generator[Any, None, None]:
    """Run a job and yield the results of its last stage.

    At most twice the executor's parallelism of tasks are under way, and so many results wait to be taken: a slow consumer
    holds the work back. Attempts that fail for no fault of their own (a lost worker, storage) are made again; of an output
    that is lost its task alone is run again; the input of a task that ran out of memory is cut in two, and one that cannot be cut runs once
    more when nothing else does, with all of the memory, and where this process's threads had too little of it, on a worker
    process. Closing the generator, an error and Ctrl-C end the tasks under way and wait for their end, so that nothing works
    on, or writes, when the caller deletes the folder.

    Args:
        job: the stages.
        executor: where tasks run; it stays open.
        folder: the job's, which the caller makes and deletes: outputs of failed and repeated attempts lie there, too.
        open_result: called with the value of each result as soon as it is there, and yielded is what it returns; one that
            finds it lost (LostOutputError) has it made again.
        metrics: from ``start_metrics``; filled while the job runs.
        bounds: how often things may go wrong.
        may_move: a worker process may run what threads had too little memory for; not where somebody asked for threads,
            as his functions may rely on this process.

    Raises:
        Exception: a task's own error, once, with notes that name the task and what it read.
        OutOfMemoryError: a task's input could not be cut any smaller.
        WorkerLostError: a task ended every worker that it was given, or too many were lost.
        LostOutputError: what tasks write does not last.
        TaskCancelledError: the executor was closed.
    """
    spare = SpareMemory(executor, may_move=may_move)
    run = _Run(
        JobState(job, bounds, by_itself={stage.name for stage in job.stages if spare.has_more_for(stage)}),
        job.stages,
        executor,
        spare,
        folder,
        open_result,
        metrics or start_metrics(job, executor),
    )
    try:
        yield from run.results()
    finally:
        run.end()


def start_metrics(job: Job, executor: Executor) -> JobMetrics:
    """Return the metrics of a job that has not begun."""
    stages = tuple(StageMetrics(stage.name) for stage in job.stages)
    return JobMetrics(describe_resources(executor.resources), stages)


def describe_resources(resources: Resources) -> str:
    """Return what runs the tasks, in a few words."""
    count = resources.parallelism
    what = "worker" if resources.kind == "processes" else "thread"
    return f"{resources.kind}, {count} {what}{'' if count == 1 else 's'}"


@dataclass
class _Run:
    """One run of a job."""

    state: JobState
    stages: tuple[Stage, ...]
    executor: Executor
    spare: SpareMemory
    folder: str
    open_result: Callable[[Any], Any] | None
    metrics: JobMetrics

    def __post_init__(self) -> None:
        self._stages = {stage.name: stage for stage in self.metrics.stages}
        self._running: dict[TaskFuture[tuple[TaskOutput, Usage]], Attempt] = {}
        self._opened: dict[int, Any] = {}
        self._began = time.perf_counter()
        self._progress = JobProgress(current_sink())

    def results(self) -> Generator[Any, None, None]:
        window = 2 * self.executor.resources.parallelism
        ready: deque[Any] = deque()
        while True:
            self._submit(window, len(ready))
            if ready:
                yield ready.popleft()
                continue
            if not self._running:
                # Nothing to run, nothing running, nothing to take.
                assert self.state.is_done, "a job that stands still"  # noqa: S101
                self._summarize()
                return
            wait(self._running, self._progress.pause_s, return_when=FIRST_COMPLETED)
            for future in [each for each in self._running if each.done()]:
                self._take(future)
            self._progress.look(self._running)
            ready.extend(self._opened.pop(attempt.number) for attempt, _ in self.state.take_results())

    def _summarize(self) -> None:
        for stage in self.stages:
            self._stages[stage.name].notes += stage.summarize(self.state.outputs(stage.name))

    def end(self) -> None:
        for future in self._running:
            future.cancel()
        wait(self._running)
        self.spare.close()
        self.state.close()
        self.metrics.seconds = time.perf_counter() - self._began
        self._progress.end()

    def _submit(self, window: int, ready: int) -> None:
        while len(self._running) < window and not any(each.by_itself for each in self._running.values()):
            more = self.state.results_begun + ready < window
            attempt = self.state.next_attempt(more_results=more)
            if attempt is None and not self._running:
                attempt = self.state.next_by_itself()
            if attempt is None:
                return
            self._progress.begin(attempt.stage, self.state)
            self._running[self._begin(attempt)] = attempt

    def _begin(self, attempt: Attempt) -> TaskFuture[tuple[TaskOutput, Usage]]:
        if not attempt.by_itself:
            return self.executor.submit(self._task(attempt, self.executor.resources, None))
        executor = self.spare.executor_for(attempt.stage)
        if executor is not self.executor:
            resources = executor.resources
            with suppress(InvalidInputError):  # it cannot be sent
                begun = executor.submit(self._task(attempt, resources, resources.memory_bytes))
                self.metrics.moved_to = describe_resources(resources)
                return begun
        resources = self.executor.resources
        return self.executor.submit(self._task(attempt, resources, resources.memory_bytes))

    def _task(self, attempt: Attempt, resources: Resources, memory_bytes: int | None) -> Task[Any]:
        return Task(
            MeasuredFunction(attempt.stage.function, resources.kind == "processes"),
            attempt.input,
            attempt.stage.name,
            attempt.number,
            attempt.attempt,
            memory_bytes,
            self.folder,
        )

    def _take(self, future: TaskFuture[tuple[TaskOutput, Usage]]) -> None:
        attempt = self._running.pop(future)
        stage = self._stages[attempt.stage.name]
        try:
            failure = future.exception()
        except CancelledError as error:
            raise TaskCancelledError(
                "The executor was closed while a job ran on it", hint="Close it after its last job"
            ) from error
        if failure is not None:
            # Raised where it is the job's end, as it is: in no handler, which would become its context.
            stage.add_failure(_in_few_words(failure))
            verdict = self.state.reject(attempt, failure)
            stage.splits += verdict is Verdict.SPLIT
            stage.by_itself += verdict is Verdict.RUN_BY_ITSELF
            return
        output, usage = future.result()
        if not self.state.accept(attempt, output):
            return
        if attempt.stage is self.stages[-1]:
            try:
                opened = output.value if self.open_result is None else self.open_result(output.value)
            except LostOutputError as error:
                stage.add_failure(_in_few_words(error))
                self.state.lose(error)
                return
            self._opened[attempt.number] = opened
        stage.add(attempt.number, attempt.attempt, output, usage)
        self._progress.add(attempt.stage, output.rows_in)


def _in_few_words(error: BaseException) -> str:
    found = error.error if isinstance(error, FunctionError) else error
    message = found.message if isinstance(found, LakefmtError) else reason_of(found).partition("\n")[0]
    return f"{type(found).__name__}: {message}"
