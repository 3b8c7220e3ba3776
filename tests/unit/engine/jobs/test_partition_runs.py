"""Counted sizes of partitions turned into tasks."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lakefmt.engine.jobs.partition_runs import (
    PartitionRun,
    choose_partition_count,
    choose_partition_runs,
    split_heavy_run,
    split_run,
)


def test_small_partitions_are_read_together_and_large_ones_alone():
    runs = choose_partition_runs([10, 10, 90, 5, 5, 5], 1, target_bytes=30)
    assert runs == [PartitionRun(0, 2), PartitionRun(2, 3), PartitionRun(3, 6)]


def test_every_worker_has_something_to_do_however_little_there_is():
    assert len(choose_partition_runs([10] * 8, 4, target_bytes=1000)) == 4


def test_partitions_without_rows_are_no_tasks():
    assert choose_partition_runs([0, 0, 0], 4) == []


@given(
    st.lists(st.integers(0, 1000), max_size=50),
    st.integers(1, 8),
    st.integers(1, 2000),
    st.sets(st.integers(0, 50)),
)
def test_runs_cover_every_row_once_and_none_is_too_large(sizes, parallelism, target, apart):
    runs = choose_partition_runs(sizes, parallelism, target, apart=apart)
    covered = [number for run in runs for number in range(run.start, run.stop)]
    assert len(set(covered)) == len(covered)
    assert {n for n, size in enumerate(sizes) if size} - apart <= set(covered)
    assert not apart.intersection(covered)
    assert all(one.stop <= two.start for one, two in pairwise(runs))
    for run in runs:
        full = [size for size in sizes[run.start : run.stop] if size]
        assert sum(full) <= target or len(full) == 1


def test_heavy_partition_is_cut_by_the_tasks_that_filled_it():
    run = PartitionRun(3, 4)
    pieces = split_heavy_run(run, [50, 60, 10, 80, 100], target_bytes=100)
    assert [piece.roots for piece in pieces] == [(0, 1), (1, 3), (3, 4), (4, 5)]
    assert {(piece.start, piece.stop) for piece in pieces} == {(3, 4)}
    assert split_heavy_run(run, [50, 60], target_bytes=100) == [run]
    assert split_heavy_run(PartitionRun(3, 5), [500, 600], target_bytes=100) == [PartitionRun(3, 5)]


@given(st.integers(0, 20), st.integers(1, 20))
def test_cutting_over_and_over_ends_and_loses_no_partition_and_no_slice(start, count):
    waiting, units = [PartitionRun(start, start + count)], []
    while waiting:
        run = waiting.pop()
        pieces = split_run(run)
        if pieces and (run.slices is None or run.slices[1] < 8):
            waiting += pieces
        else:
            units.append(run)
    for partition in range(start, start + count):
        slices = [run.slices for run in units if (run.start, run.stop) == (partition, partition + 1)]
        # Each hash falls in one slice.
        assert all(sum(number % of == which for which, of in slices) == 1 for number in range(64))
    assert split_run(PartitionRun(0, 1, slices=(0, 256))) == []


def test_partition_count_gives_every_worker_some_and_has_an_end():
    assert choose_partition_count(0, 4) == 16
    assert choose_partition_count(None, 2) == 64
    assert choose_partition_count(10 << 30, 2) == 160
    assert choose_partition_count(1 << 60, 2) == 4096
