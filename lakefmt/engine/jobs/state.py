"""Where a job stands: what is to run next, what an answer or a failure changes. No clock, no thread, no I/O of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from lakefmt.engine.jobs.stage import Source
from lakefmt.engine.jobs.verdict import Bounds, Verdict, judge_failure
from lakefmt.engine.tasks.failures import add_note
from lakefmt.engine.tasks.function_error import FunctionError
from lakefmt.errors import LostOutputError, OutOfMemoryError, WorkerLostError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from lakefmt.engine.jobs.stage import Job, Stage, StageOutputs, TaskOutput

__all__ = ["Attempt", "JobState"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of one task.

    Attributes:
        stage: which.
        number: of the task, unique in its stage; tasks that one is split into have numbers of their own.
        attempt: from 0, in the order in which they were begun.
        input: what the task's function is given.
        by_itself: it gets all of the memory, and runs while nothing else does.
    """

    stage: Stage
    number: int
    attempt: int
    input: Any
    by_itself: bool = False


class JobState:
    """The tasks of a job: those that wait, run, and are done.

    The caller runs what ``next_attempt`` gives, as many at a time as it likes, and tells how each ended by ``accept`` or
    ``reject``, in any order. Of each task one attempt at most runs at a time, and one output counts. Where an output is
    lost, its task waits again, and so does every stage that reads it.

    Args:
        job: what is to be done.
        bounds: how often things may go wrong.
        by_itself: stages, by name, whose tasks get more memory where they run by themselves.
    """

    def __init__(
        self, job: Job, bounds: Bounds | None = None, *, by_itself: Collection[str] = frozenset()
    ) -> None:
        self._job = job
        self._bounds = bounds or Bounds()
        self._by_itself = by_itself
        self._stages = {stage.name: _StageState(stage, number) for number, stage in enumerate(job.stages)}
        self._last = self._stages[job.stages[-1].name]
        self._results: list[tuple[tuple[int, ...], int]] = []  # of tasks whose result is not taken, a heap
        self._lost_workers = 0
        self._memory_helped = False  # whether a task that ran by itself came to its end

    @property
    def is_done(self) -> bool:
        """Whether all results were taken."""
        return self._last.is_complete and not self._results

    def next_attempt(self, *, more_results: bool = True) -> Attempt | None:
        """Return what is to be run now, None where nothing can before an answer comes.

        Halves of an input that was too much come before all else, and the first unit that is too much is run by itself before
        anything else is begun: a function that always runs out of memory ends its job at one row, not at every one.

        Args:
            more_results: parts of the last stage may be begun that were not; else only what was begun goes on.
        """
        if not self._memory_helped and any(state.waiting_for_memory for state in self._ready_stages()):
            return None
        for state in self._ready_stages():
            task = state.waiting.popleft() if state.waiting else None
            if task is None and (more_results or state is not self._last):
                task = self._draw(state)
            if task is not None:
                return self._attempt(state, task)
        return None

    def next_by_itself(self) -> Attempt | None:
        """Return what is to be run with all of the memory; asked where ``next_attempt`` has nothing, and nothing runs."""
        for state in self._ready_stages():
            if state.waiting_for_memory:
                return self._attempt(state, state.waiting_for_memory.popleft())
        return None

    def accept(self, attempt: Attempt, output: TaskOutput) -> bool:
        """Take an answer; False where nobody waits for it (a second answer, or a late one): it is to be ignored."""
        state = self._stages[attempt.stage.name]
        task = state.tasks.get(attempt.number)
        if task is None or task.running != attempt.attempt:
            return False
        task.running = None
        self._memory_helped |= task.by_itself
        task.accepted = attempt.attempt
        task.output = output
        state.missing -= 1
        state.sources = None
        return True

    def reject(self, attempt: Attempt, error: BaseException) -> Verdict:
        """Take a failure and have the job go on if it can.

        Raises:
            Exception: the job ends with it: the task's own error, once, with what the task read in a note, a user's function's
                without its envelope; an OutOfMemoryError, WorkerLostError, StoreError or LostOutputError where there were too many.
        """
        state = self._stages[attempt.stage.name]
        task = state.tasks.get(attempt.number)
        if task is None or task.running != attempt.attempt:
            return Verdict.RETRY  # late, and of an attempt that nobody waits for
        task.running = None
        self._lost_workers += isinstance(error, WorkerLostError)
        parts = state.stage.split(task.part) if isinstance(error, OutOfMemoryError | WorkerLostError) else ()
        verdict = judge_failure(
            error,
            failures=task.failures,
            lost_workers=self._lost_workers,
            can_split=bool(parts),
            can_run_by_itself=not task.by_itself and state.stage.name in self._by_itself,
            bounds=self._bounds,
        )
        match verdict:
            case Verdict.RETRY:
                task.failures.append(_without_frames(error))
                state.wait(task)
            case Verdict.RUN_BY_ITSELF:
                task.failures.append(_without_frames(error))
                task.by_itself = True
                state.wait(task)
            case Verdict.SPLIT:
                task.failures.append(_without_frames(error))
                self._replace(state, task, parts)
            case Verdict.RUN_SOURCE_AGAIN if isinstance(error, LostOutputError):
                self.lose(error)
                state.wait(task)
            case _:
                raise _as_final(error, state.stage, task, self._lost_workers, self._bounds)
        return verdict

    def lose(self, error: LostOutputError) -> None:
        """Have a task run again whose output is lost; nothing changes if a later attempt's is there already.

        Raises:
            LostOutputError: it was lost too often, or is of no task of this job, or of one that would give others rows to
                those who read it again than it gave to those who have read it.
        """
        state = self._stages.get(error.stage)
        if state is None:
            raise error
        task = state.tasks.get(error.number)
        if task is None or task.accepted != error.attempt:
            return
        if not state.stage.is_repeatable and any(error.stage in each.reads for each in self._job.stages):
            error.hint = "Its function is gathered: it may give other rows when it is called again, and some were read. Run it all again"
            raise error
        task.times_lost += 1
        if task.times_lost > self._bounds.lost_outputs:
            error.hint = (
                error.hint or "Look at the disk under the job's folder: what is written there does not last"
            )
            raise error
        task.accepted = task.output = None
        state.missing += 1
        state.sources = None
        state.wait(task)

    def close(self) -> None:
        """Let go of what parts are drawn from."""
        for state in self._stages.values():
            if isinstance(state.parts, Generator):
                state.parts.close()

    def take_results(self) -> list[tuple[Attempt, TaskOutput]]:
        """Return outputs of the last stage that were not returned before; in the parts' order if the job is ordered."""
        if not self._job.ordered:
            done = [entry for entry in self._results if self._last.is_accepted(entry[1])]
            self._results = [entry for entry in self._results if not self._last.is_accepted(entry[1])]
            return [self._last.take(number) for _, number in done]
        taken = []
        while self._results and self._last.is_accepted(self._results[0][1]):
            taken.append(self._last.take(heappop(self._results)[1]))
        return taken

    @property
    def results_begun(self) -> int:
        """How many tasks of the last stage were begun whose results were not taken."""
        return len(self._results)

    def outputs_read(self, stage: Stage) -> StageOutputs:
        """Return the accepted outputs of the stages that one reads."""
        return {name: self.outputs(name) for name in stage.reads}

    def outputs(self, stage: str) -> tuple[Source, ...]:
        """Return a stage's accepted outputs in the order of its parts."""
        return self._stages[stage].accepted_sources()

    def _ready_stages(self) -> Iterator[_StageState]:
        """Yield the stages of which all that they read is there."""
        for state in self._stages.values():
            if all(self._stages[name].is_complete for name in state.stage.reads):
                yield state

    def _attempt(self, state: _StageState, task: _Task) -> Attempt:
        number = task.attempts
        task.attempts += 1
        task.running = number
        bound = state.stage.bind(task.part, self.outputs_read(state.stage))
        return Attempt(state.stage, task.number, number, bound, task.by_itself)

    def _draw(self, state: _StageState) -> _Task | None:
        if state.parts is None:
            state.parts = iter(state.stage.plan(self.outputs_read(state.stage)))
        if state.is_drawn:
            return None
        try:
            part = next(state.parts)
        except StopIteration:
            state.is_drawn = True
            return None
        task = state.add((state.roots,), part, [])
        state.roots += 1
        self._expect(state, task)
        return task

    def _replace(self, state: _StageState, task: _Task, parts: Any) -> None:
        state.remove(task)
        if state is self._last:
            self._results = [entry for entry in self._results if entry[1] != task.number]
            self._results.sort()  # which makes a heap of it
        halves = [
            state.add((*task.place, place), part, list(task.failures)) for place, part in enumerate(parts)
        ]
        state.waiting.extendleft(reversed(halves))
        for half in halves:
            self._expect(state, half)

    def _expect(self, state: _StageState, task: _Task) -> None:
        if state is self._last:
            heappush(self._results, (task.place, task.number))


