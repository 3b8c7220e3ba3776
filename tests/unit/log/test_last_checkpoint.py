"""The hint: what stands in it, and that it goes forward."""

from __future__ import annotations

import json

import orjson
import pytest

from lakefmt.log.last_checkpoint import (
    LastCheckpoint,
    json_checksum,
    put_last_checkpoint,
    read_checkpoint_hint,
)
from lakefmt.log.paths import LAST_CHECKPOINT, commit_key
from lakefmt.store import open_store


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "table")


def test_checksum_is_that_of_the_protocols_example():
    text = (
        '{"k0":"\'v 0\'", "checksum": "adsaskfljadfkjadfkj", "k1":{"k2": 2, "k3": ["v3", [1, 2], {"k4": "v4", '
        '"k5": ["v5", "v6", "v7"]}]}}'
    )
    assert json_checksum(json.loads(text)) == "6a92d155a59bf2eecbd4b4ec7fd1f875"


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        (
            {"b": {"y": None, "x": "https://delta.io"}, "a": 10},
            '"a"=10,"b"+"x"="https%3A%2F%2Fdelta.io","b"+"y"=null',
        ),
        ({"a": [None, "hi ho", 2.71]}, '"a"+0=null,"a"+1="hi%20ho","a"+2=2.71'),
        ({"ä~": True, "z": "-._~>"}, '"%C3%A4~"=true,"z"="-._~%3E"'),
    ],
)
def test_checksum_is_of_the_canonical_form(value, canonical):
    import hashlib

    assert json_checksum(value) == hashlib.md5(canonical.encode()).hexdigest()


def test_first_fields_of_the_file_are_those_that_old_readers_look_for():
    data = LastCheckpoint(12, 34, size_bytes=56, num_adds=7, parts=2).encode()
    assert data.startswith(b'{"version":12,"size":34,"parts":2,')
    value = orjson.loads(data)
    assert value.pop("checksum") == json_checksum(value)
    assert value == {"version": 12, "size": 34, "parts": 2, "sizeInBytes": 56, "numOfAddFiles": 7}


def test_file_names_a_checkpoint_with_a_uuid():
    value = orjson.loads(
        LastCheckpoint(1, 2, v2_name="1.checkpoint.x.json", v2_size_bytes=3, v2_modified_ms=4).encode()
    )
    assert value["v2Checkpoint"] == {"path": "1.checkpoint.x.json", "sizeInBytes": 3, "modificationTime": 4}
    assert value["checksum"] == json_checksum(value)


def test_hint_does_not_go_back(store):
    for version in (10, 20):
        store.put(commit_key(version), b"{}")
        assert put_last_checkpoint(store, LastCheckpoint(version, 1))
    assert not put_last_checkpoint(store, LastCheckpoint(10, 1))
    assert read_checkpoint_hint(store) == 20
    assert put_last_checkpoint(store, LastCheckpoint(20, 5))


@pytest.mark.parametrize("there", [b"", b"[]", b'{"version":"x"}', b'{"version":99,"size":1}'])
def test_hint_that_makes_no_sense_is_replaced(store, there):
    store.put(commit_key(10), b"{}")
    store.put(LAST_CHECKPOINT, there)
    assert put_last_checkpoint(store, LastCheckpoint(10, 1))
    assert read_checkpoint_hint(store) == 10
