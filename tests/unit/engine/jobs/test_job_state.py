"""What is run next, and what answers and failures change, told without running anything."""

from __future__ import annotations

import pytest

from lakefmt.engine.jobs import Bounds, Job, JobState, Stage, TaskOutput
from lakefmt.engine.jobs.verdict import Verdict
from lakefmt.errors import (
    InvalidInputError,
    LostOutputError,
    ObjectNotFoundError,
    OutOfMemoryError,
    StoreError,
    WorkerLostError,
)


def never(part, context):
    raise AssertionError("nothing is run here")


def halves(part):
    start, stop = part
    middle = (start + stop) // 2
    return [(start, middle), (middle, stop)] if middle > start else []


def stage_of(name, parts, **more):
    return Stage(
        name, never, lambda _: iter(parts), split=halves, describe=lambda p: f"rows {p[0]} to {p[1]}", **more
    )


def shuffle_job(*, ordered=False, maps=2, reduces=2):
    """A job whose reduce tasks are given the values of all outputs of the map tasks."""
    first = stage_of("map", [(4 * n, 4 * n + 4) for n in range(maps)])
    second = Stage(
        "reduce",
        never,
        lambda _: range(reduces),
        reads=("map",),
        bind=lambda part, outputs: (part, [source.value for source in outputs["map"]]),
    )
    return Job((first, second), ordered=ordered)


def one_stage(count=3, **more):
    return Job((stage_of("work", [(4 * n, 4 * n + 4) for n in range(count)]),), **more)


def all_next(state):
    found = []
    while (attempt := state.next_attempt()) is not None:
        found.append(attempt)
    return found


def done(state, attempt, value):
    assert state.accept(attempt, TaskOutput(value))


def values(state):
    return [output.value for _, output in state.take_results()]


LOST = WorkerLostError("the worker died", exit_code=-11)
KILLED = WorkerLostError("the worker died", exit_code=-9)
THROTTLED = StoreError("storage is slow")


def test_reader_waits_for_every_output_and_sees_them_in_the_order_of_parts():
    state = JobState(shuffle_job())
    first, second = all_next(state)
    done(state, second, "b")
    assert state.next_attempt() is None
    done(state, first, "a")
    assert [attempt.input for attempt in all_next(state)] == [(0, ["a", "b"]), (1, ["a", "b"])]


def test_job_without_tasks_is_done():
    state = JobState(one_stage(0))
    assert state.next_attempt() is None
    assert state.is_done


def test_parts_are_drawn_only_as_results_are_wanted():
    drawn = []
    job = Job((Stage("work", never, lambda _: (drawn.append(n) or n for n in range(100))),))
    state = JobState(job)
    first = state.next_attempt()
    assert state.next_attempt(more_results=False) is None
    assert drawn == [0]
    state.reject(first, THROTTLED)
    assert state.next_attempt(more_results=False).number == first.number


def test_second_answer_and_late_answer_of_another_attempt_are_ignored():
    state = JobState(one_stage(1))
    (first,) = all_next(state)
    state.reject(first, THROTTLED)
    (again,) = all_next(state)
    assert not state.accept(first, TaskOutput("late"))
    done(state, again, "right")
    assert not state.accept(again, TaskOutput("twice"))
    state.reject(first, ValueError("late, too"))
    assert values(state) == ["right"]
    assert state.is_done


def test_ordered_results_wait_for_those_before_them_and_unordered_do_not():
    ordered, unordered = JobState(one_stage(3, ordered=True)), JobState(one_stage(3))
    for state, expected in ((ordered, []), (unordered, ["c"])):
        attempts = all_next(state)
        done(state, attempts[2], "c")
        assert values(state) == expected
        done(state, attempts[0], "a")
        assert values(state) == ["a"]
        done(state, attempts[1], "b")
        assert values(state) == (["b", "c"] if state is ordered else ["b"])
        assert state.is_done


def test_error_of_the_task_itself_ends_the_job_at_once_and_names_the_input():
    state = JobState(one_stage(1))
    (attempt,) = all_next(state)
    error = InvalidInputError("row 3 is no number")
    with pytest.raises(InvalidInputError) as raised:
        state.reject(attempt, error)
    assert raised.value is error
    assert "It read rows 0 to 4" in error.__notes__


@pytest.mark.parametrize("gone", [ObjectNotFoundError("it is not there"), ValueError("no")])
def test_what_another_attempt_would_not_find_either_is_not_tried_again(gone):
    state = JobState(one_stage(1))
    (attempt,) = all_next(state)
    with pytest.raises(type(gone)):
        state.reject(attempt, gone)


