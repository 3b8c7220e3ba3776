import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakefmt.errors import CorruptTableError, UnsupportedFeatureError
from lakefmt.scan.locate import locate, locate_all
from lakefmt.store import open_store

S3_OPTIONS = {"key": "a", "secret": "b", "client_kwargs": {"region_name": "us-east-1"}}


def store_of(uri):
    return open_store(uri, S3_OPTIONS if uri.startswith("s3") else None)


def key_of(store, path):
    """Return the key by both ways, which must agree."""
    key = locate(store, path)
    column = pa.chunked_array([["plain.parquet", path], [path, "a%20b"]])
    assert locate_all(store, column).to_pylist() == ["plain.parquet", key, key, "a b"]
    return key


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("a.parquet", "a.parquet"),
        ("city=a%2520b/x%20y.parquet", "city=a%20b/x y.parquet"),
        ("city=a%2520b/xy.parquet", "city=a%20b/xy.parquet"),
        ("100%25/[1]+#=:?'\"é🚕.parquet", "100%/[1]+#=:?'\"é🚕.parquet"),
        ("%5B1%5D%2B%23%3D%3A%3F%27%22%C3%A9%F0%9F%9A%95", "[1]+#=:?'\"é🚕"),
        ("a%2Fb", "a/b"),
        ("100%/x", "100%/x"),
        ("day:1/x.parquet", "day:1/x.parquet"),
        ("C:/data/x.parquet", "C:/data/x.parquet"),
        ("{root}/sub/a%20b.parquet", "sub/a b.parquet"),
        ("file:{root}/a.parquet", "a.parquet"),
        ("file://{root}/p%3D1/a.parquet", "p=1/a.parquet"),
        ("file://{root}/p%2520/a.parquet", "p%20/a.parquet"),
        ("FILE://localhost{root}//a.parquet", "a.parquet"),
        ("file://{root}2/a.parquet", "{root}2/a.parquet"),
        ("file:/other/t/a%20b/x.parquet", "/other/t/a b/x.parquet"),
        ("file:////other/a.parquet", "/other/a.parquet"),
        ("/other/a%2520b.parquet", "/other/a%20b.parquet"),
        ("/other/a::b.parquet", "/other/a::b.parquet"),
    ],
)
def test_paths_on_local_disk_are_keys(tmp_path, path, key):
    store = open_store(tmp_path)
    assert key_of(store, path.replace("{root}", str(tmp_path))) == key.replace("{root}", str(tmp_path))


@pytest.mark.parametrize(
    ("table", "path", "key"),
    [
        ("s3://bucket/t", "s3://bucket/t/a%20b.parquet", "a b.parquet"),
        ("s3://bucket/t", "s3a://bucket/t/x=1/a.parquet", "x=1/a.parquet"),
        ("s3a://bucket/t", "s3n://bucket/t2/a%2Bb.parquet", "/t2/a+b.parquet"),
        ("s3://bucket/t", "/t/a.parquet", "a.parquet"),
        ("s3://bucket/t", "/deep/er/a%3A%3Ab.parquet", "/deep/er/a::b.parquet"),
        ("s3://bucket/t", "//bucket/u/a.parquet", "/u/a.parquet"),
        ("s3://bucket", "s3://bucket/t/a.parquet", "t/a.parquet"),
        ("memory://shop/t", "memory://shop/t/a.parquet", "a.parquet"),
        ("memory://shop/t", "memory:/shop/u/a%20b.parquet", "/shop/u/a b.parquet"),
        ("memory://shop/t", "/shop/t/a.parquet", "a.parquet"),
        ("gs://bucket/t", "gcs://bucket/t/a.parquet", "a.parquet"),
        ("abfss://c@acc.dfs.core.windows.net/t", "wasbs://c@acc.blob.core.windows.net/u/a", "/u/a"),
        ("abfss://c@acc.dfs.core.windows.net/t", "abfss://c@acc.dfs.core.windows.net/t/a", "a"),
        ("abfss://c@acc.dfs.core.windows.net/t", "az://c/t/a", "a"),
    ],
)
def test_paths_on_the_same_container_are_keys(table, path, key):
    assert key_of(store_of(table), path) == key


