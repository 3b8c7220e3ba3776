"""The store that fails on purpose: a store like any other when it does not, and exact faults when it does."""

from __future__ import annotations

import contextlib
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakefmt.errors import StoreError, UnknownOutcomeError
from lakefmt.store.local import LocalStore
from lakefmt.store.memory import MemoryStore
from lakefmt.testing.fault_store import FaultStore, LateWrites
from lakefmt.testing.faults import ERRORS, KILLS, Fault, FaultAt, SeededFaults, WriterKilledError
from lakefmt.testing.store_contract import StoreContract


class TestFaultStoreWithoutFaults(StoreContract):
    shared_with_processes = False

    @pytest.fixture
    def store(self):
        return FaultStore(MemoryStore(f"memory://{uuid.uuid4().hex}/a table"))

    def open_again(self, store):
        return FaultStore(MemoryStore(store.uri))


@pytest.fixture(params=["memory", "local"])
def inner(request, tmp_path):
    store = (
        MemoryStore(f"memory://{uuid.uuid4().hex}")
        if request.param == "memory"
        else LocalStore(str(tmp_path))
    )
    store.put("old", b"old content")
    return store


def failing(inner, fault, number=0):
    return FaultStore(inner, FaultAt(number, fault), name="w")


READS = {
    "read": lambda store: store.read("old"),
    "read_ranges": lambda store: store.read_ranges("old", [(0, 3)]),
    "info": lambda store: store.info("old"),
    "list": lambda store: list(store.list("")),
    "open_input": lambda store: store.open_input("old").read(),
}


def stream(store):
    with store.open_output("new") as file:
        file.write(b"one ")
        file.write(b"two")


WRITES = {
    "put": lambda store: store.put("new", b"one two"),
    "put_if_absent": lambda store: store.put_if_absent("new", b"one two"),
    "open_output": stream,
}


def keys(inner):
    return [found.key for found in inner.list("", recursive=True)]


@pytest.mark.parametrize("fault", [f for f in ERRORS if f is not Fault.DELAY])
@pytest.mark.parametrize("call", READS)
def test_read_that_fails_is_a_store_error_and_the_next_is_right(inner, call, fault):
    store = failing(inner, fault)
    with pytest.raises(StoreError, match="told to fail"):
        READS[call](store)
    for _ in range(4 if fault is Fault.THROTTLE else 0):
        with pytest.raises(StoreError):
            READS[call](store)
    assert READS[call](store) == READS[call](inner)


def test_listing_that_fails_midway_has_shown_the_first_half(inner):
    inner.put("a", b"")
    found = failing(inner, Fault.MIDWAY).list("")
    assert next(found).key == "a"
    with pytest.raises(StoreError):
        next(found)


def test_parquet_file_that_dies_midway_is_a_store_error(inner):
    with inner.open_output("part.parquet") as file:
        pq.write_table(pa.table({"id": range(100_000)}), file)
    with pytest.raises(StoreError), failing(inner, Fault.MIDWAY).open_input("part.parquet") as file:
        pq.ParquetFile(file).read()


@pytest.mark.parametrize("call", WRITES)
@pytest.mark.parametrize(
    ("fault", "there"),
    [
        (Fault.BEFORE, False),
        (Fault.THROTTLE, False),
        (Fault.AFTER, True),
        (Fault.KILL_BEFORE, False),
        (Fault.KILL_AFTER, True),
    ],
)
def test_write_that_fails_is_there_whole_or_not_at_all(inner, call, fault, there):
    with pytest.raises(WriterKilledError if fault in KILLS else StoreError):
        WRITES[call](failing(inner, fault))
    if there:
        assert inner.read("new") == b"one two"
    else:
        assert keys(inner) == ["old"]


@pytest.mark.parametrize("fault", [f for f in ERRORS if f is not Fault.DELAY])
def test_conditional_write_that_fails_tells_whether_its_outcome_is_known(inner, fault):
    with pytest.raises(StoreError) as caught:
        failing(inner, fault).put_if_absent("new", b"")
    assert isinstance(caught.value, UnknownOutcomeError) == (fault is not Fault.BEFORE)


@pytest.mark.parametrize("fault", [Fault.MIDWAY, Fault.KILL_MIDWAY])
def test_stream_that_dies_midway_is_not_there(inner, fault):
    with pytest.raises((StoreError, WriterKilledError)):
        stream(failing(inner, fault))
    assert keys(inner) == ["old"]


def test_delete_that_dies_midway_has_deleted_some(inner):
    for key in ("a", "b", "c", "d"):
        inner.put(key, b"")
    with pytest.raises(StoreError):
        failing(inner, Fault.MIDWAY).delete(["a", "b", "c", "d"])
    assert keys(inner) == ["c", "d", "old"]


def test_late_write_arrives_after_its_caller_gave_it_up(inner):
    late = LateWrites()
    store = FaultStore(inner, FaultAt(0, Fault.LATE), late=late)
    with pytest.raises(StoreError, match="unknown whether"):
        store.put_if_absent("new", b"late")
    assert keys(inner) == ["old"]
    for _ in range(100):
        FaultStore(inner, late=late).info("old")
    assert inner.read("new") == b"late"


def test_late_conditional_write_does_not_replace_what_came_before_it(inner):
    late = LateWrites()
    store = FaultStore(inner, FaultAt(0, Fault.LATE), late=late)
    with pytest.raises(StoreError):
        store.put_if_absent("new", b"late")
    inner.put("new", b"in time")
    late.deliver()
    assert inner.read("new") == b"in time"


def test_dead_writer_stays_dead(inner):
    store = failing(inner, Fault.KILL_BEFORE)
    with pytest.raises(WriterKilledError):
        store.read("old")
    for call in (READS | WRITES).values():
        with pytest.raises(WriterKilledError):
            call(store)
    assert store.dead
    assert keys(inner) == ["old"]


def test_writer_that_dies_in_a_read_of_nothing_is_dead(inner):
    store = failing(inner, Fault.KILL_AFTER)
    with pytest.raises(WriterKilledError):
        store.read("nothing")
    assert store.dead


def test_delay_pauses_and_then_works(inner):
    pauses = []
    store = FaultStore(inner, FaultAt(0, Fault.DELAY), sleep=pauses.append)
    assert store.read("old") == b"old content"
    assert len(pauses) == 1


def test_one_seed_gives_each_call_its_fault_whatever_their_order(inner):
    def faults(order):
        store = FaultStore(inner, SeededFaults(7, 0.5, (Fault.BEFORE, Fault.AFTER)))
        for key in order:
            with contextlib.suppress(StoreError):
                store.read(key)
        return {(call.key, call.nth): fault for call, fault in store.trace}

    order = [f"key {number % 7}" for number in range(42)]
    assert faults(order) == faults(order[::-1])
    assert len(set(faults(order).values())) == 3


def test_trace_names_calls_and_faults(inner):
    store = failing(inner, Fault.BEFORE, number=1)
    store.info("old")
    with pytest.raises(StoreError):
        store.read("old")
    assert store.format_trace() == "w #0 info old\nw #1 read old -> BEFORE"