@pytest.mark.parametrize(("error", "most"), [(THROTTLED, 4), (LOST, 3)])
def test_what_is_no_fault_of_the_task_is_tried_again_so_often_and_no_more(error, most):
    state = JobState(one_stage(1))
    for number in range(most - 1):
        (attempt,) = all_next(state)
        assert attempt.attempt == number
        state.reject(attempt, error)
    (attempt,) = all_next(state)
    with pytest.raises(type(error)):
        state.reject(attempt, error)


def test_task_that_ends_every_worker_is_named_with_what_it_read():
    state = JobState(one_stage(1))
    for _ in range(2):
        state.reject(state.next_attempt(), WorkerLostError("the worker died", exit_code=-11))
    with pytest.raises(WorkerLostError, match=r"it ended 3 workers.*It read rows 0 to 4"):
        state.reject(state.next_attempt(), WorkerLostError("the worker died", exit_code=-11))


def test_job_that_loses_workers_over_and_over_gives_up():
    state = JobState(one_stage(100), Bounds(lost_workers=5))
    attempts = all_next(state)
    for attempt in attempts[:5]:
        state.reject(attempt, WorkerLostError("the worker died", exit_code=1))
    with pytest.raises(WorkerLostError, match="lost 6 workers"):
        state.reject(attempts[5], WorkerLostError("the worker died", exit_code=1))


def test_input_that_is_too_much_is_cut_until_it_is_not_and_keeps_its_place():
    state = JobState(one_stage(2, ordered=True))
    first, second = all_next(state)
    done(state, second, "last")
    state.reject(first, OutOfMemoryError("no memory"))
    left, right = all_next(state)
    assert (left.input, right.input) == ((0, 2), (2, 4))
    assert len({first.number, left.number, right.number}) == 3
    state.reject(left, OutOfMemoryError("no memory"))
    done(state, right, "c")
    a, b = all_next(state)
    done(state, b, "b")
    assert values(state) == []
    done(state, a, "a")
    assert values(state) == ["a", "b", "c", "last"]
    assert state.is_done


def test_unit_that_is_too_much_is_an_error_that_says_what_to_raise():
    state = JobState(one_stage(1))
    for _ in range(2):
        state.reject(all_next(state)[0], OutOfMemoryError("no memory"))
    error = OutOfMemoryError("no memory")
    with pytest.raises(
        OutOfMemoryError, match=r"rows 0 to 1, which cannot be cut any smaller. Raise memory_limit"
    ):
        state.reject(all_next(state)[0], error)


def test_worker_killed_twice_under_a_task_is_taken_for_one_out_of_memory():
    state = JobState(one_stage(1))
    state.reject(state.next_attempt(), KILLED)
    (again,) = all_next(state)
    assert again.input == (0, 4)
    state.reject(again, KILLED)
    assert [attempt.input for attempt in all_next(state)] == [(0, 2), (2, 4)]


def test_lost_output_is_made_again_alone_and_its_reader_after_it():
    state = JobState(shuffle_job())
    maps = all_next(state)
    for attempt, value in zip(maps, "ab", strict=True):
        done(state, attempt, value)
    one, other = all_next(state)
    state.reject(one, LostOutputError("gone", stage="map", number=maps[1].number, attempt=0))
    (again,) = all_next(state)
    assert (again.stage.name, again.number, again.attempt) == ("map", maps[1].number, 1)
    # The other reader finds the old output lost as well; the new one is under way.
    state.reject(other, LostOutputError("gone", stage="map", number=maps[1].number, attempt=0))
    assert all_next(state) == []
    done(state, again, "B")
    readers = all_next(state)
    assert sorted(attempt.input for attempt in readers) == [(0, ["a", "B"]), (1, ["a", "B"])]
    # A late complaint about the old output changes nothing but that its reader is run again.
    state.reject(readers[0], LostOutputError("gone", stage="map", number=maps[1].number, attempt=0))
    (third,) = all_next(state)
    assert third.stage.name == "reduce"


def test_output_that_is_lost_over_and_over_ends_the_job():
    state = JobState(shuffle_job(maps=1, reduces=1))
    for attempt in range(4):
        done(state, all_next(state)[0], "a")
        (reader,) = all_next(state)
        error = LostOutputError("gone", stage="map", number=0, attempt=attempt)
        if attempt < 3:
            state.reject(reader, error)
    with pytest.raises(LostOutputError, match="does not last"):
        state.reject(reader, error)


def test_lost_output_that_no_longer_fits_in_memory_comes_back_in_two():
    state = JobState(shuffle_job(maps=1, reduces=1))
    done(state, all_next(state)[0], "whole")
    state.reject(all_next(state)[0], LostOutputError("gone", stage="map", number=0, attempt=0))
    state.reject(all_next(state)[0], OutOfMemoryError("no memory"))
    for attempt, value in zip(all_next(state), ["left", "right"], strict=True):
        done(state, attempt, value)
    (reader,) = all_next(state)
    assert reader.input == (0, ["left", "right"])
    assert {source.root for source in state.outputs("map")} == {0}


