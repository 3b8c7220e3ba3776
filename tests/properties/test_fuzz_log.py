"""A log is input from strangers: whatever is in it, reading ends in rows or in a typed error, in bounded memory.

``make soak`` tries many more examples than ``make test``.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lakefmt
from lakefmt.testing.mutations import mutate_bytes, mutate_lines

fuzz = settings.get_profile("fuzz")
draws = st.randoms(use_true_random=False)


def with_files(tables, pattern):
    """Return (table, file) of every file of the tables that the pattern finds, those of short tables first."""
    found = [(table, file) for table in tables for file in sorted(table.glob(pattern))]
    if not found:
        pytest.skip(f"no seed table has {pattern}: there is no corpus beside the checkout")
    return found


@fuzz
@given(draw=draws)
def test_damaged_commits_end_in_rows_or_typed_errors(seed_tables, damaged, read_in_every_way, draw):
    table, commit = draw.choice(with_files(seed_tables, "_delta_log/*.json"))
    damage = mutate_bytes if draw.random() < 0.15 else mutate_lines
    read_in_every_way(damaged(table, commit, damage(commit.read_bytes(), draw)))


@fuzz
@given(draw=draws)
def test_damaged_hint_leaves_the_table_as_it_is(
    seed_tables, damaged, read_in_every_way, read_undamaged, draw
):
    table, hint = draw.choice(with_files(seed_tables, "_delta_log/_last_checkpoint"))
    damage = mutate_bytes if draw.random() < 0.3 else mutate_lines
    found = read_in_every_way(damaged(table, hint, damage(hint.read_bytes(), draw)))
    assert_as_undamaged(found, read_undamaged(table))


@fuzz
@given(draw=draws)
def test_damaged_checksum_file_never_changes_rows(
    seed_tables, damaged, read_in_every_way, read_undamaged, draw
):
    table, checksum = draw.choice(with_files(seed_tables, "_delta_log/*.crc"))
    damage = mutate_bytes if draw.random() < 0.3 else mutate_lines
    found = read_in_every_way(damaged(table, checksum, damage(checksum.read_bytes(), draw)))
    # What contradicts the log may be an error; it is never another answer.
    corrupt = [isinstance(each, lakefmt.CorruptTableError) for each in found]
    assert any(corrupt) or assert_as_undamaged(found, read_undamaged(table)) is None


def assert_as_undamaged(found, expected):
    assert [comparable(each) for each in found] == [comparable(each) for each in expected]


def comparable(outcome):
    """Return an outcome without what another folder alone makes different."""
    if isinstance(outcome, lakefmt.LakefmtError | str):
        return type(outcome)
    if hasattr(outcome, "column_names") and {"path", "modified"} <= set(outcome.column_names):
        return outcome.drop_columns(["path"])
    return outcome