@pytest.mark.parametrize(
    ("table", "path"),
    [
        ("/data/t", "s3://bucket/a.parquet"),
        ("/data/t", "dbfs:/mnt/a.parquet"),
        ("/data/t", "file://host/data/t/a.parquet"),
        ("/data/t", "//host/data/t/a.parquet"),
        ("/data/t", "memory://data/t/a.parquet"),
        ("s3://bucket/t", "s3://bucket2/t/a.parquet"),
        ("s3://bucket/t", "s3:/bucket/t/a.parquet"),
        ("s3://bucket/t", "s3://user@bucket/t/a.parquet"),
        ("s3://bucket/t", "gs://bucket/t/a.parquet"),
        ("s3://bucket/t", "file:///etc/passwd"),
        ("s3://bucket/t", "https://bucket.s3.amazonaws.com/t/a.parquet"),
        ("memory://shop/t", "file:///shop/t/a.parquet"),
        ("abfss://c@acc.dfs.core.windows.net/t", "abfss://c@other.dfs.core.windows.net/t/a"),
        ("abfss://c@acc.dfs.core.windows.net/t", "abfss://d@acc.dfs.core.windows.net/t/a"),
    ],
)
def test_a_path_on_another_store_is_refused(table, path):
    store = store_of(table)
    with pytest.raises(UnsupportedFeatureError, match="another store") as caught:
        locate_all(store, pa.chunked_array([["plain.parquet", path]]))
    assert caught.value.table == store.uri
    assert caught.value.path is not None


@pytest.mark.parametrize(
    "path",
    [
        *("", "../x", "a/../../x", "./a", "a//b", "a/", "%2e%2e/x", "%2Fetc/x", "a%00b", "a\0b", "a%FFb"),
        *("/", "/other/../x", "file:///other/%2e%2e/x", "/other/%00", "file:///a%FF/b"),
    ],
)
def test_a_path_that_names_no_file_is_corruption(tmp_path, path):
    store = open_store(tmp_path)
    with pytest.raises(CorruptTableError, match="no path below") as caught:
        locate_all(store, pa.chunked_array([["plain.parquet", path]]))
    assert caught.value.table == store.uri
    assert caught.value.path == path


def test_an_empty_part_of_an_object_name_is_corruption():
    with pytest.raises(CorruptTableError):
        locate(store_of("s3://bucket/t"), "s3://bucket/t//a")


def test_names_with_dots_are_keys(tmp_path):
    paths = ["a..b/..c/d..", ".hidden/x", "x/...", "..a"]
    assert locate_all(open_store(tmp_path), pa.chunked_array([paths])).to_pylist() == paths
    odd = [f"/other/{path}" for path in paths]
    assert locate_all(open_store(tmp_path), pa.chunked_array([odd])).to_pylist() == odd


def test_many_paths_of_few_folders_are_located_by_folder(tmp_path):
    store = open_store(tmp_path)
    paths = [f"{tmp_path}/p%3D{i % 3}/{i}.parquet" for i in range(300)] + ["x.parquet", "p%3D1/%20"]
    keys = [f"p={i % 3}/{i}.parquet" for i in range(300)] + ["x.parquet", "p=1/ "]
    assert locate_all(store, pa.chunked_array([paths[:100], paths[100:]])).to_pylist() == keys


PIECES = ["a", "b.parquet", "/", ".", "..", "%41", "%", "\0", "file:", ":", "é", " "]


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=4).map("".join), min_size=1, max_size=3))
@example(["a/", "b"])
@example(["a", "/b"])
@example([".", "a"])
@example(["a/.b"])
@example([""])
def test_a_column_of_any_paths_is_located_as_each_of_them(paths):
    store = open_store("/data/t")
    column = pa.chunked_array([paths], pa.string())
    try:
        expected = [locate(store, path) for path in paths]
    except (CorruptTableError, UnsupportedFeatureError) as error:
        with pytest.raises(type(error)):
            locate_all(store, column)
    else:
        assert locate_all(store, column).to_pylist() == expected