def test_stages_of_one_name_or_that_read_a_later_one_are_refused():
    with pytest.raises(InvalidInputError, match="'map'"):
        Job((stage_of("map", []), stage_of("map", [])))
    with pytest.raises(InvalidInputError, match="'reduce'"):
        Job((stage_of("reduce", [], reads=("map",)), stage_of("map", [])))
    with pytest.raises(InvalidInputError):
        Job(())


TOO_MUCH = OutOfMemoryError("it does not fit")


def test_unit_that_is_too_much_waits_until_nothing_else_runs_and_then_has_all_of_the_memory():
    state = JobState(
        Job((Stage("work", never, lambda _: iter(["small", "large", "last"])),)), by_itself={"work"}
    )
    small, large, last = all_next(state)
    assert state.reject(large, TOO_MUCH) is Verdict.RUN_BY_ITSELF
    assert state.next_attempt() is None
    done(state, small, "small")
    done(state, last, "last")
    again = state.next_by_itself()
    assert (again.number, again.attempt, again.by_itself, last.by_itself) == (1, 1, True, False)
    assert state.next_by_itself() is None
    done(state, again, "large")
    assert sorted(values(state)) == ["large", "last", "small"]
    assert state.is_done


def test_unit_under_which_two_workers_were_killed_runs_by_itself_and_a_third_kill_ends_the_job():
    state = JobState(Job((Stage("work", never, lambda _: iter(["large", "small"])),)), by_itself={"work"})
    large, small = all_next(state)
    assert state.reject(large, KILLED) is Verdict.RETRY
    assert state.reject(state.next_attempt(), KILLED) is Verdict.RUN_BY_ITSELF
    assert state.next_attempt() is None
    done(state, small, "small")
    with pytest.raises(WorkerLostError, match="it ended 3 workers"):
        state.reject(state.next_by_itself(), WorkerLostError("the worker died", exit_code=-9))


def test_unit_that_is_too_much_for_all_of_the_memory_ends_the_job():
    state = JobState(Job((Stage("work", never, lambda _: iter(["large"])),)), by_itself={"work"})
    state.reject(state.next_attempt(), TOO_MUCH)
    with pytest.raises(OutOfMemoryError, match="cut any smaller, and had all of the memory to itself"):
        state.reject(state.next_by_itself(), OutOfMemoryError("it does not fit"))


def test_function_that_always_runs_out_of_memory_ends_the_job_at_the_first_unit():
    state = JobState(Job((stage_of("work", [(0, 1024), (1024, 2048)]),)), by_itself={"work"})
    attempts = 0
    with pytest.raises(OutOfMemoryError, match="cut any smaller"):  # noqa: PT012 - which of them is the last is asked
        while True:
            attempt = state.next_attempt() or state.next_by_itself()
            attempts += 1
            state.reject(attempt, OutOfMemoryError("it does not fit"))
    assert attempts == 12, "ten cuts of the first part, one row, and the row by itself"


def test_more_is_begun_before_the_next_unit_that_is_too_much_once_memory_has_helped_the_first():
    parts = iter(["large", "larger", "small", "last"])
    state = JobState(Job((Stage("work", never, lambda _: parts),)), by_itself={"work"})
    large, larger = state.next_attempt(), state.next_attempt()
    state.reject(large, TOO_MUCH)
    assert state.next_attempt() is None, "whether all of the memory is enough is not known"
    state.reject(larger, TOO_MUCH)
    done(state, state.next_by_itself(), "large")
    assert [attempt.input for attempt in all_next(state)] == ["small", "last"]


def test_unit_that_runs_by_itself_does_so_again_when_its_worker_or_what_it_reads_is_lost():
    state = JobState(shuffle_job(maps=1, reduces=1), by_itself={"reduce"})
    (first,) = all_next(state)
    done(state, first, "a")
    (reader,) = all_next(state)
    state.reject(reader, TOO_MUCH)
    state.reject(state.next_by_itself(), LOST)
    reader = state.next_by_itself()
    state.reject(reader, LostOutputError("gone", stage="map", number=0, attempt=0))
    assert state.next_by_itself() is None, "what it reads comes first"
    (source,) = all_next(state)
    done(state, source, "b")
    assert state.next_attempt() is None
    reader = state.next_by_itself()
    assert (reader.input, reader.by_itself) == ((0, ["b"]), True)
    done(state, reader, "c")
    assert values(state) == ["c"]
