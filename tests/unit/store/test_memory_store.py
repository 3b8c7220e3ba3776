"""Memory."""

from __future__ import annotations

import uuid

import fsspec
import pytest

from lakefmt.errors import InvalidInputError
from lakefmt.store import open_store
from lakefmt.store.memory import MemoryStore
from lakefmt.testing.store_contract import StoreContract


class TestMemoryStore(StoreContract):
    shared_with_processes = False

    @pytest.fixture
    def store(self):
        return MemoryStore(f"memory://{uuid.uuid4().hex}/a table")

    def open_again(self, store):
        return open_store(store.uri)


def test_fsspec_sees_the_same_objects():
    store = open_store(f"memory://{uuid.uuid4().hex}")
    store.put_if_absent("log/1", b"ours")
    with fsspec.open(f"{store.uri}/log/2", "wb") as file:
        file.write(b"theirs")
    with fsspec.open(f"{store.uri}/log/1", "rb") as file:
        assert file.read() == b"ours"
    assert store.read("log/2") == b"theirs"
    assert [found.key for found in store.list("log")] == ["log/1", "log/2"]
    assert not store.put_if_absent("log/2", b"ours")


def test_options_are_refused():
    with pytest.raises(InvalidInputError, match="memory"):
        open_store("memory://x", {"fsync": True})
