import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakefmt.log.paths import canonical_path
from lakefmt.manifest.path_columns import canonical_paths

PIECES = [
    "a",
    "b c",
    "%20",
    "%",
    "%2F",
    "%FF",
    "%C3%A4",
    "ä",
    "/",
    "//",
    ":",
    "file:",
    "s3://b/",
    ".",
    "x.parquet",
]
PATHS = st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join), max_size=6)


@settings(deadline=None)  # pyarrow.compute is imported on the way
@given(st.lists(PATHS, max_size=3), st.integers(0, 3))
@example([["p=a%20b/x", "p=a%20b/y", "p=c/z%41", "/abs/x", "plain"]], 1)
def test_a_column_of_paths_is_spelled_as_each_of_them(chunks, skipped):
    column = pa.chunked_array(chunks, pa.string()).slice(skipped)
    assert canonical_paths(column).to_pylist() == [canonical_path(path) for path in column.to_pylist()]


def test_a_column_of_plain_paths_is_the_same_column():
    column = pa.chunked_array([["day=2020-01-01/part-0.parquet", "part-1.parquet"]])
    assert canonical_paths(column) is column
