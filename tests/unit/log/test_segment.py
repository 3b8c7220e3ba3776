import pytest

from lakefmt.errors import CorruptTableError, TableNotFoundError, VersionNotFoundError
from lakefmt.log.paths import parse_log_file
from lakefmt.log.segment import choose_segment, is_table, list_commits_after, load_segment
from lakefmt.store import ObjectInfo, open_store


def listing(*names):
    return [parse_log_file(ObjectInfo(f"_delta_log/{name}", 1, 1)) for name in sorted(names)]


def commit(version):
    return f"{version:020d}.json"


def checkpoint(version):
    return f"{version:020d}.checkpoint.parquet"


def part(version, number, of):
    return f"{version:020d}.checkpoint.{number:010d}.{of:010d}.parquet"


def versions(files):
    return [file.version for file in files]


def choose(names, version=None):
    return choose_segment(listing(*names), version, table="t")


def test_without_checkpoint_all_commits_are_read():
    segment = choose([commit(0), commit(1), commit(2)])
    assert (segment.version, segment.checkpoint, versions(segment.commits)) == (2, (), [0, 1, 2])


def test_newest_checkpoint_stands_for_what_came_before():
    segment = choose([commit(v) for v in range(13)] + [checkpoint(5), checkpoint(10)])
    assert segment.checkpoint_version == 10
    assert versions(segment.commits) == [11, 12]


def test_time_travel_takes_no_newer_checkpoint():
    segment = choose([commit(v) for v in range(13)] + [checkpoint(5), checkpoint(10)], 7)
    assert (segment.checkpoint_version, versions(segment.commits)) == (5, [6, 7])


def test_checkpoint_alone_makes_a_version():
    segment = choose([checkpoint(5)])
    assert (segment.version, segment.commits) == (5, ())


def test_multi_part_checkpoint_with_a_missing_part_is_ignored():
    segment = choose([commit(v) for v in range(7)] + [part(5, 1, 2)])
    assert segment.checkpoint == ()


def test_complete_multi_part_checkpoint_is_used_in_order():
    segment = choose([commit(6), part(5, 2, 2), part(5, 1, 2)])
    assert [file.part for file in segment.checkpoint] == [1, 2]


def test_gap_names_the_missing_version():
    with pytest.raises(CorruptTableError, match="version 1 is missing"):
        choose([commit(0), commit(2)])


def test_log_without_its_beginning_is_corrupt():
    with pytest.raises(CorruptTableError, match="begins at version 3"):
        choose([commit(3), commit(4)])


def test_cleaned_version_says_the_oldest_left():
    with pytest.raises(VersionNotFoundError, match="oldest version left is 10"):
        choose([commit(11), checkpoint(10)], 4)


def test_version_past_the_newest_says_the_newest():
    with pytest.raises(VersionNotFoundError, match="newest is 1"):
        choose([commit(0), commit(1)], 9)


def write_log(folder, *names):
    log = folder / "_delta_log"
    log.mkdir(parents=True, exist_ok=True)
    for name in names:
        (log / name).write_bytes(b"{}")


def test_hint_without_its_checkpoint_falls_back_to_the_whole_log(tmp_path):
    write_log(tmp_path, commit(0), commit(1))
    (tmp_path / "_delta_log" / "_last_checkpoint").write_bytes(b'{"version":1,"size":3}')
    assert versions(load_segment(open_store(tmp_path)).commits) == [0, 1]


@pytest.mark.parametrize(
    "hint", [b"", b"garbage", b"[]", b'{"version":"x"}', b'{"version":-1}', b'{"version":99}']
)
def test_corrupt_hint_is_ignored(tmp_path, hint):
    write_log(tmp_path, commit(0))
    (tmp_path / "_delta_log" / "_last_checkpoint").write_bytes(hint)
    assert load_segment(open_store(tmp_path)).version == 0


def test_newer_checkpoint_than_the_hint_is_used(tmp_path):
    write_log(tmp_path, *[commit(v) for v in range(9)], checkpoint(3), checkpoint(7))
    (tmp_path / "_delta_log" / "_last_checkpoint").write_bytes(b'{"version":3,"size":3}')
    assert load_segment(open_store(tmp_path)).checkpoint_version == 7


def test_version_before_the_hint_is_found(tmp_path):
    write_log(tmp_path, *[commit(v) for v in range(9)], checkpoint(7))
    (tmp_path / "_delta_log" / "_last_checkpoint").write_bytes(b'{"version":7,"size":3}')
    assert versions(load_segment(open_store(tmp_path), 2).commits) == [0, 1, 2]


def test_empty_folder_is_no_table(tmp_path):
    with pytest.raises(TableNotFoundError, match="nothing here"):
        load_segment(open_store(tmp_path))


def test_folder_that_does_not_exist_is_no_table(tmp_path):
    with pytest.raises(TableNotFoundError):
        load_segment(open_store(tmp_path / "absent"))


def test_parquet_folder_is_told_how_to_become_a_table(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(TableNotFoundError, match=r"plain folder.*lakefmt\.write"):
        load_segment(open_store(tmp_path))


def test_is_table(tmp_path):
    assert not is_table(open_store(tmp_path))
    write_log(tmp_path, commit(0))
    assert is_table(open_store(tmp_path))


def test_new_commits_are_listed_without_the_old(tmp_path):
    write_log(tmp_path, *[commit(v) for v in range(5)])
    store = open_store(tmp_path)
    assert versions(list_commits_after(store, 2)) == [3, 4]
    assert list_commits_after(store, 4) == []


def test_gap_after_the_version_in_hand_is_corrupt(tmp_path):
    write_log(tmp_path, commit(0), commit(2))
    with pytest.raises(CorruptTableError, match="version 1 is missing"):
        list_commits_after(open_store(tmp_path), 0)
