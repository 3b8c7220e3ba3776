"""A log that is cleaned between its listing and the reading of a commit."""

from __future__ import annotations

import pytest

import lakefmt
from lakefmt.log.listing import list_commits
from lakefmt.log.paths import checkpoint_key, commit_key
from lakefmt.scan.change_range import iterate_commits
from lakefmt.snapshot import advance_snapshot, load_snapshot
from lakefmt.snapshot.load import load_commits_after
from lakefmt.store.local import LocalStore


class CleanedStore(LocalStore):
    """A store that somebody else cleans just before this process reads the first commit it has listed.

    Args:
        folder: of the table; its checkpoint of version 3 comes to be there when the log is cleaned.
        gone: versions whose commits are deleted then.
    """

    def __init__(self, folder, gone):
        super().__init__(str(folder))
        self._gone = gone
        self._checkpoint = super().read(checkpoint_key(3))
        super().delete([checkpoint_key(3)])

    def read(self, key):
        if self._gone and key in [commit_key(version) for version in range(5)]:
            gone, self._gone = self._gone, []
            self.put(checkpoint_key(3), self._checkpoint)
            self.delete([commit_key(version) for version in gone])
        return super().read(key)


@pytest.fixture
def folder(tmp_path):
    """Versions 0 to 4, a row in each but the first, and a checkpoint of version 3."""
    table = lakefmt.create(tmp_path / "t", {"id": "long"})
    for number in range(1, 5):
        table.append({"id": [number]})
        if number == 3:
            table.checkpoint()
    (tmp_path / "t" / "_delta_log" / "_last_checkpoint").unlink()
    return tmp_path / "t"


def test_newest_version_is_read_from_the_checkpoint_that_came_meanwhile(folder):
    snapshot = load_snapshot(CleanedStore(folder, [0, 1, 2]))
    assert (snapshot.version, snapshot.files.num_files, snapshot.checkpoint_version) == (4, 4, 3)


def test_version_that_was_cleaned_away_meanwhile_is_told_as_not_there(folder):
    with pytest.raises(lakefmt.VersionNotFoundError):
        load_snapshot(CleanedStore(folder, [0, 1, 2]), 2)


def test_refresh_over_commits_that_were_cleaned_away_reads_all_anew(folder):
    first = load_snapshot(LocalStore(str(folder)), 1)
    after = advance_snapshot(CleanedStore(folder, [0, 1, 2]), first)
    assert (after.version, after.files.num_files) == (4, 4)


@pytest.mark.parametrize("cheap", [True, False])
def test_commits_that_a_clean_up_deletes_in_any_order_are_no_gap_to_those_who_stand_before_it(folder, cheap):
    class Store(LocalStore):
        requests_are_cheap = cheap

    store = Store(str(folder))
    first = load_snapshot(store, 1)
    store.delete([commit_key(2)])
    after = advance_snapshot(store, first)
    assert (after.version, after.files.num_files) == (4, 4)
    if not cheap:
        assert load_commits_after(store, first) is None


def test_gap_that_no_checkpoint_stands_for_is_damage_to_a_refresh(folder):
    store = LocalStore(str(folder))
    first = load_snapshot(store, 1)
    store.delete([commit_key(2), checkpoint_key(3)])
    with pytest.raises(lakefmt.CorruptTableError, match="missing"):
        advance_snapshot(store, first)


def test_changes_whose_commits_were_cleaned_away_are_told_as_not_there(folder):
    store = CleanedStore(folder, [0, 1, 2])
    with pytest.raises(lakefmt.VersionNotFoundError, match="cleaned away while"):
        list(iterate_commits(store, list_commits(store)[1:]))


def test_commit_that_is_gone_from_the_middle_is_damage(folder):
    with pytest.raises(lakefmt.CorruptTableError, match="missing"):
        load_snapshot(CleanedStore(folder, [1]), 2)
