"""Any other fsspec file system: read-only."""

from __future__ import annotations

import pickle
import zipfile

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from lakefmt.errors import InvalidInputError, ObjectNotFoundError, StoreError
from lakefmt.store import open_store


@pytest.fixture
def store(tmp_path):
    with zipfile.ZipFile(tmp_path / "table.zip", "w") as archive:
        for key in (
            "trips/b 1",
            "trips/_delta_log/01.json",
            "trips/_delta_log/00.json",
            "trips2/a",
            "trips/a/x",
        ):
            archive.writestr(key, key)
    return open_store(f"zip://trips::{(tmp_path / 'table.zip').as_uri()}")


def test_foreign_file_system_is_read(store):
    assert store.read("_delta_log/00.json") == b"trips/_delta_log/00.json"
    assert store.read_ranges("b 1", [(0, 2), (3, 5), (2, 2), (8, 100)]) == [b"tr", b"ps", b"", b"1"]
    assert store.info("b 1").size_bytes == 9
    assert store.open_input("b 1").read() == b"trips/b 1"
    assert [found.key for found in store.list("")] == ["b 1"]
    assert [found.key for found in store.list("_delta_log", after="00.json")] == ["_delta_log/01.json"]
    assert [found.key for found in store.list("", recursive=True)] == [
        *("_delta_log/00.json", "_delta_log/01.json", "a/x", "b 1")
    ]
    assert list(store.list("absent")) == []
    for call in (store.read, store.info, store.open_input):
        with pytest.raises(ObjectNotFoundError, match="absent"):
            call("absent")


def test_foreign_file_system_refuses_every_write_and_says_why(store):
    assert "no atomic put-if-absent" in store.read_only_reason
    for call in (
        lambda: store.put("a", b""),
        lambda: store.put_if_absent("a", b""),
        lambda: store.delete(["a"]),
        lambda: store.open_output("a"),
    ):
        with pytest.raises(StoreError, match="keep tables that are written on local disk"):
            call()


def test_pickled_store_reads_on(store):
    assert pickle.loads(pickle.dumps(store)).read("b 1") == b"trips/b 1"


def test_protocol_that_nobody_knows_is_refused():
    with pytest.raises(InvalidInputError, match="no file system"):
        open_store("nonsense://host/table")


class Shelf(MemoryFileSystem):
    """A file system under a scheme of its own, with servers."""

    protocol = "shelf"

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(path.removeprefix("shelf://"))


def test_key_elsewhere_on_the_same_server_is_read():
    fsspec.register_implementation("shelf", Shelf, clobber=True)
    Shelf().pipe_file("shelf://host/other/a b", b"text")
    store = open_store("shelf://host/trips")
    assert store.key_of("shelf://host/trips/a%20b") == "a b"
    assert store.key_of("shelf://host/other/a%20b") == "/other/a b"
    assert store.read("/other/a b") == b"text"
    assert store.key_of("shelf://host2/trips/a") is None
    assert store.key_of("s3://host/trips/a") is None


def test_a_file_system_inside_another_has_no_place_elsewhere(store):
    assert store.key_of("/b 1") is None
    assert store.key_of("zip://trips/b 1") is None