@dataclass(slots=True)
class _Task:
    """A task, from its first attempt on."""

    number: int
    place: tuple[int, ...]  # of the part, then of the piece it was split off as, and so on: tells the order
    part: Any
    failures: list[BaseException]
    by_itself: bool = False
    attempts: int = 0
    running: int | None = None
    accepted: int | None = None
    output: TaskOutput | None = None
    times_lost: int = 0


@dataclass(slots=True)
class _StageState:
    """The tasks of a stage."""

    stage: Stage
    order: int
    parts: Iterator[Any] | None = None
    is_drawn: bool = False
    roots: int = 0
    numbers: int = 0
    missing: int = 0  # tasks begun that have no accepted output
    tasks: dict[int, _Task] = field(default_factory=dict)
    waiting: deque[_Task] = field(default_factory=deque)
    waiting_for_memory: deque[_Task] = field(default_factory=deque)
    sources: tuple[Source, ...] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every part was drawn and has its output."""
        return self.is_drawn and not self.missing

    def add(self, place: tuple[int, ...], part: Any, failures: list[BaseException]) -> _Task:
        """Begin a task."""
        task = _Task(self.numbers, place, part, failures)
        self.tasks[task.number] = task
        self.numbers += 1
        self.missing += 1
        return task

    def wait(self, task: _Task) -> None:
        """Have a task run once more."""
        (self.waiting_for_memory if task.by_itself else self.waiting).append(task)

    def remove(self, task: _Task) -> None:
        """Forget a task that others stand for."""
        del self.tasks[task.number]
        self.missing -= 1

    def is_accepted(self, number: int) -> bool:
        """Whether a task has its output."""
        return self.tasks[number].accepted is not None

    def take(self, number: int) -> tuple[Attempt, TaskOutput]:
        """Hand out a result and forget its task: nobody will ask for it again."""
        task = self.tasks.pop(number)
        assert task.output is not None  # noqa: S101 - it was accepted
        assert task.accepted is not None  # noqa: S101
        self.sources = None
        return Attempt(self.stage, number, task.accepted, None), task.output

    def accepted_sources(self) -> tuple[Source, ...]:
        """Return the outputs there are, in the order of the parts."""
        if self.sources is None:
            tasks = sorted(self.tasks.values(), key=lambda task: task.place)
            self.sources = tuple(
                Source(task.place[0], task.output.value) for task in tasks if task.output is not None
            )
        return self.sources


def _without_frames(error: BaseException) -> BaseException:
    """Return an error that is kept, without what it came from: frames of threads hold the rows that were too much."""
    found: BaseException | None = error
    while found is not None:
        # Each by itself: a frame that has the error as a variable goes round in a circle with it.
        earlier = found.__cause__ or found.__context__
        found.__traceback__ = found.__cause__ = found.__context__ = None
        found = earlier
    return error


def _as_final(
    error: BaseException, stage: Stage, task: _Task, lost_workers: int, bounds: Bounds
) -> BaseException:
    """Return the error that ends the job, with what the task was about."""
    about = stage.describe(task.part)
    if isinstance(error, FunctionError):
        error = error.error
    elif isinstance(error, OutOfMemoryError):
        alone = ", and had all of the memory to itself" if task.by_itself else ""
        error.hint = f"It read {about}, which cannot be cut any smaller{alone}. {stage.way_out}"
    elif isinstance(error, WorkerLostError):
        if lost_workers > bounds.lost_workers:
            error.message += f"; the job has lost {lost_workers} workers, and gives up"
        else:
            lost = 1 + sum(isinstance(each, WorkerLostError) for each in task.failures)
            error.message += f"; it ended {lost} workers, each that it was given"
        error.hint = f"It read {about}. " + (
            "Killed workers are most often out of memory: raise memory_limit, or do less at a time"
            if error.exit_code == -9
            else "The function it runs, or a library that it calls, ends the process"
        )
    elif task.failures:
        add_note(error, f"It was tried {len(task.failures) + 1} times")
    add_note(error, f"It read {about}")
    return error
