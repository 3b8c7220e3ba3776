"""Where URIs and paths lead."""

from __future__ import annotations

import pathlib

import pytest

from lakefmt.errors import InvalidInputError
from lakefmt.store import open_store
from lakefmt.store.location import check_key, parse_location


@pytest.mark.parametrize(
    ("given", "path", "uri"),
    [
        ("/data/trips", "/data/trips", "file:///data/trips"),
        ("/data/trips/", "/data/trips", "file:///data/trips"),
        ("/data/../trips//x", "/trips/x", "file:///trips/x"),
        ("/data/a b", "/data/a b", "file:///data/a%20b"),
        ("/data/a%20b", "/data/a%20b", "file:///data/a%2520b"),
        ("/data/a#b?c", "/data/a#b?c", "file:///data/a%23b%3Fc"),
        ("/data/Zürich", "/data/Zürich", "file:///data/Z%C3%BCrich"),
        ("file:///data/a%20b", "/data/a b", "file:///data/a%20b"),
        ("file:///data/a%2520b/", "/data/a%20b", "file:///data/a%2520b"),
        ("file:/data/trips", "/data/trips", "file:///data/trips"),
        ("file://localhost/data/trips", "/data/trips", "file:///data/trips"),
        ("FILE:///data/trips", "/data/trips", "file:///data/trips"),
        (pathlib.PurePosixPath("/data/a%20b"), "/data/a%20b", "file:///data/a%2520b"),
        ("/data/s3:/x", "/data/s3:/x", "file:///data/s3%3A/x"),
    ],
)
def test_path_and_file_uri_lead_to_a_folder(given, path, uri):
    location = parse_location(given)
    assert (location.kind, location.path, location.uri) == ("local", path, uri)
    assert parse_location(uri) == location


def test_relative_path_and_home_are_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse_location("a/b").path == str(tmp_path / "a/b")
    assert parse_location(".").path == str(tmp_path)
    assert parse_location("~/t").path == str(tmp_path / "t")
    assert parse_location("day:1").path == str(tmp_path / "day:1")


@pytest.mark.parametrize(
    ("given", "kind", "uri", "container", "path", "account"),
    [
        ("s3://bucket/a/b/", "s3", "s3://bucket/a/b", "bucket", "a/b", None),
        ("s3a://bucket/a", "s3", "s3://bucket/a", "bucket", "a", None),
        ("S3://bucket", "s3", "s3://bucket", "bucket", "", None),
        ("s3://bucket/a%20b/c d", "s3", "s3://bucket/a%20b/c d", "bucket", "a%20b/c d", None),
        ("gs://bucket/a", "gcs", "gs://bucket/a", "bucket", "a", None),
        ("gcs://bucket/a", "gcs", "gs://bucket/a", "bucket", "a", None),
        ("az://container/a", "azure", "az://container/a", "container", "a", None),
        (
            *("abfss://c@acc.dfs.core.windows.net/a/", "azure", "abfss://c@acc.dfs.core.windows.net/a"),
            *("c", "a", "acc"),
        ),
        ("memory://name/a/", "memory", "memory://name/a", "", "name/a", None),
        ("memory:///name", "memory", "memory://name", "", "name", None),
    ],
)
def test_uri_of_a_store_is_taken_apart(  # noqa: PLR0917 - one for each column
    given, kind, uri, container, path, account
):
    location = parse_location(given)
    assert (location.kind, location.uri, location.container) == (kind, uri, container)
    assert (location.path, location.account) == (path, account)
    assert parse_location(uri) == location


@pytest.mark.parametrize("given", ["", "s3://", "s3:///key", "s3:/bucket/key", "file://host/data", "a\0b"])
def test_uri_that_leads_nowhere_is_refused(given):
    with pytest.raises(InvalidInputError):
        parse_location(given)


def test_secrets_in_foreign_uris_are_not_shown():
    location = parse_location("ftp://user:pa55word@host/data")
    assert location.kind == "generic"
    assert "pa55word" not in location.uri


@pytest.mark.parametrize("key", ["a", "a/b", "..a", "a..", "a/...", ".a", "a.b/c", "a%2F..%2Fb"])
def test_key_below_the_root_is_taken(key):
    assert check_key(key) == key


@pytest.mark.parametrize(
    "key", ["", "/", "/a", "a/", "a//b", "..", ".", "a/..", "../a", "a/../b", "./a", "a/."]
)
def test_key_elsewhere_is_refused(key):
    with pytest.raises(InvalidInputError):
        check_key(key)


def test_places_are_opened_by_the_right_store(tmp_path):
    names = {
        str(tmp_path): "LocalStore",
        tmp_path.as_uri(): "LocalStore",
        "memory://x": "MemoryStore",
        "s3://bucket/x": "S3Store",
        "gs://bucket/x": "GcsStore",
        "az://container/x": "AzureStore",
        f"simplecache::{tmp_path.as_uri()}": "GenericStore",
    }
    assert {place: type(open_store(place)).__name__ for place in names} == names
