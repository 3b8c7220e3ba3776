import pytest

from lakefmt.errors import CorruptTableError, TableNotFoundError, VersionNotFoundError
from lakefmt.log.listing import is_table, list_commits_from
from lakefmt.log.paths import parse_log_file
from lakefmt.log.segment import choose_segment, load_segment
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
    assert versions(list_commits_from(store, 2)) == [2, 3, 4]
    assert versions(list_commits_from(store, 4)) == [4]


def test_gap_after_the_version_in_hand_is_corrupt(tmp_path):
    write_log(tmp_path, commit(0), commit(2))
    with pytest.raises(CorruptTableError, match="version 1 is missing"):
        list_commits_from(open_store(tmp_path), 0)


def compacted(first, last):
    return f"{first:020d}.{last:020d}.compacted.json"


def ranges(files):
    return [(f.version, f.end_version) if f.end_version >= 0 else f.version for f in files]


@pytest.mark.parametrize(
    ("names", "version", "expected"),
    [
        ([compacted(0, 4)], None, [(0, 4), 5, 6]),
        ([compacted(2, 3), compacted(2, 6)], None, [0, 1, (2, 6)]),
        # The longest first would cost one more file than the best choice.
        ([compacted(0, 2), compacted(1, 5)], None, [0, (1, 5), 6]),
        ([compacted(0, 1), compacted(2, 4), compacted(5, 6)], None, [(0, 1), (2, 4), (5, 6)]),
        # Past the version asked for, or past the newest commit.
        ([compacted(2, 6)], 4, [0, 1, 2, 3, 4]),
        ([compacted(5, 9)], None, [0, 1, 2, 3, 4, 5, 6]),
        # No range at all.
        ([compacted(3, 3), compacted(5, 2)], None, [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_log_compactions_stand_for_commits_where_that_is_shorter(names, version, expected):
    segment = choose([commit(v) for v in range(7)] + names, version)
    assert ranges(segment.commits) == expected
    assert segment.last_commit.version == segment.version


def test_a_log_compaction_that_reaches_into_the_checkpoint_is_not_used():
    log = [commit(v) for v in range(9)] + [checkpoint(4)]
    segment = choose([*log, compacted(3, 8), compacted(0, 4), compacted(5, 7)])
    assert (segment.checkpoint_version, ranges(segment.commits)) == (4, [(5, 7), 8])


def test_a_log_compaction_bridges_commits_that_are_gone():
    log = [commit(0), commit(3), commit(4), compacted(1, 3)]
    assert ranges(choose(log).commits) == [0, (1, 3), 4]
    with pytest.raises(CorruptTableError, match="version 1 is missing"):
        choose(log, 1)


def test_of_several_checkpoints_of_a_version_a_complete_one_is_taken():
    uuid = f"{5:020d}.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json"
    log = [commit(5), part(5, 1, 3), part(5, 2, 3)]
    assert [f.key[11:] for f in choose([*log, uuid]).checkpoint] == [uuid]
    assert [f.key[11:] for f in choose([*log, uuid, checkpoint(5)]).checkpoint] == [checkpoint(5)]
    assert [f.part for f in choose([*log, part(5, 3, 3)]).checkpoint] == [1, 2, 3]


def test_a_part_count_beyond_measure_makes_nothing_of_that_size():
    segment = choose([commit(0), commit(1), part(1, 1, 9_999_999_999)])
    assert segment.checkpoint == ()


def test_a_log_of_incomplete_checkpoints_alone_holds_nothing():
    with pytest.raises(CorruptTableError, match="no complete checkpoint"):
        choose([part(5, 1, 2), part(6, 2, 2)])
    with pytest.raises(CorruptTableError, match="begins at version 6"):
        choose([part(5, 1, 2), commit(6)])


def test_the_checksum_is_that_of_the_version():
    log = [commit(0), commit(1), f"{0:020d}.crc", f"{1:020d}.crc"]
    assert choose(log).checksum.version == 1
    assert choose(log, 0).checksum.version == 0
    assert choose([commit(0)]).checksum is None


@pytest.mark.parametrize("version", [b"true", b"1e3", b"100000000000000000000", b"null"])
def test_hint_of_no_version_is_ignored(tmp_path, version):
    write_log(tmp_path, commit(0), commit(1))
    (tmp_path / "_delta_log" / "_last_checkpoint").write_bytes(b'{"version":' + version + b',"size":3}')
    assert load_segment(open_store(tmp_path)).version == 1


def test_hint_older_than_what_is_left_is_ignored(tmp_path):
    write_log(tmp_path, checkpoint(7), commit(7), commit(8))
    (tmp_path / "_delta_log" / "_last_checkpoint").write_bytes(b'{"version":3,"size":3,"parts":2}')
    assert load_segment(open_store(tmp_path)).checkpoint_version == 7
