"""Tables whose log names files by absolute paths: shallow clones, and tables that say `file:` of their own."""

import json
from urllib.parse import quote

import duckdb
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import CorruptTableError, UnsupportedFeatureError
from lakefmt.log.paths import commit_key
from lakefmt.store import open_store

FOLDER = "so urce%20"  # of the source: encoded in the log, and not twice
ROWS = pa.table({"id": [1, 2, 3, 4], "city": ["a b", "a b", "ü/%", None]})


@pytest.fixture
def source(table_uri):
    uri, options = table_uri
    place = f"{uri.rpartition('/')[0]}/{FOLDER}"
    return lakefmt.write(place, ROWS, partition_by="city", storage_options=options)


def log_of(store, version=0):
    return [json.loads(line) for line in store.read(commit_key(version)).splitlines()]


def clone(source, uri, options, prefix):
    """Write the log that a shallow clone has: the source's metadata, its files by their full paths."""
    store = open_store(uri, options)
    lines = []
    for version in range(source.version + 1):
        for action in log_of(source._store, version):
            if "add" in action:
                action["add"]["path"] = f"{prefix}/{action['add']['path']}"
            if "commitInfo" not in action:
                lines.append(action)
    store.put(commit_key(0), "\n".join(map(json.dumps, lines)).encode())
    return lakefmt.open(uri, storage_options=options)


@pytest.fixture
def cloned(source, table_uri):
    uri, options = table_uri
    prefix = source.uri if source.uri.startswith("file:") else quote(source.uri, safe=":/")
    return clone(source, uri, options, prefix)


def test_a_clone_has_the_rows_of_its_source(source, cloned):
    assert cloned.to_arrow().sort_by("id").equals(ROWS)
    assert cloned.scan(["id"], "city = 'ü/%'").to_arrow().to_pydict() == {"id": [3]}
    assert cloned.count("id >= 2") == 3
    assert cloned.head(10).num_rows == 4
    assert cloned.to_polars().collect().height == 4
    with duckdb.connect() as con:
        assert cloned.to_duckdb(con, "rows").aggregate("sum(id)").fetchall() == [(10,)]


def test_a_clone_grows_without_touching_its_source(source, cloned):
    before = {info.key: info for info in source._store.list("", recursive=True)}
    cloned.append(pa.table({"id": [9], "city": ["new"]}))
    cloned.overwrite(pa.table({"id": [7], "city": ["a b"]}), where="city = 'a b'")
    assert sorted(cloned.to_arrow()["id"].to_pylist()) == [3, 4, 7, 9]
    cloned.overwrite(pa.table({"id": [5], "city": ["only"]}))
    assert cloned.to_arrow()["id"].to_pylist() == [5]
    assert {info.key: info for info in source._store.list("", recursive=True)} == before
    assert source.to_arrow().num_rows == 4


def test_files_tell_where_they_are_and_what_the_log_says(source, cloned):
    files = cloned.files()
    for place, logged in zip(files["path"].to_pylist(), files["log_path"].to_pylist(), strict=True):
        assert place.startswith("/")
        assert f"/{FOLDER}/city=" in place
        assert "://" in logged
        assert cloned._store.info(place).size_bytes > 0
    own = source.files()
    assert sorted(own["path"].to_pylist()) == sorted(
        place.partition(f"/{FOLDER}/")[2] for place in files["path"].to_pylist()
    )


def test_a_clones_missing_source_is_named(source, cloned):
    source._store.delete(source.files()["path"].to_pylist())
    with pytest.raises(CorruptTableError, match="missing") as caught:
        cloned.to_arrow()
    assert FOLDER in caught.value.path


@pytest.mark.parametrize("form", ["file:{}", "file://{}", "file://localhost{}", "{}"])
def test_a_table_may_name_its_own_files_absolutely(tmp_path, form):
    folder = tmp_path / FOLDER
    source = lakefmt.write(folder, ROWS, partition_by="city")
    path = quote(str(folder))
    table = clone(source, tmp_path / "t", None, form.format(path))
    assert table.to_arrow().sort_by("id").equals(ROWS)
    store = open_store(folder)
    clone(source, folder, None, form.format(path))
    store.delete([commit_key(version) for version in range(1, source.version + 1)])
    own = lakefmt.open(folder)
    assert own.to_arrow().sort_by("id").equals(ROWS)
    assert not any(place.startswith("/") for place in own.files()["path"].to_pylist())


def test_files_of_another_bucket_are_refused_and_never_asked_for(s3_server, s3_bucket, s3_options):
    source = lakefmt.write(f"{s3_server.create_bucket()}/t", ROWS, storage_options=s3_options)
    table = clone(source, f"{s3_bucket}/t", s3_options, source.uri)
    s3_server.gate.forget()
    with pytest.raises(UnsupportedFeatureError, match="own bucket"):
        table.to_arrow()
    with pytest.raises(UnsupportedFeatureError):
        table.files()
