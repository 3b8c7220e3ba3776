"""A store that goes to a worker process has its secrets; any other pickle has none."""

from __future__ import annotations

import pickle

import pytest

from lakefmt.store import open_store
from lakefmt.store.sent_store import SentStore

S3 = {"key": "an-id", "secret": "hush-hush", "endpoint_url": "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    ("uri", "options", "secret"),
    [
        ("s3://bucket/trips", S3, b"hush-hush"),
        ("az://box/trips", {"account_name": "me", "account_key": "aHVzaA=="}, b"aHVzaA=="),
        ("gs://bucket/trips", {"token": {"type": "x", "private_key": "hush-hush"}}, b"hush-hush"),
    ],
)
def test_sent_store_has_its_secrets_and_a_pickled_one_has_none(uri, options, secret):
    store = open_store(uri, options)
    sent = pickle.dumps(SentStore(store))
    assert secret in sent
    assert secret not in pickle.dumps(store)
    copy = pickle.loads(sent).store
    assert copy.identity == store.identity
    # What came is as good as what went: it can go on.
    assert secret in pickle.dumps(SentStore(copy))
    assert secret.decode() not in repr(SentStore(store))


def test_local_and_generic_stores_read_on_after_the_trip(tmp_path):
    (tmp_path / "x").write_bytes(b"rows")
    assert pickle.loads(pickle.dumps(SentStore(open_store(tmp_path)))).store.read("x") == b"rows"
    generic = open_store(
        f"simplecache::file://{tmp_path}", {"simplecache": {"cache_storage": str(tmp_path / "c")}}
    )
    copy = pickle.loads(pickle.dumps(SentStore(generic))).store
    assert copy.read("x") == b"rows"
    assert (tmp_path / "c").exists()
