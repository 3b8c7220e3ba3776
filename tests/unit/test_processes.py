"""A good citizen of a process, and of several: threads, forks, spawned workers, pickles, logs, reprs."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

import lakefmt
from lakefmt.store.memory import MemoryStore

ROWS = pa.table({"id": range(10), "city": [f"city {i % 3}" for i in range(10)]})


@pytest.fixture
def table(tmp_path):
    table = lakefmt.create(tmp_path / "table", ROWS.schema)
    table.append(ROWS)
    table.append(ROWS)
    return table


def use(table):
    """What a worker does with a handle it was given: read with a filter, append, read again."""
    before = table.scan(where="id >= 5 AND city <> 'city 0'").to_arrow().num_rows
    table.append(ROWS)
    return before, table.count(), table.version


@pytest.mark.parametrize("what", ["table", "snapshot", "scan", "history", "result", "error"])
def test_pickled_values_are_what_they_were(table, what):
    match what:
        case "table":
            copy = pickle.loads(pickle.dumps(table))
            assert use(copy) == (6, 30, 3)
        case "snapshot":
            copy = pickle.loads(pickle.dumps(table.snapshot))
            assert (copy.version, copy.files.num_files, copy.schema) == (2, 2, table.schema)
        case "scan":
            scan = table.scan(columns=["id"], where="id > ?", params=[7])
            copy = pickle.loads(pickle.dumps(scan))
            assert copy.to_arrow().equals(scan.to_arrow())
        case "history":
            copy = pickle.loads(pickle.dumps(table.history()))
            assert copy.to_dicts() == table.history().to_dicts()
        case "result":
            result = table.append(ROWS)
            assert pickle.loads(pickle.dumps(result)) == result
        case "error":
            with pytest.raises(lakefmt.InvalidInputError) as caught:
                table.scan(columns=["nope"])
            copy = pickle.loads(pickle.dumps(caught.value))
            assert (str(copy), copy.hint, copy.table) == (str(caught.value), caught.value.hint, table.uri)


def test_read_only_handle_is_read_only_after_pickling(table):
    copy = pickle.loads(pickle.dumps(table.at(version=1)))
    assert copy.version == 1
    with pytest.raises(lakefmt.InvalidInputError, match="read-only"):
        copy.append(ROWS)


def test_pickles_hold_no_secrets():
    options = {"key": "AKIA-not-a-key", "secret": "hunter2-not-a-secret"}
    from lakefmt.store import open_store

    store = open_store("s3://bucket/table", options)
    assert b"hunter2" not in pickle.dumps(store)
    assert "hunter2" not in repr(store)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_handle_works_after_a_fork(table):
    use(table)  # caches, threads and databases of this process are up
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        found = pool.map(use, [table] * 2, chunksize=1)
    assert {before for before, _, _ in found} == {12 - 3}
    assert table.refresh().version == 5
    assert table.count() == 50


def test_handle_works_in_spawned_workers(table):
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        assert pool.apply(lakefmt.Table.count, (table,)) == 20
        assert pool.apply(lakefmt.Table.count, (table, "id >= 5")) == 10
        assert pool.apply(lakefmt.Table.append, (table, ROWS)).version == 3
    assert table.refresh().count() == 30


def test_threads_read_whole_versions_while_one_appends(table):
    done = threading.Event()

    def read(_):
        seen = set()
        while not done.is_set():
            rows = table.scan(where="id >= 0").to_arrow().num_rows
            assert rows % 10 == 0
            assert table.count() % 10 == 0
            seen.add(rows)
        return seen

    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(read, number) for number in range(8)]
        for _ in range(10):
            table.append(ROWS)
        done.set()
        seen = set().union(*[reader.result() for reader in readers])
    assert seen <= {10 * number for number in range(2, 13)}
    assert table.count() == 120


def test_commit_is_logged_and_requests_are_in_debug(tmp_path, caplog):
    with caplog.at_level(logging.DEBUG, logger="lakefmt"):
        table = lakefmt.create(tmp_path / "table", ROWS.schema)
        table.append(ROWS)
    commits = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert len(commits) == 2
    assert "version 0" in commits[0]
    assert "version 1" in commits[1]
    assert any(record.levelno == logging.DEBUG for record in caplog.records)
    assert all(record.name.startswith("lakefmt") for record in caplog.records)


def test_nothing_is_printed(tmp_path, capfd):
    table = lakefmt.write(tmp_path / "table", ROWS)
    table.overwrite(ROWS)
    table.scan(where="id > 3").to_arrow()
    table.to_polars().collect()
    assert capfd.readouterr() == ("", "")


def test_library_handler_is_silent_by_default():
    logger = logging.getLogger("lakefmt")
    assert any(isinstance(handler, logging.NullHandler) for handler in logger.handlers)
    assert logger.level == logging.NOTSET


@pytest.fixture
def opened(monkeypatch):
    """The data files that are opened in memory stores, by key."""
    keys: list[str] = []
    real = MemoryStore.open_input

    def open_input(self, key, size_bytes=None):
        keys.append(key)
        return real(self, key, size_bytes)

    monkeypatch.setattr(MemoryStore, "open_input", open_input)
    return keys


@pytest.fixture
def table_of_many_files():
    table = lakefmt.write(f"memory://{uuid.uuid4().hex}/table", ROWS)
    for number in range(5):
        table.append(ROWS.slice(number))
    return table


def test_reprs_open_no_data_file(table_of_many_files, opened):
    table = table_of_many_files
    result = table.append(ROWS)
    scan = table.scan(where="id > 3")
    for each in (scan, table.history(), result, table.schema, table.snapshot):
        assert repr(each)
    for each in (scan, table.history(), result):
        assert "<" in each._repr_html_()
    assert opened == []


def test_a_table_shows_its_first_rows_from_one_file_of_many(table_of_many_files, opened):
    assert "city 1" in repr(table_of_many_files)
    assert "city 1" in table_of_many_files._repr_html_()
    assert len(set(opened)) == 1


def test_a_table_whose_rows_cannot_be_read_shows_its_columns(tmp_path):
    table = lakefmt.write(tmp_path / "t", ROWS)
    next((tmp_path / "t").glob("*.parquet")).unlink()
    assert "city" in repr(table)
    assert "no rows shown" in repr(table)
    assert "no rows shown" in table._repr_html_()
