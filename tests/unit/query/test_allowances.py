"""Files of folders that a caller names, and extensions: off unless allowed, and nothing beyond what is named."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakefmt
from lakefmt.errors import InvalidInputError, TableNotFoundError, UnsupportedFeatureError


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "raw data"
    (place / "below").mkdir(parents=True)
    (place / "x.csv").write_text("a,b\n1,one\n3,three\n")
    (tmp_path / "outside.csv").write_text("a,b\n9,nine\n")
    pq.write_table(pa.table({"a": [1, 2, 3]}), place / "below" / "y.parquet")
    return place


def read(text, folder=None, tables=None, **options):
    return (
        lakefmt.sql(text, tables, allowed_folders=[folder] if folder else [], **options)
        .to_arrow()
        .to_pylist()
    )


def test_file_functions_read_below_a_folder_that_is_allowed(folder):
    assert read(f"SELECT b FROM read_csv('{folder}/x.csv') WHERE a = 3", folder) == [{"b": "three"}]
    assert read(f"SELECT sum(a) AS s FROM read_parquet('{folder}/**/*.parquet')", str(folder)) == [{"s": 6}]
    assert read(f"SELECT count(*) AS n FROM glob('{folder}/*.csv')", folder) == [{"n": 1}]
    query = lakefmt.sql("SELECT a FROM read_csv($1)", params=[f"{folder}/x.csv"], allowed_folders=[folder])
    assert query.schema == pa.schema({"a": pa.int64()})
    assert query.to_arrow().num_rows == 2


def test_relative_names_and_links_to_the_folder_are_understood(folder, monkeypatch):
    (folder.parent / "link").symlink_to(folder, target_is_directory=True)
    monkeypatch.chdir(folder)
    assert len(read("FROM read_csv('x.csv')", ".")) == 2
    link = folder.parent / "link"
    assert len(read(f"FROM read_csv('{link}/x.csv')", link)) == 2


def test_tables_are_pruned_beside_files(folder, tmp_path):
    table = lakefmt.create(tmp_path / "t", {"a": "long", "x": "long"})
    for number in range(4):
        table.append({"a": [number], "x": [number * 10]})
    text = f"SELECT x, b FROM t JOIN read_csv('{folder}/x.csv') AS f USING (a) WHERE t.a >= 3"
    query = lakefmt.sql(text, {"t": table}, allowed_folders=[folder])
    assert query.to_arrow().to_pylist() == [{"x": 30, "b": "three"}]
    assert query.explain().tables[0].files == 1


@pytest.mark.parametrize(
    "name",
    ["../outside.csv", "below/../../outside.csv", "link.csv", "/etc/hostname", "http://127.0.0.1:1/x.csv"],
)
def test_nothing_else_is_read(folder, name):
    (folder / "link.csv").symlink_to(folder.parent / "outside.csv")
    path = name if name[:1] == "/" or ":" in name else f"{folder}/{name}"
    with pytest.raises((InvalidInputError, UnsupportedFeatureError)) as caught:
        read(f"FROM read_csv('{path}')", folder)
    assert "nine" not in str(caught.value)


def test_files_of_tables_that_another_query_read_are_not_within_reach(folder, tmp_path):
    table = lakefmt.create(tmp_path / "t", {"a": "long"})
    table.append({"a": [7]})
    assert read("FROM t", folder, {"t": table}) == [{"a": 7}]
    (path,) = table.files()["path"].to_pylist()
    with pytest.raises(InvalidInputError, match="allowed_folders"):
        read(f"FROM read_parquet('{tmp_path / 't' / path}')", folder)


def test_what_one_query_may_read_the_next_may_not(folder):
    text = f"FROM read_csv('{folder}/x.csv')"
    assert len(read(text, folder)) == 2
    with pytest.raises(InvalidInputError, match="allowed_folders"):
        read(text)
    with pytest.raises(InvalidInputError, match="allowed_folders"):
        read(text, folder / "below")


@pytest.mark.parametrize(
    "text",
    ["COPY (SELECT 1) TO '{}/z.csv'", "ATTACH '{}/z.db'", "SET threads = 1", "INSTALL icu", "LOAD icu"],
)
def test_statements_that_do_not_read_stay_refused(folder, text):
    with pytest.raises(InvalidInputError, match="only reads"):
        read(text.format(folder), folder, extensions=["icu"])
    assert not (folder / "z.csv").exists()


def test_a_path_in_from_is_a_table(folder):
    with pytest.raises(TableNotFoundError):
        read(f"FROM '{folder}/x.csv'", folder)


def test_extension_that_is_there_is_loaded_and_another_is_told(folder):
    assert read("SELECT icu_sort_key('b', 'de') > icu_sort_key('a', 'de') AS later", extensions=["icu"]) == [
        {"later": True}
    ]
    with pytest.raises(InvalidInputError, match=r"INSTALL no_such_extension"):
        read("SELECT 1", extensions=["no_such_extension"])
    with pytest.raises(UnsupportedFeatureError, match=r"extensions=\["):
        read("SELECT st_point(1, 2)")


@pytest.mark.parametrize(
    "options",
    [
        {"allowed_folders": "/tmp"},
        {"allowed_folders": ["s3://bucket/x"]},
        {"allowed_folders": ["no such folder"]},
        {"allowed_folders": [""]},
        {"allowed_folders": [b"/tmp"]},
        {"allowed_folders": 3},
        {"extensions": "icu"},
        {"extensions": ["icu; DROP"]},
        {"extensions": ["/tmp/x.duckdb_extension"]},
        {"extensions": [None]},
    ],
    ids=str,
)
def test_what_names_no_folder_and_no_extension_is_refused(options):
    with pytest.raises(InvalidInputError, match=r"allowed_folders|extension"):
        lakefmt.sql("SELECT 1", **options)
