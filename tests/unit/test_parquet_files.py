"""Footers that contradict themselves end in errors, before anything is made of what they say."""

from __future__ import annotations

import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakefmt
from benchmarks.memory import forget_peak, peak_mb, resident_mb
from lakefmt.parquet_files import open_parquet_file
from lakefmt.testing.parquet_footer import rewrite_footer

ROW_COUNT, GROUPS = 3, 4  # of FileMetaData
COLUMNS, GROUP_ROW_COUNT = 1, 3  # of RowGroup


def zigzag(number):
    return number << 1 if number >= 0 else (-number << 1) - 1


def groups_of(metadata):
    return metadata[GROUPS][1][1]


def lose_a_column(metadata):
    del groups_of(metadata)[0][COLUMNS][1][1][-1]


def repeat_a_column(metadata):
    columns = groups_of(metadata)[0][COLUMNS][1][1]
    columns.append(columns[0])


def count_less_than_none(metadata):
    kind, _ = metadata[ROW_COUNT]
    metadata[ROW_COUNT] = (kind, zigzag(-915_017))
    for group in groups_of(metadata):
        group[GROUP_ROW_COUNT] = (kind, zigzag(-915_017))


def count_more_in_a_group(metadata):
    group = groups_of(metadata)[0]
    kind, _ = group[GROUP_ROW_COUNT]
    group[GROUP_ROW_COUNT] = (kind, zigzag(1 << 40))


CHANGES = [lose_a_column, repeat_a_column, count_less_than_none, count_more_in_a_group]


@pytest.mark.parametrize("change", CHANGES)
def test_row_groups_that_contradict_the_footer_are_refused(tmp_path, change):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": [1, 2], "y": ["a", "b"]}), path)
    with pa.memory_map(str(path)) as source:
        assert open_parquet_file(source).read().num_rows == 2
    rewrite_footer(path, change)
    with pa.memory_map(str(path)) as source, pytest.raises(pa.ArrowInvalid, match="row group"):
        open_parquet_file(source)


def test_list_that_says_it_is_long_takes_no_memory(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({f"c{number:02}": [1] for number in range(20)}), path)
    data = path.read_bytes()
    (length,) = struct.unpack("<I", data[-8:-4])
    body, footer = data[: -8 - length], data[-8 - length : -8]
    # A list of structs and its length, 20: that of the row group's column chunks is the second one.
    place = footer.index(b"\xfc\x14", footer.index(b"\xfc\x15") + 2)
    footer = footer[: place + 1] + b"\xbf\x84\x3d" + footer[place + 2 :]
    path.write_bytes(body + footer + struct.pack("<I", len(footer)) + b"PAR1")
    before = resident_mb()
    forget_peak()
    with pa.memory_map(str(path)) as source, pytest.raises(OSError):
        open_parquet_file(source)
    assert peak_mb() - before < 100


@pytest.mark.parametrize("change", CHANGES)
def test_table_with_such_a_checkpoint_or_data_file_is_corrupt(tmp_path, change):
    table = lakefmt.write(tmp_path / "t", {"id": [1, 2], "text": ["a", "b"]})
    (file,) = (tmp_path / "t").glob("*.parquet")
    whole = file.read_bytes()
    rewrite_footer(file, change)
    with pytest.raises(lakefmt.CorruptTableError, match=r"[0-9a-f]\.parquet"):
        lakefmt.open(tmp_path / "t").to_arrow()
    file.write_bytes(whole)
    table.checkpoint()
    (checkpoint,) = (tmp_path / "t").glob("_delta_log/*.checkpoint.parquet")
    rewrite_footer(checkpoint, change)
    for commit in (tmp_path / "t" / "_delta_log").glob("*.json"):
        commit.unlink()
    with pytest.raises(lakefmt.CorruptTableError, match=r"checkpoint\.parquet"):
        lakefmt.open(tmp_path / "t").scan(where="id = 1").to_arrow()
