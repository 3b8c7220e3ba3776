import pickle

import pytest

from lakefmt.store import open_store
from lakefmt.store.connection import keep_public

PUBLIC = frozenset({"endpoint_url", "client_kwargs", "region_name"})


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("http://user:pw@host:9000", "http://host:9000"),
        ("https://user@host/x@y", "https://host/x@y"),
        ("http://user:p@w@host", "http://host"),
    ],
)
def test_user_information_of_a_url_is_dropped_and_named(url, kept):
    options = {"endpoint_url": url, "client_kwargs": {"endpoint_url": url, "region_name": "x"}}
    public, dropped = keep_public(options, PUBLIC)
    assert public == {"endpoint_url": kept, "client_kwargs": {"endpoint_url": kept, "region_name": "x"}}
    assert len(dropped) == 2
    assert all("endpoint_url" in name for name in dropped)


def test_other_values_are_kept_as_they_are():
    options = {"endpoint_url": "http://host:9000/a@b", "region_name": "x@y"}
    assert keep_public(options, PUBLIC) == (options, ())


def test_a_pickled_store_holds_no_password_of_its_endpoint():
    url = "http://user:verysecret@127.0.0.1:9"
    store = open_store(
        "s3://bucket/t",
        {"endpoint_url": url, "client_kwargs": {"endpoint_url": url}, "key": "k", "secret": "s"},
    )
    assert b"verysecret" not in pickle.dumps(store)
