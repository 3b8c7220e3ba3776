"""Handles of a table in whose place there is another one now, or a copy of itself."""

import os
import shutil

import deltalake
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import CommitConflictError


def rows(number):
    return pa.table({"id": [number]})


def replace_by_another(folder, *, with_versions):
    """Put another table of as many versions in its place, with commits as long as those before."""
    shutil.rmtree(folder)
    other = lakefmt.write(folder, rows(7))
    while other.version < with_versions:
        other.append(rows(7))
    return other


def lengths(folder):
    return [file.stat().st_size for file in sorted((folder / "_delta_log").glob("*.json"))]


@pytest.fixture
def folder(tmp_path):
    table = lakefmt.write(tmp_path / "t", rows(1))
    table.append(rows(1))
    return tmp_path / "t"


def opened(folder):
    return lakefmt.open(folder)


def written_by(folder):
    """A handle that stands at a commit of its own, of which it has never seen the file."""
    handle = lakefmt.open(folder)
    handle.append(rows(1))
    return handle


@pytest.mark.parametrize("make_handle", [opened, written_by])
@pytest.mark.parametrize("further", [0, 1, 5])
def test_refresh_reads_the_table_that_is_there_now(folder, make_handle, further):
    handle = make_handle(folder)
    before = lengths(folder)
    replace_by_another(folder, with_versions=handle.version + further)
    assert lengths(folder)[: len(before)] == before
    handle.refresh()
    assert handle.version >= 2 + further
    assert set(handle.to_arrow()["id"].to_pylist()) == {7}
    handle.append(rows(7))
    assert lakefmt.open(folder).count() == handle.count()


@pytest.mark.parametrize("make_handle", [opened, written_by])
@pytest.mark.parametrize("further", [0, 1, 5])
@pytest.mark.parametrize("write", ["append", "overwrite"])
def test_nothing_is_committed_to_a_table_that_took_the_place_of_ours(folder, make_handle, further, write):
    handle = make_handle(folder)
    other = replace_by_another(folder, with_versions=handle.version + further)
    before = sorted(folder.rglob("*"))
    with pytest.raises(CommitConflictError, match="replaced by another") as caught:
        getattr(handle, write)(rows(1))
    assert not caught.value.retry_helps
    assert sorted(folder.rglob("*")) == before
    assert lakefmt.open(folder).version == other.version
    assert lakefmt.open(folder).count() == other.count()


@pytest.mark.parametrize("make_handle", [opened, written_by])
def test_a_log_that_was_copied_back_is_the_same_table(folder, make_handle):
    handle = make_handle(folder)
    for file in (folder / "_delta_log").glob("*.json"):
        os.utime(file, (1_600_000_000, 1_600_000_000))
    snapshot = handle.snapshot
    assert handle.refresh().snapshot is snapshot
    handle.overwrite(rows(2))
    assert lakefmt.open(folder).to_arrow()["id"].to_pylist() == [2]


def test_an_overwrite_does_not_go_on_where_a_copy_took_another_way(folder):
    handle = lakefmt.open(folder)
    handle.append(rows(2))
    (folder / "_delta_log" / f"{handle.version:020d}.json").unlink()
    lakefmt.open(folder).append(rows(3))
    with pytest.raises(CommitConflictError, match="no longer in the log") as caught:
        handle.overwrite(rows(4))
    assert caught.value.retry_helps
    assert sorted(lakefmt.open(folder).to_arrow()["id"].to_pylist()) == [1, 1, 3]
    handle.refresh().overwrite(rows(4))
    assert lakefmt.open(folder).to_arrow()["id"].to_pylist() == [4]


def test_commits_of_writers_without_ids_are_told_apart_by_their_files(tmp_path):
    uri = str(tmp_path / "t")
    for _ in range(2):
        deltalake.write_deltalake(uri, rows(1), mode="append")
    handle = lakefmt.open(uri)
    strip_ids(tmp_path / "t")
    handle.refresh()
    shutil.rmtree(uri)
    for _ in range(2):
        deltalake.write_deltalake(uri, rows(7), mode="append")
    strip_ids(tmp_path / "t")
    assert set(handle.refresh().to_arrow()["id"].to_pylist()) == {7}


def strip_ids(folder):
    for file in (folder / "_delta_log").glob("*.json"):
        lines = [line for line in file.read_text().splitlines() if '"commitInfo"' not in line]
        file.write_text("\n".join(lines))
