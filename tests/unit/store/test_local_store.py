"""Local disk."""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import sys
import time
from pathlib import Path

import pytest

import lakefmt
from lakefmt.errors import InvalidInputError, ObjectNotFoundError, StoreError, UnknownOutcomeError
from lakefmt.store import open_store
from lakefmt.store.atomic_name import link_to_free_name, rename_to_free_name
from lakefmt.store.local import LocalStore, is_temporary
from lakefmt.store.retry import RetryPolicy
from lakefmt.testing.store_contract import StoreContract


class TestLocalStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return LocalStore(str(tmp_path / "a table"), fsync=False)

    def open_again(self, store):
        return open_store(store.uri, {"fsync": False})


class TestLocalStoreFlushed(StoreContract):
    rounds = 10

    @pytest.fixture
    def store(self, tmp_path):
        return LocalStore(str(tmp_path / "a table"))

    def open_again(self, store):
        return open_store(store.uri)


@pytest.mark.skipif(not sys.platform.startswith(("linux", "darwin")), reason="needs an exclusive rename")
class TestLocalStoreWithoutLinks(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return LocalStore(str(tmp_path), fsync=False, publish=rename_to_free_name)

    def open_again(self, store):
        return open_store(store.uri)


def temporary_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if is_temporary(path.name)]


def refuse_links(monkeypatch, code):
    def link(source, target, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", link)


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.EMLINK])
def test_file_system_without_links_falls_back_to_an_exclusive_rename(tmp_path, monkeypatch, code):
    refuse_links(monkeypatch, code)
    store = LocalStore(str(tmp_path))
    assert store.put_if_absent("log/1", b"first")
    assert not store.put_if_absent("log/1", b"second")
    assert store.read("log/1") == b"first"
    assert temporary_files(tmp_path) == []


def test_file_system_without_links_and_exclusive_renames_refuses(tmp_path, monkeypatch):
    refuse_links(monkeypatch, errno.EPERM)
    monkeypatch.setattr("lakefmt.store.atomic_name._exclusive_rename", lambda: None)
    store = LocalStore(str(tmp_path))
    with pytest.raises(StoreError, match="neither hard links nor a rename"):
        store.put_if_absent("log/1", b"first")
    assert temporary_files(tmp_path) == []
    assert list(store.list("log")) == []
    store.put("log/2", b"needs no such thing")


def test_link_that_was_made_though_it_failed_is_a_win(tmp_path):
    def link_over_a_bad_network(temporary, path):
        link_to_free_name(temporary, path)
        raise OSError(errno.EIO, "the answer was lost")

    store = LocalStore(str(tmp_path), publish=link_over_a_bad_network)
    assert store.put_if_absent("1", b"ours") is True
    assert store.read("1") == b"ours"


def test_write_that_fails_leaves_no_temporary_file(tmp_path):
    def fail(temporary, path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = LocalStore(str(tmp_path), publish=fail)
    with pytest.raises(StoreError, match="No space left") as caught:
        store.put_if_absent("log/1", b"x")
    assert "unknown" not in str(caught.value)
    assert temporary_files(tmp_path) == []


def test_flush_of_the_folder_that_fails_is_no_win(tmp_path, monkeypatch):
    store = LocalStore(str(tmp_path))
    store.put("log/0", b"")
    flushed = os.fsync
    folders = (Path(tmp_path / "log").stat().st_ino,)

    def fsync(file):
        if os.fstat(file).st_ino in folders:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        flushed(file)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(UnknownOutcomeError, match="could not be flushed") as caught:
        store.put_if_absent("log/1", b"x")
    assert caught.value.was_applied


def test_commit_whose_folder_cannot_be_flushed_is_told_as_one_that_may_not_last(tmp_path, monkeypatch):
    table = lakefmt.write(tmp_path / "t", {"id": [1]})
    flushed = os.fsync
    log = Path(tmp_path / "t/_delta_log").stat().st_ino

    def fsync(file):
        if os.fstat(file).st_ino == log:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        flushed(file)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(UnknownOutcomeError, match="may not survive a power cut") as caught:
        table.append({"id": [2]})
    assert (caught.value.version, caught.value.was_applied) == (2, True)
    monkeypatch.undo()
    again = lakefmt.open(tmp_path / "t")
    assert (again.version, again.count()) == (2, 2)


def test_flush_of_the_folder_is_tried_again_where_that_tells_something(tmp_path, monkeypatch):
    store = LocalStore(str(tmp_path))
    store.put("log/0", b"")
    flushed, failures = os.fsync, [errno.ESTALE]
    folder = Path(tmp_path / "log").stat().st_ino

    def fsync(file):
        if os.fstat(file).st_ino == folder and failures:
            raise OSError(failures.pop(), "not now")
        flushed(file)

    monkeypatch.setattr(os, "fsync", fsync)
    assert store.put_if_absent("log/1", b"x")
    assert failures == []


def test_everything_written_is_flushed_and_so_are_new_folders(tmp_path, monkeypatch):
    flushed = []
    fsync = os.fsync

    def record(file):
        flushed.append(os.fstat(file).st_ino)
        fsync(file)

    monkeypatch.setattr(os, "fsync", record)
    store = LocalStore(str(tmp_path / "table"))
    store.put_if_absent("log/1", b"x")
    inodes = [Path(path).stat().st_ino for path in (tmp_path, tmp_path / "table", tmp_path / "table/log")]
    assert flushed == [inodes[0], inodes[1], Path(tmp_path / "table/log/1").stat().st_ino, inodes[2]]
    flushed.clear()
    with store.open_output("data/1") as file:
        file.write(b"x")
    assert Path(tmp_path / "table/data/1").stat().st_ino in flushed
    assert Path(tmp_path / "table/data").stat().st_ino in flushed


@pytest.mark.parametrize(("options", "variable"), [({"fsync": False}, "1"), ({}, "0")])
def test_flushing_can_be_switched_off(tmp_path, monkeypatch, options, variable):
    monkeypatch.setenv("LAKEFMT_FSYNC", variable)
    monkeypatch.setattr(os, "fsync", lambda file: pytest.fail("flushed"))
    for store in (open_store(tmp_path, options), pickle.loads(pickle.dumps(open_store(tmp_path, options)))):
        store.put("log/1", b"x")
        with store.open_output("data/1") as file:
            file.write(b"x")


def test_unknown_option_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="'fsnyc'"):
        open_store(tmp_path, {"fsnyc": False})


