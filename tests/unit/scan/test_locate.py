import pyarrow as pa
import pytest

from lakefmt.errors import CorruptTableError, UnsupportedFeatureError
from lakefmt.scan.locate import locate, locate_all
from lakefmt.store import open_store


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("a.parquet", "a.parquet"),
        ("city=a%2520b/x%20y.parquet", "city=a%20b/x y.parquet"),
        ("{root}/sub/a%20b.parquet", "sub/a b.parquet"),
        ("file:{root}/a.parquet", "a.parquet"),
        ("file://{root}/p%3D1/a.parquet", "p=1/a.parquet"),
    ],
)
def test_paths_inside_the_table_are_keys(tmp_path, path, key):
    store = open_store(tmp_path)
    path = path.format(root=tmp_path)
    assert locate(store, path) == key
    assert locate_all(store, pa.chunked_array([["plain.parquet", path]])).to_pylist() == [
        "plain.parquet",
        key,
    ]


@pytest.mark.parametrize(
    "path", ["/elsewhere/a.parquet", "file:///elsewhere/a.parquet", "s3://bucket/a.parquet"]
)
def test_paths_outside_the_table_are_refused(tmp_path, path):
    with pytest.raises(UnsupportedFeatureError, match="inside the table's folder"):
        locate(open_store(tmp_path), path)


def test_a_bucket_of_another_name_is_outside():
    store = open_store(
        "s3://bucket/t", {"key": "a", "secret": "b", "client_kwargs": {"region_name": "us-east-1"}}
    )
    assert locate(store, "s3://bucket/t/a%20b.parquet") == "a b.parquet"
    with pytest.raises(UnsupportedFeatureError):
        locate(store, "s3://bucket2/t/a.parquet")


@pytest.mark.parametrize(
    "path", ["", "../x", "a/../../x", "./a", "a//b", "a/", "%2e%2e/x", "a%00b", "a\0b", "file://host/a"]
)
def test_a_path_that_is_none_below_the_table_is_corruption(tmp_path, path):
    store = open_store(tmp_path)
    with pytest.raises(CorruptTableError, match="no path below") as caught:
        locate_all(store, pa.chunked_array([["plain.parquet", path]]))
    assert caught.value.table == store.uri
    assert caught.value.path == path


def test_names_with_dots_are_keys(tmp_path):
    paths = ["a..b/..c/d..", ".hidden/x", "x/...", "..a"]
    assert locate_all(open_store(tmp_path), pa.chunked_array([paths])).to_pylist() == paths
