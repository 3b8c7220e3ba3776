"""Writers of one process: turns in order, knowledge shared, nothing of it outlives its table or a fork."""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import CommitConflictError, InvalidInputError
from lakefmt.store import open_store
from lakefmt.store.memory import MemoryStore
from lakefmt.txn.commit_queue import _queues, commit_queue
from lakefmt.txn.turns import Turns

ROWS = pa.table({"id": [1]})


@pytest.fixture
def uri():
    return f"memory://{uuid.uuid4().hex}/t"


def waiting(turns, count):
    while len(turns._waiting) < count:
        time.sleep(0.001)


def test_turns_come_in_the_order_in_which_they_were_asked_for():
    turns, order = Turns(), []

    def come(number):
        assert turns.take()
        order.append(number)
        turns.give()

    assert turns.take()
    threads = [threading.Thread(target=come, args=(number,)) for number in range(8)]
    for number, thread in enumerate(threads):
        thread.start()
        waiting(turns, number + 1)
    turns.give()
    for thread in threads:
        thread.join()
    assert order == list(range(8))
    assert turns.take(0)


def test_a_turn_that_does_not_come_in_time_is_given_to_the_next():
    turns = Turns()
    assert turns.take()
    assert not turns.take(0.01)
    turns.give()
    assert turns.take(0)


@pytest.mark.parametrize("kind", ["one handle", "a handle each"])
def test_threads_of_a_process_lose_no_race_against_each_other(uri, kind, monkeypatch):
    lakefmt.create(uri, ROWS.schema)
    lost = []
    real = MemoryStore.put_if_absent

    def put_if_absent(self, key, data):
        won = real(self, key, data)
        if not won:
            lost.append(key)
        return won

    monkeypatch.setattr(MemoryStore, "put_if_absent", put_if_absent)
    shared = lakefmt.open(uri)
    handles = [shared if kind == "one handle" else lakefmt.open(uri) for _ in range(8)]

    def append(handle):
        return [handle.append(ROWS).version for _ in range(25)]

    with ThreadPoolExecutor(8) as pool:
        versions = sorted(version for found in pool.map(append, handles) for version in found)
    assert versions == list(range(1, 201))
    assert lost == []
    assert lakefmt.open(uri).count() == 200


def test_a_handle_that_is_behind_starts_from_what_others_here_know(uri, monkeypatch):
    lakefmt.create(uri, ROWS.schema)
    old, new = lakefmt.open(uri), lakefmt.open(uri)
    for _ in range(20):
        new.append(ROWS)
    read = []
    monkeypatch.setattr(
        MemoryStore, "read", lambda self, key: read.append(key) or self._find("read", key).getvalue()
    )
    assert old.append(ROWS).version == 21
    # The newest one alone, to see that it is still the same table's.
    assert [key for key in read if key < f"_delta_log/{21:020d}"] == [f"_delta_log/{20:020d}.json"]
    assert old.count() == 21


def test_what_is_known_of_a_table_is_not_believed_of_another_at_its_place(tmp_path):
    before = lakefmt.create(tmp_path / "t", ROWS.schema)
    for _ in range(5):
        before.append(ROWS)
    shutil.rmtree(tmp_path / "t")
    after = lakefmt.create(tmp_path / "t", ROWS.schema)
    assert after.append(ROWS).version == 1
    with pytest.raises(CommitConflictError, match="replaced by another"):
        before.append(ROWS)
    assert lakefmt.open(tmp_path / "t").count() == 1


def test_a_table_restored_from_a_copy_goes_on_from_the_copy(tmp_path):
    ahead = lakefmt.create(tmp_path / "t", ROWS.schema)
    ahead.append(ROWS)
    shutil.copytree(tmp_path / "t", tmp_path / "copy")
    for _ in range(3):
        ahead.append(ROWS)
    shutil.rmtree(tmp_path / "t")
    (tmp_path / "copy").rename(tmp_path / "t")
    restored = lakefmt.open(tmp_path / "t")
    assert restored.append(ROWS).version == 2
    assert lakefmt.open(tmp_path / "t").count() == restored.count() == 2


def test_what_is_known_goes_with_the_last_handle_that_wrote(uri):
    first, second = lakefmt.create(uri, ROWS.schema), lakefmt.open(uri)
    for handle in (first, second):
        handle.append(ROWS)
        handle.close()
    del handle
    identity = open_store(uri).identity
    assert commit_queue(first._store) is commit_queue(second._store)
    del first
    gc.collect()
    assert identity in _queues
    del second
    gc.collect()
    assert identity not in _queues


def test_stores_are_one_place_only_where_they_reach_the_same_objects(tmp_path, monkeypatch):
    (tmp_path / "t").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "t")
    assert open_store(tmp_path / "t").identity == open_store(tmp_path / "link", {"fsync": False}).identity
    assert open_store(tmp_path / "t").identity != open_store(tmp_path / "u").identity
    options = {"endpoint_url": "http://one", "key": "a", "secret": "b"}
    here = open_store("s3://bucket/t", options).identity
    assert here == open_store("s3://bucket/t", dict(options)).identity
    assert here != open_store("s3://bucket/t", options | {"endpoint_url": "http://two"}).identity
    assert here != open_store("s3://bucket/t", options | {"key": "c"}).identity


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_turn_that_was_taken_at_a_fork_is_free_in_the_child(tmp_path):
    table = lakefmt.create(tmp_path / "t", ROWS.schema)
    queue = commit_queue(table._store)
    assert queue.turns.take()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(lakefmt.Table.append, (table, ROWS)).version == 1
    queue.turns.give()
    assert table.append(ROWS).version == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_what_is_half_known_at_a_fork_is_not_believed_in_the_child(tmp_path):
    table = lakefmt.create(tmp_path / "t", ROWS.schema)
    stale = lakefmt.open(tmp_path / "t")
    for _ in range(3):
        table.append(ROWS)
    queue = commit_queue(table._store)
    # As another thread leaves it that is forked away from while it tells of commits.
    del queue._commits[3]
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(lakefmt.Table.append, (stale, ROWS)).version == 4
    queue.forget()


def test_a_commit_that_gets_no_turn_in_time_says_so_and_leaves_no_files(tmp_path):
    table = lakefmt.create(tmp_path / "t", ROWS.schema, commit_timeout_s=0)
    queue = commit_queue(table._store)
    assert queue.turns.take()
    with pytest.raises(CommitConflictError, match="commit_timeout_s") as caught:
        table.append(ROWS)
    queue.turns.give()
    assert (caught.value.kind, caught.value.retry_helps) == ("contention", True)
    assert list((tmp_path / "t").glob("*.parquet")) == []
    assert table.append(ROWS).version == 1


@pytest.mark.parametrize("timeout_s", [-1, "300", True, float("nan"), 10**400])
def test_a_timeout_that_is_no_time_is_refused(uri, timeout_s):
    for call in (lakefmt.create, lakefmt.write):
        with pytest.raises(InvalidInputError, match="commit_timeout_s"):
            call(uri, ROWS.schema if call is lakefmt.create else ROWS, commit_timeout_s=timeout_s)
    assert not lakefmt.is_table(uri)
