"""Whatever a user's function does instead of returning rows has one outcome, the same on threads and processes."""

from __future__ import annotations

import errno
import os
import sys
import threading
import weakref

import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import (
    InvalidInputError,
    LostOutputError,
    OutOfMemoryError,
    StoreError,
    TaskCancelledError,
    TaskError,
    WorkerLostError,
)

BOTH = pytest.mark.parametrize("executor", ["threads", "processes"])


class WordlessError(Exception):
    def __str__(self):
        raise ValueError("no words")


class LockedError(Exception):
    def __init__(self):
        super().__init__("held fast")
        self.lock = threading.Lock()


class DemandingError(Exception):
    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")


@pytest.fixture(scope="module")
def trips(tmp_path_factory):
    return lakefmt.write(tmp_path_factory.mktemp("tables") / "trips", pa.table({"id": range(100)}))


@pytest.fixture
def outcome(trips, tmp_path):
    """Run a function for all rows at once, and return its error and how often it was called."""

    def run(function, executor, error, **more):
        calls = str(tmp_path / "calls")

        def counted(rows):
            with open(calls, "a") as file:  # noqa: PTH123 - sent by value
                file.write("x")
            return function(rows)

        with pytest.raises(error) as caught:
            trips.scan().map_batches(counted, executor=executor, **more).to_arrow()
        return caught.value, os.path.getsize(calls)  # noqa: PTH202

    return run


def raising(make):
    def function(rows):
        raise make()

    return function


@BOTH
@pytest.mark.parametrize(
    "make",
    [
        lambda: StoreError("slow down", path="p"),
        lambda: LostOutputError("gone", stage="map", number=0, attempt=0),
        lambda: WorkerLostError("died", exit_code=-9),
        lambda: TaskCancelledError("not wanted"),
        lambda: InvalidInputError("no"),
        lambda: OSError(errno.EIO, "Input/output error"),
        lambda: ZeroDivisionError("by naught"),
        WordlessError,
    ],
    ids=lambda make: make().__class__.__name__,
)
def test_error_of_a_function_is_raised_as_it_is_and_it_is_called_once(outcome, executor, make):
    error, calls = outcome(raising(make), executor, type(make()))
    assert type(error) is type(make())
    assert error.args == make().args
    assert calls == 1
    assert any(note.startswith("In task 0 of stage 'map'") for note in error.__notes__)
    assert any(note.startswith("It read file ") for note in error.__notes__)
    if not isinstance(error, WordlessError):
        assert str(error) == str(make())
    assert error.__context__ is None or "FunctionError" not in type(error.__context__).__name__


@BOTH
@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda rows: sys.exit(3), "SystemExit: 3"),
        (raising(lambda: KeyboardInterrupt("stop")), "KeyboardInterrupt: stop"),
        (raising(lambda: GeneratorExit("stop")), "GeneratorExit: stop"),
        (lambda rows: next(iter([])), "StopIteration"),
        (raising(LockedError), "LockedError: held fast"),
        (raising(lambda: DemandingError(1, 2)), "DemandingError: 1 and 2"),
    ],
)
def test_what_cannot_be_raised_elsewhere_is_a_task_error_that_says_it(outcome, executor, function, told):
    error, calls = outcome(function, executor, TaskError)
    assert type(error) is TaskError
    assert error.message == f"Function 'counted' raised {told}"
    assert calls == 1


@BOTH
def test_function_that_runs_out_of_memory_is_given_less_and_then_all_of_the_memory(outcome, executor):
    def greedy(rows):
        return bytearray(1 << 60)

    error, calls = outcome(greedy, executor, OutOfMemoryError)
    assert "It read file " in error.hint
    assert calls == 2, "a row group is a unit: once in its share, once by itself"


def test_function_that_ends_its_process_is_tried_on_other_workers_and_told(outcome):
    error, calls = outcome(lambda rows: os._exit(7), "processes", WorkerLostError)
    assert error.exit_code == 7
    assert "it ended 3 workers, each that it was given" in error.message
    assert calls == 3


@BOTH
def test_combining_function_fails_as_any_other(trips, executor):
    def fail(rows):
        raise StoreError("slow down")

    mapped = trips.scan().map_batches(lambda t: t, repartition_by="id", combine=fail, executor=executor)
    with pytest.raises(StoreError, match="slow down") as caught:
        mapped.to_arrow()
    assert not any("tried" in note for note in caught.value.__notes__)


@BOTH
def test_rows_that_fail_as_they_are_taken_are_the_functions(outcome, executor):
    class Stream:
        def __arrow_c_stream__(self, requested_schema=None):
            raise StoreError("slow down")

    _, calls = outcome(lambda rows: Stream(), executor, StoreError)
    assert calls == 1


class LateError(Exception):
    pass


def late(rows, error):
    def batches():
        yield from rows.to_batches()
        raise error

    return pa.RecordBatchReader.from_batches(rows.schema, batches())


class LateStream:
    """A stream that is not pyarrow's own, such as a relation of DuckDB's."""

    def __init__(self, reader):
        self.reader = reader

    def __arrow_c_stream__(self, requested_schema=None):
        return self.reader.__arrow_c_stream__(requested_schema)


@BOTH
def test_error_of_a_reader_that_a_function_returns_is_raised_as_it_is(outcome, executor):
    error, calls = outcome(lambda rows: late(rows, LateError("after the first rows")), executor, LateError)
    assert str(error) == "after the first rows"
    assert calls == 1


@BOTH
@pytest.mark.parametrize("wrap", [lambda reader: reader, LateStream], ids=["reader", "stream"])
def test_memory_that_runs_out_as_returned_rows_are_taken_is_no_fault_of_their_schema(outcome, executor, wrap):
    _, calls = outcome(lambda rows: wrap(late(rows, MemoryError("no room"))), executor, OutOfMemoryError)
    assert calls > 1, "it is called again, with all of the memory"


class Held(bytearray):
    """Memory that can be seen to go."""


def test_what_a_failed_call_held_is_let_go_before_the_next_on_threads(trips):
    held, most = [], 0

    def hungry(rows):
        nonlocal most
        value = Held(1)
        held.append(weakref.ref(value))
        most = max(most, sum(each() is not None for each in held))
        if rows.num_rows > 1:
            raise MemoryError("too many rows at once")
        return rows

    rows = lakefmt.sql(f"SELECT * FROM '{trips.uri}'").map_batches(hungry, executor="threads", workers=1)
    assert rows.to_arrow().num_rows == 100
    assert len(held) > 100
    assert most <= 3, "the running call's, and that of one whose error is being judged"