def test_leftovers_of_a_crash_are_hidden_and_can_be_deleted(tmp_path):
    store = LocalStore(str(tmp_path))
    store.put("data/1", b"")
    with store.open_output("data/2") as file:
        file.write(b"x")
        (leftover,) = temporary_files(tmp_path)
        assert [found.key for found in store.list("", recursive=True)] == ["data/1"]
        assert store.delete_leftovers(int(time.time() * 1000) - 60_000) == 0, (
            "a write that is going on is spared"
        )
        last = leftover.stem[-1]
        copy = leftover.with_name(f"{leftover.stem[:-1]}{'1' if last == '0' else '0'}.tmp")
        copy.write_bytes(b"half a fi")
        os.utime(copy, (0, 0))
        assert store.delete_leftovers(int(time.time() * 1000) - 60_000) == 1
        assert not copy.exists()
    assert store.read("data/2") == b"x"


@pytest.mark.parametrize("name", ["x" * 200, "日" * 80])
def test_long_name_is_written(tmp_path, name):
    store = LocalStore(str(tmp_path))
    assert store.put_if_absent(name, b"1")
    with store.open_output("d/" + name) as file:
        file.write(b"1")
    assert [found.key for found in store.list("", recursive=True)] == sorted(["d/" + name, name])


def test_name_too_long_for_the_disk_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="name too long"):
        LocalStore(str(tmp_path)).put_if_absent("x" * 300, b"")


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_folder_without_permission_is_an_error_that_names_the_way_out(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="Check the permissions"):
        LocalStore(str(tmp_path)).put_if_absent("a", b"")


def test_place_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    store = LocalStore(str(tmp_path / "file"))
    assert list(store.list("_delta_log")) == []
    with pytest.raises(ObjectNotFoundError):
        store.read("_delta_log/0")
    with pytest.raises(StoreError, match="Not a directory"):
        store.put_if_absent("_delta_log/0", b"")


def test_transient_error_of_a_network_mount_is_retried(tmp_path, monkeypatch):
    store = LocalStore(str(tmp_path), retry=RetryPolicy(first_delay_s=0.001))
    store.put("a", b"1")
    scan, failures = os.scandir, [errno.ESTALE, errno.ETIMEDOUT]

    def scandir(path):
        if failures:
            raise OSError(failures[0], os.strerror(failures.pop(0)))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert [found.key for found in store.list("")] == ["a"]


def test_files_that_are_no_text_and_links_to_nothing_are_left_out_of_listings(tmp_path):
    store = LocalStore(str(tmp_path))
    store.put("a", b"1")
    (tmp_path / "b").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with contextlib.suppress(OSError):  # some file systems take text only
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_bytes(b"")
    assert [found.key for found in store.list("", recursive=True)] == ["a", "link"]


def test_error_of_the_caller_leaves_an_output_unchanged(tmp_path):
    store = LocalStore(str(tmp_path))
    with pytest.raises(FileNotFoundError), store.open_output("a"):
        Path("/nowhere/at/all").read_bytes()


def test_display_is_the_path(tmp_path):
    store = open_store(tmp_path / "a b")
    assert store.display == str(tmp_path / "a b")
    assert repr(store) == f"LocalStore({str(tmp_path / 'a b')!r})"
    assert store.local_path("x/y") == str(tmp_path / "a b" / "x" / "y")
